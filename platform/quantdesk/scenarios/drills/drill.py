"""The drills by name: what breaks, and which conditions the alert rules should see. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.desk import Desk
from quantdesk.orders.halts import Halts
from quantdesk.orders.order import Action, Order
from quantdesk.scenarios.drills.faults import FrozenQuotes, LateReports, Line, SilentFeed, VenueDown, Window

__all__ = ["DRILLS", "FLOOD_USER", "Drill", "Plan"]

FLOOD_USER = "drill-runaway"
_FLOOD_A_SECOND = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """The times of a drill, by the clock of the market.

    Attributes
    ----------
    lead_s
        Seconds of quiet trading before the fault.
    fault_s
        That the fault lasts.
    after_s
        Of trading after it.
    look_s
        From one look of the alert rules to the next: nothing is noticed faster.
    order_every_s
        From one order of the desk's own flow to the next.
    dollars
        Of each, at least a share.
    symbols
        How many are traded, at most.
    seed
        Of the market's chance.

    Raises
    ------
    BadInput
        A time that is none, or no symbols.
    """

    lead_s: float = 120.0
    fault_s: float = 60.0
    after_s: float = 120.0
    look_s: float = 1.0
    order_every_s: float = 2.0
    dollars: float = 10_000.0
    symbols: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lead_s", "fault_s", "after_s", "look_s", "order_every_s", "dollars", "symbols"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise BadInput(f"{name} of the drill is {value!r}.", "Give a finite number above 0.")

    @property
    def seconds(self) -> float:
        """In all."""
        return self.lead_s + self.fault_s + self.after_s

    def window(self, start: int) -> Window:
        """Of the fault, in a drill that starts at a moment."""
        begins = start + round(self.lead_s * SECOND)
        return Window(begins, begins + round(self.fault_s * SECOND))


def _nothing(desk: Desk, window: Window, symbol: str, seconds: float) -> None:
    """No one does anything."""


def _flood(desk: Desk, window: Window, symbol: str, seconds: float) -> None:
    """A program runs away and sends one order again and again."""
    if window.holds(desk.world.now()):
        for _ in range(round(_FLOOD_A_SECOND * seconds)):
            desk.execute(Order(symbol, Action.BUY, 1, user_id=FLOOD_USER))


def _kill(desk: Desk, window: Window, symbol: str, seconds: float) -> None:  # noqa: ARG001 (all symbols)
    """Somebody throws the kill switch, and lifts it at the end."""
    at = desk.world.now()
    before = at - round(seconds * SECOND)
    if before < window.begins <= at:
        desk.kill("all", by="drill", why="a drill")
    if before < window.ends <= at:
        desk.unkill("all", by="drill", why="the drill is over")


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault.

    Attributes
    ----------
    name, title
        For the command line, for people.
    about
        What happens, a sentence.
    expects
        Conditions of :data:`quantdesk.orders.alerts.catalogue.CONDITIONS` that it is: the rules that watch them should
        fire.
    line
        From the desk to the exchanges.
    feed
        What the desk knows of halts; None where that works.
    act
        What somebody does at each step: called with the desk, the window of the fault, a symbol, and the seconds since
        the step before.
    """

    name: str
    title: str
    about: str
    expects: tuple[str, ...]
    line: type[Line] = Line
    feed: Callable[[Halts, Window], Halts] | None = None
    act: Callable[[Desk, Window, str, float], None] = _nothing


DRILLS: Mapping[str, Drill] = {
    one.name: one
    for one in (
        Drill(
            "feed_outage",
            "Feed outage",
            "The feed of halts is silent: nobody knows what trades.",
            ("feed_unknown",),
            feed=SilentFeed,
        ),
        Drill(
            "stale_prices",
            "Stale prices",
            "All quotes stand still while the market moves.",
            ("stale_quotes",),
            FrozenQuotes,
        ),
        Drill(
            "venue_outage",
            "Venue outage",
            "The venue that is used most answers nothing, and every other order that is sent to it trades.",
            ("venue_down",),
            VenueDown,
        ),
        Drill(
            "latency_storm",
            "Latency storm",
            f"What venues say takes {LateReports.late_ns / SECOND:g} s.",
            ("slow_reports",),
            LateReports,
        ),
        Drill(
            "order_flood",
            "Order flood",
            f"A program sends the same order {_FLOOD_A_SECOND} times a second.",
            ("order_flood", "guardrail_blocks"),
            act=_flood,
        ),
        Drill(
            "kill_switch",
            "Kill switch",
            "Everything is stopped by hand; orders go on coming.",
            ("killed",),
            act=_kill,
        ),
    )
}
"""The drills by name."""
