"""The daily bars before a day: those of the path and of its history, in one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.path import GRADES, Grade, Path

__all__ = ["Lookback"]

Floats = NDArray[np.float64]
_MISSING = GRADES.index(Grade.MISSING)


@dataclass(frozen=True, slots=True, eq=False)
class Lookback:
    """Closes of the history and of the path, one after the other.

    Attributes
    ----------
    closes
        Shape ``(H + T, N)``, columns as in the path.
    length
        H, the bars of the history.
    """

    closes: Floats
    length: int

    @classmethod
    def of(cls, daily: Path) -> Lookback:
        """From a path and its history."""
        if daily.history is None:
            return cls(daily.close, 0)
        before = _column_by_column(daily.history, daily, "close", np.nan)
        return cls(np.concatenate([before, daily.close]), len(before))

    def before(self, row: int) -> Floats:
        """The closes before a bar of the path."""
        return self.closes[: self.length + row]

    def previous(self, row: int, column: int) -> float:
        """The last close before a bar of the path; NaN where there is none."""
        closes = self.before(row)[:, column]
        known = closes[~np.isnan(closes)]
        return float(known[-1]) if len(known) else float("nan")

    @staticmethod
    def history(daily: Path, row: int) -> Path | None:
        """The history of a path together with its bars before one, as a path; None where there are none."""
        if not row:
            return daily.history
        recent = replace(daily.cut(0, row), history=None)
        earlier = daily.history
        if earlier is None:
            return recent
        tables: dict[str, Any] = {}
        for name in ("open", "high", "low", "close", "volume"):
            if getattr(earlier, name) is None and getattr(recent, name) is None:
                tables[name] = None
                continue
            tables[name] = np.concatenate([_column_by_column(path, daily, name, np.nan) for path in (earlier, recent)])
        grades = [_column_by_column(path, daily, "grades", _MISSING).astype(np.int8) for path in (earlier, recent)]
        return replace(
            recent,
            begins=np.concatenate([earlier.begins, recent.begins]),
            ends=np.concatenate([earlier.ends, recent.ends]),
            grades=np.concatenate(grades),
            **tables,
            history=earlier.history,
        )


def _column_by_column(path: Path, like: Path, name: str, otherwise: float) -> Floats:
    """A table with the columns of another path; `otherwise` where it has no such column, or no such table."""
    table = getattr(path, name)
    found = np.full((len(path.ends), len(like.assets)), otherwise)
    if table is not None:
        for n, symbol in enumerate(like.symbols):
            if symbol in path.symbols:
                found[:, n] = table[:, path.column(symbol)]
    return found
