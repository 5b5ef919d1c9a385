"""The rules of one day that guardrails look at, taken out of the rulebook once. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from quantdesk.orders.amounts import MICRO
from quantdesk.orders.rulebook import Rulebook
from quantdesk.orders.rulebook.entries import ShortSale

__all__ = ["DayRules", "day_rules"]

Steps = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DayRules:
    """What held on a day.

    Attributes
    ----------
    on
        The day, in New York.
    ticks
        Pairs of a price from which it holds and a step, both in micro-dollars, from the highest price down; empty where
        the rulebook has none for the day.
    lots
        Pairs of a price and the shares in a round lot, alike.
    luld
        Whether limit up / limit down was in force.
    rule_201
        Whether Rule 201 of Regulation SHO was: short sales above the best bid after a fall.
    bans
        Of whom short sales were banned: ``all``, a symbol (in capitals), or a group of symbols such as ``financial``.
    """

    on: dt.date
    ticks: Steps
    lots: Steps
    luld: bool
    rule_201: bool
    bans: frozenset[str]

    def tick(self, price: int) -> int:
        """The step of quoted prices at a price, in micro-dollars; 0 where none is known."""
        for at_least, step in self.ticks:
            if price >= at_least:
                return step
        return 0

    def round_lot(self, price: int) -> int:
        """Shares in a round lot at a price in micro-dollars; 0 where none is known."""
        for at_least, shares in self.lots:
            if price >= at_least:
                return shares
        return 0

    @property
    def banned_groups(self) -> frozenset[str]:
        """Of the bans those that name a group."""
        return frozenset(name for name in self.bans if name != "all" and not name.isupper())


@lru_cache(maxsize=512)
def day_rules(book: Rulebook, on: dt.date) -> DayRules:
    """The rules of a day, in New York. A book is known by its identity: asking again costs nothing."""
    tick, lot = book.tick(on), book.round_lot(on)
    shorts = [(covers, book.short_sale(on, covers)) for covers in book.keys("short_sale")]
    return DayRules(
        on=on,
        ticks=() if tick is None else tuple((_micro(step.at_least), _micro(step.step)) for step in tick.steps),
        lots=() if lot is None else tuple((_micro(size.at_least), size.shares) for size in lot.sizes),
        luld=book.luld(on) is not None,
        rule_201=any(covers == "all" and _falls(entry) for covers, entry in shorts),
        bans=frozenset(covers for covers, entry in shorts if entry is not None and not _falls(entry)),
    )


def _falls(entry: ShortSale | None) -> bool:
    return entry is not None and entry.fall is not None


def _micro(amount: Decimal) -> int:
    return int(amount * MICRO)
