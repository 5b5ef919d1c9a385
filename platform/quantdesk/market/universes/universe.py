"""Memberships by date. Pure.

A membership is an interval of days. It is told by two facts that become known at different times: that a symbol comes
in, and later that it goes out. Whoever asks for a day sees the facts that were known on it, so that nobody in 2007
knows who is going to leave in 2008.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.market.series import Series

__all__ = ["Membership", "Universe", "of_series"]

_OPEN = np.iinfo(np.int64).max
"""The end of a membership that has none, and the time of what is not known yet."""


@dataclass(frozen=True, kw_only=True)
class Membership:
    """That a symbol is a member from one day to another.

    Attributes
    ----------
    symbol
        Who.
    start, end
        The first and the last session, both included; `end` is None while it has not left.
    known_at
        When it was known that it comes in, UTC.
    end_known_at
        When it was known that it goes out, UTC; None without an `end`.
    """

    symbol: str
    start: dt.date
    end: dt.date | None
    known_at: dt.datetime
    end_known_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        if self.end is not None and self.end < self.start:
            raise BadInput(
                f"{self.symbol} is a member from {self.start} to {self.end}, which is earlier.", "Swap the two dates."
            )
        if (self.end is None) != (self.end_known_at is None):
            raise BadInput(
                f"{self.symbol}, a member from {self.start}: end is {self.end}, and it was known at"
                f" {self.end_known_at}.",
                "Give both, or neither.",
            )
        for known in (self.known_at, self.end_known_at):
            if known is not None and known.utcoffset() is None:
                raise BadInput(f"The membership of {self.symbol} was known at {known}.", "Give a time with a zone.")


@dataclass(frozen=True)
class Universe:
    """Members by date.

    Attributes
    ----------
    name
        What it is called.
    memberships
        Every interval; the intervals of one symbol do not overlap.
    survivors_only
        Whether the members were chosen knowing that they lived on. Then membership by date proves nothing about
        survivorship, and every result says so.
    real
        False for an invented one.
    note
        What a reader should know.

    Examples
    --------
    >>> store.universe("skfolio").members("2008-09-15")             # doctest: +SKIP
    """

    name: str
    memberships: tuple[Membership, ...]
    survivors_only: bool = True
    real: bool = True
    note: str = field(default="")

    def __post_init__(self) -> None:
        last: dict[str, Membership] = {}
        for one in sorted(self.memberships, key=lambda each: (each.symbol, each.start)):
            before = last.get(one.symbol)
            if before is not None and (before.end is None or before.end >= one.start):
                raise BadInput(
                    f"In {self.name}, {one.symbol} is a member from {before.start} to {before.end or 'now'} and again"
                    f" from {one.start}.",
                    "End one membership before the next one begins.",
                )
            last[one.symbol] = one

    @property
    def symbols(self) -> tuple[str, ...]:
        """Everyone who was ever a member, sorted. A list to load prices for, not one to choose from on a day."""
        return tuple(sorted({one.symbol for one in self.memberships}))

    @property
    def labels(self) -> tuple[str, ...]:
        """What a result must say about it."""
        return (*(() if self.real else ("not_real",)), *(("survivors_only",) if self.survivors_only else ()))

    def members(self, on: dt.date | str, as_of: dt.datetime | dt.date | str | None = None) -> tuple[str, ...]:
        """Who is a member on a day.

        Parameters
        ----------
        on
            The day; of an aware datetime, its date in UTC.
        as_of
            What was known when: an aware datetime, or a date, which means its end in UTC. `on` itself when left out.

        Returns
        -------
        tuple of str
            Sorted.
        """
        day = _day(on)
        known = _instant(as_of if as_of is not None else on)
        inside = self._inside(np.array([day]), np.array([known]))[0]
        return tuple(sorted({name for name, member in zip(self._facts.symbol, inside, strict=True) if member}))

    def mask(
        self,
        sessions: pd.DatetimeIndex,
        symbols: Sequence[str] | None = None,
        as_of: dt.datetime | pd.DatetimeIndex | None = None,
    ) -> pd.DataFrame:
        """Who is a member, session by session.

        Parameters
        ----------
        sessions
            Aware timestamps (closes), of which each is asked with what was known at it; or naive midnights, which are
            asked with what was known at their end in UTC.
        symbols
            The columns; everyone who was ever a member when left out.
        as_of
            One moment of knowledge for all sessions, or one for each, instead.

        Returns
        -------
        pandas.DataFrame
            bool, shape (sessions, symbols). False for a symbol that never was a member.
        """
        names = list(self.symbols if symbols is None else symbols)
        days = np.asarray(sessions.tz_localize(None).normalize().as_unit("ns").astype(np.int64))
        if isinstance(as_of, pd.DatetimeIndex):
            known = np.asarray(as_of.tz_convert("UTC").as_unit("ns").astype(np.int64))
        elif as_of is not None:
            known = np.full(len(days), _instant(as_of))
        elif sessions.tz is not None:
            known = np.asarray(sessions.tz_convert("UTC").as_unit("ns").astype(np.int64))
        else:
            known = days + 86_400_000_000_000 - 1
        inside = self._inside(days, known)
        columns = {name: number for number, name in enumerate(names)}
        table = np.zeros((len(days), len(names)), dtype=bool)
        for fact, name in enumerate(self._facts.symbol):
            if name in columns:
                table[:, columns[name]] |= inside[:, fact]
        return pd.DataFrame(table, index=sessions, columns=names)

    def truncated(self, known_by: dt.datetime) -> Universe:
        """What was known at a moment: later entries are gone, and who had not been known to leave is still in."""
        kept = []
        for one in self.memberships:
            if one.known_at <= known_by:
                leaves = one.end_known_at is not None and one.end_known_at <= known_by
                end, end_known = (one.end, one.end_known_at) if leaves else (None, None)
                kept.append(
                    Membership(
                        symbol=one.symbol, start=one.start, end=end, known_at=one.known_at, end_known_at=end_known
                    )
                )
        return Universe(self.name, tuple(kept), self.survivors_only, self.real, self.note)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [
            {
                name: None if value is None else value if isinstance(value, str) else value.isoformat()
                for name, value in vars(one).items()
            }
            for one in self.memberships
        ]
        return {"name": self.name, "labels": list(self.labels), "note": self.note, "memberships": rows}

    @cached_property
    def _facts(self) -> _Facts:
        return _Facts.of(self.memberships)

    def _inside(self, days: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Shape (days, memberships)."""
        facts = self._facts
        day, moment = days[:, None], known[:, None]
        left = (day > facts.end) & (moment >= facts.end_known)
        return np.asarray((day >= facts.start) & (moment >= facts.known) & ~left)


@dataclass(frozen=True)
class _Facts:
    """The memberships as columns: nanoseconds since 1970."""

    symbol: tuple[str, ...]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    known: NDArray[np.int64]
    end_known: NDArray[np.int64]

    @classmethod
    def of(cls, memberships: Iterable[Membership]) -> _Facts:
        rows = tuple(memberships)
        return cls(
            tuple(one.symbol for one in rows),
            np.array([_day(one.start) for one in rows], dtype=np.int64),
            np.array([_OPEN if one.end is None else _day(one.end) for one in rows], dtype=np.int64),
            np.array([_instant(one.known_at) for one in rows], dtype=np.int64),
            np.array(
                [_OPEN if one.end_known_at is None else _instant(one.end_known_at) for one in rows], dtype=np.int64
            ),
        )


def of_series(name: str, series: Sequence[Series]) -> Universe:
    """The equities and funds of a source, each from its first bar to its last.

    This says when a price is there, not who was in an index. Where any of the series was chosen knowing that it lived
    on, the universe is labelled ``survivors_only``. A series that ends with the source's last session has not left.
    """
    traded = [one for one in series if one.kind in ("equity", "etf")]
    latest = max((one.end for one in traded), default=dt.date.min)
    memberships = []
    for one in traded:
        end = one.end if one.end < latest else None
        after = None if end is None else dt.datetime.combine(end, dt.time(), dt.UTC) + dt.timedelta(days=1)
        memberships.append(
            Membership(
                symbol=one.key,
                start=one.start,
                end=end,
                known_at=dt.datetime.combine(one.start, dt.time(), dt.UTC),
                end_known_at=after,
            )
        )
    return Universe(
        name,
        tuple(memberships),
        survivors_only=any(one.flags.survivors_only for one in traded),
        real=all(one.flags.real for one in traded),
        note="from the first to the last bar of each series of the source; no index membership",
    )


def _day(given: dt.date | str) -> int:
    try:
        stamp = pd.Timestamp(given)
        plain = stamp if stamp.tzinfo is None else stamp.tz_convert("UTC").tz_localize(None)
        return int(plain.normalize().as_unit("ns").value)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadDates(f"{given!r} is no day ({error}).", 'Give an ISO date such as "2020-03-16".') from None


def _instant(given: dt.datetime | dt.date | str) -> int:
    try:
        stamp = pd.Timestamp(given)
        if stamp.tzinfo is not None:
            return int(stamp.tz_convert("UTC").as_unit("ns").value)
        if stamp != stamp.normalize():
            raise BadDates(f"The time {given} has no time zone.", "Give a date, or a time with a zone.")
        return int(stamp.as_unit("ns").value) + 86_400_000_000_000 - 1
    except BadDates:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise BadDates(f"{given!r} is no time ({error}).", "Give a date, or a time with a zone.") from None
