"""A book of instruments: how much of what, bound at the start, and what it is worth bar by bar. Pure.

>>> bound = bind(Book({"UST:10Y": 1_000_000, "OPT:SPX:P:90%:3M": 5}), state_of(path, 0))     # doctest: +SKIP
>>> bound.values(path).total                                                              # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.instruments.instrument import ASSET_CLASSES, AssetClass, Instrument
from quantdesk.scenarios.instruments.specs import Spec, parse
from quantdesk.scenarios.instruments.state import State
from quantdesk.scenarios.instruments.tape import Tape
from quantdesk.scenarios.path import Path

__all__ = ["Book", "BoundBook", "Position", "Valuation", "bind"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LIMIT = 1e15


@dataclass(frozen=True)
class Book:
    """How much of what.

    Attributes
    ----------
    quantities
        By text of :mod:`quantdesk.scenarios.instruments.specs`; below 0 is sold short. Cash is no instrument.

    Raises
    ------
    BadInput, UnknownName
        Nothing in it, a quantity that is no finite number, or a text that is no instrument.
    """

    quantities: Mapping[str, float]

    def __post_init__(self) -> None:
        if not isinstance(self.quantities, Mapping) or not self.quantities:
            raise BadInput(f"The book {str(self.quantities)[:80]!r} holds nothing.", 'Give {"AAPL": 100, ...}.')
        for text, quantity in self.quantities.items():
            parse(text)
            is_number = isinstance(quantity, Real) and not isinstance(quantity, (bool, np.bool_))
            if not is_number or not math.isfinite(quantity) or abs(quantity) > _LIMIT:
                raise BadInput(
                    f"The quantity of {text} is {str(quantity)[:40]!r}.",
                    f"Give a number from -{_LIMIT:g} to {_LIMIT:g}.",
                )
        object.__setattr__(self, "quantities", {text: float(many) for text, many in self.quantities.items()})

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The texts, understood."""
        return tuple(parse(text) for text in self.quantities)


@dataclass(frozen=True, slots=True)
class Position:
    """So much of an instrument.

    Attributes
    ----------
    text
        As the book has it.
    quantity
        In units of the instrument.
    instrument
        Bound.
    """

    text: str
    quantity: float
    instrument: Instrument


@dataclass(frozen=True)
class BoundBook:
    """A book whose strikes, maturities and coupons are fixed.

    Attributes
    ----------
    positions
        In the order of the book.
    start
        The state at which it was bound.
    """

    positions: tuple[Position, ...]
    start: State

    def value(self, state: State) -> float:
        """Dollars for all of it at one state."""
        return sum(one.quantity * one.instrument.value(state) for one in self.positions)

    def values(self, path: Path | Tape) -> Valuation:
        """What each position is worth at each bar.

        Raises
        ------
        UnknownName, BadInput
            The path lacks a symbol that a position needs, or any value of it up to a bar.
        """
        tape = path if isinstance(path, Tape) else Tape(path, self.start.smile)
        worth = np.empty((len(tape), len(self.positions)))
        stale = np.zeros(worth.shape, dtype=bool)
        days = np.array(tape.days, dtype="datetime64[D]")
        for place, one in enumerate(self.positions):
            worth[:, place] = one.quantity * one.instrument.along(tape)
            stale[:, place] = tape.is_stale(one.instrument.needs)
            if one.instrument.ends is not None:
                stale[:, place] &= days <= np.datetime64(one.instrument.ends)
        assumed = (label for one in self.positions for label in one.instrument.assumes)
        labels = tuple(dict.fromkeys((*tape.path.labels, *assumed)))
        return Valuation(self.positions, tape.path.ends, worth, stale, labels)


@dataclass(frozen=True, eq=False)
class Valuation:
    """A book along a path: T bars, P positions.

    Attributes
    ----------
    positions
        The columns.
    ends
        Of the bars, nanoseconds since 1970 (UTC), shape ``(T,)``.
    values
        Dollars, shape ``(T, P)``; what was paid out since the start is in them.
    is_stale
        Shape ``(T, P)``: the value rests on a price of before: that of the bar is missing, or its market was shut.
    labels
        Of the path, and of what is taken for granted in the values.
    """

    positions: tuple[Position, ...]
    ends: NDArray[np.int64]
    values: Floats
    is_stale: Flags
    labels: tuple[str, ...]

    @property
    def total(self) -> Floats:
        """Dollars for the whole book, shape ``(T,)``."""
        total: Floats = self.values.sum(axis=1)
        return total

    @property
    def stale(self) -> dict[str, int]:
        """By text of the position, how many bars were valued with what was known before them."""
        counts = self.is_stale.sum(axis=0).tolist()
        return {one.text: count for one, count in zip(self.positions, counts, strict=True)}

    @property
    def by_class(self) -> dict[AssetClass, Floats]:
        """Dollars by asset class, each of shape ``(T,)``; only classes that the book holds."""
        held = {name: [one.instrument.asset_class == name for one in self.positions] for name in ASSET_CLASSES}
        return {name: self.values[:, mask].sum(axis=1) for name, mask in held.items() if any(mask)}

    @property
    def by_sector(self) -> dict[str, Floats]:
        """Dollars by sector, each of shape ``(T,)``; those without one under an empty name."""
        sectors = [one.instrument.sector for one in self.positions]
        return {
            name: self.values[:, [sector == name for sector in sectors]].sum(axis=1) for name in dict.fromkeys(sectors)
        }

    def table(self) -> pd.DataFrame:
        """Dollars: index of moments (UTC), one column a position."""
        index = pd.DatetimeIndex(self.ends.astype("datetime64[ns]"), name="timestamp").tz_localize("UTC")
        return pd.DataFrame(self.values, index=index, columns=[one.text for one in self.positions])


def bind(book: Book, state: State) -> BoundBook:
    """Fix strikes, maturities and coupons at a state.

    Raises
    ------
    BadInput, UnknownName
        What an instrument needs is not in the scenario, or has no value yet.
    """
    pairs = zip(book.specs, book.quantities.values(), strict=True)
    return BoundBook(tuple(Position(spec.text, many, spec.bind(state)) for spec, many in pairs), state)
