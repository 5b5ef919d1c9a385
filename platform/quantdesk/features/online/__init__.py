"""Online: of each symbol the latest row, served fast, from SQLite, Redis or PostgreSQL.

What is where::

    rows         one row per key and view, packed                                       (pure)
    backend      what a store must be able to do, and which row wins                    (pure)
    sqlite       one file, replaced and never written to                                (edge)
    redis        hashes and scripts                                                     (edge)
    postgres     a table and one guarded statement                                      (edge)
    address      which of them a URL means                                              (edge)
    fill         from feature files to a store: only what is new, in parallel, resumable (edge)
    reader       from a store to arrays                                                 (edge)
    answer       what a caller of get_online_features is given                          (pure)
    feast_store  the same store behind Feast's interface                                (edge, Feast)
    engine       Feast's own materialise, which packs tables and not values             (edge, Feast)

``quantdesk.features.online.QuantdeskOnlineStore`` is what ``feature_store.yaml`` names. It is imported when it is asked
for, as Feast takes seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.features.online.address import ONLINE, OnlineConfig, connect
    from quantdesk.features.online.answer import OnlineFeatures
    from quantdesk.features.online.feast_store import QuantdeskOnlineStore, QuantdeskOnlineStoreConfig
    from quantdesk.features.online.reader import Reader

_HOMES = {
    "ONLINE": "address",
    "OnlineConfig": "address",
    "OnlineFeatures": "answer",
    "QuantdeskOnlineStore": "feast_store",
    "QuantdeskOnlineStoreConfig": "feast_store",
    "Reader": "reader",
    "connect": "address",
}

__all__ = [
    "ONLINE",
    "OnlineConfig",
    "OnlineFeatures",
    "QuantdeskOnlineStore",
    "QuantdeskOnlineStoreConfig",
    "Reader",
    "connect",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
