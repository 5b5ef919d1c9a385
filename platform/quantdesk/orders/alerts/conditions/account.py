"""What can be wrong with the account. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from quantdesk.orders.alerts.conditions.condition import Bounds, Breach, Condition, Scene, of_equity
from quantdesk.orders.amounts import MICRO

__all__ = [
    "CashNegative",
    "DayLoss",
    "Drawdown",
    "GrossExposure",
    "Margin",
    "NetExposure",
    "PositionConcentration",
    "SectorConcentration",
    "ValueAtRisk",
]

_PART = Bounds(0.000001, 1, "of 1")
_TIMES = Bounds(0.000001, 1000, "of the equity")
_OF_EQUITY = {"of_equity": _TIMES}


class Drawdown(Condition):
    """The equity has fallen by a part of its highest value since the watch began."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"of_peak": _PART}

    def __init__(self, limit: Mapping[str, float]) -> None:
        super().__init__(limit)
        self._peak = 0

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        equity, limit = scene.seen.equity, self.limit["of_peak"]
        self._peak = max(self._peak, equity)
        lost = self._peak - equity
        if self._peak <= 0 or lost <= 0 or lost < limit * self._peak:
            return ()
        value = lost / self._peak
        numbers = {"value": value, "limit": limit, "equity": equity / MICRO, "peak": self._peak / MICRO}
        return (Breach("", f"The equity is {value:.2%} below its highest; {limit:.2%} is the limit.", numbers),)


class DayLoss(Condition):
    """The day has lost a part of the equity with which it began."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"of_equity": _PART}

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        start, limit = scene.seen.equity_at_start, self.limit["of_equity"]
        lost = start - scene.seen.equity
        if start <= 0 or lost <= 0 or lost < limit * start:
            return ()
        numbers = {"value": lost / start, "limit": limit, "lost": lost / MICRO, "start": start / MICRO}
        return (Breach("", f"The day has lost {lost / start:.2%} of the equity; {limit:.2%} is the limit.", numbers),)


class GrossExposure(Condition):
    """Long and short positions added up reach a multiple of the equity: the leverage."""

    parameters: ClassVar[Mapping[str, Bounds]] = _OF_EQUITY

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        numbers = of_equity(scene.gross, scene, self.limit["of_equity"])
        return () if numbers is None else (Breach("", _exposed("Long and short positions are", numbers), numbers),)


class NetExposure(Condition):
    """Long less short positions reach a multiple of the equity, on either side."""

    parameters: ClassVar[Mapping[str, Bounds]] = _OF_EQUITY

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        numbers = of_equity(abs(scene.net), scene, self.limit["of_equity"])
        what = "Long less short positions are" if scene.net > 0 else "Short less long positions are"
        return () if numbers is None else (Breach("", _exposed(what, numbers), numbers),)


class PositionConcentration(Condition):
    """One position reaches a part of the equity."""

    parameters: ClassVar[Mapping[str, Bounds]] = _OF_EQUITY

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        limit = self.limit["of_equity"]
        least = limit * scene.seen.equity
        found = []
        for symbol, value in scene.values.items():
            if abs(value) >= least and (numbers := of_equity(abs(value), scene, limit)) is not None:
                found.append(Breach(symbol, _exposed(f"The position in {symbol} is", numbers), numbers))
        return found


class SectorConcentration(Condition):
    """The positions in one sector, long and short added up, reach a part of the equity."""

    parameters: ClassVar[Mapping[str, Bounds]] = _OF_EQUITY

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        sectors = scene.seen.sectors
        if not sectors:
            return ()
        held: dict[str, int] = {}
        for symbol, value in scene.values.items():
            sector = sectors.get(symbol, "")
            if sector:
                held[sector] = held.get(sector, 0) + abs(value)
        found = []
        for sector, value in held.items():
            numbers = of_equity(value, scene, self.limit["of_equity"])
            if numbers is not None:
                found.append(Breach(sector, _exposed(f"The positions in the sector {sector} are", numbers), numbers))
        return found


class ValueAtRisk(Condition):
    """What the account may lose reaches a part of the equity."""

    parameters: ClassVar[Mapping[str, Bounds]] = _OF_EQUITY

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        risk = scene.seen.value_at_risk
        numbers = None if risk is None else of_equity(risk, scene, self.limit["of_equity"])
        return () if numbers is None else (Breach("", _exposed("The value at risk is", numbers), numbers),)


class CashNegative(Condition):
    """More cash was spent than there was, by more than some dollars: somebody lends the rest."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"dollars": Bounds(0, 1e15, "dollars")}

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        owed, limit = -scene.seen.cash / MICRO, self.limit["dollars"]
        if owed <= 0 or owed <= limit:
            return ()
        return (Breach("", f"The account owes ${owed:,.2f} of cash.", {"value": owed, "limit": limit}),)


class Margin(Condition):
    """The equity is below what must be kept against the positions: a margin call.

    The bundled rates are those of FINRA Rule 4210(c) for stocks of more than $5 a share.
    """

    parameters: ClassVar[Mapping[str, Bounds]] = {
        "of_longs": Bounds(0, 1, "of 1"),
        "of_shorts": Bounds(0, 2, "of 1"),
    }

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        long, short = (scene.gross + scene.net) // 2, (scene.gross - scene.net) // 2
        needed = self.limit["of_longs"] * long + self.limit["of_shorts"] * short
        equity = scene.seen.equity
        if not scene.gross or equity >= needed:
            return ()
        numbers = {"value": equity / MICRO, "limit": needed / MICRO}
        text = f"The equity is ${equity / MICRO:,.2f}; the positions demand ${needed / MICRO:,.2f}."
        return (Breach("", text, numbers),)


def _exposed(what: str, numbers: Mapping[str, float]) -> str:
    if "value" not in numbers:
        return f"{what} ${numbers['amount']:,.2f}, and the equity ${numbers['equity']:,.2f}."
    return f"{what} {numbers['value']:.2%} of the equity; {numbers['limit']:.2%} is the limit."
