"""Limit up / limit down once more, as slowly and plainly as it can be written: the oracle of the monitor.

Every trade is kept in a list, prices are fractions, times are seconds since the epoch as fractions. Nothing is shared
with the package but the names of the states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

CENT = Fraction(1, 100)
UNIT = Fraction(1, 10_000)


def half_up(value: Fraction, step: Fraction) -> Fraction:
    return math.floor(value / step + Fraction(1, 2)) * step


@dataclass
class Plain:
    """One stock of a session. All times in nanoseconds, prices in dollars as fractions."""

    parameter: Fraction
    at_most: Fraction | None
    previous_close: Fraction
    opens: int
    closes: int
    double_until: int
    double_from: int
    state: str = "WAITING"
    reference: Fraction | None = None
    since: int = 0
    doubled: bool = False
    trades: list[tuple[int, Fraction]] = field(default_factory=list)
    bid: tuple[Fraction, int] | None = None
    ask: tuple[Fraction, int] | None = None
    side: str = ""
    limit_since: int = 0
    until: int = 0
    told: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def bands(self) -> tuple[Fraction, Fraction]:
        assert self.reference is not None
        times = 2 if self.doubled else 1
        move = self.reference * self.parameter * times
        if self.at_most is not None:
            move = min(move, self.at_most * times)
        return half_up(max(self.reference - move, Fraction(0)), CENT), half_up(self.reference + move, CENT)

    def go(self, at: int, state: str) -> None:
        self.told.append((at, self.state, state))
        self.state = state

    def doubles(self, at: int) -> bool:
        return at < self.double_until or at >= self.double_from

    def restart(self, at: int, price: Fraction) -> None:
        self.reference, self.since, self.doubled = price, at, self.doubles(at)

    def stop(self, at: int) -> None:
        self.until = at + 300 * 10**9
        self.go(at, "CLOSE_ONLY" if self.closes - at <= 600 * 10**9 else "PAUSED")

    def pass_time(self, now: int) -> None:
        due = self.limit_since + 15 * 10**9
        if self.state == "LIMIT" and now >= due and due < self.closes:
            self.stop(due)
        while self.state in ("PAUSED", "REOPENING") and now > self.until < self.closes:
            if self.closes - self.until <= 600 * 10**9:
                self.go(self.until, "CLOSE_ONLY")
            else:
                at, self.until = self.until, self.until + 300 * 10**9
                self.go(at, "REOPENING")
        if self.state != "CLOSED" and now > self.closes:
            self.go(self.closes, "CLOSED")

    def event(self, now: int, kind: str, *given: object) -> None:
        self.pass_time(now)
        if self.state == "CLOSED":
            return
        second = now // 10**9
        stopped = self.state in ("PAUSED", "REOPENING", "CLOSE_ONLY")
        self.trades = [(at, price) for at, price in self.trades if at // 10**9 > second - 300]
        if kind == "trade" and not stopped:
            self.trades.append((now, given[0]))  # type: ignore[arg-type]
        elif kind == "quote":
            self.bid, self.ask = given  # type: ignore[assignment]
        elif kind == "opens" and self.state == "WAITING":
            self.restart(now, given[0] or self.previous_close)  # type: ignore[arg-type]
            self.go(now, "NORMAL")
        elif kind == "reopens" and (self.state == "REOPENING" or (self.state == "PAUSED" and now >= self.until)):
            self.trades = []
            self.restart(now, given[0] or self.reference)  # type: ignore[arg-type]
            self.go(now, "NORMAL")
        elif kind == "pauses" and self.state in ("NORMAL", "STRADDLE", "LIMIT"):
            self.stop(now)
        self.look_at_trades(now)
        self.look_at_quotes(now)

    def look_at_trades(self, now: int) -> None:
        mean = sum((price for _, price in self.trades), Fraction(0)) / len(self.trades) if self.trades else None
        if self.state == "WAITING":
            if mean is not None and now >= self.opens + 300 * 10**9:
                self.restart(now, half_up(mean, UNIT))
                self.go(now, "NORMAL")
            return
        if self.state not in ("NORMAL", "STRADDLE"):
            return
        self.doubled = self.doubles(now)
        assert self.reference is not None
        old_enough = now - self.since >= 30 * 10**9
        if mean is not None and old_enough and abs(mean - self.reference) >= self.reference / 100:
            self.reference, self.since = half_up(mean, UNIT), now

    def look_at_quotes(self, now: int) -> None:
        if self.state not in ("NORMAL", "STRADDLE", "LIMIT"):
            return
        lower, upper = self.bands
        bid, ask = self.bid, self.ask
        crossed = bid is not None and ask is not None and bid[0] > ask[0]
        low = ask is not None and ask[0] == lower and ask[1] > 0 and not crossed
        high = bid is not None and bid[0] == upper and bid[1] > 0 and not crossed
        beyond = (bid is not None and bid[0] < lower) or (ask is not None and ask[0] > upper)
        if self.state == "LIMIT":
            if low if self.side == "low" else high:
                return
            self.go(now, "STRADDLE" if beyond else "NORMAL")
            if beyond:
                return
        if low or high:
            self.side, self.limit_since = ("low" if low else "high"), now
            self.go(now, "LIMIT")
        elif beyond and self.state == "NORMAL":
            self.go(now, "STRADDLE")
        elif not beyond and self.state == "STRADDLE":
            self.go(now, "NORMAL")
