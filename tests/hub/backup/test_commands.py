"""`quantdesk backup` and `quantdesk restore`, as people and programs call them."""

from __future__ import annotations

import json
import shutil
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from quantdesk.cli import main


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *line: object) -> tuple[int, str, str]:
    """What the program ends with, and says."""
    monkeypatch.setattr(sys, "argv", ["quantdesk", *map(str, line)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_back_up_look_and_restore(
    small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], estates: Any
) -> None:
    monkeypatch.chdir(small.target)
    code, out, _ = call(monkeypatch, capsys, "backup", "kept.tar", "--json")
    made = json.loads(out)
    assert code == 0
    assert (made["path"], made["runs"]) == (str(small.target / "kept.tar"), 3)
    assert {one["name"] for one in made["parts"]} >= {"reports", "homes", "hub", "rest"}
    assert made["bytes"] == (small.target / "kept.tar").stat().st_size

    code, out, _ = call(monkeypatch, capsys, "backup", "--verify", "kept.tar")
    assert code == 0
    assert "Every byte is as its hash says." in out
    assert "not in it" in out
    assert "\x1b" not in out, "plain where it is piped"

    code, out, _ = call(monkeypatch, capsys, "restore", "kept.tar", "--json")
    assert (code, json.loads(out)["error"]) == (2, "BadInput")
    shutil.rmtree(small.state)
    code, out, _ = call(monkeypatch, capsys, "restore", "kept.tar")
    assert code == 0
    assert f"Restored into {small.state}" in out
    assert "runs · 3 with their files" in out
    assert estates.seen(small.state) == small.seen


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["backup"], "Either a target or --verify"),
        (["backup", "x.tar", "--verify", "y.tar"], "Either a target or --verify"),
        (["backup", "x.tar", "--without", "market"], "--without market is not known"),
        (["restore", "nothing.tar"], "cannot be read"),
    ],
)
def test_a_wrong_call_is_one_clear_error(
    line: list[str],
    says: str,
    small: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(small.target)
    code, out, err = call(monkeypatch, capsys, *line)
    assert (code, out) == (2, "")
    assert says in err
    assert [path.name for path in small.target.iterdir()] == ["place"]


def test_homes_can_be_left_out(
    small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(monkeypatch, capsys, "backup", small.target, "--without", "homes")
    assert code == 0
    assert "Homes and team folders, as was asked." in out
    assert "\nHomes\t" not in out
