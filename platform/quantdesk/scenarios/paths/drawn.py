"""Paths that a method draws: in chunks, one by one, or as the profit and loss of a book. Pure.

>>> drawn = Drawn(StudentT.of(Moves.of(history)), days=10, paths=1_000_000, seed=7)     # doctest: +SKIP
>>> tail_of(drawn.pnl({"AAPL": 60_000.0, "XOM": 40_000.0}), confidence=0.99)            # doctest: +SKIP
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.paths.method import Method, block_of, generator, paths_in_block

__all__ = ["CHUNK", "Drawn"]

Floats = NDArray[np.float64]

CHUNK = 1_000_000
"""Numbers in a chunk when nothing is said: 8 megabytes."""

_FLOOR = -0.99
"""A price that a draw takes below nothing keeps a hundredth of itself: a fat tail knows no limited liability."""

_MOST_DAYS = 2_520

_THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_FEW = 4
"""Blocks, of some milliseconds in all, for which a thread is not worth its start."""


@dataclass(frozen=True)
class Drawn:
    """So many paths of so many days.

    Attributes
    ----------
    method
        How they are drawn.
    days
        Of each, 1 to 2,520.
    paths
        How many, 1 or more.
    seed
        A whole number of at least 0; the same gives the same paths, and the first hundred of a million are those of a
        hundred.

    Raises
    ------
    BadInput
        A number out of range.
    """

    method: Method
    days: int
    paths: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (("days", 1, _MOST_DAYS), ("paths", 1, 10**12), ("seed", 0, 2**128)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise BadInput(f"The {name} of drawn paths are {value!r}.", f"Give a whole number from {least} on.")

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of the assets, N."""
        return self.method.symbols

    @property
    def block(self) -> int:
        """Paths that are drawn together: the least that a chunk holds."""
        return paths_in_block(self.days, len(self.symbols))

    def chunks(self, size: int | None = None, first: int = 0, last: int | None = None) -> Iterator[tuple[int, Floats]]:
        """The moves of paths ``first <= i < last``, some at a time.

        Parameters
        ----------
        size
            Paths in a chunk, rounded up to whole blocks; about a million numbers when left out. The paths are the same
            whatever it is. No more than a chunk is ever held, if the caller lets go of each.
        first, last
            A part of the paths, for one of several workers; all when left out.

        Yields
        ------
        tuple
            The number of the first path, and moves of shape ``(paths, days, N)``: parts of a price, differences of a
            rate. The array is the caller's.
        """
        width = len(self.symbols)
        blocks = max(1, -(-(CHUNK // (self.days * width) if size is None else _positive(size)) // self.block))
        for begin, end in self._spans(first, last, blocks):
            whole_begin, whole_end = begin // self.block, -(-end // self.block)
            out = np.empty(((whole_end - whole_begin) * self.block, self.days, width))
            offset = whole_begin * self.block

            def draw(blocks: range, out: Floats = out, offset: int = offset) -> None:
                for block in blocks:
                    place = block * self.block - offset
                    self.method.draw(generator(self.seed, block), out[place : place + self.block])

            _side_by_side(draw, range(whole_begin, whole_end))
            yield begin, out[begin - offset : end - offset]

    def moves(self, path: int) -> Floats:
        """The moves of one path, shape ``(days, N)``.

        Raises
        ------
        BadInput
            There is no such path.
        """
        if not 0 <= path < self.paths:
            raise BadInput(f"There is no path {path!r}.", f"Give a number from 0 to {self.paths - 1}.")
        block, place = block_of(path, self.days, len(self.symbols))
        out = np.empty((self.block, self.days, len(self.symbols)))
        self.method.draw(generator(self.seed, block), out)
        found: Floats = out[place].copy()
        return found

    def pnl(self, values: Mapping[str, float], first: int = 0, last: int | None = None) -> Floats:
        """The profit and loss of a linear book over each path: the sum over the days of values times moves.

        The book is kept at the same values: what it gains is taken out and what it loses is put in. Only one number a
        path is kept, beside one block. It is drawn from the same random numbers as :meth:`chunks` draws its moves, so
        that two books differ by what they hold alone.

        Parameters
        ----------
        values
            By symbol, in currency, below 0 for short ones; for a rate, currency a unit (a percentage point). A symbol
            that is left out is not held.
        first, last
            A part of the paths.

        Returns
        -------
        ndarray
            Shape ``(last - first,)``, in currency.

        Raises
        ------
        UnknownName
            A symbol that the method does not draw.
        BadInput
            A value that is not finite.
        """
        weights = self._weights(values)
        end = self.paths if last is None else last
        out = np.empty(max(end - first, 0))
        spans = list(self._spans(first, last, 1))

        def weigh(places: range) -> None:
            buffer = np.empty(self.block)
            for begin, stop in spans[places.start : places.stop]:
                block = begin // self.block
                self.method.weigh(generator(self.seed, block), self.days, weights, buffer)
                offset = block * self.block
                out[begin - first : stop - first] = buffer[begin - offset : stop - offset]

        _side_by_side(weigh, range(len(spans)))
        return out

    def to_path(self, path: int, history: Path) -> Path:
        """One of them as a path of daily bars that goes on from a history.

        Parameters
        ----------
        path
            Its number.
        history
            Daily; it becomes the history of the new one, whose bars are the sessions of New York that follow. All
            symbols must be in it.

        Returns
        -------
        Path
            All bars bear the grade `simulated`; there is a close and nothing else. A price keeps at least a hundredth
            of itself from day to day.
        """
        if history.is_intraday:
            raise BadInput(f"The history {history.name!r} is by the minute.", "Give daily bars.")
        columns = [history.column(symbol) for symbol in self.symbols]
        assets = tuple(history.assets[place] for place in columns)
        table = history.close[:, columns]
        known = ~np.isnan(table)
        if not known.any(axis=0).all():
            name = self.symbols[int(np.flatnonzero(~known.any(axis=0))[0])]
            raise BadInput(f"The history has no value of {name}.", "Begin it where all assets have one.")
        last = table[len(table) - 1 - known[::-1].argmax(axis=0), np.arange(len(columns))]
        moves = self.moves(path)
        rates = np.array([asset.kind == "rate" for asset in assets])
        grown = np.cumprod(1 + np.maximum(moves, _FLOOR), axis=0)
        close = np.where(rates, last + np.cumsum(moves, axis=0), last * grown)
        begins, ends = _days_after(history.sessions[-1].date(), self.days)
        return Path(
            name=f"{history.name}: drawn path {path} of seed {self.seed}",
            assets=tuple(replace(asset, series="") for asset in assets),
            begins=begins,
            ends=ends,
            close=close,
            grades=np.full(close.shape, GRADES.index(Grade.SIMULATED), dtype=np.int8),
            history=history,
            methods=MappingProxyType(dict.fromkeys(self.symbols, self.method.said)),
            hashes=history.hashes,
            labels=tuple(dict.fromkeys((*history.labels, *self.method.labels, "simulated"))),
        )

    def _weights(self, values: Mapping[str, float]) -> Floats:
        weights = np.zeros(len(self.symbols))
        for symbol, value in values.items():
            if symbol not in self.symbols:
                raise UnknownName("symbol of the drawn paths", symbol, self.symbols)
            if not np.isfinite(value):
                raise BadInput(f"The value of {symbol} is {value!r}.", "Give a finite amount.")
            weights[self.symbols.index(symbol)] = value
        return weights

    def _spans(self, first: int, last: int | None, blocks: int) -> Iterator[tuple[int, int]]:
        """The paths asked for, cut where blocks end."""
        end = self.paths if last is None else last
        if not 0 <= first <= end <= self.paths:
            raise BadInput(f"There are no paths from {first} to {end}.", f"They run from 0 to {self.paths}.")
        size = blocks * self.block
        begin = first
        while begin < end:
            stop = min((begin // size + 1) * size, end)
            yield begin, stop
            begin = stop


def _side_by_side(work: Callable[[range], None], numbers: range) -> None:
    """Do a part of some numbers on each core: a block has numbers of its own, so nothing depends on who draws it.

    Both numpy's generators and the compiled loops let go of the interpreter while they work.
    """
    threads = min(_THREADS, len(numbers) // _FEW)
    if threads < 2:
        work(numbers)
        return
    each = -(-len(numbers) // threads)
    parts = [numbers[begin : begin + each] for begin in range(0, len(numbers), each)]
    with ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()


def _positive(size: int) -> int:
    if size < 1:
        raise BadInput(f"A chunk of {size!r} paths holds none.", "Give 1 or more.")
    return size


def _days_after(day: dt.date, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When the next sessions of New York begin and end, nanoseconds since 1970 (UTC)."""
    reach = day + dt.timedelta(days=count * 3 // 2 + 20)
    sessions = sessions_between("XNYS", day + dt.timedelta(days=1), reach)[:count]
    stamps: list[pd.DatetimeIndex] = [open_times("XNYS", sessions), event_times("XNYS", sessions)]
    begins, ends = (one.to_numpy(dtype="datetime64[ns]").astype(np.int64) for one in stamps)
    return begins, ends
