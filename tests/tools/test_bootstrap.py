"""The part of set-up that runs before anything is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, whose checkout is an empty folder."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout = tmp_path / "checkout"
    (checkout / "tools").mkdir(parents=True)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml", "tools/bootstrap.lock"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    for name, path in {
        "ROOT": checkout,
        "VENV": checkout / ".venv",
        "STAMP": checkout / ".venv" / "quantdesk-setup.json",
        "BOOTSTRAP_LOCK": checkout / "tools" / "bootstrap.lock",
    }.items():
        monkeypatch.setattr(module, name, path)
    return module


def record(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    bootstrap.VENV.mkdir(exist_ok=True)
    monkeypatch.setattr(
        bootstrap, "run", lambda step, remedy, *command, env=None: commands.append([*map(str, command)])
    )
    monkeypatch.setattr(bootstrap, "pip_settings", lambda python: {})
    return commands


def test_the_first_closed_folder_on_the_way_is_found(bootstrap: ModuleType, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and folder.owner() != "root":
            folder.chmod(0o755)
    (tmp_path / "a").chmod(0o700)
    found = bootstrap.closed_to_others(inner)
    assert found is not None
    assert inner.is_relative_to(found)
    assert not found.stat().st_mode & 0o001
    assert bootstrap.closed_to_others(Path("/usr/bin")) is None


def test_packages_are_installed_once_and_again_when_the_lock_changes(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = record(bootstrap, monkeypatch)
    bootstrap.install(Path("python"), dev=False)
    assert [command[-1] for command in commands] == [str(bootstrap.ROOT / "requirements.lock"), str(bootstrap.ROOT)]
    assert "--require-hashes" in commands[0]
    commands.clear()
    bootstrap.install(Path("python"), dev=False)
    assert commands == []
    with (bootstrap.ROOT / "requirements.lock").open("a") as lock:
        lock.write("\n")
    bootstrap.install(Path("python"), dev=False)
    assert len(commands) == 2


def test_the_development_environment_is_kept_by_make_up(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = record(bootstrap, monkeypatch)
    bootstrap.install(Path("python"), dev=True)
    commands.clear()
    bootstrap.install(Path("python"), dev=False)
    assert commands == []


def test_a_failed_install_leaves_no_stamp(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    record(bootstrap, monkeypatch)
    bootstrap.install(Path("python"), dev=False)
    with (bootstrap.ROOT / "requirements.lock").open("a") as lock:
        lock.write("\n")

    def fail(*arguments: object, env: object = None) -> None:
        raise bootstrap.SetupError("Installing packages failed.")

    monkeypatch.setattr(bootstrap, "run", fail)
    with pytest.raises(bootstrap.SetupError):
        bootstrap.install(Path("python"), dev=False)
    assert not bootstrap.STAMP.exists()


def test_a_damaged_stamp_is_an_install_again(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = record(bootstrap, monkeypatch)
    bootstrap.STAMP.write_text('{"lock": "requi')
    bootstrap.install(Path("python"), dev=False)
    assert len(commands) == 2
    assert json.loads(bootstrap.STAMP.read_text())["lock"] == "requirements.lock"


def test_a_failing_command_names_step_code_and_remedy(bootstrap: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    script = "print(' + noise==1'); print('why it failed'); raise SystemExit(7)"
    with pytest.raises(bootstrap.SetupError, match=r"Baking failed \(exit code 7\)\.\n  Heat the oven\."):
        bootstrap.run("Baking", "Heat the oven.", sys.executable, "-c", script)
    shown = capfd.readouterr().out
    assert "why it failed" in shown
    assert "noise" not in shown


def test_pip_settings_become_uv_settings(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://mirror.example/simple\ntimeout = 77\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")
    found = bootstrap.pip_settings(Path(sys.executable))
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["UV_HTTP_TIMEOUT"] == "77"
    assert "SSL_CERT_FILE" not in found


def test_bytecode_is_made_where_it_is_missing_or_old(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    source = tmp_path / "inner" / "module.py"
    source.parent.mkdir()
    source.write_text("VALUE = 1\n")
    bootstrap.compiled(tmp_path)
    made = Path(importlib.util.cache_from_source(str(source)))
    first = made.read_bytes()
    source.write_text("VALUE = 22\n")
    os.utime(source, (1, 1))
    bootstrap.compiled(tmp_path)
    assert made.read_bytes() != first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can show what root's own folders mean for others")
def test_root_is_told_when_nobody_else_could_enter_the_checkout(bootstrap: ModuleType, tmp_path: Path) -> None:
    bootstrap.ROOT.chmod(0o700)
    with pytest.raises(bootstrap.SetupError, match="no other account may enter"):
        bootstrap.shared_interpreter()


def test_an_unsupported_python_is_named() -> None:
    script = (
        "import sys, runpy; sys.version_info = (3, 10, 4, 'final', 0)\n"
        "sys.argv = ['bootstrap']; runpy.run_path('tools/bootstrap.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "this is 3.10.4" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root copies an interpreter for other accounts")
def test_a_copied_interpreter_runs_for_an_account_without_rights(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy must carry its own libraries: the account below cannot look into the folder that it came from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setattr(bootstrap, "ROOT", folder)
        seen = bootstrap.closed_to_others
        # Whatever the machine, the interpreter that runs this test counts as one that only root can reach.
        prefix = Path(sys.base_prefix).resolve()
        monkeypatch.setattr(bootstrap, "closed_to_others", lambda path: prefix if path == prefix else seen(path))
        if not (prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "os.py").exists():
            pytest.skip(f"{prefix} does not hold its own library")
        copied = bootstrap.shared_interpreter()
        assert copied.is_relative_to(folder)
        script = (
            "import os, ssl, sqlite3, sys; assert os.path.exists(ssl.__cached__), 'compiled at each start'; "
            "print(sys.prefix, sys.version_info[:3])"
        )
        done = subprocess.run(
            [str(copied), "-c", script],
            user=65534,
            group=65534,
            cwd="/",
            env={},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == f"{copied.parents[1]} {tuple(sys.version_info[:3])}"
        assert bootstrap.shared_interpreter() == copied


@pytest.mark.skipif(os.geteuid() != 0, reason="only root copies an interpreter for other accounts")
def test_a_copy_that_does_not_run_is_refused(bootstrap: ModuleType, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 3.0.0\n")
    broken.chmod(0o755)
    with pytest.raises(bootstrap.SetupError, match="does not run under another account"):
        bootstrap.check_copy(broken)
