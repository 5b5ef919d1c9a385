"""What can be wrong with the market and with what is known of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from quantdesk.orders.alerts.conditions.condition import Bounds, Breach, Condition, Scene, nanos
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.halts.status import Status

__all__ = ["FeedUnknown", "Halted", "MarketHalt", "NoQuotes", "StaleQuotes", "WideSpread"]


class StaleQuotes(Condition):
    """A quote is as old, in the session and while the symbol is not halted."""

    parameters: ClassVar[Mapping[str, Bounds]] = {"seconds": Bounds(0.001, 86_400, "seconds")}

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        limit = self.limit["seconds"]
        oldest, shown = scene.seen.at - nanos(limit), scene.seen.shown
        return [
            Breach(
                symbol,
                f"The quote of {symbol} is {(scene.seen.at - shown[symbol].at) / SECOND:,.1f} s old.",
                {"value": (scene.seen.at - shown[symbol].at) / SECOND, "limit": limit},
                shown[symbol].at + nanos(limit),
            )
            for symbol in scene.quoted
            if shown[symbol].at <= oldest
        ]


class WideSpread(Condition):
    """The spread is so many times the usual one, and not below so many basis points.

    Where the usual spread is not known, the basis points alone decide.
    """

    parameters: ClassVar[Mapping[str, Bounds]] = {
        "times": Bounds(1, 1000, "times"),
        "bps": Bounds(0.01, 10_000, "basis points"),
    }

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        times, least, usual = self.limit["times"], self.limit["bps"] / 1e4, scene.seen.normal_spreads
        found = []
        for symbol in scene.quoted:
            one = scene.seen.shown[symbol]
            bid, ask = one.bid, one.ask
            if not bid or not ask or 2 * (ask - bid) < least * (ask + bid):
                continue
            value, normal = 2e4 * (ask - bid) / (ask + bid), usual.get(symbol, 0.0)
            if value >= times * normal:
                text = f"The spread of {symbol} is {value:,.1f} basis points"
                text += f", {value / normal:,.1f} times the usual one." if normal else "."
                found.append(Breach(symbol, text, {"value": value, "limit": self.limit["bps"], "usual": normal}))
        return found


class NoQuotes(Condition):
    """A side of the market is missing, in the session and while the symbol is not halted."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        found = []
        for symbol in scene.quoted:
            one = scene.seen.shown[symbol]
            if not one.bid or not one.ask:
                side = "bids and nobody offers" if not (one.bid or one.ask) else "offers" if one.bid else "bids for"
                text = f"Nobody {side} {symbol}."
                found.append(Breach(symbol, text, {"bid": one.bid / 1e6, "ask": one.ask / 1e6}))
        return found


class FeedUnknown(Condition):
    """Whether a symbol trades is not known."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        return [
            Breach(symbol, f"Whether {symbol} trades is not known: {status.message}", {})
            for symbol, status in scene.seen.halts.items()
            if status.status is Status.UNKNOWN
        ]


class Halted(Condition):
    """A symbol that is held is halted."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        held = scene.values
        return [
            Breach(symbol, f"{symbol} is held and halted: {status.message}", {"shares": scene.seen.positions[symbol]})
            for symbol, status in scene.seen.halts.items()
            if status.is_halted and symbol in held
        ]


class MarketHalt(Condition):
    """The whole market is halted."""

    def _breaches(self, scene: Scene) -> Sequence[Breach]:
        halt = scene.seen.market_halt
        return () if halt is None or not halt.is_halted else (Breach("", halt.message, {}),)
