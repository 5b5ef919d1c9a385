"""Market data: real history with its provenance, in one store.

>>> from quantdesk.market import MarketStore
>>> store = MarketStore()                                        # doctest: +SKIP
>>> store.bars("SPX", "2020-03-16", "2020-03-16").frame          # doctest: +SKIP

What is where::

    series, publication   what a series is, and when its values could be known      (pure)
    catalogue             what a store holds, and which series a symbol means       (pure)
    sessions, spans       days and instants; the ranges that callers ask for        (pure)
    checks, admission     what a raw frame must satisfy                             (pure)
    sources/              the bundled packages, and folders of your own             (edge)
    store/                Parquet on the disk: load and read                        (edge)
    quality/              gaps, stale runs, spikes and other oddities               (pure)
    actions/              splits and dividends; prices adjusted as known on a date  (pure, but for intake)
    universes/            who was a member of what, by date                         (pure, but for intake)
    facts/                files of dated facts: actions and memberships             (edge)
    provenance            the labels that every result carries                      (pure)

Names are imported when they are first used: reading bars needs neither pandera nor a calendar.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.market.actions.action import Action
    from quantdesk.market.actions.adjusted import Adjusted
    from quantdesk.market.actions.intake import load_actions
    from quantdesk.market.facts import FactMapping
    from quantdesk.market.series import Bars, Description, Flags, Series
    from quantdesk.market.sources import FolderSource, RawSeries, Source, bundled
    from quantdesk.market.store.load import Loaded, load, remove
    from quantdesk.market.store.read import MarketStore
    from quantdesk.market.universes import Membership, Universe
    from quantdesk.market.universes.intake import load_universe

_HOMES = {
    "Action": "actions.action",
    "Adjusted": "actions.adjusted",
    "Bars": "series",
    "Description": "series",
    "FactMapping": "facts",
    "Flags": "series",
    "FolderSource": "sources",
    "Loaded": "store.load",
    "MarketStore": "store.read",
    "Membership": "universes",
    "RawSeries": "sources",
    "Series": "series",
    "Source": "sources",
    "Universe": "universes",
    "bundled": "sources",
    "load": "store.load",
    "load_actions": "actions.intake",
    "load_universe": "universes.intake",
    "remove": "store.load",
}

__all__ = [
    "Action",
    "Adjusted",
    "Bars",
    "Description",
    "FactMapping",
    "Flags",
    "FolderSource",
    "Loaded",
    "MarketStore",
    "Membership",
    "RawSeries",
    "Series",
    "Source",
    "Universe",
    "bundled",
    "load",
    "load_actions",
    "load_universe",
    "remove",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
