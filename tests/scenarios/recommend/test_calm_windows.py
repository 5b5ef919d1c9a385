"""The calm windows, against the bundled S&P 500."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantdesk.market import MarketStore
from quantdesk.scenarios import catalog
from quantdesk.scenarios.recommend import CALM_WINDOWS, calm_scenarios, entries_of
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.scenario import AssetEntry


@pytest.fixture(scope="module")
def closes(store: MarketStore) -> pd.Series:
    """The S&P 500 by day, 1990 to 2022."""
    found = store.panel(["SPX@skfolio"], start="1990-01-01", end="2022-12-30").iloc[:, 0].dropna()
    found.index = pd.DatetimeIndex(found.index).tz_convert("America/New_York").tz_localize(None).normalize()
    return found


def test_each_window_is_calm_and_its_ends_are_sessions(closes: pd.Series) -> None:
    for first, last in CALM_WINDOWS.values():
        window = closes[pd.Timestamp(first) : pd.Timestamp(last)]
        assert (window.index[0].date(), window.index[-1].date()) == (first, last)
        assert len(window) >= 100
        assert (window / window.cummax()).min() > 0.95


def test_together_they_rise_as_all_days_outside_of_the_crises(closes: pd.Series) -> None:
    moves = np.log(closes).diff().dropna()
    calm = pd.concat([moves[moves.index.isin(pd.bdate_range(a, b)[1:])] for a, b in CALM_WINDOWS.values()])
    crises = [(pd.Timestamp(one.start), pd.Timestamp(one.end)) for one in map(catalog.load, catalog.names())]
    outside = moves[[not any(first < day <= last for first, last in crises) for day in moves.index]]
    assert outside.mean() * 252 == pytest.approx(0.143, abs=0.01)
    assert calm.mean() * 252 == pytest.approx(outside.mean() * 252, abs=0.01)


def test_no_crisis_of_the_catalogue_lies_in_a_calm_window() -> None:
    for first, last in CALM_WINDOWS.values():
        assert not [n for n in catalog.names() if catalog.load(n).start <= last and catalog.load(n).end >= first]


def test_one_is_replayed_with_real_yields_and_the_assets_that_were_asked_for(store: MarketStore) -> None:
    scenarios = calm_scenarios([AssetEntry(symbol=name) for name in ("AAPL", "SPX", "UST10Y")])
    assert [one.name for one in scenarios] == list(CALM_WINDOWS)
    path = replay(scenarios[-1], store)
    assert path.share_real() > 0.99
    assert path.history is not None
    entries = entries_of(path)
    assert [(entry.symbol, entry.kind) for entry in entries] == [
        ("AAPL", "equity"), ("SPX", "index"), ("UST10Y", "rate"),
    ]  # fmt: skip
    assert calm_scenarios(entries)[0].assets == entries
