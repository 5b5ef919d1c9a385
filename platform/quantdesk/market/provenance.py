"""The labels that every result carries: what its data is, where it came from, and what it cannot tell. Pure.

A result is built on a set of series. Its label says the worst that holds for any of them: one simulated series makes
the result not real, one adjusted series makes it adjusted with hindsight.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.market.series import Flags, Series

__all__ = ["Label", "Origin", "label"]


@dataclass(frozen=True, order=True)
class Origin:
    """One file that a result was built on.

    Attributes
    ----------
    package, version, licence, sha256
        As on the series.
    symbols
        The series that came out of this file, as ``SYMBOL@source``.
    """

    package: str
    version: str
    licence: str
    sha256: str
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Label:
    """What a result must say about the data behind it.

    Attributes
    ----------
    flags
        real only if every series is; the others if any series has them.
    adjusted, survivors, not_real
        The series that a flag comes from, as ``SYMBOL@source``.
    origins
        The files, by package.
    start, end
        The first and the last session of any of the series.
    """

    flags: Flags
    adjusted: tuple[str, ...]
    survivors: tuple[str, ...]
    not_real: tuple[str, ...]
    origins: tuple[Origin, ...]
    start: dt.date
    end: dt.date

    @property
    def words(self) -> tuple[str, ...]:
        """The label in the words that are shown on a page: the first is real or not real."""
        shown = ["real" if self.flags.real else "not real"]
        if self.flags.adjusted_with_hindsight:
            shown.append("adjusted with hindsight")
        if self.flags.survivors_only:
            shown.append("survivors only")
        return tuple(shown)

    def describe(self) -> str:
        """The label as sentences, for a reader who does not know the words."""
        count = sum(len(origin.symbols) for origin in self.origins)
        packages = sorted({f"{origin.package} {origin.version}" for origin in self.origins})
        said = [f"{_plural(count, 'series', 'series')} out of {_listed(packages)}, {self.start} to {self.end}"]
        if self.flags.real:
            said.append("every number was observed")
        else:
            said.append(f"{_listed(self.not_real)} did not happen: simulated or made up")
        if self.adjusted:
            who = _of(len(self.adjusted), count)
            said.append(
                f"{who} adjusted for splits or dividends that came later, so returns are right and price levels are "
                "not those of the day"
            )
        if self.survivors:
            who = _of(len(self.survivors), count)
            said.append(
                f"{who} chosen knowing that the company or fund lived on, so results are better than anyone could "
                "have had"
            )
        return ". ".join(part[0].upper() + part[1:] for part in said) + "."

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "words": list(self.words),
            "describe": self.describe(),
            "flags": asdict(self.flags),
            "adjusted": list(self.adjusted),
            "survivors": list(self.survivors),
            "not_real": list(self.not_real),
            "origins": [{**asdict(origin), "symbols": list(origin.symbols)} for origin in self.origins],
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
        }


def label(series: Iterable[Series]) -> Label:
    """The label of a result that was built on `series`.

    Raises
    ------
    BadInput
        There are none: a result on no data has no label.
    """
    known = {one.id: one for one in series}
    if not known:
        raise BadInput("A result on no series has no label.", "Name the series that it was built on.")
    ordered = [known[name] for name in sorted(known)]
    files: dict[tuple[str, str, str, str], list[str]] = {}
    for one in ordered:
        files.setdefault((one.package, one.version, one.licence, one.sha256), []).append(one.id)
    return Label(
        flags=Flags(
            real=all(one.flags.real for one in ordered),
            adjusted_with_hindsight=any(one.flags.adjusted_with_hindsight for one in ordered),
            survivors_only=any(one.flags.survivors_only for one in ordered),
        ),
        adjusted=tuple(one.id for one in ordered if one.flags.adjusted_with_hindsight),
        survivors=tuple(one.id for one in ordered if one.flags.survivors_only),
        not_real=tuple(one.id for one in ordered if not one.flags.real),
        origins=tuple(sorted(Origin(*file, symbols=tuple(names)) for file, names in files.items())),
        start=min(one.start for one in ordered),
        end=max(one.end for one in ordered),
    )


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _of(some: int, count: int) -> str:
    """The subject of a sentence about some of the series."""
    if some == count:
        return "all were" if count > 1 else "it was"
    return f"{some} of them {'was' if some == 1 else 'were'}"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    if len(shown) > 4:
        shown = [*shown[:3], f"{len(shown) - 3} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
