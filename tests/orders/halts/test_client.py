"""HaltClient: HALTED where any source says so, TRADING where one says so, and everything else UNKNOWN."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.orders.halts import HaltClient, KnownHalts, Status, client, get_halt_client
from quantdesk.orders.halts.breakers import Watch
from quantdesk.orders.halts.feeds import Halt, parse_nasdaq_rss
from quantdesk.orders.halts.feeds.poller import Feed, Poller
from quantdesk.orders.halts.luld import Monitor, Stock
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.remote import Remote
from quantdesk.orders.halts.status import Halts

NY = ZoneInfo("America/New_York")
DAY = dt.date(2026, 11, 24)
Text = Callable[..., str]


def ns(text: str) -> int:
    return nanoseconds(dt.datetime.fromisoformat(f"{DAY} {text}").replace(tzinfo=NY))


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{DAY} {text}").replace(tzinfo=NY).astimezone(dt.UTC)


def halt(symbol: str = "ABC", since: str = "10:00", until: str | None = None, code: str = "T1", **more: Any) -> Halt:
    ends = None if until is None else utc(until)
    return Halt(symbol, utc(since), code, code, trading_resumes_at=ends, sources=("nasdaq",), **more)


@pytest.fixture
def fed() -> HaltClient:
    """A client whose feed was heard at 11:00 and has ABC halted."""
    made = HaltClient()
    made.board.hear("nasdaq", [halt()], ns("11:00"))
    return made


def test_it_is_what_guardrails_and_desk_ask() -> None:
    asked: list[Halts] = [HaltClient(), KnownHalts()]
    assert len(asked) == 2


def test_a_halt_of_the_feed_is_told_with_code_source_and_age(fed: HaltClient) -> None:
    found = fed.status("abc", ns("11:00:12"))
    assert (found.symbol, found.status, found.halt_type, found.source, found.age_s) == (
        "ABC",
        Status.HALTED,
        "T1",
        "nasdaq",
        12.0,
    )
    assert found.message == "ABC is halted since 10:00:00 ET on 2026-11-24: news is pending."


def test_a_symbol_that_a_fresh_feed_does_not_list_trades(fed: HaltClient) -> None:
    found = fed.status("XYZ", ns("11:00:12"))
    assert (found.status, found.source, found.age_s) == (Status.TRADING, "nasdaq", 12.0)


def test_an_old_feed_says_nothing_of_trading_but_a_halt_holds(fed: HaltClient) -> None:
    assert fed.status("XYZ", ns("11:03:00")).status is Status.TRADING
    old = fed.status("XYZ", ns("11:03:01"))
    assert (old.status, old.age_s) == (Status.UNKNOWN, 181.0)
    assert "the answer of nasdaq is 181 s old" in old.message
    assert fed.status("ABC", ns("15:00")).is_halted


def test_a_feed_that_was_never_heard_says_nothing() -> None:
    made = HaltClient()
    nothing = made.status("XYZ", ns("11:00"))
    assert (nothing.status, nothing.source, nothing.to_dict()["age_s"]) == (Status.UNKNOWN, "none", None)
    made.board.hear("nasdaq", [], 0, "The server sent a page for people instead of the feed.")
    found = made.status("XYZ", ns("11:00"))
    assert found.status is Status.UNKNOWN
    assert "page for people" in found.message


def test_a_resumption_ends_a_halt_at_its_time_and_not_before(fed: HaltClient) -> None:
    fed.board.hear("nasdaq", [halt(until="11:01", code="LUDP")], ns("11:00"))
    before, after = fed.status("ABC", ns("11:00:59")), fed.status("ABC", ns("11:01"))
    assert before.message.endswith("Trading resumes at 11:01:00 ET on 2026-11-24.")
    assert (before.status, after.status) == (Status.HALTED, Status.TRADING)
    assert after.message == "ABC resumed at 11:01:00 ET on 2026-11-24 after a halt (LUDP)."


def test_quotes_alone_are_no_trading(fed: HaltClient) -> None:
    fed.board.hear("nasdaq", [halt(quoting_resumes_at=utc("10:30"))], ns("11:00"))
    found = fed.status("ABC", ns("11:00"))
    assert found.is_halted
    assert "no time is set for trades" in found.message


def test_the_most_serious_halt_is_told_then_the_latest() -> None:
    made = HaltClient()
    made.board.hear("nasdaq", [halt(), halt(since="10:10", code="H10"), halt(since="10:20", code="LUDP")], ns("11:00"))
    assert made.status("ABC", ns("11:00")).halt_type == "H10"
    made.board.hear("nasdaq", [halt(), halt(since="10:20", code="T12")], ns("11:00"))
    assert made.status("ABC", ns("11:00")).halt_type == "T12"


def test_a_source_of_ones_own() -> None:
    made = HaltClient()
    made.board.hear("desk", [Halt("ABC", utc("10:00"), "T1", "T1")], ns("11:00"))
    found = made.status("ABC", ns("11:00:05"))
    assert (found.source, found.age_s) == ("desk", 5.0)


def test_one_fresh_feed_is_enough_and_any_halt_counts() -> None:
    made = HaltClient()
    made.board.hear("nasdaq", [], 0, "timed out")
    made.board.hear("nyse", [halt()], ns("11:00"))
    assert made.status("XYZ", ns("11:00:01")).source == "nyse"
    assert made.status("ABC", ns("11:00:01")).is_halted


# ---------------------------------------------------------------------------------------------- bands and monitors


@pytest.fixture
def monitor() -> Monitor:
    made = Monitor(Stock("ABC", 100, 1, DAY))
    made.opens(ns("09:30"), 100.0)
    made.quote(ns("11:00"), 99.9, 100.0, 100, 100)
    return made


def test_a_monitor_says_that_its_stock_trades_and_gives_its_bands(monitor: Monitor) -> None:
    made = HaltClient()
    made.follow(monitor)
    found = made.status("ABC", ns("11:00:30"))
    assert (found.status, found.source, found.age_s) == (Status.TRADING, "luld", 30.0)
    assert made.bands("ABC", ns("11:00:30")) == (95_000_000, 105_000_000)
    assert made.bands("XYZ", ns("11:00:30")) is None


def test_a_monitor_that_hears_nothing_does_not_know(monitor: Monitor) -> None:
    made = HaltClient()
    made.follow(monitor)
    found = made.status("ABC", ns("11:03:01"))
    assert found.status is Status.UNKNOWN
    assert "heard nothing for 181 s" in found.message
    assert made.bands("ABC", ns("11:03:01")) is None


def test_a_pause_is_a_halt_also_where_nobody_told_the_monitor_that_time_went_on(monitor: Monitor) -> None:
    made = HaltClient()
    made.follow(monitor)
    made.board.hear("nasdaq", [], ns("11:00"))
    monitor.quote(ns("11:00:10"), 94.9, 95.0, 100, 100)
    assert made.status("ABC", ns("11:00:24")).status is Status.TRADING
    due = made.status("ABC", ns("11:00:25"))
    assert (due.status, due.halt_type, due.source) == (Status.HALTED, "LUDP", "luld")
    assert made.bands("ABC", ns("11:00:25")) is None
    monitor.clock(ns("11:00:26"))
    assert made.status("ABC", ns("11:30")).is_halted, "however old it is"
    assert made.bands("ABC", ns("11:00:26")) is None


def test_a_pause_that_the_primary_called_has_its_own_code(monitor: Monitor) -> None:
    made = HaltClient()
    made.follow(monitor)
    assert monitor.pause_code == ""
    monitor.quote(ns("11:00:10"), 94.0, 101.0, 100, 100)
    monitor.pauses(ns("11:00:20"))
    assert made.status("ABC", ns("11:00:20")).halt_type == "LUDS"


def test_a_monitor_of_yesterday_says_nothing(monitor: Monitor) -> None:
    made = HaltClient()
    made.follow(monitor)
    monitor.pauses(ns("15:55"))
    assert made.status("ABC", ns("15:59")).source == "luld"
    made.board.hear("nasdaq", [], ns("10:00") + 86_400 * SECOND)
    assert made.status("ABC", ns("10:00") + 86_400 * SECOND).status is Status.TRADING


def test_a_monitor_before_the_opening_says_nothing() -> None:
    made = HaltClient()
    made.follow(Monitor(Stock("ABC", 100, 1, DAY)))
    assert made.status("ABC", ns("11:00")).source == "none"
    assert made.bands("ABC", ns("09:30")) is None


# ---------------------------------------------------------------------------------------------- the whole market


def test_a_breaker_halts_every_symbol_until_it_ends() -> None:
    made = HaltClient()
    made.board.hear("nasdaq", [], ns("10:00"))
    made.follow_index(Watch(5000))
    assert made.index(utc("10:00"), 4651.0) == ()
    (fired,) = made.index(utc("10:01"), 4650.0)
    assert fired.level == 1
    found = made.status("ANY", ns("10:02"))
    assert (found.status, found.halt_type, found.source, found.age_s) == (Status.HALTED, "MWC1", "breakers", 60.0)
    assert "reached 4,650.00. All trading stops until 10:16:00 ET" in found.message
    market = made.market_halt(ns("10:15:59"))
    assert market is not None
    assert market.symbol == "*"
    assert made.market_halt(ns("10:16")) is None
    assert made.market_halt(ns("10:00:59")) is None


def test_the_third_level_halts_for_the_day() -> None:
    made = HaltClient()
    made.follow_index(Watch(5000, index="OTHER"))
    made.index(utc("15:50"), 3900.0)
    found = made.market_halt(ns("23:59:59"))
    assert found is not None
    assert found.halt_type == "MWC3"
    assert "a proxy" in found.message
    assert "stops for the day" in found.message
    assert made.market_halt(ns("23:59:59") + SECOND) is None


def test_a_level_too_late_to_stop_anything_stops_nothing() -> None:
    made = HaltClient()
    made.follow_index(Watch(5000))
    (fired,) = made.index(utc("15:26"), 4600.0)
    assert not fired.stops
    assert made.market_halt(ns("15:26")) is None


def test_an_index_that_nobody_follows_is_refused() -> None:
    with pytest.raises(BadInput, match="No index is followed"):
        HaltClient().index(utc("10:00"), 1.0)


def test_whoever_gives_the_index_its_values() -> None:
    made, watch = HaltClient(), Watch(5000)
    made.follow_index(watch)
    watch.value(utc("10:00"), 4600.0)
    made.index(ns("10:20"), 4300.0)
    found = [made.market_halt(ns(time)) for time in ("10:00", "10:16", "10:21")]
    assert [one.halt_type if one else "" for one in found] == ["MWC1", "", "MWC2"]


def test_a_breaker_that_a_feed_tells_of_halts_every_symbol() -> None:
    made = HaltClient()
    made.board.hear("nasdaq", [halt("SPY", code="MWC1", until="10:15")], ns("10:00"))
    assert made.status("ANY", ns("10:01")).halt_type == "MWC1"
    found = made.market_halt(ns("10:01"))
    assert found is not None
    assert found.message.startswith("The market is halted since")
    assert made.market_halt(ns("10:15")) is None


# ---------------------------------------------------------------------------------------------- the phase of the day


def test_phases_by_listing_and_what_they_mean_for_trading() -> None:
    made = HaltClient(listings={"NAS": "XNAS", "hkx": "XHKG"})
    assert made.phase("ABC", ns("08:30")) is Phase.OPENING_AUCTION
    assert made.phase("NAS", ns("08:30")) is Phase.PRE_OPEN
    assert made.phase("NAS", ns("15:51")) is Phase.CLOSING_AUCTION
    made.board.hear("nasdaq", [halt()], ns("16:30"))
    closed = made.status("XYZ", ns("16:30"))
    assert (closed.status, closed.halt_type, closed.source) == (Status.HALTED, "CLOSED", "phase")
    assert closed.message == "XNYS is closed; it opens at 09:30:00 ET on 2026-11-25."
    assert made.status("ABC", ns("16:30")).halt_type == "T1", "what is more serious is told"
    assert made.phase("HKX", ns("23:30")) is Phase.BREAK
    assert made.status("HKX", ns("23:30")).message.startswith("XHKG is at lunch until")


# ---------------------------------------------------------------------------------------------- a service elsewhere


def answer(**changes: Any) -> str:
    said = {"symbol": "ABC", "status": "TRADING", "is_halted": False, "halt_type": "", "message": "m", "age_s": 1.5}
    return json.dumps({**said, **changes})


def ask(made: HaltClient, symbol: str, asynchronous: bool) -> dict[str, Any]:
    if not asynchronous:
        return made.check_halt_status_sync(symbol)
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(made.check_halt_status(symbol))))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_service_is_one_more_source(served: Any, asynchronous: bool) -> None:
    served.says(answer())
    made = HaltClient(remote=Remote(served.url), clock=lambda: ns("11:00"))
    assert ask(made, "abc", asynchronous) == {
        "symbol": "ABC",
        "status": "TRADING",
        "is_halted": False,
        "halt_type": "",
        "message": "m",
        "source": "remote",
        "age_s": 1.5,
    }
    assert served.requests[0][1] == "/feed/ABC"
    served.says(answer(status="HALTED", is_halted=True, halt_type="T1"))
    assert ask(made, "ABC", asynchronous)["is_halted"]
    served.status = 503
    assert ask(made, "ABC", asynchronous)["is_halted"], "until it says otherwise"
    assert made.status("ABC", ns("11:10")).age_s == 601.5


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"body": b"<html>"}, "gave no status"),
        ({"body": b"[]"}, "gave no status"),
        ({"body": b"{}"}, "gave no status"),
        ({"body": answer(symbol="XYZ").encode()}, "speaks of XYZ"),
        ({"body": answer(status="MAYBE").encode()}, "gave no status"),
        ({"body": answer(is_halted=True).encode()}, "differ"),
        ({"body": answer(age_s=-1).encode()}, "an age of"),
        ({"body": answer(age_s=None).encode()}, "gave no status"),
        ({"status": 500}, "answered 500"),
        ({"delay_s": 0.5}, "does not answer"),
    ],
)
def test_a_service_that_answers_nonsense_says_nothing(
    served: Any, asynchronous: bool, change: dict[str, Any], words: str
) -> None:
    served.says(answer())
    for name, value in change.items():
        setattr(served, name, value)
    made = HaltClient(remote=Remote(served.url, timeout_s=0.2), clock=lambda: ns("11:00"))
    found = ask(made, "ABC", asynchronous)
    assert (found["status"], found["is_halted"], found["source"]) == ("UNKNOWN", False, "remote")
    assert words in found["message"]


def test_what_a_service_said_grows_old(served: Any, nobody: str) -> None:
    remote = Remote(served.url + "?s={symbol}")
    served.says(answer())
    assert remote.status("ABC", ns("11:00")) is None
    remote.ask("ABC", ns("11:00"))
    assert served.requests[0][1] == "/feed?s=ABC"
    fresh, old = remote.status("ABC", ns("11:02")), remote.status("ABC", ns("11:03"))
    assert fresh is not None
    assert old is not None
    assert (fresh.status, old.status) == (Status.TRADING, Status.UNKNOWN)
    served.says(answer(status="UNKNOWN", age_s=None))
    remote.ask("ABC", ns("11:04"))
    told = remote.status("ABC", ns("11:04"))
    assert told is not None
    assert told.status is Status.UNKNOWN
    gone = Remote(nobody)
    gone.ask("ABC", ns("11:00"))
    assert gone.status("ABC", ns("11:00")).status is Status.UNKNOWN  # type: ignore[union-attr]


# ---------------------------------------------------------------------------------------------- from the environment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    monkeypatch.setattr(client, "_client", None)
    return monkeypatch


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_client_of_the_process_polls_both_feeds(
    environment: pytest.MonkeyPatch, served: Any, nobody: str, rss: Text, asynchronous: bool
) -> None:
    served.says(rss({"ReasonCode": "H10"}))
    environment.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    environment.setenv("QUANTDESK_HALTS_NYSE_URL", nobody)
    made = get_halt_client()
    assert get_halt_client() is made
    found = ask(made, "ABC", asynchronous)
    assert (found["status"], found["halt_type"], found["source"]) == ("HALTED", "H10", "nasdaq")
    assert len(served.requests) == 1
    ask(made, "ABC", asynchronous)
    assert len(served.requests) == 1
    environment.setattr(client, "_client", None)
    restarted = get_halt_client()
    assert restarted is not made
    assert restarted.status("ABC", restarted._clock()).halt_type == "H10", "a restart knows what was halted"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_disk_that_fails_makes_it_unknown(
    environment: pytest.MonkeyPatch, served: Any, rss: Text, tmp_path: Path, asynchronous: bool
) -> None:
    served.says(rss())
    environment.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    environment.setenv("QUANTDESK_HALTS_NYSE_URL", served.url)
    made = get_halt_client()
    made._clock = lambda: ns("11:00")
    (tmp_path / "halts" / "halts.jsonl").mkdir(parents=True)
    found = ask(made, "ABC", asynchronous)
    assert found["status"] == "UNKNOWN"
    assert "cannot be read" in found["message"]
    state = tmp_path / "halts" / "nasdaq.json"
    state.write_text(json.dumps({"feed": "nasdaq", "asked_at": made._clock(), "heard_at": made._clock()}))
    found = ask(made, "ABC", asynchronous)
    assert found["status"] == "UNKNOWN", "what another process heard is not on our board"


def test_a_halt_that_a_feed_dropped_without_a_resumption_holds_and_says_so(
    environment: pytest.MonkeyPatch, served: Any, nobody: str, rss: Text
) -> None:
    environment.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    environment.setenv("QUANTDESK_HALTS_NYSE_URL", nobody)
    made = get_halt_client()
    poller: Any = made._poller
    now = poller._clock()
    poller._clock = made._clock = lambda: now
    served.says(rss({"ReasonCode": "H10"}))
    assert "no longer lists" not in made.check_halt_status_sync("ABC")["message"]
    served.says(rss())
    now += 61 * SECOND
    found = made.check_halt_status_sync("ABC")
    assert (found["status"], found["halt_type"]) == ("HALTED", "H10")
    assert found["message"].endswith("quantdesk halts feed --day 2026-11-24 asks again.")


def test_a_failing_disk_ends_no_halt(environment: pytest.MonkeyPatch, served: Any, rss: Text, tmp_path: Path) -> None:
    served.says(rss({"ReasonCode": "H10"}))
    environment.setenv("QUANTDESK_HALTS_NASDAQ_URL", served.url)
    environment.setenv("QUANTDESK_HALTS_NYSE_URL", served.url)
    made = get_halt_client()
    assert made.check_halt_status_sync("ABC")["is_halted"]
    (tmp_path / "halts" / "halts.jsonl").unlink()
    (tmp_path / "halts" / "halts.jsonl").mkdir()
    assert made.check_halt_status_sync("ABC")["halt_type"] == "H10"


def test_in_the_background_the_feeds_are_asked_again(served: Any, rss: Text, tmp_path: Path) -> None:
    now = [ns("11:00")]
    feed = Feed("nasdaq", served.url, parse_nasdaq_rss)
    made = HaltClient(poller=Poller([feed], tmp_path, clock=lambda: now[0]), clock=lambda: now[0])
    served.says(rss({}))
    made.start(every_s=0.02)
    made.start()
    try:
        assert made.status("XYZ", now[0]).status is Status.TRADING, "known when it returns"
        served.says(rss({}, {"IssueSymbol": "XYZ"}))
        now[0] += 60 * SECOND
        deadline = time.monotonic() + 10
        while not made.status("XYZ", now[0]).is_halted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert made.status("XYZ", now[0]).is_halted
        assert len(served.requests) == 2
    finally:
        made.stop()
    now[0] += 60 * SECOND
    time.sleep(0.1)
    assert len(served.requests) == 2
    assert made.status("AAA", now[0] + 181 * SECOND).status is Status.UNKNOWN


def test_many_threads_ask_while_the_board_changes(fed: HaltClient) -> None:
    wrong: list[str] = []

    def look() -> None:
        found = [fed.status("ABC", ns("11:01")) for _ in range(400)]
        wrong.extend(one.message for one in found if not one.is_halted)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200):
        fed.board.hear(f"feed {number % 7}", [halt(since="10:00"), halt("XYZ")], ns("11:00") + number)
    for thread in threads:
        thread.join()
    assert wrong == []


def test_feeds_can_be_switched_off_and_a_service_asked(environment: pytest.MonkeyPatch, served: Any) -> None:
    environment.setenv("QUANTDESK_HALTS_FEEDS", "false")
    environment.setenv("QUANTDESK_HALTS_URL", served.url)
    served.says(answer(status="HALTED", is_halted=True, halt_type="T1"))
    assert get_halt_client().check_halt_status_sync("ABC")["source"] == "remote"


@pytest.mark.parametrize("symbol", ["", "1", "BRK-B", None])
def test_what_is_no_symbol_is_refused(fed: HaltClient, symbol: Any) -> None:
    for call in (fed.check_halt_status_sync, lambda s: fed.status(s, ns("11:00")), lambda s: fed.bands(s, 0)):
        with pytest.raises(BadInput, match="no symbol"):
            call(symbol)


# ---------------------------------------------------------------------------------------------- what always holds

spans = st.tuples(st.integers(0, 300), st.one_of(st.none(), st.integers(1, 200)), st.sampled_from(["T1", "LUDP", "T3"]))


@settings(max_examples=100, deadline=None)
@given(st.lists(spans, max_size=5), st.integers(0, 400), st.integers(0, 600), st.booleans())
def test_it_never_says_trading_while_the_feed_has_it_halted_or_is_old(
    given_spans: list[tuple[int, int | None, str]], heard: int, asked: int, fails: bool
) -> None:
    begin = utc("11:00")
    halts = [
        Halt(
            "ABC",
            begin + dt.timedelta(seconds=since),
            code,
            code,
            trading_resumes_at=None if length is None else begin + dt.timedelta(seconds=since + length),
            sources=("nasdaq",),
        )
        for since, length, code in given_spans
    ]
    made = HaltClient()
    made.board.hear("nasdaq", halts, 0 if fails else ns("11:00") + heard * SECOND, "failed" if fails else "")
    at = ns("11:00") + asked * SECOND
    status = made.status("ABC", at).status
    if any(
        one.trading_resumes_at is None and since <= asked for one, (since, _, _) in zip(halts, given_spans, strict=True)
    ):
        # Items within a second of each other are one halt, which ends with the resumption that one of them gives.
        alone = all(
            abs(one.halted_at - other.halted_at) > dt.timedelta(seconds=1)
            for one in halts
            for other in halts
            if one is not other
        )
        assert status is Status.HALTED or not alone
    if fails or asked - heard > 180:
        assert status is not Status.TRADING
