"""What ``get_online_features`` answers: which rows count, and what a null means. An edge module: it asks a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates, DataError
from quantdesk.features.asof import NOT_A_TIME
from quantdesk.features.definitions import FEATURES, VIEWS, Feature
from quantdesk.features.frame import Labels
from quantdesk.features.online.answer import OnlineFeatures
from quantdesk.features.online.reader import Read, Reader

if TYPE_CHECKING:
    from quantdesk.features.manifest import Manifest

__all__ = ["answered"]

_CLOCK = FEATURES["ret_1d"].view
"""The view that has a row for every session of every symbol."""


def answered(
    reader: Reader,
    manifest: Manifest,
    names: Sequence[str],
    features: Sequence[Feature],
    now: dt.datetime | None = None,
) -> OnlineFeatures:
    """The latest materialised row of some symbols.

    Parameters
    ----------
    reader
        The online store.
    manifest
        The build, which knows what the symbols are and what is behind them.
    names, features
        What is asked, checked.
    now
        Rows that are older by then than their view's time to live answer nothing. Aware. None: a row of another view
        that is older than the symbol's own latest session by more than that answers nothing.

    Raises
    ------
    BadDates
        `now` has no zone.
    DataError
        The online store has not been filled.
    """
    moment = None if now is None else _nanoseconds(now)
    keys = [manifest.find(name).key for name in names]
    wanted: dict[str, list[str]] = {_CLOCK: []}
    for feature in features:
        wanted.setdefault(feature.view, []).append(feature.name)
    ttl = {view: VIEWS[view].ttl // dt.timedelta(microseconds=1) * 1000 for view in wanted}
    entityless = frozenset(view for view in wanted if VIEWS[view].entity is None)
    found, states = reader.read(wanted, keys, entityless, ttl=ttl, now=moment)
    asked = list(dict.fromkeys(feature.view for feature in features))
    filled = [states[view].until if view in states else None for view in {_CLOCK, *asked}]
    until = min((one for one in filled if one is not None), default=None)
    if until is None or None in filled:
        raise DataError("The online store has not been filled.", "Run `quantdesk features build`.")
    array = np.empty((len(keys), len(features)))
    place = {feature.name: number for number, feature in enumerate(features)}
    for view in asked:
        read = found[view] if moment is not None or view == _CLOCK else _beside(found[view], found[_CLOCK], ttl[view])
        array[:, [place[name] for name in wanted[view]]] = read.values
    return OnlineFeatures(
        tuple(names),
        tuple(place),
        array,
        {view: found[view].event for view in asked},
        until,
        lambda: Labels.of([one for view in asked for one in manifest.behind(view, tuple(keys))]),
    )


def _beside(read: Read, clock: Read, ttl: int) -> Read:
    """The mood of 2022 says nothing beside a price of 2026: the same rule as in a historical question."""
    known = (read.event != NOT_A_TIME) & (clock.event != NOT_A_TIME)
    age = np.where(known, clock.event, 0) - np.where(known, read.event, 0)
    return read.only(~known | (age <= ttl))


def _nanoseconds(now: dt.datetime) -> int:
    stamp = pd.Timestamp(now)
    if stamp.tz is None:
        raise BadDates(f"The moment {now} has no time zone.", "Give an aware datetime, such as one in UTC.")
    return int(stamp.as_unit("ns").value)
