"""Alerts, service levels and dashboards: they fire when they should, and ask for figures that somebody tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from quantdesk.hub.app import metrics
from quantdesk.hub.app.backlog import Backlog
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.database import opened
from quantdesk.hub.app.desk_figures import DeskFigures
from quantdesk.reports.dispatch import WorkerConfig
from quantdesk.reports.dispatch.figures import Figures
from quantdesk.reports.ledger import RunLedger

pytestmark = pytest.mark.xdist_group("helm")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNBOOKS = ROOT / "docs" / "runbooks"
OF_THE_CLUSTER = {
    "kube_cronjob_created",
    "kube_cronjob_status_last_schedule_time",
    "kube_cronjob_status_last_successful_time",
    "kube_deployment_status_replicas_available",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_pod_container_status_restarts_total",
    "kube_statefulset_status_replicas_ready",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "up",
}
"""What kube-state-metrics, the kubelet and Prometheus itself tell: from their documentation, as none runs here."""
WORDS = {"and", "or", "unless", "on", "by", "without", "sum", "max", "min", "count", "rate", "increase", "absent"}
WORDS |= {"time", "histogram_quantile", "topk", "ignoring", "le", "round", "avg_over_time"}


@pytest.fixture(scope="module")
def groups(everything: Any) -> list[dict[str, Any]]:
    (found,) = [one["spec"]["groups"] for one in everything if one["kind"] == "PrometheusRule"]
    return list(found)


@pytest.fixture(scope="module")
def alerts(groups: Any) -> list[dict[str, Any]]:
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def boards(everything: Any) -> dict[str, Any]:
    found = {}
    for one in everything:
        if one["kind"] == "ConfigMap" and "dashboard" in one["metadata"]["name"]:
            assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
            found |= {name: json.loads(text) for name, text in one["data"].items()}
    return found


def asked(expression: str) -> set[str]:
    """The metrics and recorded figures of an expression."""
    text = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression)
    text = re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", " ", text)
    return {name for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text) if name not in WORDS}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all figures that our code tells, read from the code itself; and JupyterHub's, from its own."""
    import jupyterhub.metrics  # noqa: F401  (it registers them)

    folder = tmp_path_factory.mktemp("figures")
    with RunLedger.open(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
        service = opened(ServiceConfig(folder=folder))
        families = [*metrics._OURS.collect(), *Backlog(service, ledger.database).collect(), *REGISTRY.collect()]
        families += [*Figures(WorkerConfig()).collect(), *DeskFigures()._registry.collect()]
        service.close()
    found = set()
    for family in families:
        found.add(family.name)
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [])
        found |= {family.name + suffix for suffix in suffixes}
    return found


def test_prometheus_takes_the_rules_and_every_alert_fires_as_it_should(
    groups: Any, promtool: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    tests = sorted(HERE.glob("rules*_test.yaml"))
    for path in tests:
        shutil.copyfile(path, tmp_path / path.name)
    checked = subprocess.run([promtool, "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    line = [promtool, "test", "rules", *(path.name for path in tests)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_both_ways(alerts: Any) -> None:
    fired, silent = set(), set()
    for path in HERE.glob("rules*_test.yaml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for one in test["alert_rule_test"]:
                (fired if one["exp_alerts"] else silent).add(one["alertname"])
    names = {one["alert"] for one in alerts}
    assert fired == names
    often = {"QuantdeskPodRestarts", "QuantdeskServiceAtItsLimit", "QuantdeskHubSlow", "QuantdeskSpawnsSlow",
             "QuantdeskProxyRefuses"}  # fmt: skip
    assert names - silent <= often, "each of the others has a day on which it is silent"


def test_every_alert_has_its_page_and_every_page_its_alert(alerts: Any) -> None:
    names = {one["alert"] for one in alerts}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"index"} == names
    listed = set(re.findall(r"\((\w+)\.md\)", (RUNBOOKS / "index.md").read_text()))
    assert listed == names
    for one in alerts:
        assert one["annotations"]["runbook_url"].endswith(f"/{one['alert']}.html")
        page = (RUNBOOKS / f"{one['alert']}.md").read_text()
        assert page.startswith(f"# {one['alert']}\n")
        for part in ("**It means**", "**Who is harmed**", "## Look", "## Do", "## Afterwards"):
            assert part in page, one["alert"]


def test_nobody_is_woken_by_what_was_turned_off(helm: Any, alerts: Any) -> None:
    off = ("--set", "monitoring.rules.enabled=true", "--set", "jupyterhub.enabled=false", "--set", "web.enabled=false")
    every = {one["alert"] for one in alerts}
    for more, gone in (
        ((), {"QuantdeskServiceDown", "QuantdeskHubDown"}),
        (("--set", "activeHub=green"), {"QuantdeskServiceDown"}),
    ):
        (rules,) = [one for one in helm.render("default", *off, *more) if one["kind"] == "PrometheusRule"]
        told = {rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule}
        assert every - told == gone


def test_every_alert_can_be_routed(alerts: Any) -> None:
    """The operator adds the namespace to each route, so that an alert without one would reach nobody."""
    for one in alerts:
        assert one["labels"]["severity"] in ("page", "ticket")
        assert one["labels"]["platform"] == "quantdesk"
        lost = {"sum", "max", "absent", "histogram_quantile"} & set(re.findall(r"\w+", one["expr"]))
        assert one["labels"].get("namespace") == "quantdesk" or not lost, one["alert"]
        assert one["annotations"]["summary"].endswith(".")


def test_rules_ask_for_figures_that_somebody_tells(groups: Any, told: set[str]) -> None:
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for rule in rules:
        names = asked(rule["expr"])
        assert names
        assert names <= told | recorded | OF_THE_CLUSTER, rule
    used = set().union(*(asked(rule["expr"]) for rule in rules))
    assert {name for name in used if name.startswith("jupyterhub_")} <= told
    assert {name for name in used if name.startswith("kube")} <= OF_THE_CLUSTER


def test_a_figure_that_nobody_tells_would_be_noticed(told: set[str]) -> None:
    assert not asked('rate(quantdesk_http_request_total{status="500"}[5m])') <= told
    assert asked('sum by (le) (rate(quantdesk_http_requests_total{a="b"}[5m])) > 1') <= told


def test_labels_of_histograms_are_those_that_are_told() -> None:
    """`le="1"` would find nothing where the bucket is called `1.0`."""
    metrics.observed("GET", "/for-this-test", 200, 0.5)
    text = metrics.exposed().decode()
    assert 'le="1.0"' in text
    source = (ROOT / "helm" / "quantdesk" / "files" / "rules.yaml").read_text()
    assert set(re.findall(r'le="([^"]+)"', source)) == {"1.0"}


def test_panels_ask_for_figures_that_somebody_tells(
    boards: Any, groups: Any, told: set[str], promtool: str, tmp_path: Path
) -> None:
    assert set(boards) == {"service.json", "hub.json", "work.json"}
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    expressions = []
    for name, board in boards.items():
        assert board["panels"], name
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        for panel in board["panels"]:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            for target in panel["targets"]:
                assert asked(target["expr"]) <= told | recorded | OF_THE_CLUSTER, target["expr"]
                expressions.append(target["expr"].replace("$__rate_interval", "5m"))
    rules = [{"record": f"panel:{at}", "expr": one} for at, one in enumerate(expressions)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(tmp_path / "panels.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_finds_what_it_asks(everything: Any) -> None:
    monitors = {one["metadata"]["name"]: one["spec"] for one in everything if one["kind"].endswith("Monitor")}
    asked_at = {name: (spec.get("endpoints") or spec["podMetricsEndpoints"])[0] for name, spec in monitors.items()}
    jobs = {one["relabelings"][0]["replacement"] for one in asked_at.values()}
    assert jobs == {"quantdesk-web", "quantdesk-hub", "quantdesk-worker", "quantdesk-desk"}
    source = (ROOT / "helm" / "quantdesk" / "files" / "rules.yaml").read_text()
    watched = {
        job
        for found in re.findall(r'up\{namespace="@namespace@",job=~?"([^"]+)"', source)
        for job in alternatives(found)
    }
    assert watched == jobs, "one that does not answer is noticed"
    (service,) = [one for one in everything if one["kind"] == "Service" and one["metadata"]["name"] == "qd-web"]
    assert monitors["qd-web"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitors["qd-web"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    (worker,) = [one for one in everything if one["kind"] == "Deployment" and one["metadata"]["name"] == "qd-worker"]
    pod = worker["spec"]["template"]
    assert monitors["qd-worker"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert ports[asked_at["qd-worker"]["port"]] == environment["QUANTDESK_REPORTS_WORKER_METRICS_PORT"]


def alternatives(expression: str) -> list[str]:
    """``a-(b|c)`` is a-b and a-c."""
    found = re.fullmatch(r"([\w-]*)\(([^)]*)\)", expression)
    return [found[1] + one for one in found[2].split("|")] if found else [expression]


def test_no_rule_and_no_panel_counts_another_release(groups: Any, boards: Any) -> None:
    """A staging release in the same cluster would page for this one, or hide its faults among its own requests."""
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    expressions += [
        target["expr"] for board in boards.values() for panel in board["panels"] for target in panel["targets"]
    ]
    for expression in expressions:
        for name, selector in re.findall(
            r"\b((?:quantdesk|jupyterhub|kube|kubelet)[_:][a-z0-9_:]+|up)\b(\{[^}]*\})?", expression
        ):
            assert 'namespace="quantdesk"' in selector, (name, expression)
    assert all(
        rule["labels"] == {"namespace": "quantdesk"} for group in groups for rule in group["rules"] if "record" in rule
    )
