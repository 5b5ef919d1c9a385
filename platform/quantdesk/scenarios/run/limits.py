"""Wishes within the limits of the settings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quantdesk.scenarios.run.config import RunConfig
from quantdesk.scenarios.strategies import Weights

__all__ = ["cut"]


def cut(weights: Weights, kept: Weights, config: RunConfig, sector: Callable[[str], str]) -> dict[str, float]:
    """Cut target weights to the limits; what is cut off stays cash.

    Parameters
    ----------
    weights
        What a strategy wishes.
    kept
        Weights of what is held, or ordered and still to be sent, and that the wish does not name: it stays as it is,
        and takes its part of what the settings allow.
    config
        The limits.
    sector
        Of a symbol.
    """
    found = dict(weights)
    if config.position_limit is not None:
        most = config.position_limit
        found = {symbol: min(max(weight, -most), most) for symbol, weight in found.items()}
    if config.sector_limit is not None:
        sums, taken = _by_sector(found, sector), _by_sector(kept, sector)
        rooms = {name: max(config.sector_limit - taken.get(name, 0.0), 0.0) for name in sums}
        parts = {name: min(1.0, rooms[name] / gross) if gross else 1.0 for name, gross in sums.items()}
        found = {symbol: weight * parts[sector(symbol)] for symbol, weight in found.items()}
    gross = sum(abs(weight) for weight in found.values())
    room = max(1.0 - config.cash_buffer - sum(abs(weight) for weight in kept.values()), 0.0)
    return {symbol: weight * min(1.0, room / gross) for symbol, weight in found.items()} if gross else found


def _by_sector(weights: Weights, sector: Callable[[str], str]) -> Mapping[str, float]:
    """Sums of the sizes of weights."""
    sums: dict[str, float] = {}
    for symbol, weight in weights.items():
        sums[sector(symbol)] = sums.get(sector(symbol), 0.0) + abs(weight)
    return sums
