"""The doctor finds what is wrong, names it, and says what to do."""

from __future__ import annotations

import shutil
import socket
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from quantdesk.hub import doctor, reach
from quantdesk.hub.limits import groups
from quantdesk.market import bundled, load


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    # Whether other accounts can reach this interpreter depends on where the checkout lies; it has its own tests.
    monkeypatch.setattr(reach, "check", lambda files: None)
    return tmp_path / "state"


def found(port: int = 0) -> dict[str, doctor.Finding]:
    return {finding.check: finding for finding in doctor.examine(port)}


def test_an_empty_state_is_told_what_to_run(state: Path) -> None:
    findings = found()
    assert findings["python"].status == "ok"
    assert findings["packages"].status == "ok", findings["packages"].found
    for check in ("proxy", "data", "features"):
        assert findings[check].status == "fail"
        assert findings[check].remedy
    assert list(state.iterdir()) == [], "looking changes nothing"


def test_a_damaged_data_file_is_named(state: Path) -> None:
    load([source for source in bundled() if source.name == "vega-datasets"])
    assert found()["data"].status == "ok"
    (file,) = (state / "market").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    finding = found()["data"]
    assert finding.status == "fail"
    assert "SPX" in finding.found
    assert "data load" in finding.remedy


def test_a_port_in_use_is_a_warning_with_another_to_take(state: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        finding = found(port)["port"]
    assert finding.status == "warn"
    assert str(port) in finding.found
    assert "PORT=" in finding.remedy


@pytest.mark.parametrize(("free", "status"), [(10e9, "ok"), (2e9, "warn"), (0.5e9, "fail")])
def test_a_small_disk_is_told(state: Path, monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    usage = namedtuple("usage", "total used free")(10**12, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert found()["disk"].status == status


def test_open_hub_files_are_told(state: Path) -> None:
    (state / "hub").mkdir(mode=0o755)
    (state / "hub").chmod(0o755)
    finding = found()["permissions"]
    assert finding.status == "fail"
    assert finding.remedy == f"chmod 700 {state / 'hub'}"


def test_a_package_of_another_version_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.importlib.metadata.version
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "0.0.1" if name == "pandas" else real(name))
    finding = found()["packages"]
    assert finding.status == "fail"
    assert "pandas is 0.0.1" in finding.found


def test_an_unsupported_python_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    finding = found()["python"]
    assert finding.status == "fail"
    assert "3.10.1" in finding.found


def test_one_broken_check_does_not_hide_the_others(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", broken)
    findings = found()
    assert findings["disk"].status == "fail"
    assert "Input/output error" in findings["disk"].found
    assert findings["port"].status == "ok"


def test_what_holds_servers_to_their_limits_is_said_with_the_reason(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found()["limits"].found == "no profiles (QUANTDESK_HUB_PROFILES): servers have no limits"
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('[[profiles]]\nname = "tiny"\ntitle = "Tiny"\ncpu = 1\nmemory_gib = 0.5\nis_default = true\n')
    monkeypatch.setenv("QUANTDESK_HUB_PROFILES", str(profiles))
    held = "tiny: held by affinity, limits of addresses and a watchdog"

    def none(**_: Path) -> None:
        raise groups.Unavailable("The control group /x cannot be written.")

    monkeypatch.setattr(groups, "place", none)
    assert found()["limits"].found == f"{held}; without control groups: The control group /x cannot be written."
    monkeypatch.setattr(groups, "place", lambda **_: groups.Place(tmp_path, "/quantdesk.service", False))
    assert found()["limits"].found == f"{held}, and by a control group for each server in /quantdesk.service"
    profiles.write_text(profiles.read_text().replace("cpu = 1", "cpu = 1000"))
    assert found()["limits"].status == "fail"
    assert "tiny: 1000 cores of" in found()["limits"].found
