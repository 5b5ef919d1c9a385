"""What can be wrong with orders on their way: guardrails, venues, kill switches, reconciliation. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from quantdesk.orders.alerts.activity import Thrown
from quantdesk.orders.alerts.conditions.condition import Bounds, Breach, Condition, Rate, Scene, nanos
from quantdesk.orders.amounts import MICRO, SECOND

__all__ = [
    "GuardrailBlocks",
    "Killed",
    "OrderFlood",
    "OrderRejects",
    "ReconciliationBreak",
    "SlowReports",
    "StopTriggered",
    "Unfilled",
    "UnfilledVolume",
    "VenueDown",
]

_WINDOW = Bounds(0.001, 86_400, "seconds")
_COUNT = Bounds(1, 1e9, "of them")
_SHARE = Bounds(0.000001, 1, "of 1")


class GuardrailBlocks(Rate):
    """Of the last orders, at least so many, guardrails blocked a share."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"window_s": _WINDOW, "orders": _COUNT, "share": _SHARE}

    def _events(self, scene: Scene) -> Sequence[tuple[int, float, float]]:
        return [(one.at, int(one.is_bad), 1) for one in scene.activity.fresh.decided]

    def _is_over(self, bad: float, every: float) -> bool:
        return bool(every >= self.limit["orders"] and bad >= self.limit["share"] * every)

    def _breach(self, bad: float, every: float, since: int) -> Breach:
        numbers = {"value": bad / every, "limit": self.limit["share"], "blocked": bad, "orders": every}
        text = f"Guardrails blocked {bad:.0f} of {every:.0f} orders in {self.limit['window_s']:g} s."
        return Breach("", text, numbers, since)


class OrderRejects(Rate):
    """Venues refused so many children within a span."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"window_s": _WINDOW, "children": _COUNT}

    def _events(self, scene: Scene) -> Sequence[tuple[int, float, float]]:
        return [(one.at, 1, 1) for one in scene.activity.fresh.reported if one.is_bad]

    def _is_over(self, bad: float, every: float) -> bool:  # noqa: ARG002
        return bool(bad >= self.limit["children"])

    def _breach(self, bad: float, every: float, since: int) -> Breach:  # noqa: ARG002
        text = f"Venues refused {bad:.0f} children in {self.limit['window_s']:g} s."
        return Breach("", text, {"value": bad, "limit": self.limit["children"]}, since)


class OrderFlood(Rate):
    """So many orders came within a span."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"window_s": _WINDOW, "orders": _COUNT}

    def _events(self, scene: Scene) -> Sequence[tuple[int, float, float]]:
        return [(one.at, 1, 1) for one in scene.activity.fresh.received]

    def _is_over(self, bad: float, every: float) -> bool:  # noqa: ARG002
        return bool(bad >= self.limit["orders"])

    def _breach(self, bad: float, every: float, since: int) -> Breach:  # noqa: ARG002
        text = f"{bad:.0f} orders came in {self.limit['window_s']:g} s."
        return Breach("", text, {"value": bad, "limit": self.limit["orders"]}, since)


class SlowReports(Rate):
    """Of so many children within a span the first report came late."""

    parameters: ClassVar[Mapping[str, Bounds]] = {
        "window_s": _WINDOW,
        "children": _COUNT,
        "milliseconds": Bounds(0.001, 86_400_000, "milliseconds"),
    }

    def _events(self, scene: Scene) -> Sequence[tuple[int, float, float]]:
        least = round(self.limit["milliseconds"] * MICRO)
        heard = scene.activity.fresh.heard
        return [(one.at, 1, one.at - one.sent_at) for one in heard if one.at - one.sent_at >= least]

    def _is_over(self, bad: float, every: float) -> bool:  # noqa: ARG002
        return bool(bad >= self.limit["children"])

    def _breach(self, bad: float, every: float, since: int) -> Breach:
        mean = every / bad / MICRO
        text = f"{bad:.0f} children were first heard of after {mean:,.0f} ms on average."
        return Breach("", text, {"value": mean, "limit": self.limit["milliseconds"], "children": bad}, since)


class UnfilledVolume(Rate):
    """Of the shares of the last orders that ended, at least so many orders, a share was not filled.

    Orders that guardrails blocked are not among them.
    """

    parameters: ClassVar[Mapping[str, Bounds]] = {"window_s": _WINDOW, "orders": _COUNT, "share": _SHARE}

    def _events(self, scene: Scene) -> Sequence[tuple[int, float, float]]:
        return [(one.at, one.shares - one.filled, one.shares) for one in scene.activity.fresh.ended]

    def _is_over(self, bad: float, every: float) -> bool:
        enough = len(self._kept) >= self.limit["orders"]
        return bool(enough and every > 0 and bad >= self.limit["share"] * every)

    def _breach(self, bad: float, every: float, since: int) -> Breach:
        numbers = {"value": bad / every, "limit": self.limit["share"], "unfilled": bad, "shares": every}
        text = f"{bad / every:.1%} of {every:,.0f} shares were not filled in {self.limit['window_s']:g} s."
        return Breach("", text, numbers, since)


class Unfilled(Condition):
    """An order is open for so long, or was when it ended."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"seconds": _WINDOW}

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        longest, limit = nanos(self.limit["seconds"]), self.limit["seconds"]
        oldest: dict[str, tuple[int, int, int]] = {}
        open_now = [
            (one.symbol, one.at, scene.seen.at, one.shares - one.filled) for one in scene.activity.orders.values()
        ]
        over = [(one.symbol, one.received_at, one.at, one.shares - one.filled) for one in scene.activity.fresh.ended]
        for symbol, since, until, left in (*open_now, *over):
            if until - since >= longest and left and (symbol not in oldest or since < oldest[symbol][0]):
                oldest[symbol] = (since, until, left)
        return [
            Breach(
                symbol,
                f"An order of {symbol} has been open for {(until - since) / SECOND:,.0f} s, {left:,} shares unfilled.",
                {"value": (until - since) / SECOND, "limit": limit, "shares": left},
                since + longest,
            )
            for symbol, (since, until, left) in oldest.items()
        ]


class VenueDown(Condition):
    """Venues cannot be reached: quotes, a child that never arrived, or one of which nothing was heard for too long."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"unheard_s": Bounds(0, 86_400, "seconds"), "window_s": _WINDOW}

    def __init__(self, limit: Mapping[str, float]) -> None:
        super().__init__(limit)
        self._lost: tuple[int, int] | None = None

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        at, activity, patience = scene.seen.at, scene.activity, nanos(self.limit["unheard_s"])
        limit = self.limit["unheard_s"]
        window = nanos(self.limit["window_s"])
        for one in activity.fresh.unreached:
            goes_on = self._lost is not None and one.at - self._lost[1] < window
            self._lost = (self._lost[0] if goes_on and self._lost is not None else one.sent_at, one.at)
        if self._lost is not None and not activity.fresh.unreached and at - self._lost[1] >= window:
            self._lost = None
        silent = [sent for _, sent in activity.unheard.values() if at - sent >= patience]
        late = [one for one in activity.fresh.heard if patience and one.at - one.sent_at >= patience]
        if silent:
            waited = (at - min(silent)) / SECOND
            text = f"Nothing was heard of {len(silent)} children, of the first for {waited:,.1f} s."
            return (Breach("", text, {"value": waited, "limit": limit, "children": len(silent)}, min(silent)),)
        if late:
            first = min(one.sent_at for one in late)
            waited = max(one.at - one.sent_at for one in late) / SECOND
            text = f"Nothing was heard of {len(late)} children for up to {waited:,.1f} s."
            return (Breach("", text, {"value": waited, "limit": limit, "children": len(late)}, first),)
        if self._lost is not None:
            return (Breach("", "A child never arrived: the connection to the venue failed.", {}, self._lost[0]),)
        return (Breach("", f"The venues cannot be reached: {scene.seen.down}", {}),) if scene.seen.down else ()


class Killed(Condition):
    """A kill switch is thrown, or was since the look before."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        thrown: Iterable[Thrown] = {
            (one.scope, one.name): one for one in (*scene.activity.fresh.thrown, *scene.activity.kills.values())
        }.values()
        return [
            Breach(
                f"user {one.name}" if one.scope == "user" else one.name,
                f"{one.by} stopped {'all orders' if one.scope == 'all' else f'the {one.scope} {one.name}'}: {one.why}",
                {},
                one.at,
            )
            for one in thrown
        ]


class ReconciliationBreak(Condition):
    """The last reconciliation found so many differences, or more."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"differences": _COUNT}

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        (count, at), limit = scene.activity.differences, self.limit["differences"]
        if count < limit:
            return ()
        text = f"The ledger and the broker differ in {count} places."
        return (Breach("", text, {"value": count, "limit": limit}, at),)


class StopTriggered(Condition):
    """A stop went off since the look before."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        first: dict[str, tuple[int, int]] = {}
        for one in scene.activity.fresh.triggered:
            at, count = first.get(one.symbol, (one.at, 0))
            first[one.symbol] = (at, count + 1)
        return [
            Breach(symbol, f"{count} stop{'' if count == 1 else 's'} of {symbol} went off.", {"value": count}, at)
            for symbol, (at, count) in first.items()
        ]
