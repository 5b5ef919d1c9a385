"""The hub's configuration as the chart gives it: it loads under JupyterHub, and makes valid pods for each profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from traitlets.config import Config

from quantdesk.errors import BadInput, BadParameter
from quantdesk.hub.config import HubConfig
from quantdesk.hub.kubernetes import KubernetesConfig, configure, override, profiles_in
from quantdesk.hub.profiles import PROFILES

pytestmark = pytest.mark.xdist_group("helm")

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "helm" / "quantdesk"
FILES = {
    "default": None,
    "small-team": "values-small-team.yaml",
    "aws": "values-aws.yaml",
    "green": "values-green.yaml",
}
SECRETS = {
    "service-token": "s3cret-service-token-0123456789",
    "metrics-token": "s3cret-metrics-token-0123456789",
    "login-secret": "s3cret",  # pragma: allowlist secret
    "login-crypt-key": "ab" * 32,
}
"""All that `valueFrom` may name but for the database: a file stands for that here."""


NOBODY = """
apiVersion: v1
kind: Config
current-context: nobody
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
clusters: [{name: nobody, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""
"""A cluster that does not answer: KubeSpawner wants to know of one, and nothing here asks it."""


def merged(below: Any, above: Any) -> Any:
    """As Helm merges values: tables are merged, null takes a key away, all else replaces."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    found = {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
    return {key: value for key, value in found.items() if value is not None}


def values(name: str) -> dict[str, Any]:
    found = yaml.safe_load((CHART / "values.yaml").read_text())
    file = FILES[name]
    return dict(merged(found, yaml.safe_load((CHART / "examples" / file).read_text())) if file else found)


def environment(given: dict[str, Any], folder: Path, profiles: str) -> dict[str, str]:
    found = {}
    for name, value in given["jupyterhub"]["hub"]["extraEnv"].items():
        if isinstance(value, dict):
            value = SECRETS.get(value["valueFrom"]["secretKeyRef"]["key"])
        if value is not None:
            found[name] = value
    path = folder / "profiles.json"
    path.write_text(profiles)
    return found | {"QUANTDESK_STATE": str(folder / "state"), "QUANTDESK_HUB_PROFILES": str(path)}


def people(given: dict[str, Any]) -> list[dict[str, Any]]:
    """For each profile somebody who may take it, and for those of groups somebody who may not; and the undecided."""
    found = [{"case": "undecided", "name": "una", "groups": ["quantdesk-members"], "profile": ""}]
    for at, one in enumerate(given["profiles"]):
        groups, name = ["quantdesk-members", *one.get("groups", [])], one["name"]
        found.append({"case": name, "name": f"user{at}", "groups": groups, "profile": name})
        if one.get("groups"):
            found.append(
                {"case": f"{name} for others", "name": f"other{at}", "groups": ["quantdesk-members"], "profile": name}
            )
            found.append({"case": f"{name} for admins", "name": f"admin{at}", "groups": [], "profile": name,
                          "admin": True})  # fmt: skip
    return found


@pytest.fixture(scope="module")
def hubs(helm: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a real JupyterHub says, for each values file."""
    folder = tmp_path_factory.mktemp("hubs")
    asked = {}
    for name in FILES:
        given = values(name)
        rendered = helm.render(f"values-{name}" if FILES[name] else "default")
        (profiles,) = [
            one for one in rendered if one["kind"] == "ConfigMap" and one["metadata"]["name"] == f"{given['name']}-hub"
        ]
        own = folder / f"{name}-files"
        own.mkdir()
        asked[name] = {
            "jupyterhub": given["jupyterhub"],
            "environment": environment(given, own, profiles["data"]["profiles.json"]),
            "people": people(given),
        }
    env = {name: value for name, value in os.environ.items() if not name.startswith(("QUANTDESK_", "JUPYTERHUB_"))}
    (folder / "kubeconfig").write_text(NOBODY)
    env["KUBECONFIG"] = str(folder / "kubeconfig")
    line = [sys.executable, "-P", str(HERE / "loaded.py"), str(folder)]
    done = subprocess.run(line, input=json.dumps(asked), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout))


@pytest.fixture(params=list(FILES))
def hub(request: pytest.FixtureRequest, hubs: dict[str, Any]) -> Any:
    return hubs[request.param] | {"values": values(request.param), "name": request.param}


def test_jupyterhub_takes_every_setting(hub: Any) -> None:
    assert hub["unknown"] == []
    assert hub["spawner"] == "KubeSpawner"
    assert hub["authenticator"] == ("LdapAuthenticator" if hub["name"] == "small-team" else "OidcAuthenticator")
    assert "Content-Security-Policy" in hub["headers"]


def test_service_and_prometheus_are_registered_with_what_they_may(hub: Any) -> None:
    assert hub["services"]["quantdesk"] == f"http://{hub['values']['name']}-web:8080"
    assert hub["roles"]["prometheus"] == ["read:metrics"]
    assert hub["roles"]["quantdesk-administrators"] == ["custom:quantdesk:admin"]
    assert "custom:quantdesk:trade" not in hub["roles"]["quantdesk-members"]
    assert "custom:quantdesk:run" not in hub["roles"]["user"], "a role of the directory is what gives a right"


def test_the_hub_logs_as_our_processes_do(hub: Any) -> None:
    line = json.loads(hub["line"])
    assert (line["service"], line["level"], line["message"]) == ("jupyterhub", "error", "ana is late")


def test_no_secret_stays_in_the_hubs_environment(hub: Any) -> None:
    assert hub["left"] == []


def test_the_names_in_the_values_are_those_of_the_objects(helm: Any, hub: Any) -> None:
    rendered = helm.render(f"values-{hub['name']}" if FILES[hub["name"]] else "default")
    names = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    given = hub["values"]["jupyterhub"]
    volumes = [*given["hub"]["extraVolumes"], *given["singleuser"]["storage"]["extraVolumes"]]
    wanted = {("ConfigMap", one["configMap"]["name"]) for one in volumes if "configMap" in one}
    wanted |= {("PersistentVolumeClaim", one["persistentVolumeClaim"]["claimName"]) for one in volumes
               if "persistentVolumeClaim" in one}  # fmt: skip
    own = hub["values"]["name"]
    shared = ("PersistentVolumeClaim", "qd-state")  # that of the first release, also for a hub beside its own
    assert wanted == {("ConfigMap", f"{own}-hub"), ("PersistentVolumeClaim", f"{own}-hub"), shared}
    assert wanted - ({shared} if own != "qd" else set()) <= names
    assert ("Service", f"{own}-web") in names


def test_every_group_of_a_profile_comes_from_upstream(hub: Any) -> None:
    teams = hub["values"]["jupyterhub"]["hub"]["extraEnv"]["QUANTDESK_LOGIN_TEAMS"].split(",")
    assert {group for one in hub["values"]["profiles"] for group in one.get("groups", [])} <= set(teams)


def test_every_profile_makes_a_pod_and_a_home_that_kubernetes_takes(hub: Any) -> None:
    for profile in hub["values"]["profiles"]:
        made = hub["servers"][profile["name"]]
        kubernetes_validate.validate(made["pod"], "1.34", strict=True)
        kubernetes_validate.validate(made["claim"], "1.34", strict=True)


def test_a_pod_has_the_limits_of_its_profile(hub: Any) -> None:
    for profile in hub["values"]["profiles"]:
        made = hub["servers"][profile["name"]]
        (container,) = made["pod"]["spec"]["containers"]
        resources = container["resources"]
        assert float(resources["limits"]["cpu"]) == profile["cpu"]
        assert int(resources["limits"]["memory"]) == profile["memory_gib"] * 2**30
        assert int(resources["limits"]["ephemeral-storage"]) == profile.get("scratch_gib", 2) * 2**30
        assert float(resources["requests"]["cpu"]) <= profile["cpu"]
        assert int(resources["requests"]["memory"]) <= int(resources["limits"]["memory"])
        assert resources["limits"].get("nvidia.com/gpu") == (str(profile["gpus"]) if profile.get("gpus") else None)
        assert int(made["claim"]["spec"]["resources"]["requests"]["storage"]) == profile.get("storage_gib", 10) * 2**30
        environment = {one["name"]: one.get("value") for one in container["env"]}
        assert environment["QUANTDESK_SERVER_IDLE_S"] == str(60 * profile.get("idle_minutes", 60))
        assert container["image"] == profile.get("image") or container["image"].endswith("quantdesk/user:0.1.0")
        assert made["pod"]["metadata"]["labels"]["quantdesk/profile"] == profile["name"]


def test_what_zero_to_jupyterhub_has_set_stays(hub: Any) -> None:
    """Profiles add to labels, variables and the pod; without this label a server would not reach its hub."""
    for made in hub["servers"].values():
        if "pod" in made:
            assert made["pod"]["metadata"]["labels"]["hub.jupyter.org/network-access-hub"] == "true"
            assert made["pod"]["spec"]["terminationGracePeriodSeconds"] == 45
            (container,) = made["pod"]["spec"]["containers"]
            environment = {one["name"]: one.get("value") for one in container["env"]}
            assert environment["QUANTDESK_STATE"] == "/srv/quantdesk"
            assert environment["JUPYTERHUB_ACTIVITY_INTERVAL"] == "300"


def test_a_users_pod_is_restricted_and_has_no_secret_of_the_platform(hub: Any) -> None:
    for case, made in hub["servers"].items():
        if "refused" in made:
            continue
        spec = made["pod"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec.get("initContainers"), "a privileged one would set up iptables"
        (container,) = spec["containers"]
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        told = json.dumps(made["pod"])
        assert "s3cret" not in told, case
        named = {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one}
        assert named == {"quantdesk-readers"}, "readers of the feature store, never those who write"
        for mount in container["volumeMounts"]:
            assert mount["name"] in ("home", "scratch") or mount["readOnly"], mount


def test_nobody_gets_a_profile_of_other_groups_by_asking_for_it(hub: Any) -> None:
    of_groups = [one["name"] for one in hub["values"]["profiles"] if one.get("groups")]
    assert of_groups
    for name in of_groups:
        assert f"No such profile: {name}" in hub["servers"][f"{name} for others"]["refused"]
        assert "pod" in hub["servers"][f"{name} for admins"]
        assert f'value="{name}"' not in hub["servers"]["undecided"]["form"]
        assert f'value="{name}"' in hub["servers"][name]["form"]


def test_who_chooses_nothing_gets_the_default_and_never_no_limit(hub: Any) -> None:
    default = next(one for one in hub["values"]["profiles"] if one.get("is_default"))
    undecided = hub["servers"]["undecided"]["pod"]["spec"]["containers"][0]["resources"]
    assert undecided == hub["servers"][default["name"]]["pod"]["spec"]["containers"][0]["resources"]


# ------------------------------------------------------------------------------------------------- what is not accepted


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    return monkeypatch


def test_the_native_login_is_refused_with_what_to_do(clean: Any) -> None:
    with pytest.raises(BadParameter, match="oidc or ldap"):
        configure(Config(), KubernetesConfig(), HubConfig.from_env(admin="ada"))


def test_a_key_of_the_pods_own_making_is_refused(clean: Any) -> None:
    with pytest.raises(BadParameter, match="CRYPT_KEY is missing"):
        configure(Config(), KubernetesConfig(), HubConfig.from_env(admin="ada", login="oidc"))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.json", "{", "cannot be read as profiles"),
        ("p.json", "[]", "holds no table"),
        ("p.toml", "profiles = 1", "profiles is 1"),
        ("p.toml", "x", "cannot be read as profiles"),
    ],
)
def test_a_file_of_profiles_that_is_none_keeps_the_hub_from_starting(
    clean: Any, tmp_path: Path, name: str, text: str, problem: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput, match=problem):
        configure(Config(), KubernetesConfig(profiles=path), HubConfig.from_env(admin="ada", login="oidc"))


def test_one_file_serves_as_toml_and_as_json(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[[profiles]]\nname = "small"\ncpu = 2\ngroups = []\n')
    (tmp_path / "p.json").write_text('{"profiles": [{"name": "small", "cpu": 2, "groups": []}]}')
    assert profiles_in(tmp_path / "p.toml") == profiles_in(tmp_path / "p.json")
    assert profiles_in(None) == PROFILES


def test_collaboration_is_a_matter_of_the_profile() -> None:
    together = PROFILES[0].__class__("pair", "Pair", collaboration=True)
    assert override(together)["environment"]["QUANTDESK_COLLABORATION"] == "true"
    assert "alone" not in override(together)["environment"]["JUPYTER_CONFIG_PATH"]
    assert override(PROFILES[0])["environment"]["JUPYTER_CONFIG_PATH"].endswith("/alone")
