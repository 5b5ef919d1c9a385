"""What a desk must know of a symbol besides its quotes, and who tells it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Facts", "FactsOf", "known"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Figures of the day before.

    Attributes
    ----------
    previous_close
        Micro-dollars on the primary listing exchange; 0 where it is unknown.
    average_daily_volume
        Shares; 0 where it is unknown.
    daily_volatility
        Standard deviation of a day's return; 0 where it is unknown.
    listing
        The venue of its opening and closing auctions; empty where it is unknown.
    label
        What these figures and the quotes come from, and what must be said of it; it stands on every result.
    """

    previous_close: int = 0
    average_daily_volume: int = 0
    daily_volatility: float = 0.0
    listing: str = ""
    label: str = ""


FactsOf = Callable[[str], Facts]
"""From a symbol to its facts; :class:`Facts` without figures where nothing is known."""


def known(facts: Mapping[str, Facts]) -> FactsOf:
    """Facts that are given once."""
    return lambda symbol: facts.get(symbol, Facts())
