"""What the formulas read: the fields of one series, one value per session of its calendar. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from quantdesk.features.rolling import Array

__all__ = ["FIELDS_OF", "Inputs", "from_fields"]

FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "price": (),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "traded_close": ("close",),
    "volume": ("volume",),
    "benchmark": (),
}
"""The fields that a series must carry for an input to exist. Every series has a price; the benchmark is another's."""


@dataclass(frozen=True)
class Inputs:
    """One symbol's history on every session of its calendar, first to last. Each array has shape ``(n,)``.

    NaN stands for a session on which the series has no value. Arrays of fields that the series does not carry are NaN
    throughout, and their names are missing from `carried`.

    Attributes
    ----------
    price
        Adjusted close where the series has one, close otherwise.
    high, low, close
        On the scale of the adjusted close: multiplied by adjusted close / close where the series has both.
    traded_close, volume
        As the series carries them.
    benchmark
        The benchmark's price on the same sessions.
    carried
        The names of the inputs that exist for this series.
    """

    price: Array
    high: Array
    low: Array
    close: Array
    traded_close: Array
    volume: Array
    benchmark: Array
    carried: frozenset[str] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.price)


def from_fields(bars: pd.DataFrame, benchmark: pd.Series | None = None) -> Inputs:
    """Take the inputs out of a table of fields.

    Parameters
    ----------
    bars
        One row per session of the calendar, sorted; columns among open, high, low, close, adj_close and volume.
        Sessions that the series lacks are rows of NaN.
    benchmark
        The benchmark's price; read on the sessions of `bars` by their index. None where it does not apply.
    """

    def column(name: str) -> Array:
        if name not in bars.columns:
            return np.full(len(bars), np.nan)
        values = bars[name].to_numpy(dtype=np.float64, copy=True)
        values[~np.isfinite(values)] = np.nan
        return values

    close, adjusted = column("close"), column("adj_close")
    price = adjusted if "adj_close" in bars.columns else close
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = adjusted / close if {"adj_close", "close"} <= set(bars.columns) else np.ones(len(bars))
    scale[~np.isfinite(scale)] = np.nan
    carried = {name for name, fields in FIELDS_OF.items() if set(fields) <= set(bars.columns)}
    if benchmark is None:
        carried.discard("benchmark")
        against = np.full(len(bars), np.nan)
    else:
        against = benchmark.reindex(bars.index).to_numpy(dtype=np.float64)
    return Inputs(
        price=price,
        high=column("high") * scale,
        low=column("low") * scale,
        close=close * scale,
        traded_close=close,
        volume=column("volume"),
        benchmark=against,
        carried=frozenset(carried),
    )
