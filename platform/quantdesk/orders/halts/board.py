"""What the feeds said last, and what follows for a symbol. Pure.

A halt holds until a feed gave its resumption, however old the feed is. That a symbol trades is only said where a whole
answer of some feed, not older than a limit, does not have it halted. Everything else is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from quantdesk.orders.amounts import SECOND, moment, nanoseconds
from quantdesk.orders.halts.feeds.halt import Halt, severity
from quantdesk.orders.halts.feeds.lifecycle import merged
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.symbols import canonical

__all__ = ["Board", "clock_text"]

_FOREVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Span:
    since: int
    until: int
    halt: Halt


@dataclass
class _Feed:
    halts: tuple[Halt, ...] = ()
    heard_at: int = 0
    problem: str = "it was not asked yet"


class Board:
    """Puts the feeds together.

    Parameters
    ----------
    stale_s
        Seconds after which an answer is too old to say that something trades.
    """

    def __init__(self, stale_s: float = 180.0) -> None:
        self.stale_s = stale_s
        self._feeds: dict[str, _Feed] = {}
        self._spans: dict[str, tuple[_Span, ...]] = {}
        self._market: tuple[_Span, ...] = ()

    @property
    def feeds(self) -> tuple[str, ...]:
        """The names of the feeds that were heard of."""
        return tuple(self._feeds)

    @property
    def halts(self) -> list[Halt]:
        """Every halt that the feeds told of, each once, in the order of time."""
        return merged(halt for feed in self._feeds.values() for halt in feed.halts)

    @property
    def problem(self) -> str:
        """Why feeds could not be heard when they were asked last; empty where all were."""
        return "; ".join(f"{name}: {feed.problem}" for name, feed in self._feeds.items() if feed.problem)

    def hear(self, feed: str, halts: Iterable[Halt], heard_at: int, problem: str = "") -> None:
        """What a feed says now.

        Parameters
        ----------
        feed
            Its name.
        halts
            Everything that it said, halts of past days included.
        heard_at
            When it last gave a whole answer: nanoseconds since 1970 (UTC), 0 for never.
        problem
            Why it did not when it was asked last, or nothing.
        """
        before = self._feeds.get(feed)
        told = tuple(halt if halt.sources else replace(halt, sources=(feed,)) for halt in halts)
        feeds = {**self._feeds, feed: _Feed(told, heard_at, problem)}
        if before is None or before.halts != told:
            spans: dict[str, list[_Span]] = {}
            for halt in merged(halt for one in feeds.values() for halt in one.halts):
                ends = halt.trading_resumes_at
                until = _FOREVER if ends is None else nanoseconds(ends)
                spans.setdefault(halt.symbol, []).append(_Span(nanoseconds(halt.halted_at), until, halt))
            self._spans = {symbol: tuple(some) for symbol, some in spans.items()}
            self._market = tuple(one for some in self._spans.values() for one in some if severity(one.halt.code) == 5)
        # Last, and nothing is changed in place: a thread that asks meanwhile sees no fresh answer without its halts.
        self._feeds = feeds

    def status(self, symbol: str, at: int) -> HaltStatus:
        """Whether a symbol trades, as the feeds have it."""
        name = canonical(symbol)
        spans = self._spans.get(name, ())
        holding = [span for span in spans if span.since <= at < span.until]
        if holding:
            return self._halted(name, max(holding, key=lambda one: (severity(one.halt.code), one.since)), at)
        feed, heard = max(self._feeds.items(), key=lambda one: one[1].heard_at, default=("feeds", _Feed()))
        age = max(0.0, (at - heard.heard_at) / SECOND)
        if heard.heard_at and age <= self.stale_s:
            ended = [span for span in spans if span.until <= at]
            text = f"{name} is not among the halts."
            if ended:
                last = max(ended, key=lambda one: one.until)
                text = f"{name} resumed at {clock_text(last.until)} after a halt ({last.halt.code})."
            return HaltStatus(name, Status.TRADING, "", text, feed, age)
        return HaltStatus(name, Status.UNKNOWN, "", self._why(at), feed, age if heard.heard_at else float("inf"))

    def market_halt(self, at: int) -> HaltStatus | None:
        """The market-wide breaker that the feeds tell of, or None."""
        holding = [span for span in self._market if span.since <= at < span.until]
        return self._halted("*", max(holding, key=lambda one: one.since), at) if holding else None

    def _halted(self, name: str, span: _Span, at: int) -> HaltStatus:
        halt = span.halt
        tellers = [self._feeds[one] for one in halt.sources if one in self._feeds] or list(self._feeds.values())
        heard = max(one.heard_at for one in tellers)
        text = f"{'The market' if name == '*' else name} is halted since {clock_text(span.since)}: {halt.means}."
        if span.until != _FOREVER:
            text += f" Trading resumes at {clock_text(span.until)}."
        elif halt.quoting_resumes_at is not None:
            text += f" Quotes resume at {clock_text(nanoseconds(halt.quoting_resumes_at))}, no time is set for trades."
        if halt.remark:
            text += f" {halt.remark}"
        return HaltStatus(name, Status.HALTED, halt.code, text, "+".join(halt.sources), max(0.0, (at - heard) / SECOND))

    def _why(self, at: int) -> str:
        if not self._feeds:
            return "No feed was asked."
        reasons = []
        for name, feed in self._feeds.items():
            old = f"the answer of {name} is {(at - feed.heard_at) / SECOND:,.0f} s old" if feed.heard_at else name
            reasons.append(f"{old}: {feed.problem.rstrip('.')}" if feed.problem else old)
        return f"Not known: {'; '.join(reasons)}."


def clock_text(at: int) -> str:
    """A moment for people: New York's time of day, with the day."""
    local = moment(at).astimezone(NEW_YORK)
    return f"{local:%H:%M:%S} ET on {local:%Y-%m-%d}"
