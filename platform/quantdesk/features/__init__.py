"""Features: what was known about each symbol at any time, and the proof of it.

>>> from quantdesk.features import FeatureStore
>>> fs = FeatureStore()                                                                     # doctest: +SKIP
>>> frame = fs.get_historical_features(["AAPL"], ["sma_20", "rsi_14"], "2020-01-01", "2020-12-31")  # doctest: +SKIP
>>> frame.to_pandas(), frame.is_pit_validated, frame.evidence, frame.labels                 # doctest: +SKIP

What is where::

    rolling, transforms           the formulas                                                  (pure)
    definitions                   every feature, declared once                                  (pure)
    inputs, tables, sentiment     one series, or the market, laid out and computed              (pure)
    missing                       why a value is null, in codes                                 (pure)
    asof, keys, sweeps            the point-in-time join; its loops, compiled                    (pure)
    proof                         every answer checked, a sample counted again                  (pure)
    request, evidence, frame      what is asked, the proof, what is given                       (pure)
    config, manifest, build       from the market store to Parquet                              (edge)
    retrieval, historical         from Parquet to a proven frame                                (edge)
    repository, registry_url      the same definitions as Feast objects, and where they are kept (edge, Feast)
    parquet, question, streaming  row groups that can answer; one question; the same in parts   (edge)
    ranges, jobs                  questions by dates; Feast's retrieval jobs                    (edge, Feast)
    offline, online, publish      Feast's stores: joined right, never going back in time        (edge, Feast)
    postgres                      the rows in a team's database: loaded, joined, proven there   (edge)
    store                         the door                                                      (edge)
    freshness, drift, consistency late? another distribution? is online what offline is?        (pure)
    lineage, difference           where a feature comes from; what two sets or builds differ in (pure)
    watch, windows, described     the same asked of a store                                     (edge)
    audit                         does feature code look ahead, and which line does             (pure)

Names are imported when they are first used, and Feast, which takes seconds, only where it is needed: for apply,
materialise and online reads.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.features import audit
    from quantdesk.features.definitions import FEATURES, Feature
    from quantdesk.features.evidence import Evidence
    from quantdesk.features.frame import FeatureFrame, Labels
    from quantdesk.features.online.answer import OnlineFeatures
    from quantdesk.features.sentiment import Panel, Scores, SentimentSource
    from quantdesk.features.store import FeatureStore

_HOMES = {
    "FEATURES": "definitions",
    "Evidence": "evidence",
    "Feature": "definitions",
    "FeatureFrame": "frame",
    "FeatureStore": "store",
    "Labels": "frame",
    "OnlineFeatures": "online.answer",
    "Panel": "sentiment",
    "Scores": "sentiment",
    "SentimentSource": "sentiment",
}

__all__ = [
    "FEATURES",
    "Evidence",
    "Feature",
    "FeatureFrame",
    "FeatureStore",
    "Labels",
    "OnlineFeatures",
    "Panel",
    "Scores",
    "SentimentSource",
    "audit",
]


def __getattr__(name: str) -> Any:
    if name == "audit":
        return importlib.import_module(f"{__name__}.audit")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
