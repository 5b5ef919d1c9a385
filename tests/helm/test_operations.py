"""Upgrades without an interruption, canaries, a hub beside the first one, `helm test`: as far as rendering shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from quantdesk.hub.app.__main__ import _MORE_S
from quantdesk.hub.backup.databases import dump_postgres
from quantdesk.records.address import parse

pytestmark = pytest.mark.xdist_group("helm")

ROOT = Path(__file__).resolve().parents[2]
GREEN = ("--values", "examples/values-green.yaml")
LIVE = (
    "web.enabled=false",
    "host=hub.example.com",
    "ingress.enabled=false",
    "gateway.enabled=false",
    "jupyterhub.hub.extraEnv.QUANTDESK_LOGIN_PUBLIC_URL=https://hub.example.com",
    "jupyterhub.hub.extraEnv.QUANTDESK_HUB_SERVICE=http://qd-web:8080",
)
"""What makes the hub that was tried the one that is used: as in docs/how-to/deploy-on-kubernetes.md."""
Pods = Callable[[Any], Iterator[tuple[str, dict[str, Any]]]]


def named(objects: Any, kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return dict(found)


def variables(deployment: dict[str, Any]) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


# ---------------------------------------------------------------------------------------------- without an interruption


@pytest.mark.parametrize("name", ["qd-web", "qd-web-canary", "qd-worker"])
def test_a_new_version_comes_before_the_old_one_goes(everything: Any, name: str) -> None:
    spec = named(everything, "Deployment", name)["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert spec.get("minReadySeconds", 0) >= 5, "a pod that dies at once must not count as a success"
    assert "progressDeadlineSeconds" in spec, "a version that never gets ready fails the upgrade, which then goes back"
    (container,) = spec["template"]["spec"]["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_a_pod_that_leaves_is_let_go_of_before_it_ends(everything: Any) -> None:
    spec = named(everything, "Deployment", "qd-web")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drained = int(variables(named(everything, "Deployment", "qd-web"))["QUANTDESK_SERVICE_DRAIN_SECONDS"])
    assert waits >= 5
    assert drained >= 30, "half a minute for what is under way"
    assert waits + drained + _MORE_S < spec["terminationGracePeriodSeconds"], "it ends before it is killed"
    worker = named(everything, "Deployment", "qd-worker")["spec"]["template"]["spec"]
    drains = int(variables(named(everything, "Deployment", "qd-worker"))["QUANTDESK_REPORTS_WORKER_DRAIN_S"])
    assert worker["terminationGracePeriodSeconds"] >= drains + 30, "runs may end, or are put back"


@pytest.mark.parametrize("part", ["web", "worker", "desk"])
def test_machines_are_emptied_one_pod_at_a_time(everything: Any, part: str) -> None:
    budget = named(everything, "PodDisruptionBudget", f"qd-{part}")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"]["app.kubernetes.io/component"] == part


# --------------------------------------------------------------------------------------------------------------- canary


def test_a_canary_is_another_version_behind_the_same_service(everything: Any) -> None:
    stable, canary = (named(everything, "Deployment", name) for name in ("qd-web", "qd-web-canary"))
    service = named(everything, "Service", "qd-web")
    images = []
    for one in (stable, canary):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        images.append(one["spec"]["template"]["spec"]["containers"][0]["image"])
    assert images[0] != images[1]
    assert canary["metadata"]["labels"]["app.kubernetes.io/version"] == "0.2.0-rc1"
    assert canary["spec"]["replicas"] == 1, "one in so many pods is its share of the requests"
    assert variables(stable) == variables(canary), "the same settings, or it would be another experiment"
    scaled = named(everything, "HorizontalPodAutoscaler", "qd-web")["spec"]["scaleTargetRef"]["name"]
    assert scaled == "qd-web", "the canary keeps its share"


def test_a_canary_may_have_a_digest_and_must_have_a_version(helm: Any) -> None:
    digest = f"sha256:{'ab' * 32}"
    found = helm.render("default", "--set", "web.canary.enabled=true", "--set", f"web.canary.digest={digest}")
    (container,) = named(found, "Deployment", "qd-web-canary")["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f"@{digest}")
    done = helm.run("template", "quantdesk", ".", "--set", "web.canary.enabled=true")
    assert done.returncode != 0
    assert "give it a tag or a digest" in done.stderr


def test_figures_say_which_version_they_are_of(everything: Any) -> None:
    (endpoint,) = named(everything, "ServiceMonitor", "qd-web")["spec"]["endpoints"]
    told = {one["targetLabel"]: one.get("sourceLabels") for one in endpoint["relabelings"]}
    assert told["track"] == ["__meta_kubernetes_pod_label_quantdesk_track"]
    assert told["version"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_version"]
    labels = named(everything, "Deployment", "qd-web-canary")["spec"]["template"]["metadata"]["labels"]
    assert labels["quantdesk/track"] == "canary"


# ------------------------------------------------------------------------------------------------------- blue and green


def words(settings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for one in settings for word in ("--set", one))


def doors(objects: Any) -> set[str]:
    """Which proxies are behind the doors."""
    found = set()
    for one in objects:
        if one["kind"] == "Ingress":
            (rule,) = one["spec"]["rules"]
            found |= {path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
        if one["kind"] == "HTTPRoute":
            found |= {ref["name"] for rule in one["spec"]["rules"] for ref in rule["backendRefs"]}
    return found


@pytest.fixture(scope="module")
def green(helm: Any) -> Any:
    """The second hub as it is tried: the values of a team, and those of the example above them."""
    return helm.render("values-small-team", *GREEN, release="green")


def test_two_releases_share_a_namespace_and_no_object(helm: Any, green: Any) -> None:
    def names(objects: Any) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in objects}

    assert names(green) & names(helm.render("values-small-team")) == set()


def test_a_hub_that_is_tried_does_nothing_that_is_there_once(green: Any, pods: Pods) -> None:
    assert {name for name, _ in pods(green)} == {
        "Deployment qd-green-web",
        "CronJob qd-green-copy-hub",
        "Pod qd-green-smoke",
    }
    web = named(green, "Deployment", "qd-green-web")
    assert variables(web)["QUANTDESK_SERVICE_HUB_API"] == "http://green-hub:8081/hub/api"
    assert "QUANTDESK_SERVICE_DESK_URL" not in variables(web), "nobody orders through it"
    assert doors(green) == {"green-proxy-public"}
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in web["spec"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"qd-state"}


def test_the_switch_is_one_value_and_so_is_the_way_back(helm: Any) -> None:
    before = helm.render("values-small-team", "--set", "monitoring.serviceMonitor.enabled=true")
    after = helm.render(
        "values-small-team", "--set", "monitoring.serviceMonitor.enabled=true", "--set", "activeHub=green"
    )
    assert doors(before) == {"proxy-public"}
    assert doors(after) == {"green-proxy-public"}
    changed = [(one["kind"], one["metadata"]["name"]) for one, other in zip(after, before, strict=True) if one != other]
    assert sorted(changed) == [
        ("Deployment", "qd-web"),
        ("Ingress", "qd"),
        ("Pod", "qd-smoke"),
        ("ServiceMonitor", "qd-hub"),
    ]
    assert (
        variables(named(after, "Deployment", "qd-web"))["QUANTDESK_SERVICE_HUB_API"] == "http://green-hub:8081/hub/api"
    )
    assert named(after, "ServiceMonitor", "qd-hub")["spec"]["selector"]["matchLabels"]["release"] == "green"


def test_after_the_switch_the_hub_that_was_tried_has_no_door_and_no_service_of_its_own(helm: Any) -> None:
    live = helm.render("values-small-team", *GREEN, *words(LIVE), release="green")
    assert doors(live) == set()
    assert [one for one in live if one["kind"] == "Deployment"] == []
    page = (ROOT / "docs" / "how-to" / "deploy-on-kubernetes.md").read_text()
    for one in LIVE:
        assert f"--set {one}" in page, "the page says it as it was rendered"


def test_the_first_hub_may_go_while_the_second_answers(helm: Any) -> None:
    gone = helm.render("values-small-team", "--set", "jupyterhub.enabled=false", "--set", "activeHub=green")
    policies = {one["metadata"]["name"] for one in gone if one["kind"] == "NetworkPolicy"}
    assert {"qd-door", "qd-hub-metrics"} <= policies, "the ways to the hub that answers stay open"
    assert doors(gone) == {"green-proxy-public"}


def test_a_hubs_tables_are_copied_whole_and_again(green: Any, pods: Pods, postgres: Any, tmp_path: Path) -> None:
    """The commands of the rendered Job, against PostgreSQL."""
    ((_, pod),) = [one for one in pods(green) if "copy-hub" in one[0]]
    assert named(green, "CronJob", "qd-green-copy-hub")["spec"]["suspend"] is True
    (container,) = pod["spec"]["containers"]
    keys = {one["name"]: one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"]}
    assert keys == {"FROM_DATABASE": "hub-database", "TO_DATABASE": "hub-database-green"}
    blue, fresh = postgres(), postgres()

    def run(source: str, target: str) -> int:
        line = [word.replace("/tmp/", f"{tmp_path}/") for word in container["command"]]
        env = {"PATH": "/usr/lib/postgresql/bin:/usr/bin:/bin", "FROM_DATABASE": source, "TO_DATABASE": target}
        return subprocess.run(line, env=env, check=False, capture_output=True).returncode

    with psycopg.connect(blue, autocommit=True) as told:
        told.execute("CREATE SCHEMA quantdesk_hub; CREATE TABLE quantdesk_hub.users (name text PRIMARY KEY)")
        told.execute("INSERT INTO quantdesk_hub.users VALUES ('ana')")
    assert run(blue, fresh) == 0
    with psycopg.connect(blue, autocommit=True) as told:
        told.execute("INSERT INTO quantdesk_hub.users VALUES ('ben')")
    assert run(blue, fresh) == 0, "once for the trial, once for the switch"
    with psycopg.connect(fresh) as asked:
        assert asked.execute("SELECT name FROM quantdesk_hub.users ORDER BY 1").fetchall() == [("ana",), ("ben",)]
    assert run(blue, blue) != 0, "a hub's tables are never replaced by themselves"


@pytest.mark.slow
def test_an_upgrade_brings_up_the_tables_of_service_reports_and_orders(
    everything: Any, pods: Pods, postgres: Any, tmp_path: Path
) -> None:
    """The commands of the rendered Job, with the variables that it gives them."""
    spec = dict(pods(everything))["Job qd-migrate"]["spec"]
    urls = {name: postgres() for name in ("database", "reports-database", "ledger-database")}
    for container in [*spec["initContainers"], *spec["containers"]]:
        env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        for one in container["env"]:
            key = one.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
            env[one["name"]] = urls[key] if key else one["value"]
        env |= {"QUANTDESK_STATE": str(tmp_path), "HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(container["command"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (container["command"], done.stderr)
    for name, schema in (("database", "service"), ("reports-database", "reports"), ("ledger-database", "ledger")):
        with psycopg.connect(urls[name]) as asked:
            table = f"quantdesk_{schema}.alembic_version"
            assert asked.execute("SELECT to_regclass(%s)", (table,)).fetchone() != (None,), "its tables are there"


# --------------------------------------------------------------------------------------------------------- the way back


@pytest.mark.parametrize(
    ("words", "file"),
    [((), "$(ls /backup/*.backup.tar"), (("--set", "backup.restore=old.backup.tar"), '"/backup/old.backup.tar"')],
)
def test_a_restore_never_runs_by_itself_and_takes_the_newest_or_what_is_named(
    helm: Any, pods: Pods, words: tuple[str, ...], file: str
) -> None:
    objects = helm.render("default", *words)
    assert named(objects, "CronJob", "qd-restore")["spec"]["suspend"] is True
    made, back = (dict(pods(objects))[f"CronJob qd-{name}"]["spec"] for name in ("backup", "restore"))
    (container,) = back["containers"]
    assert file in container["command"][2]
    assert container["env"] == made["initContainers"][0]["env"], "it goes where it came from"
    assert back["volumes"] == made["volumes"]


def test_old_backups_go_once_a_new_one_is_there(helm: Any, pods: Pods, tmp_path: Path) -> None:
    spec = dict(pods(helm.render("default", "--set", "backup.keep=3")))["CronJob qd-backup"]["spec"]
    (first,), (last,) = spec["initContainers"], spec["containers"]
    assert first["command"][:2] == ["quantdesk", "backup"], "the new one is made before; where that fails, none goes"
    names = [f"quantdesk-202611{day:02}T030000Z.backup.tar" for day in (9, 30, 10, 1, 2)]
    for name in (*names, "notes.txt"):
        (tmp_path / name).touch()
    line = [word.replace("/backup/", f"{tmp_path}/") for word in last["command"]]
    subprocess.run(line, check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {*sorted(names)[-3:], "notes.txt"}
    subprocess.run(line, check=True, capture_output=True)
    assert len(list(tmp_path.glob("*.backup.tar"))) == 3


def test_in_maintenance_nothing_runs_but_what_somebody_starts(helm: Any, pods: Pods) -> None:
    objects = helm.render("values-small-team", "--values", "examples/values-maintenance.yaml")
    assert {name for name, _ in pods(objects)} == {"CronJob qd-backup", "CronJob qd-restore"}
    kept = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert {("PersistentVolumeClaim", "qd-state"), ("PersistentVolumeClaim", "qd-backup"), ("Ingress", "qd")} <= kept


def test_the_hubs_tables_from_before_an_upgrade_are_put_back_as_the_runbook_says(postgres: Any, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "runbooks" / "QuantdeskHubDown.md").read_text()
    (script,) = re.findall(r"exec hub-back -c hub -- sh -ec '([^']+)'", page)
    url = postgres()
    (tmp_path / "hub").mkdir()

    def add(*statements: str) -> None:
        with psycopg.connect(url, autocommit=True) as told:
            for statement in statements:
                told.execute(statement)

    add("CREATE SCHEMA quantdesk_hub", "CREATE TABLE quantdesk_hub.users (name text)")
    add("INSERT INTO quantdesk_hub.users VALUES ('ana')")
    for moment in ("20261126T090000.000000Z", "20261127T090000.000000Z"):
        copy = tmp_path / "hub" / f"hub-database.before-upgrade-{moment}.sql"
        dump_postgres(parse(url, "the database"), ("quantdesk_hub",), copy)
        add("INSERT INTO quantdesk_hub.users VALUES ('ben')")
    add("ALTER TABLE quantdesk_hub.users ADD COLUMN newer text")
    here = script.replace("/srv/quantdesk", str(tmp_path))
    env = {"PATH": "/usr/bin:/bin", "QUANTDESK_HUB_DATABASE": url}
    done = subprocess.run(["/bin/sh", "-ec", here], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(url) as asked:
        assert asked.execute("SELECT * FROM quantdesk_hub.users ORDER BY 1").fetchall() == [("ana",), ("ben",)]
        assert asked.execute("SELECT count(*) FROM quantdesk_hub_newer.users").fetchone() == (3,), "nothing is lost"


# ------------------------------------------------------------------------------------------------------------ snapshots


KUBECTL = """#!/bin/sh
echo "$@" >> "$TOLD/calls"
case "$1 $2" in
  "create -f") cat > "$TOLD/one"
    case "$(cat "$TOLD/one")" in *claim-ben*) exit 1 ;; esac
    cat "$TOLD/one" >> "$TOLD/made"; echo --- >> "$TOLD/made" ;;
  "get persistentvolumeclaims") printf 'claim-ana\\nclaim-ben\\nclaim-cho\\n' ;;
  "get volumesnapshots") for number in $(seq 16); do echo "volumesnapshot/$4-$number"; done ;;
esac
"""
"""Says what it is told, and cannot take Ben's home."""


def test_the_state_and_each_home_are_taken_and_old_ones_go(everything: Any, tmp_path: Path) -> None:
    """The script of the rendered Job, with a kubectl that remembers."""
    script = tmp_path / "run.sh"
    script.write_text(named(everything, "ConfigMap", "qd-snapshots")["data"]["run.sh"])
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o700)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOLD": str(tmp_path)}
    done = subprocess.run(["/bin/sh", str(script)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, "one home could not be taken, and somebody is told"
    made = [one for one in yaml.safe_load_all((tmp_path / "made").read_text()) if one]
    found = {one["spec"]["source"]["persistentVolumeClaimName"]: one["spec"]["volumeSnapshotClassName"] for one in made}
    assert found == {"qd-state": "csi", "claim-ana": "disks", "claim-cho": "disks"}, "the others are, all the same"
    assert {one["kind"] for one in made} == {"VolumeSnapshot"}
    assert {one["metadata"]["labels"]["quantdesk/snapshot-of"] for one in made} == set(found)
    deleted = [line.split()[1:] for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("delete")]
    assert deleted[0] == [f"volumesnapshot/quantdesk/snapshot-of=qd-state-{number}" for number in (1, 2)], "14 are kept"
    assert len(deleted) == 3


# ------------------------------------------------------------------------------------------------------------ helm test


def test_helm_test_uses_the_platform_through_its_door(everything: Any, helm: Any) -> None:
    for objects, url in ((helm.render("default"), "http://proxy-public"), (everything, "https://hub.example.com")):
        pod = named(objects, "Pod", "qd-smoke")
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert pod["spec"]["restartPolicy"] == "Never"
        (container,) = pod["spec"]["containers"]
        assert container["command"][:4] == ["quantdesk", "smoke", "--url", url]
        (token,) = [one for one in container["env"] if one["name"] == "QUANTDESK_SMOKE_TOKEN"]
        assert token["valueFrom"]["secretKeyRef"] == {"name": "quantdesk", "key": "smoke-token", "optional": True}
        way = named(objects, "NetworkPolicy", "qd-to-door")["spec"]
        chosen = way["podSelector"]["matchLabels"]
        assert chosen.items() <= pod["metadata"]["labels"].items()
        web = named(objects, "Deployment", "qd-web")["spec"]["template"]["metadata"]["labels"]
        assert not chosen.items() <= web.items(), "it alone goes this way"
