"""The images: what they are built from is pinned, they run as nobody in particular, and their locks hold together."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "helm" / "images"
LOCKS = {
    "hub": IMAGES / "hub" / "requirements.lock",
    "user": IMAGES / "user" / "requirements.lock",
    "user-deep": IMAGES / "user" / "requirements-deep.lock",
    "tools": IMAGES / "tools.lock",
    "checkov": ROOT / "tests" / "helm" / "checkov.lock",
}
EXPECTED = (
    "numpy scipy pandas matplotlib seaborn plotly scikit-learn statsmodels vectorbt backtrader zipline-reloaded ta-lib "
    "yfinance"
)
"""What quants expect, from the task."""
DIGEST = "python:3.12-slim-trixie@sha256:" + "0" * 63 + "1"
PYTHON = "3.12"


def pins(lock: Path) -> dict[str, set[str]]:
    """Names and versions, as far as they are for Linux and the images' Python."""
    found: dict[str, set[str]] = {}
    wanted = {**default_environment(), "python_version": PYTHON, "python_full_version": f"{PYTHON}.0",
              "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}  # fmt: skip
    for line in lock.read_text().splitlines():
        pin = re.fullmatch(r"([a-z0-9._-]+)==(\S+)(?: ; (.+?))? \\", line)
        if pin and (pin[3] is None or Marker(pin[3]).evaluate({key: str(value) for key, value in wanted.items()})):
            found.setdefault(canonicalize_name(pin[1]), set()).add(pin[2])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_names_versions_and_hashes_only(name: str) -> None:
    lines = LOCKS[name].read_text().splitlines()
    pin = re.compile(r"[a-z0-9][a-z0-9._-]*==[^\s]+( ; [^\\]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert lines
    assert [line for line in lines if not pin.fullmatch(line) and not digest.fullmatch(line)] == []
    assert all(len(versions) == 1 for versions in pins(LOCKS[name]).values())


@pytest.mark.parametrize("name", ["user", "user-deep"])
def test_the_lock_has_every_library_that_quants_expect(name: str) -> None:
    held = pins(LOCKS[name])
    assert set(EXPECTED.split()) <= set(held)
    source = IMAGES / "user" / f"{LOCKS[name].stem}.in"
    listed = [line for line in source.read_text().splitlines() if line and line[0].isalpha()]
    for line in listed:
        wanted = Requirement(line)
        (version,) = held[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version, prereleases=True), line
    assert {"torch", "tensorflow"} <= set(pins(LOCKS["user-deep"]))
    assert not {"torch", "tensorflow"} & set(pins(LOCKS["user"]))


def test_one_package_has_one_version_in_platform_hub_and_users_servers() -> None:
    """A report that was tried in a server gives the same in the worker, and both speak one JupyterHub."""
    platform = pins(ROOT / "requirements.lock")
    for name in ("hub", "user", "user-deep"):
        held = pins(LOCKS[name])
        assert {one: held[one] for one in set(held) & set(platform) if held[one] != platform[one]} == {}
    assert set(platform) - {"hatchling", "pathspec", "pluggy", "trove-classifiers"} <= set(pins(LOCKS["user"]))
    hub = pins(LOCKS["hub"])
    assert (hub["jupyterhub"], hub["jupyterhub-kubespawner"]) == ({"6.1.1"}, {"7.1.0"})


@pytest.mark.parametrize("name", ["hub", "user", "service"])
def test_an_image_has_stages_no_default_base_no_root_and_a_list_of_what_it_holds(name: str) -> None:
    text = (IMAGES / name / "Dockerfile").read_text()
    said = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert said[0] == "ARG BASE", "without a default, so that an unpinned base cannot slip in"
    assert [line for line in said if line.startswith("FROM")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    last = text[text.rindex("FROM ${BASE}") :]
    (user,) = re.findall(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert int(user[0]) >= 1000
    assert "/tmp" in last or name == "hub", "what it writes outside its volumes goes where a volume is mounted"
    assert "pip install" not in last, "nothing is installed into the image itself"
    assert text.count("--require-hashes") == 2
    assert ("postgresql-client" in last) is (name != "user"), "backups need pg_dump, and users have no address for it"
    assert "cyclonedx-py environment" in text
    assert not re.search(r"https?://|ADD |curl |wget ", text), "nothing is fetched past the locks"
    for word in re.findall(r"^COPY (?:--from=build )?(.+) \S+$", text.replace("${LOCK}", "requirements.lock"), re.M):
        for path in word.split():
            assert path.startswith("/") or (ROOT / path).exists(), path


def test_what_the_images_take_is_let_through_and_secrets_are_not() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    through = {line[1:] for line in rules if line.startswith("!")}
    for name in ("hub", "user", "service"):
        text = (IMAGES / name / "Dockerfile").read_text().replace("${LOCK}", "requirements.lock")
        for word in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
            for path in word.split():
                assert any(path == one or path.startswith(f"{one}/") for one in through), path
    assert not {".git", "state", "quantdesk.toml", "tests"} & through


def build(*words: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    builder = folder / "docker"
    builder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    builder.chmod(builder.stat().st_mode | stat.S_IXUSR)
    given = {"PATH": os.environ["PATH"], "BUILDER": str(builder), **env}
    return subprocess.run([str(IMAGES / "build"), *words], env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "base", "says"),
    [
        (["hub", "hub:1"], "", "BASE is ''"),
        (["hub", "hub:1"], "python:3.12-slim", "with its digest"),
        (["hub", "hub:1"], "python@sha256:abc", "with its digest"),
        (["hub", "hub:1"], DIGEST + "\nx", "with its digest"),
        (["hub", "hub:latest"], DIGEST, "has the tag latest"),
        (["hub", "hub"], DIGEST, "has no tag"),
        (["hubs", "hub:1"], DIGEST, "There is no image hubs"),
        (["hub"], DIGEST, "usage"),
    ],
)
def test_a_build_that_nobody_could_repeat_is_refused(words: list[str], base: str, says: str, tmp_path: Path) -> None:
    done = build(*words, folder=tmp_path, BASE=base)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == "", "nothing was built"


def test_a_pinned_build_is_asked_for_as_it_should_be(tmp_path: Path) -> None:
    done = build("user-deep", "registry.example.com/user:1", folder=tmp_path, BASE=DIGEST, PIP_CONF="/etc/pip.conf")
    assert done.returncode == 0, done.stderr
    told = done.stdout.split("\n")
    assert told[0] == "build"
    assert f"BASE={DIGEST}" in told
    assert "LOCK=requirements-deep.lock" in told
    assert "id=pip,src=/etc/pip.conf" in told
    assert "helm/images/user/Dockerfile" in told
    assert "LOCK" not in build("hub", "hub:1", folder=tmp_path, BASE=DIGEST).stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hub", "user", "user-deep"])
def test_the_lock_resolves_for_the_images_python_with_all_its_hashes(name: str, tmp_path: Path) -> None:
    line = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--dry-run", "--require-hashes", "--target"]
    line += [str(tmp_path), "--python-version", PYTHON, "--python-platform", "x86_64-unknown-linux-gnu"]
    done = subprocess.run([*line, "-r", str(LOCKS[name])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Would install {sum(map(len, pins(LOCKS[name]).values()))} packages" in done.stderr


@pytest.mark.slow
def test_the_hub_loads_its_configuration_with_the_packages_of_its_image_alone(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its build stage is run here, command by command, below another root."""
    text = (IMAGES / "hub" / "Dockerfile").read_text()
    stage = text[: text.rindex("FROM ${BASE}")].replace("\\\n", " ")
    places = {name: tmp_path / name for name in ("opt", "locks", "src", "wheels")}
    for words in re.findall(r"^COPY (.+)$", stage, re.MULTILINE):
        *sources, target = words.split()
        folder = places[target.strip("/").split("/")[0]]
        folder.mkdir(exist_ok=True)
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / Path(source).name)
            else:
                shutil.copyfile(ROOT / source, folder / Path(source).name)
    commands = re.findall(r"^RUN (?:--mount=\S+ +)?(.+)$", stage, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        here = re.sub(r"(?<![\w.])/(opt|locks|src|wheels)\b", lambda found: str(places[found[1]]), command)
        here = re.sub(r"(?<![\w/])python -m venv", f"{sys.executable} -m venv", here)
        done = subprocess.run(["/bin/sh", "-ec", here], cwd=places["src"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    python = places["opt"] / "venv" / "bin" / "python"
    told = json.loads((places["opt"] / "venv" / "sbom.cdx.json").read_text())
    held = {one["name"].lower(): one["version"] for one in told["components"]}
    assert (held["jupyterhub"], held["jupyterhub-kubespawner"]) == ("6.1.1", "7.1.0")
    assert "quantdesk" in held
    assert not {"pip", "hatchling", "cyclonedx-bom"} & set(held), "what builds it stays behind"

    asked = tmp_path / "asked.py"
    asked.write_text(
        "import json, os\nfrom traitlets.config import Config\nfrom jupyterhub.app import JupyterHub\n"
        "from quantdesk.hub.kubernetes import configure\nc = Config()\nconfigure(c)\n"
        "app = JupyterHub(config=c, spawner_class='kubespawner.KubeSpawner')\n"
        "print(json.dumps([app.authenticator_class.__name__, app.spawner_class.__name__]))\n"
    )
    for login, expected in (("oidc", "OidcAuthenticator"), ("ldap", "LdapAuthenticator")):
        env = {
            "PATH": os.environ["PATH"],
            "QUANTDESK_STATE": str(tmp_path / login),
            "QUANTDESK_LOGIN": login,
            "QUANTDESK_LOGIN_CRYPT_KEY": "ab" * 32,
            "QUANTDESK_LOGIN_OIDC_ISSUER": "https://login.example.com",
            "QUANTDESK_LOGIN_OIDC_CLIENT_ID": "quantdesk",
            "QUANTDESK_LOGIN_OIDC_CLIENT_SECRET": "secret",  # pragma: allowlist secret
            "QUANTDESK_LOGIN_LDAP_URL": "ldaps://directory.example.com",
            "QUANTDESK_LOGIN_LDAP_USER_BASE": "ou=people,dc=example,dc=com",
            "QUANTDESK_LOGIN_LDAP_GROUP_BASE": "ou=groups,dc=example,dc=com",
        }
        done = subprocess.run([str(python), str(asked)], env=env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == [expected, "KubeSpawner"]
