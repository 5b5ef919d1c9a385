"""The chart: it renders, its objects are valid, it refuses what is misspelled, and what it renders is safe."""

from __future__ import annotations

import copy
import fnmatch
import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from quantdesk.hub.app.logs import JsonLines
from quantdesk.hub.proxy import node

pytestmark = pytest.mark.xdist_group("helm")

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "quantdesk"
KUBERNETES = "1.34"
CUSTOM = ("monitoring.coreos.com", "gateway.networking.k8s.io", "external-secrets.io")
"""Groups whose schemas are not Kubernetes' own."""
OTHERS = (
    {"app": "jupyterhub", "component": "hub"},
    {"app": "jupyterhub", "component": "proxy"},
    {"app": "jupyterhub", "component": "singleuser-server"},
    {"app": "jupyterhub", "component": "user-scheduler"},
    {"app": "jupyterhub", "component": "image-puller"},
    {"app.kubernetes.io/name": "dask-gateway"},
    {"app": "postgresql"},
    {"app": "redis"},
    {"k8s-app": "kube-dns"},
)
"""Labels of pods that are other charts'."""
Pods = Callable[[Any], Iterator[tuple[str, dict[str, Any]]]]


def custom(one: dict[str, Any]) -> bool:
    return str(one["apiVersion"]).split("/")[0] in CUSTOM


# ------------------------------------------------------------------------------------------------- it renders, validly


def test_lint_has_nothing_to_say(helm: Any) -> None:
    files = [path.relative_to(CHART) for folder in ("examples", "ci") for path in (CHART / folder).glob("*.yaml")]
    assert len(files) >= 6
    for file in files:
        done = helm.run("lint", ".", "--strict", "--values", str(file))
        assert done.returncode == 0, (file, done.stdout)
        assert "0 chart(s) failed" in done.stdout


def test_the_chart_packs_with_its_version(helm: Any, tmp_path: Path) -> None:
    done = helm.run("package", ".", "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["quantdesk-0.1.0.tgz"]


def test_it_is_an_umbrella_over_two_optional_charts() -> None:
    found = {one["name"]: one for one in yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]}
    assert {name: (one["version"], one["condition"]) for name, one in found.items()} == {
        "jupyterhub": ("4.4.0", "jupyterhub.enabled"),
        "dask-gateway": ("2026.3.0", "dask-gateway.enabled"),
    }


def test_every_object_is_valid_for_kubernetes(objects: Any) -> None:
    for one in objects:
        if not custom(one):
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_validation_would_notice_a_field_that_is_none(helm: Any) -> None:
    one = copy.deepcopy(next(one for one in helm.render("default") if one["kind"] == "Deployment"))
    one["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def judged(tools: Path, given: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    line = [str(node()), str(tools / "check.mjs")]
    done = subprocess.run(line, input=json.dumps(list(given)), capture_output=True, text=True, check=True, cwd=tools)
    return {f"{one['kind']} {one['name']}": one["problems"] for one in json.loads(done.stdout)}


def test_every_custom_resource_fits_its_definition(tools: Path, helm: Any) -> None:
    found = [one for one in (*helm.render("everything-values"), *helm.render("values-aws")) if custom(one)]
    for one in list(found):
        if one["kind"] == "AlertmanagerConfig":
            for at, route in enumerate(one["spec"]["route"]["routes"]):
                alone = copy.deepcopy(one)
                alone["metadata"]["name"] += f"-{at}"
                alone["spec"]["route"] = route
                found.append(alone)
    told = judged(tools, found)
    assert {name.split()[0] for name in told} == {
        "AlertmanagerConfig",
        "ExternalSecret",
        "Gateway",
        "HTTPRoute",
        "PodMonitor",
        "PrometheusRule",
        "ServiceMonitor",
    }
    assert {name: problems for name, problems in told.items() if problems} == {}


def test_that_check_would_notice_a_field_that_is_none(tools: Path, helm: Any) -> None:
    one = copy.deepcopy(next(one for one in helm.render("everything-values") if one["kind"] == "ServiceMonitor"))
    one["spec"]["endpoints"][0]["intervall"] = "30s"
    one["spec"]["selector"] = "web"
    (problems,) = judged(tools, [one]).values()
    assert any("selector must be object" in problem for problem in problems)
    assert any("intervall is no field" in problem for problem in problems)


# ------------------------------------------------------------------------------------------------ what is misspelled


MISSPELLED = {
    "web.replica": "/web",
    "worker.proceses": "/worker",
    "secrets.keys.databse": "/secrets/keys",
    "state.snapshots.clas": "/state/snapshots",
    "schedules.features.shedule": "/schedules/features",
    "networkPolicy.enable": "/networkPolicy",
    "monitoring.routing.onCal": "/monitoring/routing",
    "logs.shipper.loki.hosts": "/logs/shipper/loki",
    "jupyterhub.hubs": "/jupyterhub",
    "jupyterhub.hub.extraEnvs": "/jupyterhub/hub",
    "jupyterhub.singleuser.profileList": "/jupyterhub/singleuser",
    "jupyterhub.singleuser.storage.dynamic.class": "/jupyterhub/singleuser/storage/dynamic",
    "profiles[0].memory": "/profiles/0",
    "web.canary.replica": "/web/canary",
    "smoke.uri": "/smoke",
    "hubCopy.form": "/hubCopy",
    "desks": "",
}
WRONG = {
    "image.tag=latest": "/image/tag",
    "name=quantdesk": "/name",
    "desk.gateway=live": "/desk/gateway",
    "settings.QUANTDESK_SERVICE_TOKEN=x": "'QUANTDESK_SERVICE_TOKEN'",
    "settings.QUANTDESK_LEDGER_URL=postgresql://u:p@h/d": "/settings/QUANTDESK_LEDGER_URL",
    "profiles[0].name=Small One": "/profiles/0/name",
    "web.replicas=0": "/web/replicas",
    "schedules.features.schedule=daily": "/schedules/features/schedule",
    "image.digest=sha256:abc": "/image/digest",
    "account=0": "/account",
    "worker.resources.limits.memory=much": "/worker/resources/limits",
}


def refused(helm: Any, settings: Iterable[str]) -> str:
    done = helm.run("template", "quantdesk", ".", *(word for one in settings for word in ("--set", one)))
    assert done.returncode != 0
    return str(done.stderr)


def test_a_misspelled_key_is_refused_with_its_name_and_place(helm: Any) -> None:
    told = refused(helm, (f"{key}=x" for key in MISSPELLED))
    for key, place in MISSPELLED.items():
        assert f"at '{place}': additional properties '{key.split('.')[-1].split(']')[-1]}' not allowed" in told, told


def test_one_misspelled_key_is_enough(helm: Any) -> None:
    assert "'replica' not allowed" in refused(helm, ["web.replica=2"])


def test_a_value_that_is_none_is_refused_with_its_place(helm: Any) -> None:
    told = refused(helm, (one.replace(",", "\\,") for one in WRONG))
    for place in WRONG.values():
        assert place in told, told


FREE = re.compile(
    r"(settings|nodeSelector|serviceAccount\.annotations|(ingress|gateway)\.annotations|monitoring\.labels|schedules"
    r"|monitoring\.dashboards\.labels|networkPolicy\.(monitoring|door|dns)|dask-gateway"
    r"|jupyterhub\.(custom|hub\.(extra(Config|Env|Files)|config)|singleuser\.extraEnv)(\..*)?"
    r"|jupyterhub\.((proxy|prePuller|scheduling)\..*|hub\.(containerSecurityContext|networkPolicy(\..*)?|resources))"
    r"|.*resources\.(requests|limits))"
)
"""Tables whose keys are the reader's own, or another chart's, whose own schema refuses what it does not know."""


def tables(given: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each table of the values, whose keys are ours, with its place."""
    if isinstance(given, dict):
        if not FREE.fullmatch(path):
            yield path, given
        for name, value in given.items():
            yield from tables(value, f"{path}.{name}".lstrip("."))


def test_a_misspelled_key_is_refused_at_every_depth(helm: Any, tmp_path: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    places = [path for path, _ in tables(values)]
    assert len(places) > 60
    wrong: dict[str, Any] = {}
    for place in places:
        here = wrong
        for name in place.split(".") if place else []:
            here = here.setdefault(name, {})
        here["mispelt"] = "x"
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    done = helm.run("template", "quantdesk", ".", "--values", str(tmp_path / "wrong.yaml"))
    assert done.returncode != 0
    told = set(re.findall(r"at '([^']*)': additional properties 'mispelt' not allowed", done.stderr))
    assert {place.replace(".", "/") for place in places} - {place.lstrip("/") for place in told} == set()


def test_every_key_of_the_values_is_in_the_schema_and_the_other_way_round() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compared(given: Any, known: Any, path: str) -> Iterator[str]:
        properties = known.get("properties")
        if not isinstance(given, dict) or properties is None or path.startswith(("jupyterhub", "dask-gateway")):
            return
        yield from (f"{path}.{name} has no value" for name in properties if name not in given and name != "global")
        for name, value in given.items():
            yield from compared(value, properties.get(name, {}), f"{path}.{name}".lstrip("."))

    assert list(compared(values, schema, "")) == []


# ------------------------------------------------------------------------------------------------------ what is safe


def test_every_pod_of_ours_is_restricted(objects: Any, pods: Pods) -> None:
    for name, pod in pods(objects):
        spec = pod["spec"]
        if name.startswith("DaemonSet"):
            continue  # it reads the machine's logs, in a namespace of its own: see the next test
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 10_000, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert all(set(one) & {"persistentVolumeClaim", "emptyDir", "configMap"} for one in spec["volumes"]), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert not context.get("privileged"), name


def test_what_reads_the_machines_logs_lives_elsewhere_and_writes_nowhere(everything: Any, pods: Pods) -> None:
    (one,) = [one for one in everything if one["kind"] == "DaemonSet"]
    assert one["metadata"]["namespace"] == "quantdesk-logs"
    ((_, pod),) = pods([one])
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    host = {volume["name"] for volume in pod["spec"]["volumes"] if "hostPath" in volume}
    assert all(mount["readOnly"] for mount in container["volumeMounts"] if mount["name"] in host)


def test_only_who_takes_snapshots_may_talk_to_kubernetes(everything: Any, pods: Pods) -> None:
    may = {name for name, pod in pods(everything) if pod["spec"]["automountServiceAccountToken"]}
    assert may == {"CronJob qd-snapshots"}
    (role,) = [one for one in everything if one["kind"] == "Role"]
    assert role["rules"] == [
        {
            "apiGroups": ["snapshot.storage.k8s.io"],
            "resources": ["volumesnapshots"],
            "verbs": ["create", "list", "delete"],
        },
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"]},
    ]
    assert not [one for one in everything if one["kind"].startswith("ClusterRole")]


def test_every_container_says_what_it_needs_and_at_most_takes(objects: Any, pods: Pods) -> None:
    for name, pod in pods(objects):
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            for kind in ("requests", "limits"):
                assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][kind]), name


def test_what_serves_has_probes_and_what_ends_has_an_end(objects: Any, pods: Pods) -> None:
    for name, pod in pods(objects):
        if name.startswith(("CronJob", "Job", "Pod")):
            assert pod["spec"]["activeDeadlineSeconds"] > 0, name
            assert pod["spec"]["restartPolicy"] == "Never", name
            continue
        for container in pod["spec"]["containers"]:
            assert {"livenessProbe", "readinessProbe"} <= set(container), name


def labels_fit(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def selectors(one: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The labels of pods that an object looks for."""
    spec = one.get("spec", {})
    if one["kind"] == "Service":
        yield spec["selector"]
    elif one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "PodDisruptionBudget"):
        yield spec["selector"]["matchLabels"]
    elif one["kind"] == "NetworkPolicy":
        peers = [*spec.get("ingress", []), *spec.get("egress", [])]
        found = [spec["podSelector"], *(peer.get("podSelector", {}) for way in peers for peer in
                                        [*way.get("from", []), *way.get("to", [])])]  # fmt: skip
        yield from (one.get("matchLabels", {}) for one in found if one)


def test_every_label_that_is_looked_for_exists(objects: Any, pods: Pods) -> None:
    known = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for one in objects:
        for wanted in selectors(one):
            if wanted in OTHERS or set(wanted) == {"quantdesk/to-kubernetes"}:
                continue
            if any(key.startswith("quantdesk/to-") for key in wanted) and one["kind"] == "NetworkPolicy":
                continue  # a way that nobody takes with these values
            if wanted == {key: value for key, value in wanted.items() if not key.endswith("component")}:
                continue  # all of our pods, of which there may be none
            assert any(labels_fit(wanted, labels) for labels in known), (one["kind"], one["metadata"]["name"], wanted)


def test_two_deployments_never_look_for_the_same_pods(everything: Any) -> None:
    wanted = [one["spec"]["selector"]["matchLabels"] for one in everything if one["kind"] == "Deployment"]
    for one in wanted:
        assert sum(labels_fit(one, other) for other in wanted) == 1


def test_no_secret_is_in_what_is_rendered(objects: Any, pods: Pods) -> None:
    assert not [one for one in objects if one["kind"] == "Secret"]
    for name, pod in pods(objects):
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            for variable in container.get("env", []):
                kinds = "TOKEN|SECRET|PASSW|DATABASE$|REDIS$|SMTP|_KEY$|LEDGER(_URL)?$|LOKI_"
                secret = re.search(kinds, variable["name"])
                assert ("value" in variable) is not bool(secret), (name, variable)


def test_each_process_has_the_secrets_that_it_needs_and_no_others(everything: Any, pods: Pods) -> None:
    def keys(pod: dict[str, Any]) -> set[str]:
        every = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        found = [variable for container in every for variable in container.get("env", [])]
        return {one["valueFrom"]["secretKeyRef"]["key"] for one in found if "valueFrom" in one}

    held = {name: keys(pod) for name, pod in pods(everything)}
    servers = {"database", "redis"}
    tokens = {"service-token", "service-secret", "metrics-token", "desk-token"}
    assert held["Deployment qd-web"] == servers | {"reports-database"} | tokens
    assert held["StatefulSet qd-desk"] == {
        "ledger-database",
        "desk-token",
        "metrics-token",
        "alpaca-key",
        "alpaca-secret",
    }
    assert held["Deployment qd-worker"] == {"reports-database", "smtp"}, "notebooks run here"
    for name in ("CronJob qd-features", "CronJob qd-materialize", "Job qd-first"):
        assert held[name] == servers
    assert held["Job qd-migrate"] == {"database", "reports-database", "ledger-database"}
    every = servers | {"hub-database", "reports-database", "ledger-database"}
    assert held["CronJob qd-backup"] == every, "it alone sees all of them"
    assert held["CronJob qd-halts"] == set()
    assert held["CronJob qd-snapshots"] == set()
    assert held["Pod qd-smoke"] == {"smoke-token"}


def test_there_is_one_desk_and_services_do_not_make_their_own(everything: Any, pods: Pods) -> None:
    """Two desks would each miss what the other does."""
    (desk,) = [one for one in everything if "desk" in one["metadata"]["name"] and "replicas" in one.get("spec", {})]
    assert (desk["kind"], desk["spec"]["replicas"]) == ("StatefulSet", 1)
    for name, pod in pods(everything):
        if "web" in name:
            (container,) = pod["spec"]["containers"]
            environment = {one["name"]: one.get("value") for one in container["env"]}
            assert environment["QUANTDESK_SERVICE_DESK_URL"] == "http://qd-desk:8081"


def test_nothing_talks_to_anything_unless_it_is_said(everything: Any) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in everything if one["kind"] == "NetworkPolicy"}
    assert policies["qd-default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    way_out = policies["qd-to-internet"]["egress"][0]["to"][0]["ipBlock"]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(way_out["except"]), "neither the inner network nor the metadata"
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    web, *others = [peer for way in policies["qd-desk"]["ingress"] for peer in way["from"]]
    assert web["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "web"
    assert others == [prometheus], "it asks for another token than orders do"
    worker = [
        way
        for spec in policies.values()
        if spec["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") == "worker"
        for way in spec["ingress"]
    ]
    assert worker == [{"from": [prometheus], "ports": [{"protocol": "TCP", "port": "metrics"}]}]


def test_no_service_sets_variables_of_ours(objects: Any, pods: Pods) -> None:
    """Kubernetes makes variables of the names of Services: quantdesk-service would be QUANTDESK_SERVICE_PORT."""
    for one in objects:
        if one["kind"] == "Service":
            assert not one["metadata"]["name"].upper().replace("-", "_").startswith("QUANTDESK")
    assert all(pod["spec"]["enableServiceLinks"] is False for _, pod in pods(objects))


def test_an_upgrade_takes_no_service_away(helm: Any) -> None:
    for one in helm.render("default"):
        if one["kind"] == "Deployment":
            assert one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    scaled = [one for one in helm.render("default") if one["kind"] == "HorizontalPodAutoscaler"]
    (web,) = [
        one for one in helm.render("default") if one["metadata"]["name"] == "qd-web" and one["kind"] == "Deployment"
    ]
    assert scaled
    assert "replicas" not in web["spec"], "the number is the autoscaler's"


def test_the_state_outlives_the_release(helm: Any) -> None:
    for one in helm.render("default"):
        if one["kind"] == "PersistentVolumeClaim":
            assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_all_that_can_be_off_is_off(helm: Any) -> None:
    assert {one["kind"] for one in helm.render("least-values")} == {"ServiceAccount", "ConfigMap"}


def test_alerts_reach_somebody_at_every_hour(everything: Any) -> None:
    (one,) = [one for one in everything if one["kind"] == "AlertmanagerConfig"]
    spec = one["spec"]
    receivers = {receiver["name"] for receiver in spec["receivers"]}
    intervals = {interval["name"] for interval in spec["muteTimeIntervals"]}
    routes = spec["route"]["routes"]
    assert {route["receiver"] for route in [spec["route"], *routes]} <= receivers
    assert all(route["continue"] for route in routes[:-1]), "a route that stops would hide the next shift"
    on_call = {name for route in routes[:-1] for name in route["activeTimeIntervals"]}
    assert on_call == intervals == set(routes[-1]["muteTimeIntervals"])
    assert routes[-1]["receiver"] == "last-resort"


def test_the_commands_of_the_chart_exist(everything: Any, pods: Pods) -> None:
    from typer.main import get_command

    from quantdesk.cli import app

    asked = {
        tuple(container["command"])
        for _, pod in pods(everything)
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        if container.get("command", [""])[0] == "quantdesk"
    }
    assert len(asked) >= 6
    for words in asked:
        command: Any = get_command(app)
        rest = list(words[1:])
        while hasattr(command, "commands"):
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        command.make_parser(command.context_class(command)).parse_args(rest)


def test_the_settings_of_the_chart_are_settings(everything: Any, pods: Pods) -> None:
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text()
    known = set(re.findall(r"`(QUANTDESK_[A-Z0-9_]+)`", reference))
    commands = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    known |= set(re.findall(r"QUANTDESK_SMOKE_[A-Z]+", commands))
    found = {
        variable["name"]
        for _, pod in pods(everything)
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        for variable in container.get("env", [])
    }
    values = yaml.safe_load((CHART / "values.yaml").read_text())["jupyterhub"]
    found |= set(values["hub"]["extraEnv"]) | set(values["singleuser"]["extraEnv"])
    assert {name for name in found if name.startswith("QUANTDESK_")} <= known


def test_what_ships_logs_knows_our_files_and_our_lines(everything: Any) -> None:
    """Fluent Bit itself is not at hand: what it is told fits what our processes write."""
    (config,) = [one for one in everything if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "qd-logs"]
    told = yaml.safe_load(config["data"]["fluent-bit.yaml"])
    (files,), (loki,) = told["pipeline"]["inputs"], told["pipeline"]["outputs"]
    name = f"qd-web-5d9c7b-x2k4p_quantdesk_web-{'0123456789abcdef' * 4}.log"
    assert fnmatch.fnmatch(f"/var/log/containers/{name}", files["path"])
    assert not fnmatch.fnmatch(f"/var/log/containers/{name.replace('_quantdesk_', '_other_')}", files["path"])
    (place,) = re.findall(r"Regex +(\S+)", config["data"]["parsers.conf"])
    found = re.search(place.replace("(?<", "(?P<"), f"/var/log/containers/{name}")
    assert found
    assert found.groupdict() == {"pod": "qd-web-5d9c7b-x2k4p", "container": "web"}
    record = logging.LogRecord("quantdesk.requests", logging.INFO, __file__, 1, "request", None, None)
    line = json.loads(JsonLines("quantdesk-web").format(record))
    labels = {label.strip().removeprefix("$") for label in loki["label_keys"].split(",")}
    assert labels <= set(line) | set(found.groupdict())
    assert not labels & {"request_id", "run_id", "user", "path"}, "each value of a label is a stream of its own"
    time_format = "%Y-%m-%dT%H:%M:%S.%L%z"
    assert time_format in config["data"]["parsers.conf"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line["at"])
