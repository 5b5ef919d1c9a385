"""With the real loop: who applies a recommendation and runs again gets exactly what was promised."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from quantdesk.backtest.sectors import SECTORS
from quantdesk.errors import BadInput
from quantdesk.market import MarketStore
from quantdesk.market.series import Kind
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios import Asset, Grade, Path, RunConfig, ScenarioEngine, StressResult
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.recommend import (
    HedgeChoice,
    Question,
    Recommendations,
    Rules,
    SearchSpace,
    Sizes,
    recommend,
    sizes_in,
)

SYMBOLS = ("AAPL", "JPM", "XOM", "KO", "MSFT", "SPX", "UST1Y", "UST10Y")
KINDS: dict[str, Kind] = {"SPX": "index", "UST1Y": "rate", "UST10Y": "rate", "VIX": "volatility"}
PUT = "OPT:SPX:P:90%:6M"
SPACE = SearchSpace(
    (0.3,),
    (0.08,),
    (0.1,),
    (),
    (HedgeChoice("index", "SPX", 0.5), HedgeChoice("volatility", PUT, 0.5), HedgeChoice("rates", "UST:10Y", 0.25)),
)
WINDOWS = {
    "lehman_2008": dt.date(2008, 9, 12),
    "euro_2011": dt.date(2011, 7, 22),
    "ltcm_1998": dt.date(1998, 8, 7),
    "calm_2014": dt.date(2014, 4, 1),
}
SESSIONS = {"lehman_2008": 14, "euro_2011": 14, "ltcm_1998": 14, "calm_2014": 20}


def short_path(name: str, store: MarketStore) -> Path:
    """The first sessions of a window as the bundle has them; volatility is made up, and graded so."""
    first = WINDOWS[name]
    begin = first - dt.timedelta(days=450)
    series = [one if one.startswith(("SPX", "UST")) else f"{one}@skfolio" for one in SYMBOLS]
    panel = store.panel(series, start=str(begin), end=str(first + dt.timedelta(days=60)))
    days = sessions_between("XNYS", begin, first + dt.timedelta(days=60))
    panel.index = pd.DatetimeIndex(panel.index).tz_convert("America/New_York").tz_localize(None).normalize()
    panel = panel.groupby(level=0).last()  # yields and closes of one day have other moments
    table = np.column_stack([panel.reindex(days).to_numpy(), np.full(len(days), 25.0)])
    grades = np.where(np.isnan(table), GRADES.index(Grade.MISSING), GRADES.index(Grade.REAL)).astype(np.int8)
    grades[:, -1] = GRADES.index(Grade.SIMULATED)
    begins, ends = (times("XNYS", days).as_unit("ns").asi8.copy() for times in (open_times, event_times))
    assets = tuple(Asset(one, KINDS.get(one, "equity"), sector=SECTORS.get(one, "")) for one in (*SYMBOLS, "VIX"))
    whole = Path(name, assets, begins, ends, table, grades)
    start = int(np.searchsorted(days, pd.Timestamp(first)))
    return dataclasses.replace(whole.cut(start, start + SESSIONS[name]), history=whole.cut(0, start))


@pytest.fixture(scope="module")
def paths(store: MarketStore) -> dict[str, Path]:
    """Three crises and a calm window of the bundle, short."""
    return {name: short_path(name, store) for name in WINDOWS}


@pytest.fixture(scope="module")
def run(store: MarketStore, paths: dict[str, Path]) -> Callable[[str, RunConfig], StressResult]:
    engine = ScenarioEngine(store)

    def made(scenario: str, config: RunConfig) -> StressResult:
        return engine.run(paths[scenario], ["equal_weight"], {"cash": 2_000_000}, seed=config.seed, config=config)

    return made


@pytest.fixture(scope="module")
def found(run: Callable[[str, RunConfig], StressResult], paths: dict[str, Path]) -> Recommendations:
    question = Question("lehman_2008", ("euro_2011", "ltcm_1998"), ("calm_2014",))
    return recommend(
        run,
        question,
        RunConfig(seed=3),
        space=SPACE,
        rules=Rules(worse_pnl=3.0, worse_drawdown=3.0, most_calm_cost=20.0, years_between=0.05, top=2),
        sizes=sizes_in(paths.__getitem__),
    )


def test_something_is_found_in_a_crisis(found: Recommendations) -> None:
    assert len(found) >= 1
    assert found.tried >= 6
    assert (found.chosen_on, found.judged_on) == (("lehman_2008", "ltcm_1998"), ("euro_2011",))
    assert found.left_out == {}


def test_a_recommendation_applied_and_run_again_gives_the_promised_figures(
    found: Recommendations, run: Callable[[str, RunConfig], StressResult]
) -> None:
    for one in found:
        assert set(one.promised) == {"lehman_2008", "ltcm_1998", "euro_2011", "calm_2014"}
        for scenario, promised in one.promised.items():
            again = run(scenario, one.apply(RunConfig(seed=3), scenario))
            assert again.pnl_impact == promised.pnl
            assert again.max_drawdown == promised.max_drawdown
            assert again.digest == promised.digest
        before = run("lehman_2008", RunConfig(seed=3))
        assert one.effects["lehman_2008"].before.digest == before.digest != one.promised["lehman_2008"].digest


def test_what_was_rejected_is_kept_with_figures_that_a_run_gives_too(
    found: Recommendations, run: Callable[[str, RunConfig], StressResult]
) -> None:
    one = next(one for one in found.rejected if one.effects)
    scenario, effect = next(iter(one.effects.items()))
    assert run(scenario, one.apply(RunConfig(seed=3), scenario)).digest == effect.after.digest


def test_hedges_are_sized_by_the_levels_of_each_scenario(paths: dict[str, Path]) -> None:
    sizes: Sizes = sizes_in(paths.__getitem__)
    for name in WINDOWS:
        level = paths[name].closes(["SPX"]).iloc[0, 0]
        whole = sizes(name, HedgeChoice("index", "SPX", 1.0), 2_000_000)
        half = sizes(name, HedgeChoice("index", "SPX", 0.5), 2_000_000)
        puts = sizes(name, HedgeChoice("volatility", PUT, 1.0), 2_000_000)
        assert whole == int(whole) < 0
        assert abs(half - whole / 2) <= 1
        assert 0.5 < -whole * level / 2_000_000 < 1.5  # the beta of large stocks is about one
        assert abs(puts - -whole / 100) <= 0.51
        assert sizes(name, HedgeChoice("rates", "UST:10Y", -0.25), 2_000_000) == -500_000


def test_sizes_look_at_nothing_behind_the_first_bar(paths: dict[str, Path]) -> None:
    whole = sizes_in(paths.__getitem__)
    first = sizes_in(lambda name: paths[name].cut(0, 1))
    for hedge in SPACE.hedges:
        assert whole("lehman_2008", hedge, 2_000_000) == first("lehman_2008", hedge, 2_000_000)


@pytest.mark.parametrize(
    ("hedge", "match"),
    [
        (HedgeChoice("index", "SPX", 0.5), "rounds to none"),
        (HedgeChoice("rates", "UST:10Y", 0.25), "no thousand of face"),
        (HedgeChoice("volatility", "UST:10Y", 0.25), "is no put"),
    ],
)
def test_a_hedge_that_cannot_be_sized_is_refused(paths: dict[str, Path], hedge: HedgeChoice, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        sizes_in(paths.__getitem__)("lehman_2008", hedge, 500.0)


def test_without_a_stock_there_is_no_beta(paths: dict[str, Path]) -> None:
    path = paths["lehman_2008"]
    place = path.column("SPX")
    alone = Path(
        "alone",
        (path.assets[place],),
        path.begins,
        path.ends,
        np.ascontiguousarray(path.close[:, [place]]),
        np.ascontiguousarray(path.grades[:, [place]]),
        history=path.history,
    )
    with pytest.raises(BadInput, match="no stock with a beta"):
        sizes_in(lambda name: alone)("alone", HedgeChoice("index", "SPX", 0.5), 1e6)
