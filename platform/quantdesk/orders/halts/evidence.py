"""What the sources of a halt client say one by one, and how their words become one. Pure."""

from __future__ import annotations

import datetime as dt

from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.orders.halts.board import clock_text
from quantdesk.orders.halts.breakers import MarketHalt, Watch
from quantdesk.orders.halts.feeds.halt import severity
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.orders.halts.luld import Monitor, Trading
from quantdesk.orders.halts.status import HaltStatus, Status

__all__ = ["MarketWindows", "by_monitor", "is_due", "merged"]

_PAUSES = {
    Trading.PAUSED: "paused",
    Trading.REOPENING: "the pause was extended",
    Trading.CLOSE_ONLY: "until the closing auction",
}
_FREE = {
    Trading.NORMAL: "its quotes are within the bands",
    Trading.LIMIT: "a best quote stands at a band",
    Trading.STRADDLE: "a best quote stands beyond a band",
}


class MarketWindows:
    """When the whole market is stopped, by the breakers that an index set off."""

    def __init__(self) -> None:
        self._windows: list[tuple[int, int, MarketHalt]] = []
        self._watch: Watch | None = None
        self._taken = 0

    def follow(self, watch: Watch) -> None:
        """Take what this watch finds from now on."""
        self._watch, self._taken = watch, 0

    def add(self, halt: MarketHalt) -> None:
        """A breaker was set off; one that ends the day holds until midnight in New York."""
        if not halt.stops:
            return
        ends = halt.resumes
        if ends is None:
            local = halt.at.astimezone(NEW_YORK).date() + dt.timedelta(days=1)
            ends = dt.datetime.combine(local, dt.time(), NEW_YORK)
        self._windows.append((nanoseconds(halt.at), nanoseconds(ends), halt))

    def status(self, at: int) -> HaltStatus | None:
        """The halt of the whole market that holds, or None."""
        if self._watch is not None and len(self._watch.halts) > self._taken:
            for halt in self._watch.halts[self._taken :]:
                self.add(halt)
            self._taken = len(self._watch.halts)
        for since, until, halt in reversed(self._windows):
            if since <= at < until:
                ends = "for the day" if halt.resumes is None else f"until {clock_text(until)}"
                proxy = ", a proxy" if halt.proxy else ""
                text = (
                    f"Level {halt.level} of the market-wide breaker: the index{proxy} at {halt.value:,.2f} reached "
                    f"{halt.threshold:,.2f}. All trading stops {ends}."
                )
                return HaltStatus("*", Status.HALTED, f"MWC{halt.level}", text, "breakers", (at - since) / SECOND)
        return None


def by_monitor(monitor: Monitor, name: str, at: int, stale_s: float) -> HaltStatus | None:
    """What a monitor of limit up / limit down says of its stock; None before the opening and after the close."""
    state = monitor.trading
    if state is Trading.WAITING or state is Trading.CLOSED or at > monitor.closes:
        return None
    age = max(0.0, (at - monitor.last) / SECOND)
    if state.is_halted or is_due(monitor, state, at):
        code = monitor.pause_code or "LUDP"
        text = f"{name} is in a volatility pause ({_PAUSES.get(state, 'its limit state has lasted')})."
        return HaltStatus(name, Status.HALTED, code, text, "luld", age)
    if age > stale_s:
        text = f"Not known: the monitor of {name} heard nothing for {age:,.0f} s."
        return HaltStatus(name, Status.UNKNOWN, "", text, "luld", age)
    text = f"{name} is not paused ({_FREE[state]})."
    return HaltStatus(name, Status.TRADING, "", text, "luld", age)


def is_due(monitor: Monitor, state: Trading, at: int) -> bool:
    """Whether a limit state has lasted so long that it is a pause by now, though nobody told the monitor the time."""
    due = monitor.due if state is Trading.LIMIT else None
    return due is not None and at >= due


def merged(name: str, said: list[HaltStatus]) -> HaltStatus:
    """One answer out of many: any HALTED, the most serious first, then the latest; else any TRADING; else UNKNOWN."""
    halted = [one for one in said if one.is_halted]
    if halted:
        return max(halted, key=lambda one: (0 if one.source == "phase" else severity(one.halt_type), -one.age_s))
    trading = [one for one in said if one.status is Status.TRADING]
    if trading:
        return min(trading, key=lambda one: one.age_s)
    if not said:
        return HaltStatus(name, Status.UNKNOWN, "", f"Not known: no source knows {name}.", "none", float("inf"))
    text = " ".join(one.message for one in said)
    return HaltStatus(name, Status.UNKNOWN, "", text, "+".join(one.source for one in said), min(o.age_s for o in said))
