"""What breaks in a drill, and when: lines to venues, quotes, the feed of halts. Pure.

Each stands between the desk and the simulated exchanges, which know nothing of it: what really traded can be asked of
them afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, repeat

from quantdesk.orders.executions import Execution, ExecutionMode, Gateway
from quantdesk.orders.halts import Halts
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.order import Child
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.venues import Fault, FaultyGateway, SimulatedMarket

__all__ = ["FrozenQuotes", "LateReports", "Line", "SilentFeed", "VenueDown", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, half open, in nanoseconds since 1970 (UTC)."""

    begins: int
    ends: int

    def holds(self, at: int) -> bool:
        """Whether a moment is in it."""
        return self.begins <= at < self.ends


class Line:
    """The line from a desk to the exchanges, which works. The faults are its subclasses.

    Parameters
    ----------
    exchange
        Where it leads.
    window
        While it is broken.
    """

    def __init__(self, exchange: SimulatedMarket, window: Window) -> None:
        self.exchange = exchange
        self.window = window

    @property
    def mode(self) -> ExecutionMode:
        """That of the exchange."""
        return self.exchange.mode

    @property
    def is_broken(self) -> bool:
        """Whether it is now."""
        return self.window.holds(self.now())

    def now(self) -> int:
        """The clock, which never fails."""
        return self.exchange.now()

    def quotes(self, symbol: str) -> Quotes:
        """The books."""
        return self.exchange.quotes(symbol)

    def send(self, child: Child) -> Sequence[Execution]:
        """Send a child."""
        return self.exchange.send(child)

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """Cancel a child."""
        return self.exchange.cancel(client_id)

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """What happened to a child."""
        return self.exchange.executions(client_id)

    def open_children(self) -> Sequence[str]:
        """What is open."""
        return self.exchange.open_children()


class VenueDown(Line):
    """The venue that the desk used most answers nothing, while the tape goes on showing its quotes.

    Of what is sent to it every other child arrives and trades, the others are lost; the desk cannot know which.
    """

    def __init__(self, exchange: SimulatedMarket, window: Window) -> None:
        super().__init__(exchange, window)
        self._used: Counter[str] = Counter(dict.fromkeys(exchange.venues, 0))
        self._places: dict[str, str] = {}
        faults = {
            "send": cycle((Fault.LOST, Fault.DROP_AFTER)), "cancel": repeat(Fault.LOST),
            "executions": repeat(Fault.LOST),
        }  # fmt: skip
        self._dead = FaultyGateway(exchange, faults)

    @property
    def venue(self) -> str:
        """The one to which most was sent before the fault; the largest where nothing was."""
        return self._used.most_common(1)[0][0]

    def _to(self, client_id: str) -> Gateway:
        is_there = self._places.get(client_id) == self.venue
        return self._dead if is_there and self.is_broken else self.exchange

    def send(self, child: Child) -> Sequence[Execution]:
        """Send a child; without an answer from the venue that is down."""
        self._places[child.client_id] = child.venue
        if self.now() < self.window.begins:
            self._used[child.venue] += 1
        return self._to(child.client_id).send(child)

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """Cancel a child; nothing gets through to the venue that is down."""
        return self._to(client_id).cancel(client_id)

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """What happened to a child; nobody can say it of one at the venue that is down."""
        return self._to(client_id).executions(client_id)


class FrozenQuotes(Line):
    """The quotes stand still: the last ones before the fault, with the time that they had then."""

    def __init__(self, exchange: SimulatedMarket, window: Window) -> None:
        super().__init__(exchange, window)
        self._last: dict[str, Quotes] = {}

    def quotes(self, symbol: str) -> Quotes:
        """The books, or as they once were."""
        if self.is_broken and symbol in self._last:
            return self._last[symbol]
        found = self._last[symbol] = self.exchange.quotes(symbol)
        return found


class LateReports(Line):
    """Orders arrive and trade, and what venues say of them takes seconds."""

    late_ns = 2_000_000_000

    def send(self, child: Child) -> Sequence[Execution]:
        """Send a child; what happened is heard later."""
        return self._heard(self.exchange.send(child))

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """Cancel a child; what happened is heard later."""
        return self._heard(self.exchange.cancel(client_id))

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """What has come through of what happened to a child."""
        found = self.exchange.executions(client_id)
        return found if found is None else self._heard(found)

    def _heard(self, reports: Sequence[Execution]) -> Sequence[Execution]:
        """What the desk has heard by now: what happened in the window comes late, or with the window's end."""
        now, window = self.now(), self.window
        if not self.is_broken:
            return reports
        return [one for one in reports if one.at < window.begins or one.at + self.late_ns <= now]


class SilentFeed:
    """Halts as a desk knows them: while the feed is silent nobody tells whether a symbol trades. Exchanges know.

    Parameters
    ----------
    halts
        What is so.
    window
        While the feed is silent.
    """

    def __init__(self, halts: Halts, window: Window) -> None:
        self._halts = halts
        self._window = window

    def status(self, symbol: str, at: int) -> HaltStatus:
        """Whether a symbol trades, as far as anybody tells."""
        if not self._window.holds(at):
            return self._halts.status(symbol, at)
        age = (at - self._window.begins) / 1e9
        return HaltStatus(symbol, Status.UNKNOWN, "", f"The feed is silent for {age:,.0f} s.", "drill", age)

    def market_halt(self, at: int) -> HaltStatus | None:
        """The halt of the whole market, if anybody tells of one."""
        return None if self._window.holds(at) else self._halts.market_halt(at)

    def bands(self, symbol: str, at: int) -> tuple[int, int] | None:
        """The price bands, if anybody tells them."""
        return None if self._window.holds(at) else self._halts.bands(symbol, at)

    def phase(self, symbol: str, at: int) -> Phase:
        """The phase of the day, which a clock tells."""
        return self._halts.phase(symbol, at)
