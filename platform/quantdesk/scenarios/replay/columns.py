"""One asset out of the store: its bars, and what must be said of them. An edge module: it reads a store."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from quantdesk.backtest.sectors import SECTORS
from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.market import MarketStore, Series
from quantdesk.scenarios.path import Asset
from quantdesk.scenarios.replay.levels import COLUMNS, choose, donors, is_stale, levelled, quoted
from quantdesk.scenarios.scenario import AssetEntry

__all__ = ["Column", "read"]

_AGREE = 1e-6
_ENOUGH = 60


@dataclass(frozen=True, eq=False)
class Column:
    """One asset.

    Attributes
    ----------
    asset
        What it is.
    frame
        Observed bars by session: open, high, low, close, volume; NaN where the store has none. Rows without a close are
        left out.
    observed
        Whether the store's values are real, and not simulated ones that somebody loaded.
    method
        How values were worked out that are not in the store as they stand; empty where they are.
    hashes
        SHA-256 of each series, by ``SYMBOL@source``.
    labels
        Of what was used.
    """

    asset: Asset
    frame: pd.DataFrame
    observed: bool = True
    method: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def read(entry: AssetEntry, store: MarketStore, window: tuple[dt.date, dt.date], since: dt.date) -> Column:
    """The bars of one asset in a window, and before it.

    Parameters
    ----------
    entry
        The asset; a pair of two currencies of which the store knows both against the euro is worked out.
    window
        First and last day.
    since
        The first day of the history.

    Raises
    ------
    UnknownName, BadInput
        The named series is not there; or the store has no such symbol, and the entry does not say what kind it is.
    """
    first, last = window
    known = [one for one in store.series() if one.symbol == entry.symbol]
    if entry.series:
        known = [store.resolve(entry.series)]
    if not known:
        return _crossed(entry, store, window, since) or _without(entry, store)
    main = choose(known, first, last, since)
    if main is None:
        return Column(replace(_asset(entry, known[0]), series=""), _nothing())
    asset, frame = _asset(entry, main), _rows(store, main, since, last)
    if frame.empty:
        return Column(replace(asset, series=""), _nothing())
    hashes = {main.id: main.sha256}
    frame = levelled(frame, first)
    for one in donors(known, main, first, last):
        lent = _rows(store, one, since, last)
        both = frame["close"].reindex(lent.index)
        if ((lent["close"] / both - 1).abs() <= _AGREE).all():
            frame[["open", "high", "low", "volume"]] = lent.reindex(frame.index)[["open", "high", "low", "volume"]]
            hashes[one.id] = one.sha256
            break
    labels = ["survivors_only"] if main.flags.survivors_only else []
    if not quoted(main):
        labels += ["levels_reconstructed", *(["adjusted_with_hindsight"] if main.flags.adjusted_with_hindsight else [])]
    before = frame[frame.index <= pd.Timestamp(first)]
    if asset.kind == "index" and frame["open"].notna().any() and is_stale(frame if len(before) < _ENOUGH else before):
        frame["open"] = np.nan
        labels += ["stale_opens_left_out"]
    return Column(asset, frame[frame["close"].notna()], main.flags.real, hashes=hashes, labels=tuple(labels))


def _rows(store: MarketStore, series: Series, since: dt.date, last: dt.date) -> pd.DataFrame:
    """Rows of a series by session, without dates that are twice or on a weekend."""
    try:
        frame = store.bars(series.id, since, last).frame.set_index("session")
    except BadDates:
        return pd.DataFrame(columns=list(series.fields), dtype=np.float64, index=pd.DatetimeIndex([]))
    return frame.loc[pd.DatetimeIndex(frame.index).dayofweek < 5]


def _asset(entry: AssetEntry, series: Series) -> Asset:
    sector = entry.sector or (SECTORS.get(entry.symbol, "") if series.kind == "equity" else "")
    unit = entry.unit or series.unit
    return Asset(entry.symbol, entry.kind or series.kind, unit, sector, series.id, series.calendar)


def _without(entry: AssetEntry, store: MarketStore) -> Column:
    """An asset of which the store knows nothing."""
    if entry.kind is None:
        near = UnknownName("symbol", entry.symbol, [one.symbol for one in store.series()]).remedy
        raise BadInput(
            f"The store has no {entry.symbol}, and its entry does not say what kind of asset it is.",
            f"Give its kind, or another symbol. {near}",
        )
    asset = Asset(entry.symbol, entry.kind, entry.unit or "USD", entry.sector, "", entry.calendar)
    return Column(asset, _nothing())


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=COLUMNS, dtype=np.float64, index=pd.DatetimeIndex([]))


def _crossed(entry: AssetEntry, store: MarketStore, window: tuple[dt.date, dt.date], since: dt.date) -> Column | None:
    """A pair such as USDJPY out of EURJPY and EURUSD, which are fixed at the same moment."""
    base, quote = entry.symbol[:3], entry.symbol[3:]
    legs = [f"EUR{quote}", "" if base == "EUR" else f"EUR{base}"]
    found = [one for leg in legs for one in store.series() if one.symbol == leg and one.preferred and one.kind == "fx"]
    if len(entry.symbol) != 6 or len(found) != 2:
        return None
    over, under = (_rows(store, one, since, window[1])["close"] for one in found)
    asset = Asset(
        entry.symbol,
        "fx",
        entry.unit or f"{quote} per {base}",
        "",
        f"{found[0].id} / {found[1].id}",
        found[0].calendar,
    )
    frame = pd.DataFrame({"close": (over / under).dropna()}).reindex(columns=COLUMNS)
    return Column(
        asset,
        frame,
        all(one.flags.real for one in found),
        f"quotient of two fixings of the same moment, {found[0].symbol} / {found[1].symbol}",
        {one.id: one.sha256 for one in found},
    )


def ranges(symbol: str, known: Sequence[Series]) -> str:
    """Where a symbol has data, in words."""
    mine = [f"{one.id} runs from {one.start} to {one.end}" for one in known if one.symbol == symbol]
    return "; ".join(mine) if mine else f"the store has no series of {symbol}"


def sha256_of(text: str) -> str:
    """Of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
