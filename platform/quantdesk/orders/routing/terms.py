"""On what terms each venue trades: fees, the way there, protection. Looked up in the rulebook by day. Pure.

>>> import datetime as dt
>>> terms = {one.venue: one for one in directory(dt.date(2026, 11, 23))}
>>> len(terms), terms["IEX"].remove_fee, terms["IEX"].latency_ns
(16, 1000, 355000)
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar, cast

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.rulebook import Rulebook, bundled
from quantdesk.orders.rulebook.entries import AccessFee, Entry, Latency, Venue, VenueFee

__all__ = ["Terms", "directory"]

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Terms:
    """What it means to trade at one venue on one day.

    Attributes
    ----------
    venue
        Its name.
    add_fee, remove_fee
        Micro-dollars a share at $1 or more for adding and for taking liquidity; minus is a rebate.
    remove_below_dollar_ppm
        The fee for taking below $1, as millionths of the price.
    latency_ns
        One way from the desk to the venue, a speed bump included.
    protected
        Whether its quotes are protected by Rule 611.
    hidden_share
        Undisplayed size at its best price as a share of the displayed: an estimate, with the rulebook's default.
    note
        What was taken from another day, in words; empty where everything was in force on the day itself.

    Raises
    ------
    BadInput
        A negative latency, or a share that is negative or no number.
    """

    venue: str
    add_fee: int
    remove_fee: int
    remove_below_dollar_ppm: int
    latency_ns: int
    protected: bool
    hidden_share: float
    note: str = ""

    def __post_init__(self) -> None:
        if self.latency_ns < 0 or self.remove_below_dollar_ppm < 0:
            low = min(self.latency_ns, self.remove_below_dollar_ppm)
            raise BadInput(f"The terms of {self.venue} hold {low}.", "Give latencies and fractions of at least 0.")
        if not (math.isfinite(self.hidden_share) and self.hidden_share >= 0):
            raise BadInput(f"The hidden share {self.hidden_share!r} of {self.venue}.", "Give a number of at least 0.")

    def remove_fee_for(self, shares: int, price: int) -> int:
        """The fee for taking shares, micro-dollars; minus is a rebate. Below $1 a fraction of the value, half up."""
        if price >= MICRO:
            return shares * self.remove_fee
        return (2 * shares * price * self.remove_below_dollar_ppm + MICRO) // (2 * MICRO)

    def add_fee_for(self, shares: int, price: int) -> int:
        """The fee for adding shares, micro-dollars; minus is a rebate. Below $1 it is taken to be nothing."""
        return shares * self.add_fee if price >= MICRO else 0


def directory(
    on: dt.date, book: Rulebook | None = None, *, desk_at: str = "Secaucus", earliest: bool = False
) -> tuple[Terms, ...]:
    """The venues that were open on a day, and their terms.

    Parameters
    ----------
    on
        The day, in New York.
    book
        The rulebook; the bundled one when left out.
    desk_at
        The data centre from which the desk sends: ``Secaucus``, ``Mahwah`` or ``Carteret``.
    earliest
        For a day before the oldest entries: take the oldest ones, and say so in :attr:`Terms.note`.

    Returns
    -------
    tuple of Terms
        In the order of the alphabet.

    Raises
    ------
    BadDates
        The rulebook does not reach back to that day, and `earliest` was not asked for.
    BadInput
        It has a venue without fees.
    UnknownName
        No such data centre.
    """
    day = on.date() if isinstance(on, dt.datetime) else on
    return _directory(day, book or bundled(), desk_at, earliest)


@lru_cache(maxsize=2048)
def _directory(day: dt.date, book: Rulebook, desk_at: str, earliest: bool) -> tuple[Terms, ...]:
    """See :func:`directory`. A rulebook never changes, and each run has a router that asks for all its days."""
    places = {place for _, entry in _entries(book, "latency") for place in cast("Latency", entry).between}
    if desk_at not in places:
        raise UnknownName("data centre", desk_at, places)
    search = _Search(book, day, earliest)
    open_on = search.opened()
    found = []
    for name in book.keys("venue"):
        venue = book.venue(open_on, name)
        if venue is not None:
            found.append(search.terms(venue, desk_at))
    return tuple(found)


def _entries(book: Rulebook, kind: str) -> list[tuple[str, Entry]]:
    return [pair for layer in book.layers for pair in layer if pair[0] == kind]


class _Search:
    """Entries of a day, or the oldest ones where they are allowed to stand in; it keeps a note of those."""

    def __init__(self, book: Rulebook, day: dt.date, earliest: bool) -> None:
        self.book, self.day, self.earliest = book, day, earliest

    def opened(self) -> dt.date:
        """The day whose venues are taken."""
        first = min((entry.starts for _, entry in _entries(self.book, "venue")), default=None)
        if first is None:
            raise BadInput("The rulebook has no venues.", "Give it entries of [[venue]].")
        if self.day < first:
            self._refuse("venues", first)
        return max(self.day, first)

    def terms(self, venue: Venue, desk_at: str) -> Terms:
        notes: list[str] = []
        if self.day < venue.starts:
            notes.append(f"open from {venue.starts}")
        fee = self._find("venue_fee", venue.venue, f"fees of {venue.venue}", VenueFee, notes)
        way = self._find("latency", " - ".join(sorted((desk_at, venue.place))),
                         f"way from {desk_at} to {venue.place}", Latency, notes)  # fmt: skip
        bump = self.book.latency(self.day, venue.venue)
        cap = self.book.access_fee(self.day)
        remove = fee.remove if cap is None else min(fee.remove, cap.cap)
        return Terms(
            venue=venue.venue,
            add_fee=_micro(fee.add),
            remove_fee=_micro(remove),
            remove_below_dollar_ppm=_micro(_below_dollar(fee, cap)),
            latency_ns=(way.microseconds + (bump.microseconds if bump else 0)) * 1000,
            protected=venue.protected,
            hidden_share=float(venue.hidden_share),
            note="; ".join(notes),
        )

    def _find(self, kind: str, key: str, what: str, form: type[E], notes: list[str]) -> E:
        entry = self.book.find(kind, self.day, key)
        if entry is None:
            every = [one for _, one in _entries(self.book, kind) if one.key == key and one.starts > self.day]
            if not every:
                raise BadInput(f"The rulebook has no {what} on {self.day}.", f"Add a [[{kind}]] that holds that day.")
            entry = min(every, key=lambda one: one.starts)
            self._refuse(what, entry.starts)
            notes.append(f"{what} as of {entry.starts}")
        assert isinstance(entry, form)  # noqa: S101  # the kind decides the class
        return entry

    def _refuse(self, what: str, first: dt.date) -> None:
        if not self.earliest:
            raise BadDates(
                f"The rulebook knows the {what} from {first} on, not on {self.day}.",
                "Ask for a later day, add entries, or pass earliest=True to take the oldest ones, which the terms say.",
            )


def _below_dollar(fee: VenueFee, cap: AccessFee | None) -> Decimal:
    most = Decimal(0) if cap is None else cap.fraction_below
    if fee.remove_below_dollar is not None:
        return fee.remove_below_dollar if cap is None else min(fee.remove_below_dollar, most)
    return most if fee.remove > 0 else Decimal(0)


def _micro(value: Decimal) -> int:
    return int((value * MICRO).to_integral_value())
