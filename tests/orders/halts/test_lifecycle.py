"""One life of each halt, out of many items: it never ends without a resumption."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.orders.halts.feeds import Halt, merged, parse_nasdaq_rss, parse_nyse_csv
from quantdesk.orders.halts.feeds.lifecycle import followed

NOON = dt.datetime(2026, 11, 24, 17, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def at(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def test_both_feeds_tell_of_one_halt(rss: Callable[..., str], nyse: Callable[..., str]) -> None:
    (one,) = merged(
        [
            *parse_nyse_csv(nyse("2026-08-07,16:05:26,BKSY WS,BlackSky Warrants,NYSE,Regulatory Concern,,")),
            *parse_nasdaq_rss(
                rss(
                    {
                        "HaltDate": "08/07/2026",
                        "HaltTime": "16:05:26.515",
                        "IssueSymbol": "BKSY.W",
                        "ReasonCode": "C11",
                        "ResumptionDate": "08/10/2026",
                        "ResumptionQuoteTime": "09:00:00",
                        "ResumptionTradeTime": "09:30:00",
                    }
                )
            ),
        ]
    )
    assert (one.symbol, one.code, one.latest, one.sources) == ("BKSY.W", "H11", "C11", ("nyse", "nasdaq"))
    assert one.halted_at.microsecond == 515_000, "the finer time"
    assert one.trading_resumes_at == dt.datetime(2026, 8, 10, 13, 30, tzinfo=dt.UTC)
    assert one.quoting_resumes_at == dt.datetime(2026, 8, 10, 13, 0, tzinfo=dt.UTC)


def test_where_feeds_differ_the_halt_lasts_as_long_as_any_says() -> None:
    early = Halt("A", NOON, "LUDP", "LUDP", trading_resumes_at=at(300), sources=("nasdaq",))
    late = replace(early, trading_resumes_at=at(600), sources=("nyse",))
    for order in ([early, late], [late, early]):
        assert merged(order)[0].trading_resumes_at == at(600)


def test_halts_two_seconds_apart_are_two() -> None:
    halts = [Halt("A", at(n), "LUDP", "LUDP") for n in (0, 1, 3)]
    assert [halt.halted_at for halt in merged(halts)] == [at(0), at(3)]


def test_what_one_feed_says_later_replaces_what_it_said() -> None:
    first = Halt("A", NOON, "T1", "T1", trading_resumes_at=at(60))
    moved = replace(first, code="T3", latest="T3", trading_resumes_at=at(600))
    now = followed(first, moved)
    assert (now.code, now.latest, now.trading_resumes_at) == ("T1", "T3", at(600))
    withdrawn = followed(now, replace(first, trading_resumes_at=None))
    assert withdrawn.trading_resumes_at is None
    assert followed(None, moved) == moved


codes = st.sampled_from(["T1", "LUDP", "T3", "H10", "X9"])
items = st.builds(
    lambda symbol, start, code, length, continued, source: Halt(
        symbol,
        at(start),
        code,
        code,
        trading_resumes_at=None if length is None or continued else at(start + length),
        continued=continued,
        sources=(source,),
    ),
    st.sampled_from(["A", "B"]),
    st.integers(0, 40),
    codes,
    st.one_of(st.none(), st.integers(0, 60)),
    st.booleans(),
    st.sampled_from(["nasdaq", "nyse"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(items, max_size=12))
def test_what_is_put_together_never_ends_without_a_resumption(given_items: list[Halt]) -> None:
    lives = merged(given_items)
    assert sorted({halt.symbol for halt in lives}) == sorted({item.symbol for item in given_items})
    for symbol in ("A", "B"):
        own = [halt for halt in lives if halt.symbol == symbol]
        told = [item for item in given_items if item.symbol == symbol]
        ends = {item.trading_resumes_at for item in told} - {None}
        for halt in own:
            assert halt.trading_resumes_at is None or halt.trading_resumes_at in ends, "no resumption is made up"
        for item in told:
            lived = [halt for halt in own if abs(halt.halted_at - item.halted_at) <= 12 * SECOND]
            assert lived, "no item is lost"
            if item.trading_resumes_at is not None and at(120) < item.trading_resumes_at:
                assert any(halt.is_halted(at(120)) for halt in own)
        if any(halt.is_halted(at(500)) for halt in own):
            assert any(item.trading_resumes_at is None for item in told)
    again = merged(lives)
    assert [(h.symbol, h.halted_at) for h in again] == [(h.symbol, h.halted_at) for h in lives]


@settings(max_examples=100, deadline=None)
@given(st.lists(items, min_size=1, max_size=8))
def test_at_no_moment_does_a_symbol_trade_while_its_only_items_have_it_halted(given_items: list[Halt]) -> None:
    plain = [replace(item, continued=False) for item in given_items]
    lives = merged(plain)
    for symbol in ("A", "B"):
        told = [item for item in plain if item.symbol == symbol]
        for moment in range(0, 110, 5):
            if told and all(item.is_halted(at(moment)) for item in told):
                assert any(halt.is_halted(at(moment)) for halt in lives if halt.symbol == symbol)
