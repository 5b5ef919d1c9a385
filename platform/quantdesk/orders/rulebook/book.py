"""The rulebook: dated entries in layers, looked up by day. Pure.

>>> import datetime as dt
>>> from quantdesk.orders.rulebook import bundled
>>> book = bundled()
>>> book.luld(dt.date(2012, 5, 1)) is None  # before the Plan
True
>>> [str(level.fall) for level in book.market_wide(dt.date(2020, 3, 9)).levels]
['0.07', '0.13', '0.20']
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.rulebook.entries import (
    KINDS,
    AccessFee,
    Auction,
    Entry,
    Latency,
    LimitUpLimitDown,
    MarketWide,
    OrderProtection,
    RoundLot,
    ShortSale,
    SingleStockPause,
    Tick,
    Venue,
    VenueFee,
)

__all__ = ["Layer", "Rulebook"]

E = TypeVar("E", bound=Entry)
_Dated = tuple[list[dt.date], list[Entry]]


class Layer:
    """Entries from one source, no two of one kind and key in force on the same day.

    Parameters
    ----------
    name
        Where they are from: the name of a file.
    entries
        Per kind the entries, in any order.

    Raises
    ------
    BadInput
        Two entries overlap.
    """

    def __init__(self, name: str, entries: Mapping[str, Sequence[Entry]]) -> None:
        self.name = name
        self._dated: dict[tuple[str, str], _Dated] = {}
        for kind, some in entries.items():
            for entry in sorted(some, key=lambda one: one.starts):
                starts, held = self._dated.setdefault((kind, entry.key), ([], []))
                if held and held[-1].last >= entry.starts:
                    about = f" of {entry.key}" if entry.key else ""
                    raise BadInput(
                        f"{name}: two entries of {kind}{about} are in force on {entry.starts}.",
                        "End the earlier one on the day before.",
                    )
                starts.append(entry.starts)
                held.append(entry)

    def find(self, kind: str, key: str, on: dt.date) -> Entry | None:
        """The entry that is in force on a day."""
        starts, held = self._dated.get((kind, key), ([], []))
        place = bisect_right(starts, on) - 1
        return held[place] if place >= 0 and held[place].last >= on else None

    def keys(self, kind: str) -> set[str]:
        """What the entries of a kind are about."""
        return {key for this, key in self._dated if this == kind}

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        for (kind, _), (_, held) in self._dated.items():
            for entry in held:
                yield kind, entry


class Rulebook:
    """Every rule by the day on which it was in force.

    Parameters
    ----------
    layers
        From the bundled one upwards. On a day on which a higher layer has an entry, the lower ones are not asked: a
        desk adds or overrides by laying its own file on top (:meth:`over`).
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def over(self, layer: Layer) -> Rulebook:
        """The same with one more layer on top."""
        return Rulebook(*self.layers, layer)

    def find(self, kind: str, on: dt.date, key: str = "") -> Entry | None:
        """The entry of a kind that was in force on a day, or None.

        Parameters
        ----------
        kind
            A name in :data:`~quantdesk.orders.rulebook.entries.KINDS`.
        on
            The day, in New York.
        key
            What it is about, for kinds that have several: the exchange, the venue.

        Raises
        ------
        UnknownName
            There is no such kind.
        """
        if kind not in KINDS:
            raise UnknownName("rule", kind, KINDS)
        day = on.date() if isinstance(on, dt.datetime) else on
        for layer in reversed(self.layers):
            entry = layer.find(kind, key, day)
            if entry is not None:
                return entry
        return None

    def keys(self, kind: str) -> list[str]:
        """What the entries of a kind are about, in order."""
        return sorted(set().union(*(layer.keys(kind) for layer in self.layers)))

    def luld(self, on: dt.date) -> LimitUpLimitDown | None:
        """Limit up / limit down."""
        return cast("LimitUpLimitDown | None", self.find("luld", on))

    def single_stock_pause(self, on: dt.date) -> SingleStockPause | None:
        """The breakers of single stocks before limit up / limit down."""
        return cast("SingleStockPause | None", self.find("single_stock_pause", on))

    def market_wide(self, on: dt.date) -> MarketWide | None:
        """The breakers of the whole market."""
        return cast("MarketWide | None", self.find("market_wide", on))

    def auction(self, on: dt.date, exchange: str) -> Auction | None:
        """Order entry for the auctions of a listing exchange (its MIC)."""
        return cast("Auction | None", self.find("auction", on, exchange))

    def order_protection(self, on: dt.date) -> bool:
        """Whether a better protected quote may not be traded through."""
        entry = cast("OrderProtection | None", self.find("order_protection", on))
        return entry is not None and entry.on

    def access_fee(self, on: dt.date) -> AccessFee | None:
        """The cap on fees for taking."""
        return cast("AccessFee | None", self.find("access_fee", on))

    def tick(self, on: dt.date) -> Tick | None:
        """The steps of quoted prices."""
        return cast("Tick | None", self.find("tick", on))

    def round_lot(self, on: dt.date) -> RoundLot | None:
        """The sizes of round lots."""
        return cast("RoundLot | None", self.find("round_lot", on))

    def short_sale(self, on: dt.date, covers: str = "all") -> ShortSale | None:
        """The restriction of short sales for `covers`."""
        return cast("ShortSale | None", self.find("short_sale", on, covers))

    def venue_fee(self, on: dt.date, venue: str) -> VenueFee | None:
        """What a venue takes for adding and removing."""
        return cast("VenueFee | None", self.find("venue_fee", on, venue))

    def venue(self, on: dt.date, name: str) -> Venue | None:
        """A venue that was open."""
        return cast("Venue | None", self.find("venue", on, name))

    def latency(self, on: dt.date, *between: str) -> Latency | None:
        """One way between two places, or the delay at one."""
        return cast("Latency | None", self.find("latency", on, " - ".join(sorted(between))))
