"""The poller against a real server that answers well, badly, late, half or not at all."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.halts.feeds import merged, parse_nasdaq_rss, parse_nyse_csv
from quantdesk.orders.halts.feeds.heard import Feed, Heard, wait_after
from quantdesk.orders.halts.feeds.poller import Poller

Text = Callable[..., str]


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_795_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def goes_on(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(served: Any, clock: Clock, tmp_path: Path) -> Callable[..., Poller]:
    def poller(timeout_s: float = 2.0, url: str = "", parse: Any = parse_nasdaq_rss) -> Poller:
        feeds = [Feed("nasdaq", url or served.url, parse)]
        rng = np.random.default_rng(0)
        return Poller(feeds, tmp_path / "halts", timeout_s=timeout_s, rng=rng, clock=clock)

    return poller


def both(poller: Poller, asynchronous: bool) -> Heard:
    if asynchronous:
        return run(poller.poll_async())[0]
    return poller.poll()[0]


def run(coroutine: Any) -> Any:
    """In a thread of its own, as other tests may have a loop running here."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(coroutine)))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_halts_are_heard_and_a_restart_knows_them(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock, asynchronous: bool
) -> None:
    served.says(rss({"IssueSymbol": "ABC"}, {"IssueSymbol": "XYZ", "ReasonCode": "LUDP"}))
    poller = make()
    assert poller.heard("nasdaq") == Heard("nasdaq")
    heard = both(poller, asynchronous)
    assert (heard.heard_at, heard.failures, heard.problem) == (clock.now, 0, "")
    assert [halt.symbol for halt in poller.halts("nasdaq")] == ["ABC", "XYZ"]
    assert make().halts("nasdaq") == poller.halts("nasdaq")
    assert make().heard("nasdaq") == heard


def test_a_feed_is_asked_once_a_minute_also_across_restarts_and_processes(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock
) -> None:
    served.says(rss())
    first, second = make(), make()
    for seconds in (0, 1, 30, 28.9):
        clock.goes_on(seconds)
        first.poll()
        second.poll()
        make().poll()
    assert len(served.requests) == 1
    clock.goes_on(0.1)
    second.poll()
    first.poll()
    assert len(served.requests) == 2


def test_two_that_ask_at_the_same_moment_send_one_request(make: Callable[..., Poller], served: Any, rss: Text) -> None:
    served.says(rss({}))
    served.delay_s = 0.3
    pollers = [make(), make(), make()]
    threads = [threading.Thread(target=poller.poll) for poller in pollers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(served.requests) == 1
    for poller in pollers:
        poller.poll()
        assert [halt.symbol for halt in poller.halts("nasdaq")] == ["ABC"], "what another one heard"


def test_conditional_requests(make: Callable[..., Poller], served: Any, rss: Text, clock: Clock) -> None:
    served.says(rss({}))
    served.etag = '"one"'
    served.headers = {"Last-Modified": "Tue, 24 Nov 2026 15:00:00 GMT"}
    poller = make()
    poller.poll()
    clock.goes_on(60)
    heard = poller.poll()[0]
    assert (heard.heard_at, heard.problem) == (clock.now, ""), "a 304 is an answer"
    asked = [headers for _, _, headers in served.requests]
    assert "if-none-match" not in asked[0]
    assert (asked[1]["if-none-match"], asked[1]["if-modified-since"]) == ('"one"', "Tue, 24 Nov 2026 15:00:00 GMT")
    assert [halt.symbol for halt in poller.halts("nasdaq")] == ["ABC"]
    clock.goes_on(60)
    make().poll()
    assert "if-none-match" not in served.requests[2][2], "a restart has to see it whole"


def test_a_304_that_nobody_asked_for_is_no_answer(make: Callable[..., Poller], served: Any) -> None:
    served.status = 304
    heard = make().poll()[0]
    assert (heard.heard_at, heard.failures) == (0, 1)
    assert "no condition" in heard.problem


def test_a_code_that_changes_keeps_the_reason(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock
) -> None:
    poller = make()
    served.says(rss({}))
    poller.poll()
    served.says(rss({"ReasonCode": "T3", "ResumptionDate": "11/24/2026", "ResumptionTradeTime": "10:30:00"}))
    clock.goes_on(60)
    poller.poll()
    for one in (poller, make()):
        (halt,) = one.halts("nasdaq")
        assert (halt.code, halt.latest) == ("T1", "T3")
        assert halt.trading_resumes_at == dt.datetime(2026, 11, 24, 15, 30, tzinfo=dt.UTC)


def test_a_halt_that_is_no_longer_listed_is_kept(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock
) -> None:
    poller = make()
    served.says(rss({}))
    assert poller.halts("nasdaq") == []
    poller.poll()
    (halt,) = poller.halts("nasdaq")
    assert poller.is_listed("nasdaq", halt)
    served.says(rss())
    clock.goes_on(60)
    poller.poll()
    assert poller.halts("nasdaq") == [halt]
    assert poller.is_listed("nasdaq", halt) is False
    assert make().is_listed("nasdaq", halt) is None


def test_what_was_over_long_ago_can_be_left_out_but_for_what_ends_another(
    make: Callable[..., Poller], served: Any, nyse: Text, clock: Clock
) -> None:
    poller = make(parse=parse_nyse_csv)
    served.says(
        nyse(
            "2026-09-24,09:31:00,OVER,C,NYSE,LULD pause,2026-09-24,09:36:00",
            "2026-09-24,09:31:00,OPEN,C,NYSE,News Pending,,",
            "2026-09-24,09:31:00,CHAIN,C,NYSE,LULD pause,See Subsequent Halt,See Subsequent Halt",
        )
    )
    poller.poll()
    served.says(nyse("2026-09-24,09:36:00,CHAIN,C,NYSE,LULD pause,2026-09-24,09:41:00"))
    clock.goes_on(60)
    poller.poll()
    assert len(poller.halts("nasdaq")) == 4
    kept = poller.halts("nasdaq", dt.datetime(2026, 10, 1, tzinfo=dt.UTC))
    assert [halt.symbol for halt in kept] == ["CHAIN", "OPEN", "CHAIN"]
    assert [halt.symbol for halt in merged(kept) if halt.trading_resumes_at is None] == ["OPEN"]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"body": b"<!DOCTYPE html><html>challenge</html>"}, "page for people"),
        ({"status": 500}, "answered 500"),
        ({"status": 403, "body": b"<html>"}, "answered 403"),
        ({"cut": 40}, "peer closed connection"),
        ({"delay_s": 0.6}, "timed out|took too long"),
        ({"drip_s": 0.01}, "took too long"),
        ({"body": b"<rss><channel><item>"}, "cannot be read"),
        ({"body": b""}, "sent nothing"),
    ],
)
def test_a_bad_answer_is_a_failure_and_loses_nothing(
    make: Callable[..., Poller],
    served: Any,
    rss: Text,
    clock: Clock,
    asynchronous: bool,
    change: dict[str, Any],
    words: str,
) -> None:
    served.says(rss({}))
    poller = make(timeout_s=0.3)
    both(poller, asynchronous)
    heard_at, known = clock.now, poller.halts("nasdaq")
    for name, value in change.items():
        setattr(served, name, value)
    clock.goes_on(60)
    heard = both(poller, asynchronous)
    assert re.search(words, heard.problem)
    assert (heard.heard_at, heard.failures) == (heard_at, 1)
    assert heard.asked_at == clock.now
    assert poller.halts("nasdaq") == known


def test_nobody_listens(make: Callable[..., Poller], nobody: str) -> None:
    for url in (nobody, "http://", "no address"):
        heard = make(url=url).poll()[0]
        if url == nobody:
            assert (heard.failures, heard.heard_at) == (1, 0)
            assert heard.problem


def test_after_failures_the_wait_doubles_and_ends_with_a_success(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock
) -> None:
    served.status = 500
    poller = make()
    waits = []
    for _ in range(6):
        waits.append(poller.poll()[0].wait_s)
        clock.goes_on(waits[-1] - 0.001)
        poller.poll()
        clock.goes_on(0.002)
    assert len(served.requests) == 6
    for wait, least in zip(waits, (120, 240, 480, 900, 900, 900), strict=True):
        assert least <= wait <= least * 1.25
    served.status = 200
    served.says(rss())
    assert (poller.poll()[0].failures, poller.poll()[0].wait_s) == (0, 60)


def test_the_server_may_ask_for_more_time(make: Callable[..., Poller], served: Any) -> None:
    served.status = 429
    served.headers = {"Retry-After": "1800"}
    assert make().poll()[0].wait_s == 1800


def test_waits_are_those_of_the_seed() -> None:
    one, two = (np.random.default_rng(7) for _ in range(2))
    assert [wait_after(n, one) for n in range(5)] == [wait_after(n, two) for n in range(5)]
    assert wait_after(0, one, 90) == 90
    assert wait_after(0, one, 10**9) == 3600
    assert wait_after(60, one) <= 900 * 1.25


def test_a_clock_that_was_set_back_does_not_stop_the_poller_for_ever(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock
) -> None:
    served.says(rss())
    poller = make()
    poller.poll()
    clock.goes_on(-3600)
    poller.poll()
    assert len(served.requests) == 2


def test_a_state_that_cannot_be_read_waits_a_minute(
    make: Callable[..., Poller], served: Any, rss: Text, clock: Clock, tmp_path: Path
) -> None:
    served.says(rss())
    make().poll()
    state = tmp_path / "halts" / "nasdaq.json"
    state.write_text("{")
    os.utime(state, ns=(clock.now, clock.now))
    assert "cannot be read" in make().heard("nasdaq").problem
    make().poll()
    assert len(served.requests) == 1
    clock.goes_on(60)
    assert make().poll()[0].problem == ""
    assert len(served.requests) == 2


def test_a_disk_that_cannot_be_written_is_said_before_anything_is_asked(
    clock: Clock, served: Any, tmp_path: Path
) -> None:
    (tmp_path / "halts").write_text("a file, not a folder")
    poller = Poller([Feed("nyse", served.url, parse_nyse_csv)], tmp_path / "other", clock=clock)
    poller._folder = tmp_path / "halts"
    with pytest.raises(EnvironmentProblem):
        poller.poll()
    assert served.requests == []


def test_the_event_loop_is_free_while_a_feed_is_slow(make: Callable[..., Poller], served: Any, rss: Text) -> None:
    served.says(rss())
    served.delay_s = 0.3
    poller = make()

    async def count() -> int:
        ticks = 0
        task = asyncio.create_task(poller.poll_async())
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        await task
        return ticks

    began = time.monotonic()
    assert run(count()) > 10
    assert time.monotonic() - began < 5
