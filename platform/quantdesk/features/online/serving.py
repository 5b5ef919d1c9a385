"""What ``get_online_features`` answers: which rows count, and what a null means. An edge module: it asks a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from quantdesk.errors import BadDates, BadInput, DataError
from quantdesk.features.asof import NOT_A_TIME
from quantdesk.features.definitions import FEATURES, VIEWS, Feature, View
from quantdesk.features.frame import Labels
from quantdesk.features.online.answer import OnlineFeatures
from quantdesk.features.online.reader import Read, Reader

if TYPE_CHECKING:
    from quantdesk.features.manifest import Manifest

__all__ = ["answered"]

_CLOCK = FEATURES["ret_1d"].view
"""The view that has a row for every session of every symbol."""
_FOREVER = dt.timedelta(days=100_000)


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
    BadInput
        A feature of a view whose rows have other keys than the symbol.
    DataError
        The online store has not been filled.
    """
    moment = None if now is None else _nanoseconds(now)
    keys = [manifest.find(name).key for name in names]
    wanted: dict[str, list[str]] = {_CLOCK: []}
    homes: dict[str, View] = {_CLOCK: VIEWS[_CLOCK]}
    for feature in features:
        wanted.setdefault(feature.view, []).append(feature.name)
        homes[feature.view] = VIEWS.get(feature.view) or _of_symbols(feature.home)
    ttl = {name: (view.ttl or _FOREVER) // dt.timedelta(microseconds=1) * 1000 for name, view in homes.items()}
    entityless = frozenset(name for name, view in homes.items() if view.entity is None)
    found, states = reader.read(wanted, keys, entityless, ttl=ttl, now=moment)
    asked = list(dict.fromkeys(feature.view for feature in features))
    filled = [states[view].until if view in states else None for view in {_CLOCK, *asked}]
    until = min((one for one in filled if one is not None), default=None)
    if until is None or None in filled:
        named = ", ".join(sorted(view for view in {_CLOCK, *asked} if view not in states or states[view].until is None))
        raise DataError(
            f"The online store has not been filled with {named}.",
            "Run `quantdesk features build`; a view with lists among its values is filled by `feast materialize`.",
        )
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


def _of_symbols(view: View) -> View:
    """A declared view, if a question by symbols can be put to it."""
    keys = [key.name for key in getattr(view, "keys", ())]
    if keys not in ([], ["symbol"]):
        raise BadInput(
            f"The rows of {view.name} have the keys {', '.join(keys)}, and a symbol alone does not name one.",
            "Ask through Feast's SDK, with entity_rows that hold all of them.",
        )
    return view


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
