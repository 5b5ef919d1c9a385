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
    provenance            the labels that every result carries                      (pure)

Names are imported when they are first used: reading bars needs neither pandera nor a calendar.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.market.series import Bars, Description, Flags, Series
    from quantdesk.market.sources import FolderSource, RawSeries, Source, bundled
    from quantdesk.market.store.load import Loaded, load, remove
    from quantdesk.market.store.read import MarketStore

_HOMES = {
    "Bars": "series",
    "Description": "series",
    "Flags": "series",
    "FolderSource": "sources",
    "Loaded": "store.load",
    "MarketStore": "store.read",
    "RawSeries": "sources",
    "Series": "series",
    "Source": "sources",
    "bundled": "sources",
    "load": "store.load",
    "remove": "store.load",
}

__all__ = [
    "Bars",
    "Description",
    "Flags",
    "FolderSource",
    "Loaded",
    "MarketStore",
    "RawSeries",
    "Series",
    "Source",
    "bundled",
    "load",
    "remove",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
