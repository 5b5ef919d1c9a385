"""What a strategy may look at, and that planning a rule for all bars is the same as asking it after each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.features import transforms
from quantdesk.market import MarketStore
from quantdesk.scenarios import Path, ScenarioEngine, Seen, named
from quantdesk.scenarios.run import holdings_of, run_account
from quantdesk.scenarios.strategies import Days, checked, known_strategies, planned
from quantdesk.signals import STRATEGIES

RULES = ("momentum_alpha", "mean_reversion", "equal_weight")


@pytest.fixture(scope="module")
def engine(store: MarketStore) -> ScenarioEngine:
    return ScenarioEngine(store)


def through(path: Path, strategy: object):
    from quantdesk.scenarios import RunConfig
    from quantdesk.scenarios.run.stage import stage_of

    stage = stage_of(path, None, RunConfig())
    return run_account(stage, strategy, holdings_of({"cash": 1e6}, path))  # type: ignore[arg-type]


def test_features_after_each_bar_are_the_transforms_of_what_was_known_then(path_of) -> None:
    """An oracle that never saw the path: the published transforms on the history, cut at each bar."""
    path = path_of(4, bars=8)
    compared: list[int] = []

    def looks(seen: Seen) -> None:
        bar = len(seen.bars) - 1
        history = path.history
        assert history is not None
        whole = np.concatenate([history.close, path.close[: bar + 1]])
        found = seen.features(["sma_20", "ret_21d"])
        for place, symbol in enumerate(path.symbols):
            column = whole[:, place]
            assert np.isclose(found.loc[symbol, "sma_20"], column[-20:].mean())
            assert np.isclose(found.loc[symbol, "ret_21d"], column[-1] / column[-22] - 1)
            np.testing.assert_allclose(found.loc[symbol, "sma_20"], np.asarray(transforms.sma(column, 20))[-1])
        compared.append(bar)

    assert through(path, looks).error == ""
    assert compared == list(range(-1, 8))


def asked_each_bar(rule: str):
    """The rule, asked by hand after every bar on what may be seen then: its wishes where its calendar trades."""
    strategy = STRATEGIES[rule]
    given: dict[int, dict[str, float]] = {}
    rows: list[pd.DataFrame] = []

    def asks(seen: Seen) -> None:
        frame = seen.features(strategy.features)
        frame.index = pd.MultiIndex.from_product([[seen.closes.index[-1]], frame.index], names=["timestamp", "symbol"])
        rows.append(frame)
        table = strategy(pd.concat(rows), {})  # nothing but what was collected so far
        if len(table) and table.index[-1] == seen.closes.index[-1]:
            given[len(seen.bars) - 1] = table.iloc[-1].to_dict()

    return asks, given


@pytest.mark.parametrize("rule", RULES)
def test_planned_is_asked_after_each_bar(path_of, rule: str) -> None:
    path = path_of(2, bars=30)
    asks, given = asked_each_bar(rule)
    assert through(path, asks).error == ""
    plan = planned(named(rule), path)
    assert plan
    assert set(plan) <= set(given)
    for bar, weights in plan.items():
        assert weights == pytest.approx(given[bar])


@pytest.mark.parametrize("rule", RULES)
def test_a_plan_does_not_change_when_more_bars_come(path_of, rule: str) -> None:
    path = path_of(6, bars=40)
    whole = planned(named(rule), path)
    for bars in (5, 17, 31):
        part = planned(named(rule), path.cut(0, bars))
        assert {bar: one for bar, one in whole.items() if bar < bars} == part


def test_in_a_session_of_minutes_the_row_of_the_day_goes_on(engine: ScenarioEngine) -> None:
    stage = engine.stage("covid", 12)
    seen_rows: list[tuple[int, float, pd.Timestamp]] = []

    def looks(seen: Seen) -> None:
        seen_rows.append((len(seen.closes), float(seen.closes["AAPL"].iloc[-1]), seen.closes.index[-1]))

    account = run_account(stage, looks, holdings_of({"cash": 1e6}, stage.path))
    assert account.error == ""
    traded = [stage.path.column(symbol) for symbol in stage.path.traded]
    open_bars = np.flatnonzero(np.isfinite(stage.path.close[:, traded]).any(axis=1)).tolist()
    assert 0 < len(open_bars) < 12  # the market-wide halt falls into these minutes, and nobody is asked in it
    (before, _, _), *by_minute = seen_rows
    assert [rows for rows, _, _ in by_minute] == [before + 1] * len(open_bars)  # one row, however many minutes
    column = stage.path.column("AAPL")
    for bar, (_, price, moment) in zip(open_bars, by_minute, strict=True):
        np.testing.assert_equal(price, stage.path.close[bar, column])
        assert moment.value == stage.path.ends[bar]


def test_by_the_minute_a_plan_rests_on_the_provisional_rows_that_a_callable_sees(engine: ScenarioEngine) -> None:
    stage = engine.stage("covid", 6)
    names = ["sma_20", "ret_21d"]
    asked: dict[int, pd.DataFrame] = {}

    def asks(seen: Seen) -> None:
        asked[seen.closes.index[-1].value] = seen.features(names)

    assert run_account(stage, asks, holdings_of({"cash": 1e6}, stage.path)).error == ""
    table = Days(stage.path, stage.path.traded).features(names)
    moments = table.index.get_level_values("timestamp").unique()
    assert [one.value for one in moments] == list(asked)
    for moment in moments:
        np.testing.assert_allclose(table.loc[moment].to_numpy(), asked[moment.value].to_numpy(), rtol=1e-12)


def test_names_and_options_are_checked(path_of) -> None:
    assert set(RULES) | {"hold"} <= set(known_strategies())
    with pytest.raises(UnknownName, match="Did you mean mean_reversion"):
        named("mean_revrsion")
    assert "no_such_option" in through(path_of(bars=3), named("momentum_alpha", no_such_option=1)).error


def test_features_of_prices_alone_are_there(path_of) -> None:
    said: list[str] = []

    def looks(seen: Seen) -> None:
        for name in ("sentiment_z", "no_such_feature"):
            try:
                seen.features([name])
            except (BadInput, UnknownName) as error:
                said.append(str(error))

    assert through(path_of(bars=1), looks).error == ""
    assert any("prices alone" in one for one in said)
    assert any("'no_such_feature'" in one for one in said)


def test_a_path_without_a_past_is_refused_by_rules_that_look_back(path_of) -> None:
    import dataclasses

    path = dataclasses.replace(path_of(bars=5), history=None)
    assert "look back" in through(path, named("momentum_alpha")).error


def test_weights_come_as_a_series_too() -> None:
    assert checked(pd.Series({"A": np.float32(0.5)}), ["A"]) == {"A": 0.5}
    assert checked(None, ["A"]) is None
    with pytest.raises(BadInput, match="weight of A is 101"):
        checked({"A": 101}, ["A"])
