"""The joined engine on everything that ships: what is conserved, what is repeated, what is refused, what shocks do."""

from __future__ import annotations

import math
from pathlib import Path as File

import numpy as np
import pytest

from quantdesk.errors import BadInput, QuantdeskError, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import RunConfig, ScenarioEngine, Seen, StressResult, catalog
from quantdesk.scenarios.shocks import Shocked

MILLION = {"cash": 1_000_000.0}
HELD = {"cash": 1000.0, "AAPL": 1000.0, "JPM": 1000.0}
shock = ScenarioEngine.generate_synthetic_shock

OWN = """\
name = "december_2018"
title = "December 2018"
summary = "The worst December since 1931."
start = 2018-12-03
end = 2018-12-24
assets = ["SPX", "AAPL", "JPM"]
sources = ["my notes"]
"""


@pytest.fixture(scope="module")
def engine(store: MarketStore) -> ScenarioEngine:
    return ScenarioEngine(store)


@pytest.fixture(scope="module")
def shocked(engine: ScenarioEngine):
    """What a shock does; each is made once."""
    made: dict[str, Shocked] = {}

    def of(kind: str, magnitude: float = 3.0, days: int = 5, **more) -> Shocked:
        key = repr((kind, magnitude, days, more))
        if key not in made:
            made[key] = engine.shocked(shock(kind, magnitude, days, **more))
        return made[key]

    return of


def buys_apple(seen: Seen) -> dict[str, float] | None:
    return {"AAPL": 0.1} if not len(seen.bars) else None


# ------------------------------------------------------------------------------------------------- the catalogue


@pytest.mark.parametrize("name", catalog.names())
def test_every_entry_runs_and_its_profit_is_told_three_times(engine: ScenarioEngine, name: str) -> None:
    result = engine.run(name, ["momentum_alpha"], MILLION)
    (account,) = result.accounts
    assert account.error == ""
    assert account.orders > 0
    assert np.isfinite(result.value).all()
    for split in (account.attribution.asset_class, account.attribution.sector, account.attribution.cause):
        assert math.isclose(sum(split.values()), account.pnl, abs_tol=0.01)
    assert account.attribution.cause["spread"] < 0
    told = result.content()["results"]
    assert told["risk_limit_breaches"] == len(account.breaches)
    assert told["execution_failures"] == len(account.failures)
    assert told["system_alerts"] == len(account.alerts)
    assert 0 <= result.share_real["all"] <= 1


def test_short_names_mean_the_same_run(engine: ScenarioEngine) -> None:
    runs = [engine.run(name, ["hold"], HELD) for name in ("lehman_2008", "lehman", "GFC", "crash-2008")]
    assert len({one.digest for one in runs}) == 1


def test_an_unknown_scenario_offers_the_nearest(engine: ScenarioEngine) -> None:
    with pytest.raises(UnknownName, match="Did you mean lehman_2008"):
        engine.run("lehmann_2008")


def test_what_is_real_in_lehman_is_told_by_class(engine: ScenarioEngine) -> None:
    result = engine.run("lehman", ["hold"], HELD)
    assert {kind: result.share_real[kind] for kind in ("equity", "fx", "rate", "volatility")} == {
        "equity": 1.0,
        "fx": 1.0,
        "rate": 1.0,
        "volatility": 0.0,
    }
    assert result.grades["VIX"] == {"reconstructed": 50}
    assert result.methods["VIX"]
    assert 0.9 < result.share_real["all"] < 1


def test_breakers_fire_in_covid_alone(engine: ScenarioEngine) -> None:
    """Market-wide halts come of the prices: four in March 2020, none in 2008 or 2022."""
    breakers = {
        name: [event for event in engine.run(name, ["hold"], MILLION).accounts[0].halts if "CLOSED" not in event.cause]
        for name in ("covid", "lehman_2008", "rate_shock_2022")
    }
    assert [len(breakers[name]) for name in breakers] == [4, 0, 0]


# --------------------------------------------------------------------------------------------------- repeatability


def test_the_same_seed_gives_the_same_bytes_and_minutes_depend_on_it(store: MarketStore) -> None:
    def run(seed: int, minutes: int | None) -> StressResult:
        return ScenarioEngine(store).run("covid", ["equal_weight"], MILLION, minutes, seed=seed)

    assert run(3, 20).digest == run(3, 20).digest
    assert run(3, 20).value.tolist() != run(4, 20).value.tolist()  # the minutes between open and close are drawn


def test_days_that_are_known_do_not_depend_on_the_seed(engine: ScenarioEngine) -> None:
    """Chance moves fills a little, and no value of the path."""
    first, second = (engine.stage("lehman", None, RunConfig(seed=seed)).path for seed in (0, 1))
    assert first.sha256 == second.sha256
    held = [engine.run("lehman", ["hold"], HELD, seed=seed).value.tolist() for seed in (0, 1)]
    assert held[0] == held[1]


def test_strategies_share_the_capital_in_equal_parts(engine: ScenarioEngine) -> None:
    both = engine.run("volmageddon", ["momentum_alpha", "mean_reversion"], MILLION)
    alone = [engine.run("volmageddon", [name], MILLION) for name in ("momentum_alpha", "mean_reversion")]
    np.testing.assert_array_equal(both.value, np.mean([one.value for one in alone], axis=0))
    assert len(both.events("alerts")) == sum(len(one.events("alerts")) for one in alone)


def test_two_of_one_name_are_told_apart(engine: ScenarioEngine) -> None:
    result = engine.run("volmageddon", ["hold", "hold", buys_apple], {"cash": 1000, "AAPL": 10})
    assert [one.strategy for one in result.accounts] == ["hold", "hold 2", "buys_apple"]


# ------------------------------------------------------------------------------------------------------- a user's


def test_a_scenario_of_ones_own_runs_at_once(engine: ScenarioEngine, tmp_path: File, monkeypatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    result = engine.run(str(file), ["hold"], {"cash": 0, "AAPL": 100})
    path = engine.stage(str(file)).path
    moved = 100 * (path.close[-1, path.column("AAPL")] - path.close[0, path.column("AAPL")])
    assert math.isclose(result.pnl_impact, moved, abs_tol=0.01)
    monkeypatch.setenv("QUANTDESK_SCENARIOS_FOLDER", str(tmp_path))
    assert engine.run("december_2018", ["hold"], {"cash": 0, "AAPL": 100}).digest == result.digest


@pytest.mark.parametrize("minutes", [-5, 0, "60", 1.5, True, 10**9])
def test_a_duration_that_is_none_or_beyond_the_window_is_refused(engine: ScenarioEngine, minutes: object) -> None:
    with pytest.raises(BadInput, match=str(minutes)):
        engine.run("flash_crash", ["hold"], MILLION, minutes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strategies", "portfolio", "said"),
    [
        ([], MILLION, r"strategies are \[\]"),
        ("hold", MILLION, "strategies are 'hold'"),
        (["momentum_alfa"], MILLION, "Did you mean momentum_alpha"),
        ([3], MILLION, "strategy '3'"),
        (["hold"], {}, "portfolio is {}"),
        (["hold"], {"cash": -1}, "-1.00"),
        (["hold"], {"cash": 1, "TSLA": 5}, "TSLA"),
        (["hold"], {"cash": 1, "AAPL": math.nan}, "nan of AAPL"),
        (["hold"], {"cash": 1, "META": 10}, "META"),
        (["hold"], {"cash": 1, "OPT:SPX:P:-5:3M": 1}, "OPT:SPX:P:-5:3M"),
    ],
)
def test_bad_input_is_one_clear_sentence(engine: ScenarioEngine, strategies, portfolio, said: str) -> None:
    with pytest.raises(QuantdeskError, match=said):
        engine.run("lehman", strategies, portfolio)


def test_one_strategy_that_fails_leaves_the_other_alone(engine: ScenarioEngine) -> None:
    def breaks(seen: Seen) -> None:
        raise ValueError("no reason")

    both = engine.run("volmageddon", [breaks, "momentum_alpha"], MILLION)
    alone = engine.run("volmageddon", ["momentum_alpha"], MILLION)
    assert both.accounts[0].error == "ValueError: no reason"
    assert both.accounts[1].to_dict() == alone.accounts[0].to_dict()


# ------------------------------------------------------------------------------------------------------ instruments


def test_what_protects_in_a_crash_wins_in_lehman(engine: ScenarioEngine) -> None:
    """The ten-year yield fell and the index lost two fifths: a note and a put gained, and the index did not."""
    gains = {
        name: engine.run("lehman", ["hold"], {"cash": 1000, name: many}).pnl_impact
        for name, many in (("UST:10Y", 100_000), ("OPT:SPX:P:90%:3M", 100), ("SPX", 100))
    }
    assert gains["UST:10Y"] > 0
    assert gains["OPT:SPX:P:90%:3M"] > 0
    assert gains["SPX"] < 0


# ------------------------------------------------------------------------------------------------------------ shocks


def test_a_larger_crash_never_helps_who_only_holds(engine: ScenarioEngine, shocked) -> None:
    lost = [
        engine.run(shocked("equity_crash", size, unit="absolute"), ["hold"], HELD).pnl_impact
        for size in (0.1, 0.2, 0.4)
    ]
    assert 0 > lost[0] > lost[1] > lost[2]


def test_what_is_invented_is_labelled_so(engine: ScenarioEngine, shocked) -> None:
    result = engine.run(shocked("equity_crash", 0.2, unit="absolute"), ["hold"], HELD)
    assert result.share_real["all"] < 0.2  # the day before is real
    assert "simulated_shock" in result.labels
    assert any("equity_crash" in note for note in result.notes)


def test_a_drought_of_liquidity_makes_the_same_trade_dearer(engine: ScenarioEngine, shocked) -> None:
    """Prices are left alone: what the same purchases pay at the spread is what differs."""

    def churns(seen: Seen) -> dict[str, float]:
        return {"AAPL": 0.1 if len(seen.bars) % 2 else 0.0}

    dry = engine.run(shocked("liquidity_drought", 40.0, 8, unit="absolute", shape="jump"), [churns], MILLION)
    wet = engine.run(shocked("liquidity_drought", 1.01, 8, unit="absolute", shape="jump"), [churns], MILLION)
    assert dry.accounts[0].filled_shares > 0
    for cause in ("spread", "impact"):
        dear, cheap = (-one.accounts[0].attribution.cause[cause] for one in (dry, wet))
        assert dear > 3 * cheap > 0


def test_a_silent_feed_hides_prices_from_strategies_and_stops_their_orders(engine: ScenarioEngine, shocked) -> None:
    dark = shocked("feed_outage", 1.0, 3, symbols=("AAPL",))
    (outage,) = dark.outages
    looked: dict[int, tuple[float, int]] = {}

    def keeps_buying(seen: Seen) -> dict[str, float]:
        price = float(seen.bars["AAPL"].iloc[-1]) if len(seen.bars) else 0.0
        looked[seen.at.value] = (price, seen.positions.get("AAPL", 0))
        return {"AAPL": 0.01 * (1 + len(seen.bars) % 3)}

    account = engine.run(dark, [keeps_buying], MILLION).accounts[0]
    silent = [int(at) for at in dark.path.ends if outage.begins < at <= outage.ends]
    assert len(silent) == 3
    assert [at for at, (price, _) in looked.items() if math.isnan(price)] == silent
    assert np.isfinite(dark.path.close[:, dark.path.column("AAPL")]).all()  # the market went on behind the feed
    assert len({looked[at][1] for at in silent}) == 1  # and nothing was bought in the dark
    assert len({shares for _, shares in looked.values()}) > 2  # as it was before and after
    refused = [one for one in account.failures if one.symbol == "AAPL"]
    assert all("STALE_PRICE" in one.cause and outage.begins <= one.at <= outage.ends for one in refused)


def test_a_closed_market_trades_nothing_and_reopens_at_its_gap(engine: ScenarioEngine, shocked) -> None:
    closed = shocked("market_closure", 0.15, 4, unit="absolute", affected_sectors=())
    path = closed.path
    shut = np.isnan(path.close[:, path.column("AAPL")])
    assert shut.sum() == 4

    def churns(seen: Seen) -> dict[str, float]:
        return {"AAPL": 0.05 * (1 + len(seen.bars) % 2)}

    account = engine.run(closed, [churns], MILLION).accounts[0]
    before, after = np.flatnonzero(shut)[0] - 1, np.flatnonzero(shut)[-1] + 1
    flat = account.value[before + 1 : after + 1]
    np.testing.assert_array_equal(flat, flat[0])
    gap = path.close[after, path.column("AAPL")] / path.close[before, path.column("AAPL")] - 1
    assert gap < -0.05
    assert account.value[after + 1] < flat[-1]


@pytest.mark.parametrize(("kind", "size"), [("equity_crash", 0.0), ("equity_crash", 1e9), ("equity_crash", math.nan)])
def test_an_absurd_magnitude_is_refused_with_its_value(kind: str, size: float) -> None:
    with pytest.raises(BadInput):
        shock(kind, size)


def test_minutes_of_an_invented_crisis_are_refused(engine: ScenarioEngine, shocked) -> None:
    with pytest.raises(BadInput, match="60 minutes"):
        engine.run(shocked("equity_crash", 0.2, unit="absolute"), ["hold"], HELD, 60)
