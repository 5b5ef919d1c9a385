"""Stress is what could be known, against what was usual."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.scenarios.liquidity import Liquidity, stress_of
from quantdesk.scenarios.path import GRADES, Asset, Grade, Path

REAL, CLOSED, MISSING = (GRADES.index(grade) for grade in (Grade.REAL, Grade.CLOSED, Grade.MISSING))
ASSETS = (Asset("A", "equity"), Asset("UST10Y", "rate", "percent"), Asset("WTI", "commodity"))


def daily(closes: np.ndarray, start: str = "2019-01-02", assets: tuple[Asset, ...] = ASSETS, **more) -> Path:
    days = pd.bdate_range(start, periods=len(closes)).tz_localize("America/New_York")
    begins, ends = ((days + pd.Timedelta(hours=hours)).tz_convert("UTC").as_unit("ns").asi8 for hours in (9.5, 16))
    grades = np.where(np.isnan(closes), MISSING, REAL).astype(np.int8)
    return Path("test", assets, begins, ends, closes, more.pop("grades", grades), **more)


def walk(rng: np.random.Generator, bars: int, sigma: float, begin: float = 100.0) -> np.ndarray:
    return begin * np.exp(np.cumsum(rng.normal(0, sigma, bars)))


def history(seed: int = 0, bars: int = 250) -> Path:
    rng = np.random.default_rng(seed)
    rate = 2.0 + np.cumsum(rng.normal(0, 0.05, bars))
    return daily(np.column_stack([walk(rng, bars, 0.01), rate, walk(rng, bars, 0.02, 60)]), "2018-01-02")


def follows(before: Path, moves: np.ndarray) -> np.ndarray:
    """Closes that go on from a history: parts for prices, differences for the rate."""
    last = before.close[-1]
    steps = np.cumsum(moves, axis=0)
    return np.column_stack([last[0] * np.exp(steps[:, 0]), last[1] + steps[:, 1], last[2] * np.exp(steps[:, 2])])


def plain(path: Path, place: int) -> list[float]:
    """The definition, for daily bars without holes, one after the other."""
    assert path.history is not None
    before = path.history.close[:, place]
    values = np.concatenate([before, path.close[:, place]])
    steps = np.diff(values) if path.assets[place].kind == "rate" else np.diff(np.log(values))
    variance = float(np.mean(steps[:20] ** 2))
    found = []
    for step in steps:
        variance = 0.94 * variance + 0.06 * step**2
        found.append(variance**0.5)
    calm = float(np.median(found[: len(before) - 1]))
    return [value / calm for value in found[len(before) - 1 :]]


def test_it_is_the_definition_for_every_kind():
    before = history()
    moves = np.random.default_rng(1).normal(0, [0.03, 0.1, 0.02], (40, 3))
    path = daily(follows(before, moves), history=before)
    stress = stress_of(path)
    for place in range(3):
        np.testing.assert_allclose(stress[:, place], plain(path, place), rtol=1e-12)
    assert np.median(stress[20:], axis=0) == pytest.approx([3, 2, 1], rel=0.35)


@given(st.integers(0, 2**31), st.integers(1, 29))
@settings(max_examples=25, deadline=None)
def test_no_bar_looks_ahead(seed, cut):
    rng = np.random.default_rng(seed)
    before = history(seed)
    closes = follows(before, rng.normal(0, 0.03, (30, 3)))
    closes[rng.random(closes.shape) < 0.1] = np.nan
    path = daily(closes, history=before)
    np.testing.assert_array_equal(stress_of(path)[:cut], stress_of(path.cut(0, cut)))
    other = closes.copy()
    other[cut:] *= 0.5
    np.testing.assert_array_equal(stress_of(daily(other, history=before))[:cut], stress_of(path)[:cut])


def test_without_history_all_is_calm():
    closes = np.random.default_rng(0).random((5, 3)) + 1
    assert (stress_of(daily(closes)) == 1).all()
    short = daily(closes[:, :1] + 1, "2018-12-24", ASSETS[:1])
    assert (stress_of(daily(closes, history=short)) == 1).all()
    still = daily(np.full((60, 3), 7.0), "2018-06-01")
    assert (stress_of(daily(closes, history=still)) == 1).all()


def test_an_asset_that_the_history_lacks_is_calm_and_the_others_are_not():
    before = history()
    alone = daily(before.close[:, [2]], "2018-01-02", (ASSETS[2],))
    closes = follows(before, np.full((10, 3), -0.08))
    found, whole = stress_of(daily(closes, history=alone)), stress_of(daily(closes, history=before))
    assert (found[:, :2] == 1).all()
    np.testing.assert_array_equal(found[:, 2], whole[:, 2])


def test_a_closed_market_keeps_its_stress_and_its_gap_is_one_bar():
    before = history()
    moves = np.zeros((8, 3))
    moves[0] = moves[6] = -0.05
    closes = follows(before, moves)
    shut, grades = closes.copy(), np.full(closes.shape, REAL, dtype=np.int8)
    shut[2:6, 0], grades[2:6, 0] = np.nan, CLOSED
    path = daily(shut, history=before, grades=grades)
    stress = stress_of(path)
    assert (stress[2:6, 0] == stress[1, 0]).all()
    kept = np.delete(closes, slice(2, 6), axis=0)
    np.testing.assert_allclose(stress[6:, 0], stress_of(daily(kept, history=before))[2:, 0])
    assert (stress[2:6, 1] < stress[1, 1]).all()  # the others go on


def test_what_gathers_over_missing_bars_is_spread_over_them():
    before = history()
    closes = follows(before, np.full((6, 3), -0.01))
    holes = closes.copy()
    holes[1:4, 0] = np.nan
    whole, part = stress_of(daily(closes, history=before)), stress_of(daily(holes, history=before))
    # Four equal moves of 1 % are, in one, a variance of four times as much a day; its weight is that of four bars.
    calm = part[0, 0] / whole[0, 0]
    assert calm == 1
    squares = whole[0, 0] ** 2 * 0.94**4 + (1 - 0.94**4) * 4 * _unit(before) ** 2
    assert part[4, 0] == pytest.approx(squares**0.5)


def _unit(before: Path) -> float:
    """A move of 1 % in calm volatilities, found by the fixed point of a steady move."""
    closes = follows(before, np.full((400, 3), -0.01))
    return float(stress_of(daily(closes, history=before))[-1, 0])


def test_a_price_below_zero_is_no_end_of_it():
    before = history()
    closes = np.tile(before.close[-1], (4, 1))
    closes[1:, 2] = [-36.98, 10.0, 12.0]
    stress = stress_of(daily(closes, history=before))
    assert np.isfinite(stress).all()
    assert stress[1, 2] > 10


def minutes(closes: np.ndarray, before: Path, at: str = "2019-01-02 09:30") -> Path:
    begins = pd.date_range(at, periods=len(closes), freq="min", tz="America/New_York").tz_convert("UTC").as_unit("ns")
    grades = np.full(closes.shape, REAL, dtype=np.int8)
    return Path("day", ASSETS, begins.asi8, begins.asi8 + 60_000_000_000, closes, grades, history=before)


def test_minutes_of_ordinary_volatility_are_calm():
    before = history(3, 400)
    found = []
    for seed in range(6):
        moves = np.random.default_rng(seed).normal(0, np.array([0.01, 0.05, 0.02]) * np.sqrt(0.8 / 390), (390, 3))
        moves[0] += np.random.default_rng(seed).normal(0, np.array([0.01, 0.05, 0.02]) * np.sqrt(0.2))
        found.append(stress_of(minutes(follows(before, moves), before))[60:])
    assert np.median(np.concatenate(found), axis=0) == pytest.approx([1, 1, 1], abs=0.15)


def test_the_depth_of_the_flash_crash_is_gone_after_five_minutes_of_it():
    before = history()
    moves = np.zeros((320, 3))
    moves[300:305] = -0.05 / 4.5
    day = minutes(follows(before, moves), before)
    quiet = stress_of(day)[299, 0]
    depth = Liquidity().at(stress_of(day)[:, 0]).depth
    assert quiet < 0.2
    assert depth[304] < 0.02
    assert (np.diff(depth[299:305]) < 0).all()
    np.testing.assert_array_equal(stress_of(day.cut(0, 301)), stress_of(day)[:301])


def test_minutes_that_begin_in_the_afternoon_know_that_a_morning_has_passed():
    before = history()
    drop = follows(before, np.vstack([np.full((1, 3), -0.02), np.zeros((9, 3))]))
    late, early = minutes(drop, before, "2019-01-02 14:32"), minutes(drop, before)
    assert stress_of(late)[0, 0] < stress_of(early)[0, 0]
