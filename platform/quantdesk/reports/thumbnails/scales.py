"""Values of a trace, and where on an axis they lie. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Numbers", "numbers", "values_of"]

Numbers = npt.NDArray[np.float64]
MOST_VALUES = 2_000_000
_PACKED = {"i1": "i1", "u1": "u1", "i2": "<i2", "u2": "<u2", "i4": "<i4", "u4": "<u4", "f4": "<f4", "f8": "<f8"}


def values_of(given: Any) -> npt.NDArray[Any]:
    """The values of a trace's field, as plotly's JSON holds them: a list, or numbers packed in base 64.

    Raises
    ------
    ValueError
        They are packed in a way that plotly does not know, or are far too many.
    """
    if isinstance(given, Mapping):
        kind = _PACKED.get(str(given.get("dtype")))
        if kind is None or not isinstance(given.get("bdata"), str):
            raise ValueError("values of no known packing")
        array = np.frombuffer(base64.b64decode(given["bdata"], validate=True), dtype=kind)
        if given.get("shape") is not None:
            array = array.reshape([int(part) for part in str(given["shape"]).split(",")])
        made = array.astype(np.float64)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        if len(given) and all(isinstance(row, (Sequence, Mapping)) and not isinstance(row, str) for row in given):
            made = np.array([numbers(values_of(row)) for row in given])
        else:
            made = np.empty(len(given), dtype=object)
            made[:] = given
    else:
        raise ValueError("no values")
    if made.size > MOST_VALUES:
        raise ValueError("too many values")
    return made


def numbers(values: Iterable[Any]) -> Numbers:
    """Values as numbers; NaN for what is none, and for what is not finite."""
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan


def _times(values: Sequence[Any]) -> Numbers | None:
    """Milliseconds since 1970, where every text is a time; None otherwise."""
    if not all(value is None or (isinstance(value, str) and value[:4].isdigit() and "-" in value) for value in values):
        return None
    texts = ["NaT" if value is None else value.replace("Z", "")[:26].split("+")[0] for value in values]
    try:
        moments = np.array(texts, dtype="datetime64[ms]")
    except ValueError:
        return None
    made = moments.astype(np.int64).astype(np.float64)
    made[np.isnat(moments)] = np.nan
    return made


@dataclass
class Axis:
    """One axis of a figure: what kind its values are, and their extent.

    Parameters
    ----------
    layout
        As plotly's JSON has it.
    low, high
        Extent of what was placed, in numbers.
    kind
        ``linear``, ``log``, ``date`` or ``category``; found at the first values.
    """

    layout: Mapping[str, Any]
    low: float = math.inf
    high: float = -math.inf
    kind: str = ""
    names: dict[str, int] = field(default_factory=dict)

    def place(self, given: npt.NDArray[Any], *, extend: bool = True) -> Numbers:
        """Where values lie, as numbers; NaN for gaps.

        Raises
        ------
        ValueError
            They are no plain list.
        """
        if given.ndim != 1:
            raise ValueError("values within values")
        if not self.kind:
            self.kind = self._found(given)
        if given.dtype != object:
            placed = given.astype(np.float64)
        elif self.kind == "date":
            times = _times(list(given))
            placed = times if times is not None else np.full(len(given), np.nan)
        elif self.kind == "category":
            placed = np.array([self.names.setdefault(str(value)[:200], len(self.names)) for value in given], float)
        else:
            placed = numbers(given)
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                placed = np.where(placed > 0, np.log10(placed), np.nan)
        placed = np.where(np.isfinite(placed), placed, np.nan)
        if extend:
            self.extend(placed)
        return placed

    def extend(self, placed: Numbers) -> None:
        """Widen the extent by what was placed."""
        real = placed[np.isfinite(placed)]
        if real.size:
            self.low, self.high = min(self.low, float(real.min())), max(self.high, float(real.max()))

    def _found(self, given: npt.NDArray[Any]) -> str:
        stated = self.layout.get("type")
        if stated in {"log", "category", "date", "linear"}:
            return str(stated)
        if given.dtype != object:
            return "linear"
        texts = [value for value in given if isinstance(value, str)]
        if not texts:
            return "linear"
        return "date" if _times(list(given)) is not None else "category"

    @property
    def extent(self) -> tuple[float, float]:
        """Both ends of the axis, never equal; the second is the smaller one on an axis that runs backwards."""
        low, high = self.low, self.high
        stated = self.layout.get("range")
        if isinstance(stated, Sequence) and not isinstance(stated, str) and len(stated) == 2:
            ends = np.empty(2, dtype=object)
            ends[:] = list(stated)
            # The ends of a logarithmic axis are exponents already.
            placed = numbers(ends) if self.kind in {"log", "category"} else self.place(ends, extend=False)
            if np.isfinite(placed).all() and placed[0] != placed[1]:
                return float(placed[0]), float(placed[1])
        if not math.isfinite(low) or not math.isfinite(high):
            low, high = 0.0, 1.0
        if self.kind == "category":
            low, high = low - 0.5, high + 0.5
        if low == high:
            low, high = low - 0.5, high + 0.5
        return (high, low) if self.layout.get("autorange") == "reversed" else (low, high)

    def word(self, place: float) -> str:
        """A place on the axis, as a label."""
        if self.kind == "date":
            return str(np.datetime64(int(place), "ms").astype("datetime64[D]"))
        if self.kind == "category":
            return ""
        value = 10**place if self.kind == "log" else place
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:,.4g}"
