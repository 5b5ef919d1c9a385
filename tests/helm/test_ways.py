"""Who reaches whom: the rendered network policies, judged as Kubernetes judges them, for each pair that matters.

Of the pods of zero-to-jupyterhub and dask-gateway only what our policies add is judged here: their own are not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("helm")

DNS, POSTGRES, REDIS, PUBLIC, INNER, METADATA, API = (
    "dns", "10.0.3.4", "10.0.3.5", "203.0.113.7", "10.9.9.9", "169.254.169.254", "10.0.0.1",
)  # fmt: skip
OURS = {"app.kubernetes.io/name": "quantdesk", "app.kubernetes.io/instance": "quantdesk"}
PORTS = {"http": {"web": 8080, "desk": 8081}, "metrics": {"worker": 9102}}
"""Ports that policies call by name."""


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod with labels, in a namespace with labels, or an address outside."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    space: dict[str, str] = field(default_factory=lambda: {"kubernetes.io/metadata.name": "quantdesk"})
    address: str = ""


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "no other selector is used"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def is_peer(peer: dict[str, Any], end: End) -> bool:
    if "ipBlock" in peer:
        if not end.address:
            return False
        outside = any(ip_address(end.address) in ip_network(one) for one in peer["ipBlock"].get("except", []))
        return ip_address(end.address) in ip_network(peer["ipBlock"]["cidr"]) and not outside
    if end.address:
        return False
    here = end.space.get("kubernetes.io/metadata.name") == "quantdesk"
    in_space = matches(peer["namespaceSelector"], end.space) if "namespaceSelector" in peer else here
    return in_space and matches(peer.get("podSelector", {}), end.labels)


def opens(way: dict[str, Any], side: str, end: End, to: End, port: int) -> bool:
    peers = way.get(side)
    if peers and not any(is_peer(peer, end) for peer in peers):
        return False
    ports = [one["port"] for one in way.get("ports", [])]
    return not ports or any(
        PORTS.get(one, {}).get(to.name) == port if isinstance(one, str) else one == port for one in ports
    )


def let(policies: list[dict[str, Any]], kind: str, pod: End, other: End, port: int) -> bool:
    """Whether the policies of a pod let it out to, or in from, the other end."""
    of_pod = [one["spec"] for one in policies if matches(one["spec"]["podSelector"], pod.labels)]
    of_kind = [spec for spec in of_pod if kind in spec["policyTypes"]]
    assert of_kind, "nothing is open that no policy speaks of"
    side, key = ("to", "egress") if kind == "Egress" else ("from", "ingress")
    to = other if kind == "Egress" else pod
    return any(opens(way, side, other, to, port) for spec in of_kind for way in spec.get(key, []))


@pytest.fixture(scope="module")
def policies(everything: Any) -> list[dict[str, Any]]:
    return [one for one in everything if one["kind"] == "NetworkPolicy"]


@pytest.fixture(scope="module")
def ends(everything: Any, pods: Any) -> dict[str, End]:
    found = {}
    for _, pod in pods(everything):
        labels = pod["metadata"]["labels"]
        name = labels["app.kubernetes.io/component"]
        if name != "logs" and labels.get("quantdesk/track") != "canary":
            found[name] = End(name, labels)
    for name, labels in {
        "hub": {"app": "jupyterhub", "component": "hub", "release": "quantdesk"},
        "proxy": {"app": "jupyterhub", "component": "proxy", "release": "quantdesk"},
        "user": {"app": "jupyterhub", "component": "singleuser-server"},
        "scheduler": {"app": "jupyterhub", "component": "user-scheduler"},
        "dask": {"app.kubernetes.io/name": "dask-gateway"},
        "stranger": {"app": "stranger"},
    }.items():
        found[name] = End(name, labels)
    system = {"kubernetes.io/metadata.name": "kube-system"}
    found[DNS] = End(DNS, {"k8s-app": "kube-dns"}, system)
    found["prometheus"] = End("prometheus", {"app": "prometheus"}, {"kubernetes.io/metadata.name": "monitoring"})
    found["ingress"] = End("ingress", {"app": "ingress"}, {"kubernetes.io/metadata.name": "ingress-nginx"})
    found["elsewhere"] = End("elsewhere", {"app": "web"}, {"kubernetes.io/metadata.name": "default"})
    for address in (POSTGRES, REDIS, PUBLIC, INNER, METADATA, API):
        found[address] = End(address, address=address)
    return found


OUT = {
    "web": {(DNS, 53), ("hub", 8081), ("desk", 8081), (POSTGRES, 5432), (REDIS, 6379), (PUBLIC, 443), ("dask", 8000)},
    "desk": {(DNS, 53), (POSTGRES, 5432), (PUBLIC, 443)},
    "worker": {(DNS, 53), (POSTGRES, 5432), (PUBLIC, 443), (PUBLIC, 587), ("dask", 8786)},
    "features": {(DNS, 53), (POSTGRES, 5432), (REDIS, 6379)},
    "materialize": {(DNS, 53), (POSTGRES, 5432), (REDIS, 6379)},
    "halts": {(DNS, 53), (PUBLIC, 443)},
    "backup": {(DNS, 53), (POSTGRES, 5432)},
    "restore": {(DNS, 53), (POSTGRES, 5432)},
    "migrate": {(DNS, 53), (POSTGRES, 5432)},
    "first": {(DNS, 53), (POSTGRES, 5432)},
    "snapshots": {(DNS, 53), (API, 443)},
    "smoke": {(DNS, 53), ("proxy", 8000), (PUBLIC, 443), (INNER, 443)},
    "scheduler": {(API, 443)},
    "dask": {(DNS, 53), ("dask", 8786), ("hub", 8081), (API, 443)},
    "user": {("dask", 8000), ("dask", 8786)},
    "hub": {("web", 8080)},
    "proxy": {("web", 8080)},
}
"""Where a pod gets out to, beside what zero-to-jupyterhub's own policies allow its pods."""
SHUT = {
    "web": {(INNER, 443), (METADATA, 80), ("worker", 9102), (PUBLIC, 80), ("user", 8888)},
    "desk": {("web", 8080), ("hub", 8081), (INNER, 443), (METADATA, 80), ("dask", 8786)},
    "worker": {
        ("desk", 8081),
        ("web", 8080),
        ("hub", 8081),
        ("proxy", 8000),
        (METADATA, 80),
        (INNER, 443),
        ("user", 8888),
    },
    "features": {(PUBLIC, 443), ("desk", 8081), (METADATA, 80)},
    "halts": {(POSTGRES, 5432), (REDIS, 6379), ("desk", 8081), (INNER, 443)},
    "backup": {(PUBLIC, 443), ("desk", 8081)},
    "smoke": {(POSTGRES, 5432), ("hub", 8081), ("desk", 8081), ("web", 8080)},
    "user": {("desk", 8081), ("web", 8080), ("worker", 9102), (INNER, 443), (PUBLIC, 443)},
    "dask": {("desk", 8081), ("web", 8080), (POSTGRES, 5432), (DNS, 80)},
    "hub": {("desk", 8081), (METADATA, 80)},
    "proxy": {("desk", 8081), (METADATA, 80), (PUBLIC, 443)},
    "stranger": {(DNS, 53), (PUBLIC, 443), ("web", 8080), ("desk", 8081)},
}
IN = {
    "web": {("hub", 8080), ("proxy", 8080), ("prometheus", 8080)},
    "desk": {("web", 8081), ("prometheus", 8081)},
    "worker": {("prometheus", 9102)},
    "hub": {("prometheus", 8081)},
    "proxy": {("ingress", 8000)},
    "dask": {("dask", 8786), ("user", 8000), ("proxy", 8000), ("worker", 8786), ("web", 8000)},
}
CLOSED = {
    "web": {
        ("user", 8080),
        ("worker", 8080),
        ("elsewhere", 8080),
        ("ingress", 8080),
        ("prometheus", 8081),
        ("stranger", 8080),
    },
    "desk": {
        ("user", 8081),
        ("worker", 8081),
        ("hub", 8081),
        ("proxy", 8081),
        ("ingress", 8081),
        ("dask", 8081),
        ("smoke", 8081),
    },
    "worker": {("web", 9102), ("user", 9102), ("prometheus", 8080), ("hub", 9102)},
    "hub": {("elsewhere", 8081), ("ingress", 8081), ("worker", 8081), ("prometheus", 8080)},
    "proxy": {("elsewhere", 8000), ("ingress", 8001)},
    "dask": {("desk", 8786), ("stranger", 8000), ("halts", 8786)},
    "features": {("web", 8080), ("prometheus", 8080)},
}


@pytest.mark.parametrize(
    ("kind", "table", "expected"),
    [("Egress", OUT, True), ("Egress", SHUT, False), ("Ingress", IN, True), ("Ingress", CLOSED, False)],
    ids=["out", "not out", "in", "not in"],
)
def test_who_reaches_whom(
    policies: Any, ends: dict[str, End], kind: str, table: dict[str, set[tuple[str, int]]], expected: bool
) -> None:
    for name, others in table.items():
        for other, port in sorted(others):
            assert let(policies, kind, ends[name], ends[other], port) is expected, (name, kind, other, port)


def test_each_pod_of_ours_is_in_a_table(ends: dict[str, End]) -> None:
    ours = {name for name, end in ends.items() if OURS.items() <= end.labels.items()}
    assert ours - set(OUT) == {"freshness"}, "it has the ways of `features`"


def test_users_reach_the_database_of_features_only_where_that_is_said(
    helm: Any, everything: Any, ends: dict[str, End]
) -> None:
    def ways(objects: Any) -> list[dict[str, Any]]:
        return [one for one in objects if one["kind"] == "NetworkPolicy"]

    inside = End("readers", address="10.1.2.3")
    assert let(ways(everything), "Egress", ends["user"], inside, 5432)
    assert not let(ways(everything), "Egress", ends["user"], inside, 6379)
    assert not let(ways(everything), "Egress", ends["user"], ends[POSTGRES], 5432)
    assert not let(ways(helm.render("default")), "Egress", ends["user"], inside, 5432)


def test_a_load_balancer_that_is_no_pod_comes_in_by_its_address(helm: Any, ends: dict[str, End]) -> None:
    policies = [one for one in helm.render("values-aws") if one["kind"] == "NetworkPolicy"]
    balancer, elsewhere = End("balancer", address="10.20.3.4"), End("elsewhere", address="10.30.3.4")
    assert let(policies, "Ingress", ends["proxy"], balancer, 8000)
    assert not let(policies, "Ingress", ends["proxy"], elsewhere, 8000)
    assert not let(policies, "Ingress", ends["proxy"], ends["ingress"], 8000), "there is no ingress controller"
    assert not let(policies, "Ingress", ends["web"], balancer, 8080)
