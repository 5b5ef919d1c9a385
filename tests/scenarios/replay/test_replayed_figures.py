"""Each crisis shows its figures from real bars; what is reconstructed is labelled and never counted as shown."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import numpy as np
import pytest

from quantdesk.errors import BadInput
from quantdesk.market import MarketStore
from quantdesk.scenarios import Grade, Path, catalog
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.reproduction import figures_of
from quantdesk.scenarios.scenario import Figure, Scenario

NAMES = catalog.names()
REAL, RECONSTRUCTED, MISSING = (GRADES.index(one) for one in (Grade.REAL, Grade.RECONSTRUCTED, Grade.MISSING))


@pytest.mark.parametrize("name", NAMES)
def test_every_real_figure_is_reproduced_from_real_bars(name: str, store: MarketStore) -> None:
    scenario = catalog.load(name)
    checked = [one for one in figures_of(scenario, replay(scenario, store)) if one.figure.grade == "real"]
    assert len(checked) >= 4
    wrong = [(one.figure.what, one.figure.symbol, one.expected, one.computed) for one in checked if not one.within]
    assert wrong == []
    assert {one.grade for one in checked} == {Grade.REAL}
    assert all(one.is_reproduced for one in checked)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_that_is_quoted_is_never_counted_as_reproduced(name: str, store: MarketStore) -> None:
    scenario = catalog.load(name)
    quoted = [one for one in figures_of(scenario, replay(scenario, store)) if one.figure.grade == "reconstructed"]
    assert {one.grade for one in quoted} <= {Grade.RECONSTRUCTED, Grade.MISSING}
    assert not any(one.is_reproduced for one in quoted)


@pytest.mark.parametrize("name", NAMES)
def test_shares_equities_and_indices_are_wholly_real(name: str, store: MarketStore) -> None:
    path = replay(catalog.load(name), store)
    assert path.share_real([asset.symbol for asset in path.assets if asset.is_traded]) == 1.0


@pytest.mark.parametrize(
    ("name", "real", "not_real"),
    [
        ("lehman_2008", ["rate", "commodity", "fx"], ["volatility"]),
        ("covid_2020", ["fx", "etf"], ["rate", "commodity", "volatility"]),
        ("rate_shock_2022", ["fx", "etf"], ["rate", "commodity", "volatility"]),
        ("volmageddon_2018", ["commodity", "volatility", "fx"], ["rate"]),
        ("yuan_2015", ["commodity", "volatility", "rate", "fx", "etf"], []),
        ("geopolitical_2001", ["commodity", "rate", "fx"], ["volatility"]),
    ],
)
def test_the_share_of_real_bars_by_kind(name: str, real: list[str], not_real: list[str], store: MarketStore) -> None:
    path = replay(catalog.load(name), store)
    shares = {kind: path.share_real([a.symbol for a in path.assets if a.kind == kind]) for kind in (*real, *not_real)}
    assert shares == {**dict.fromkeys(real, 1.0), **dict.fromkeys(not_real, 0.0)}


def test_the_share_is_of_the_bars_that_there_should_be(store: MarketStore) -> None:
    """Of EURRUB five of fourteen fixings are missing."""
    path = replay(catalog.load("russia"), store, symbols=["EURRUB"])
    days = len(path.ends)
    assert path.graded(Grade.CLOSED) == 0
    assert path.share_real() == pytest.approx((days - path.graded(Grade.MISSING)) / days)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "yuan_2015"])
def test_reconstructed_bars_carry_label_and_method(name: str, store: MarketStore) -> None:
    path = replay(catalog.load(name), store)
    made = [symbol for place, symbol in enumerate(path.symbols) if (path.grades[:, place] == RECONSTRUCTED).any()]
    assert made
    assert "partly_reconstructed" in path.labels
    for symbol in made:
        assert "published closes" in path.methods[symbol]
        assert (path.grades[:, path.column(symbol)] != REAL).all()


def test_a_crisis_without_reconstruction_has_no_such_label(store: MarketStore) -> None:
    path = replay(catalog.load("yuan"), store)
    assert "partly_reconstructed" not in path.labels
    assert path.graded(Grade.RECONSTRUCTED) == 0


@pytest.mark.parametrize("name", NAMES)
def test_waypoints_are_hit_exactly(name: str, store: MarketStore) -> None:
    scenario = catalog.load(name)
    path = replay(scenario, store)
    closes = path.closes().set_index(path.sessions)
    for point in scenario.waypoints:
        if scenario.start <= point.on <= scenario.end:
            assert closes.loc[str(point.on), point.symbol] == pytest.approx(point.value, rel=1e-12), point


def test_rates_between_waypoints_lie_on_a_line(store: MarketStore) -> None:
    """2020-03-09 to 03-16: 0.54 to 0.73 in five sessions."""
    path = replay(catalog.load("covid"), store, symbols=["UST10Y"])
    closes = path.closes().set_index(path.sessions)["UST10Y"]
    want = [0.54 + (0.73 - 0.54) * step / 5 for step in range(6)]
    np.testing.assert_allclose(closes["2020-03-09":"2020-03-16"], want, rtol=1e-12)  # type: ignore[misc]
    assert path.methods["UST10Y"] == "linear between 7 published closes"


def test_oil_between_waypoints_grows_by_one_factor(store: MarketStore) -> None:
    path = replay(catalog.load("covid"), store, symbols=["WTI"])
    closes = path.closes().set_index(path.sessions)["WTI"]["2020-03-13":"2020-03-18"]  # type: ignore[misc]
    assert len(closes) == 4
    np.testing.assert_allclose(closes.to_numpy()[1:] / closes.to_numpy()[:-1], (20.48 / 31.72) ** (1 / 3), rtol=1e-12)


def daily(scenario: Scenario, store: MarketStore) -> Path:
    return replay(scenario, store)


def asked(what: str, **given: object) -> Figure:
    return Figure.model_validate({"what": what, "value": 1.0, "tolerance": 0.1, "source": "test", **given})


def test_a_figure_without_bars_is_missing_and_not_within(store: MarketStore) -> None:
    scenario = catalog.load("euro").model_copy(
        update={
            "figures": (
                asked("level", symbol="GOLD"),
                asked("level", symbol="SPX", on="2011-12-01"),
                asked("return", symbol="SPX", since="2011-07-23"),
                asked("low", symbol="JPM"),
                asked("low", symbol="SPX", on="2011-07-30"),
                asked("peak", symbol="GOLD"),
                asked("sector_return", symbol="Utilities"),
                asked("spread", symbol="UST2Y/UST11Y"),
            )
        }
    )
    for one in figures_of(scenario, daily(catalog.load("euro"), store)):
        assert math.isnan(one.computed)
        assert one.grade is Grade.MISSING
        assert not one.within


def test_correlations_need_two_stocks_and_two_returns(store: MarketStore) -> None:
    scenario = catalog.load("euro").model_copy(update={"figures": (asked("correlation"),)})
    path = replay(scenario, store, symbols=["SPX", "JPM"])
    assert math.isnan(figures_of(scenario, path)[0].computed)


def test_figures_are_what_the_closes_say(store: MarketStore) -> None:
    """Independent of the code under test: closes straight from the store."""
    scenario = catalog.load("euro").model_copy(
        update={
            "figures": (
                asked("worst_day", symbol="SPX"),
                asked("peak", symbol="SPX"),
                asked("trough", symbol="SPX"),
                asked("spread", symbol="UST2Y/UST10Y", on="2011-10-03"),
                asked("sector_return", symbol="Financials"),
            )
        }
    )
    spx = store.bars("SPX", "2011-07-22", "2011-10-03").frame["close"]
    banks = [store.bars(f"{name}@skfolio", "2011-07-22", "2011-10-03").frame["adj_close"] for name in ("BAC", "JPM")]
    want = [
        (spx / spx.shift() - 1).min() * 100,
        spx.max(),
        spx.min(),
        (1.80 - 0.24) * 100,
        np.mean([bank.iloc[-1] / bank.iloc[0] - 1 for bank in banks]) * 100,
    ]
    got = [one.computed for one in figures_of(scenario, daily(catalog.load("euro"), store))]
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_one_reconstructed_bar_is_enough_not_to_count(store: MarketStore) -> None:
    scenario = catalog.load("euro")
    path = replay(scenario, store)
    grades = path.grades.copy()
    grades[3, path.column("SPX")] = RECONSTRUCTED
    touched = dataclasses.replace(path, grades=grades)
    before = {one.figure.what: one for one in figures_of(scenario, path) if one.figure.symbol == "SPX"}
    after = {one.figure.what: one for one in figures_of(scenario, touched) if one.figure.symbol == "SPX"}
    assert before["worst_day"].is_reproduced
    assert after["worst_day"].within
    assert not after["worst_day"].is_reproduced
    assert after["return"].is_reproduced


def test_minutes_are_refused(store: MarketStore) -> None:
    path = replay(catalog.load("flash_crash"), store)
    half = (path.begins + path.ends) // 2
    twice = dataclasses.replace(
        path,
        begins=np.sort(np.concatenate([path.begins, half])),
        ends=np.sort(np.concatenate([half, path.ends])),
        **{
            name: None if (table := getattr(path, name)) is None else np.repeat(table, 2, axis=0)
            for name in ("close", "grades", "open", "high", "low", "volume")
        },
    )
    with pytest.raises(BadInput, match="more than one bar a day"):
        figures_of(catalog.load("flash_crash"), twice)


def test_the_breakers_of_march_2020_are_in_the_closes(store: MarketStore) -> None:
    """A market-wide halt needs a fall of 7 % from the close before: the lows show it on four days, and no others."""
    path = replay(catalog.load("covid"), store, symbols=["SPX"])
    assert path.low is not None
    fall = path.low[1:, 0] / path.close[:-1, 0] - 1
    days = [day.date() for day, deep in zip(path.sessions[1:], fall <= -0.07, strict=True) if deep]
    assert days == [dt.date(2020, 3, day) for day in (9, 12, 16, 18)]
