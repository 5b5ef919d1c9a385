"""The journal of halts: nothing that was acknowledged is lost, half a line is passed over and said."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.orders.halts.feeds import Halt
from quantdesk.orders.halts.feeds.journal import Entry, Journal

NOON = dt.datetime(2026, 11, 24, 17, tzinfo=dt.UTC)


def entry(number: int) -> Entry:
    return Entry(number, "nasdaq", Halt(f"A{number}", NOON + dt.timedelta(seconds=number), "T1", "T1"))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "folder" / "halts.jsonl")


def test_a_restart_knows_what_was_said(journal: Journal) -> None:
    assert journal.read() == []
    journal.append([entry(1), entry(2)])
    journal.append([])
    assert Journal(journal.path).read() == [entry(1), entry(2)]
    assert journal.read() == [entry(1), entry(2)]
    journal.append([entry(3)])
    assert journal.read() == [entry(3)]
    assert journal.read() == []
    assert journal.torn == []


@pytest.mark.parametrize("kept", [1, 10, 60, -1])
def test_a_torn_last_line_is_passed_over_and_said(journal: Journal, kept: int) -> None:
    journal.append([entry(1), entry(2)])
    first, second = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(first + second[:kept])
    again = Journal(journal.path)
    assert again.read() == [entry(1)]
    assert again.read() == []
    assert [text.startswith("the last line of") for text in again.torn] == [True]


def test_what_is_written_after_a_torn_line_is_read(journal: Journal) -> None:
    journal.append([entry(1), entry(2)])
    journal.path.write_bytes(journal.path.read_bytes()[:-20])
    journal.append([entry(3)])
    journal.append([entry(4)])
    again = Journal(journal.path)
    assert again.read() == [entry(1), entry(3), entry(4)]
    assert len(again.torn) == 1
    assert "line 2" in again.torn[0]


def test_a_long_torn_line_is_ended_too(journal: Journal) -> None:
    journal.append([entry(1)])
    with journal.path.open("ab") as stream:
        stream.write(b'{"at": 1, ' + b"x" * 10_000)
    journal.append([entry(2)])
    assert Journal(journal.path).read() == [entry(1), entry(2)]


def test_a_journal_that_was_put_away_is_begun_anew(journal: Journal) -> None:
    journal.append([entry(1), entry(2)])
    assert len(journal.read()) == 2
    journal.path.rename(journal.path.with_name("old.jsonl"))
    assert journal.read() == []
    journal.append([entry(3)])
    assert journal.read() == [entry(3)]
    journal.path.write_bytes(b"")
    assert journal.read() == []
    journal.append([entry(4)])
    assert journal.read() == [entry(4)]


def test_only_half_a_line_was_ever_written(journal: Journal) -> None:
    journal.path.parent.mkdir()
    journal.path.write_bytes(b'{"at')
    journal.append([entry(1)])
    assert Journal(journal.path).read() == [entry(1)]


@pytest.mark.parametrize("line", [b"{}", b"garbage", b"[1]", b'{"at": 1, "source": "nasdaq", "halt": {}}', b"\xff\xfe"])
def test_a_bad_line_that_no_crash_left_is_corruption(journal: Journal, line: bytes) -> None:
    journal.append([entry(1)])
    with journal.path.open("ab") as stream:
        stream.write(line + b"\n")
    journal.append([entry(2)])
    with pytest.raises(DataError, match=r"Line 2 of .* is corrupt"):
        Journal(journal.path).read()


def test_a_journal_that_cannot_be_written_or_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        Journal(tmp_path / "file" / "halts.jsonl").append([entry(1)])
    (tmp_path / "folder").mkdir()
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        Journal(tmp_path / "folder").read()


WRITER = """
import sys, datetime as dt
from pathlib import Path
from quantdesk.orders.halts.feeds.halt import Halt
from quantdesk.orders.halts.feeds.journal import Entry, Journal
noon = dt.datetime(2026, 11, 24, 17, tzinfo=dt.UTC)
journal = Journal(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    rows = [Entry(n, "nasdaq", Halt(f"A{n}", noon, "T1", "T1", name="x" * (n * 37 % 9000)))
            for n in range(number, number + 3)]
    journal.append(rows)
    number += 3
    print(number, flush=True)
"""


def test_kill_9_while_writing_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "halts.jsonl"
    begin = 0
    for turn in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(begin)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.05 + 0.07 * turn)
        os.kill(child.pid, signal.SIGKILL)
        acknowledged = begin + 3
        for line in child.stdout.read().split("\n"):
            acknowledged = int(line) if line else acknowledged
        child.wait()
        child.stdout.close()
        journal = Journal(path)
        numbers = [one.at for one in journal.read()]
        assert numbers[: len(set(numbers))] == sorted(set(numbers)), "in order, none twice"
        assert set(range(acknowledged)) <= set(numbers)
        assert len(journal.torn) <= turn + 1
        begin = max(numbers) + 1
