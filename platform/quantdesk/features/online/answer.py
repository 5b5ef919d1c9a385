"""What a caller of ``get_online_features`` is given. Pure.

It is made of plain arrays, and becomes data frames when one asks for them: a data frame takes longer to make than the
answer takes to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.features.asof import Integers

if TYPE_CHECKING:
    from quantdesk.features.frame import Labels

__all__ = ["OnlineFeatures"]


class OnlineFeatures:
    """The latest materialised row of each symbol.

    Made by :meth:`quantdesk.features.FeatureStore.get_online_features`.

    Parameters
    ----------
    symbols, features
        What was asked for, in that order.
    array
        Shape ``(symbols, features)``; NaN where there is no value.
    events
        Per view, for each symbol, the event that its row is about; nanoseconds since 1970 (UTC), NaT for no row.
    until
        The moment up to which the online store was filled, nanoseconds since 1970 (UTC).
    labels
        Makes the labels when they are asked for.
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        features: tuple[str, ...],
        array: NDArray[np.float64],
        events: Mapping[str, Integers],
        until: int,
        labels: Callable[[], Labels],
    ) -> None:
        self.symbols = symbols
        self.features = features
        self.array = array
        self._events = events
        self._until = until
        self._labels = labels

    @cached_property
    def values(self) -> pd.DataFrame:
        """Index ``symbol``, one float64 column per feature; NaN where there is no value."""
        return pd.DataFrame(self.array.copy(), index=self._index(), columns=list(self.features))

    @cached_property
    def events(self) -> pd.DataFrame:
        """Index ``symbol``, one column per view: the event that its row is about, UTC; NaT where there is no row."""
        times = {view: pd.DatetimeIndex(stamps.view("datetime64[ns]")) for view, stamps in self._events.items()}
        return pd.DataFrame({view: stamps.tz_localize("UTC") for view, stamps in times.items()}).set_axis(self._index())

    @cached_property
    def labels(self) -> Labels:
        """See :class:`~quantdesk.features.frame.Labels`."""
        return self._labels()

    @property
    def as_of(self) -> pd.Timestamp:
        """The moment up to which the online store was filled, UTC."""
        return pd.Timestamp(self._until, unit="ns", tz="UTC")

    def to_pandas(self) -> pd.DataFrame:
        """A copy of the values."""
        return self.values.copy()

    def to_dict(self) -> dict[str, dict[str, float | None]]:
        """Per symbol its features; None where there is no value."""
        lines = zip(self.symbols, self.array.tolist(), strict=True)
        return {
            symbol: {name: None if value != value else value for name, value in zip(self.features, line, strict=True)}
            for symbol, line in lines
        }

    def __len__(self) -> int:
        return len(self.symbols)

    def __repr__(self) -> str:
        return (
            f"<OnlineFeatures {len(self.symbols)} symbols x {len(self.features)} features, "
            f"filled until {self.as_of:%Y-%m-%d %H:%M} UTC>"
        )

    def _index(self) -> pd.Index:
        return pd.Index(self.symbols, name="symbol")
