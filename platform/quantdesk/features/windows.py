"""Windows of history, whose features are compared for drift. An edge module: it asks the feature store.

What is found is judged by :mod:`quantdesk.features.drift`, which is pure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates
from quantdesk.features.build import Progress
from quantdesk.features.definitions import FEATURES, Feature
from quantdesk.features.drift import Drift, Sample, drift
from quantdesk.features.manifest import Manifest
from quantdesk.features.request import checked_features, checked_symbols
from quantdesk.market.spans import Span, span

if TYPE_CHECKING:
    from quantdesk.features.store import FeatureStore

__all__ = ["Drifted", "drifted"]


@dataclass(frozen=True)
class Drifted:
    """What a comparison of two windows found.

    Attributes
    ----------
    reference, current
        The windows, in words.
    symbols
        What was compared: symbols with sessions in both windows.
    left_out
        Symbols that were asked for and have no sessions in one of the windows.
    is_pit_validated
        Whether both windows hold only what was known at each row's time; see the evidence of a frame.
    features
        One entry per feature.
    """

    reference: str
    current: str
    symbols: tuple[str, ...]
    left_out: tuple[str, ...]
    is_pit_validated: bool
    features: tuple[Drift, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "reference": self.reference,
            "current": self.current,
            "symbols": list(self.symbols),
            "left_out": list(self.left_out),
            "is_pit_validated": self.is_pit_validated,
            "features": [one.to_dict() for one in self.features],
        }


Window = tuple[str | dt.date | None, str | dt.date | None]


def drifted(
    store: FeatureStore,
    reference: Window,
    current: Window,
    *,
    symbols: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Drifted:
    """Compare every feature between two windows of sessions, each value as it was known at its session.

    Parameters
    ----------
    store
        The feature store.
    reference, current
        First and last session of each window; None for an open side.
    symbols
        Which; every symbol with sessions in both windows when left out.
    feature_names
        Which; all when left out.
    progress
        Called with (what, done, total), one step per symbol and window.

    Raises
    ------
    BadDates
        A window is reversed, or no symbol has sessions in both.
    UnknownName
        A symbol or feature that does not exist.
    """
    tell = progress or (lambda what, done, total: None)
    manifest = store.snapshot().manifest
    asked = checked_symbols(symbols or [series.key for series in manifest.series], manifest)
    names = list(feature_names or FEATURES)
    features = checked_features(names, store.declared.views)
    windows = [span(*window) for window in (reference, current)]
    there = [name for name in asked if all(_overlaps(manifest, name, window) for window in windows)]
    if not there:
        raise BadDates(
            f"No symbol has sessions both in {windows[0]} and in {windows[1]}.",
            "Choose windows within the history; `quantdesk data list` shows it.",
        )
    found, proven = [], True
    for number, window in enumerate(windows):
        parts: list[pd.DataFrame] = []
        for place, name in enumerate(there):
            tell(f"{'current' if number else 'reference'}: {name}", number * len(there) + place, 2 * len(there))
            try:
                frame = store.get_historical_features([name], names, window.start, window.end)
            except BadDates:
                continue  # a hole in its history that is longer than the window
            proven &= frame.is_pit_validated
            parts.append(frame.to_pandas().reset_index(drop=True).assign(**{"": place}))
        found.append(_samples(parts, features))
    tell("drift", 2 * len(there), 2 * len(there))
    return Drifted(
        reference=str(windows[0]),
        current=str(windows[1]),
        symbols=tuple(there),
        left_out=tuple(name for name in asked if name not in there),
        is_pit_validated=proven,
        features=drift(*found),
    )


def _samples(parts: Sequence[pd.DataFrame], features: Sequence[Feature]) -> dict[str, Sample]:
    """Per feature the rows of all symbols; what is about the market as a whole counts once, not beside each symbol."""
    names = [feature.name for feature in features]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*names, ""], dtype=np.float64)
    code = whole[""].to_numpy(dtype=np.int64)
    longest = code == np.bincount(code).argmax() if len(code) else np.zeros(0, dtype=bool)
    found = {}
    for feature in features:
        rows = np.ones(len(code), dtype=bool) if feature.home.entity else longest
        found[feature.name] = Sample(whole[feature.name].to_numpy(dtype=np.float64)[rows], code[rows])
    return found


def _overlaps(manifest: Manifest, name: str, window: Span) -> bool:
    series = manifest.find(name)
    first, last = (bound.date() if isinstance(bound, dt.datetime) else bound for bound in (window.start, window.end))
    return (last is None or series.start <= last) and (first is None or series.end >= first)
