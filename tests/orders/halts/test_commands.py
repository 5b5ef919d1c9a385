"""``quantdesk halts``: what people and programs see, against files and a real server."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from quantdesk.cli import halts as command
from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.halts import client, commands
from quantdesk.orders.halts.feeds import FeedError, parse_nasdaq_rss
from quantdesk.orders.halts.feeds.poller import Feed, Poller

Text = Callable[..., str]


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nobody: str) -> None:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    monkeypatch.setenv("QUANTDESK_HALTS_NASDAQ_URL", nobody)
    monkeypatch.setenv("QUANTDESK_HALTS_NYSE_URL", nobody)
    monkeypatch.setattr(client, "_client", None)


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.add_typer(command.app, name="halts")
    done = CliRunner().invoke(app, ["halts", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> str:
    """What stands on a terminal of so many columns."""
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=width, highlight=False, color_system=None, soft_wrap=True)
    monkeypatch.setattr(command, "out", console)
    monkeypatch.setattr(sys.modules["quantdesk.cli.terminal"], "out", console)
    run(*arguments)
    return shown.getvalue()


def test_status_of_symbols_as_json(monkeypatch: pytest.MonkeyPatch, served: Any, rss: Text) -> None:
    served.says(rss({"IssueSymbol": "BKSY.W", "ReasonCode": "H10"}))
    monkeypatch.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    halted, other = json.loads(run("status", "BKSY WS", "aapl", "--json"))
    assert list(halted) == ["symbol", "status", "is_halted", "halt_type", "message", "source", "age_s"]
    assert (halted["symbol"], halted["status"], halted["halt_type"]) == ("BKSY.W", "HALTED", "H10")
    assert (other["symbol"], other["is_halted"]) == ("AAPL", other["status"] == "HALTED")
    assert len(served.requests) == 1


def test_a_wrong_symbol_is_refused_before_anybody_is_asked(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    with pytest.raises(BadInput, match="BRK-B"):
        commands.ask_status(["AAPL", "BRK-B"])
    assert served.requests == []


def test_status_in_a_pipe_and_on_a_terminal(monkeypatch: pytest.MonkeyPatch, served: Any, rss: Text) -> None:
    served.says(rss({"ReasonCode": "H10"}))
    monkeypatch.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    header, line = run("status", "ABC").splitlines()
    assert header.split("\t") == ["symbol", "status", "code", "source", "age", "message"]
    assert line.split("\t")[:4] == ["ABC", "HALTED", "H10", "nasdaq"]
    shown = on_terminal(monkeypatch, 80, "status", "ABC")
    assert shown.startswith("■ ABC  HALTED  H10 · nasdaq, ")
    assert "ABC is halted since 10:00:00 ET on 2026-11-24: the SEC suspended trading." in shown


def test_a_feed_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rss: Text, nyse: Text) -> None:
    pause = {"ReasonCode": "LUDP", "ResumptionDate": "11/24/2026", "ResumptionTradeTime": "10:05:00"}
    (tmp_path / "feed.xml").write_text(rss({"IssueSymbol": "OPEN"}, {"IssueSymbol": "OVER", **pause}))
    (tmp_path / "feed.csv").write_text(nyse("2026-08-07,19:50:00,TNONW,Tenon,Nasdaq,News Pending,,"))
    of_xml = json.loads(run("feed", "--file", str(tmp_path / "feed.xml"), "--json"))
    assert [(one["symbol"], one["is_halted"], one["means"]) for one in of_xml["halts"]] == [
        ("OPEN", True, "news is pending"),
        ("OVER", False, "volatility pause at a price band"),
    ]
    of_csv = json.loads(run("feed", "--file", str(tmp_path / "feed.csv"), "--json"))
    assert [one["symbol"] for one in of_csv["halts"]] == ["TNONW"]
    only = json.loads(run("feed", "--file", str(tmp_path / "feed.xml"), "--open", "--json"))
    assert [one["symbol"] for one in only["halts"]] == ["OPEN"]
    in_a_pipe = run("feed", "--file", str(tmp_path / "feed.xml")).splitlines()
    assert in_a_pipe[2].split("\t")[2:4] == ["2026-11-24 10:00:00", "2026-11-24 10:05:00"]
    shown = on_terminal(monkeypatch, 100, "feed", "--file", str(tmp_path / "feed.xml"))
    assert "2 halts" in shown
    assert max(len(line) for line in shown.splitlines()[1:]) <= 100
    assert re.search(r"■ +OPEN +(11-24 10:00:00|2026-11-24) +– +T1 +XNAS +news is pending", shown)


def test_rows_are_short_on_a_terminal(rss: Text) -> None:
    over = {"ReasonCode": "C11", "ResumptionDate": "11/25/2026", "ResumptionTradeTime": "09:30:00"}
    quotes = {"ResumptionDate": "11/24/2026", "ResumptionQuoteTime": "09:59:00", "HaltTime": "09:31:00"}
    first, second = parse_nasdaq_rss(rss(quotes, over))
    now = dt.datetime(2026, 11, 24, 16, tzinfo=dt.UTC)
    assert command.row(first, now, short=True)[:5] == ("■", "ABC", "11-24 09:31:00", "quotes 09:59:00", "T1")
    assert command.row(second, now, short=True)[:5] == ("■", "ABC", "11-24 10:00:00", "11-25 09:30:00", "C11")
    assert command.row(replace(second, code="H11"), now, short=False)[2:5] == (
        "2026-11-24 10:00:00",
        "2026-11-25 09:30:00",
        "H11→C11",
    )
    assert command.row(second, now.replace(year=2027), short=True)[:4] == (" ", "ABC", "2026-11-24", "2026-11-25")


def test_both_feeds_and_what_could_not_be_heard(monkeypatch: pytest.MonkeyPatch, served: Any, rss: Text) -> None:
    served.says(rss({}))
    monkeypatch.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    text = run("feed")
    assert "ABC" in text
    assert "? not heard: nyse: " in text
    monkeypatch.setattr(client, "_client", None)
    found = json.loads(run("feed", "--json"))
    assert found["problem"].startswith("nyse: ")
    assert [one["symbol"] for one in found["halts"]] == ["ABC"]


def test_no_feed_at_all_is_unknown_and_never_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("feed").startswith("? UNKNOWN: nasdaq: ")


def test_an_address_and_a_past_day(monkeypatch: pytest.MonkeyPatch, served: Any, rss: Text, tmp_path: Path) -> None:
    monkeypatch.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    served.says(rss({}))
    assert [halt.symbol for halt in commands.show_feed(url=served.url).halts] == ["ABC"]
    over = {"ResumptionDate": "11/24/2026", "ResumptionTradeTime": "11:00:00"}
    served.says(rss(over, {"HaltDate": "11/23/2026", "IssueSymbol": "XYZ"}))
    found = commands.show_feed(day="2026-11-24")
    assert [halt.symbol for halt in found.halts] == ["ABC"]
    assert served.requests[-1][1] == "/feed?haltdate=11242026"
    poller = Poller([Feed("nasdaq", served.url, lambda text: [])], tmp_path / "halts")
    assert poller.heard("nasdaq").heard_at == 0, "a past day does not make the feed fresh"
    assert [halt.symbol for halt in poller.halts("nasdaq")] == ["XYZ", "ABC"], "but its resumptions are kept"
    with pytest.raises(FeedError, match=r"was asked \d+ s ago"):
        commands.show_feed(day="2026-11-23")


def test_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["bands", "--reference", "100", "--previous-close", "100", "--tier", "1", "--at", "2026-03-02T15:40"]
    assert run(*asked).splitlines() == [
        "$90.00 to $110.00",
        "10.00% around a reference of $100.0000, doubled at this time of day",
    ]
    found = json.loads(run(*asked, "--json"))
    assert (found["lower"], found["upper"], found["doubled"]) == (90.0, 110.0, True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: commands.show_feed(file=p / "none"), BadInput, "cannot be read"),
        (lambda p: commands.show_feed(file=p, day="2026-11-24"), BadInput, "three things"),
        (lambda p: commands.show_feed(day="yesterday"), BadDates, "no day"),
        (lambda p: commands.show_feed(day="2999-01-01"), BadDates, "not come yet"),
        (lambda p: commands.show_bands("100", "100", 1, "noon"), BadDates, "no time"),
        (lambda p: commands.show_bands("0", "100", 1, "2026-03-02T12:00"), BadInput, "reference price"),
    ],
)
def test_bad_input_gets_one_clear_error(
    tmp_path: Path, call: Callable[[Path], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call(tmp_path)


def test_a_page_for_people_is_an_error_with_its_file(tmp_path: Path, served: Any) -> None:
    (tmp_path / "page.html").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(FeedError, match="page for people"):
        commands.show_feed(file=tmp_path / "page.html")
    served.says("<html>")
    with pytest.raises(FeedError, match=r"gave no halts: .*page for people"):
        commands.show_feed(url=served.url)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "never heard"), (12.4, "12 s old"), (600, "10 min old"), (86_400, "24 h old"), (10**6, "12 days old")],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert command.age(seconds) == text


def test_the_help_names_the_commands() -> None:
    text = run("--help")
    assert all(name in text for name in ("status", "feed", "bands"))
