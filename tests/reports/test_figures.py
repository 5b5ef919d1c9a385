"""Every figure: titled, labelled, in the colours of the house, and drawing the numbers that it was given."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from quantdesk import backtest
from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders import tca
from quantdesk.reports import figures, theme

LABELS = ("real", "survivors_only")
INDEX = pd.date_range("2016-01-04 21:00", periods=700, freq="B", tz="UTC")


@pytest.fixture(scope="module")
def returns() -> pd.Series:
    return pd.Series(np.random.default_rng(0).normal(0.0003, 0.01, len(INDEX)), INDEX, name="return")


def an_analysis() -> tca.Analysis:
    """One order of which two venues filled a part each."""
    quote, tape = (
        tca.Quote(0, 100_000_000, 100_020_000),
        tca.Tape("A", [0, 400 * 10**9], [100_000_000] * 2, [100_020_000] * 2),
    )
    order = tca.OrderFacts("o", "A", 1, 300, quote, quote, quote, mode="simulated")
    fills = [tca.Fill("o", "A", 1, 100, 100_020_000, 300_000, "remove", venue, 1) for venue in ("X", "Y")]
    return tca.analyse([order], fills, [tape])


@pytest.fixture(scope="module")
def made(returns):
    """One of each."""
    rng = np.random.default_rng(1)
    prices = pd.DataFrame(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (700, 9)), axis=0)), INDEX, list("ABCDEFGHI"))
    weights = pd.DataFrame(0.1, INDEX, prices.columns)
    factors = pd.DataFrame(rng.normal(0, 0.01, (700, 2)), INDEX, ["SPX", "MTUM - SPX"])
    model = backtest.factor_model(returns + factors["SPX"], factors)
    sessions = backtest.group_sessions(weights, prices.pct_change().fillna(0.0), {s: s for s in prices})
    other = backtest.group_sessions(weights * 1.1, prices.pct_change().fillna(0.0), {s: s for s in prices})
    attribution = backtest.brinson_fachler(sessions, other)
    labels = backtest.forward_returns(prices, 5, 5)
    parts = list(backtest.PurgedKFold(4, labels.ends, pd.Timedelta(days=20)).splits())
    done = [SimpleNamespace(name=name, sharpe=ratio) for name, ratio in (("one", 0.4), ("two", -0.2))]
    verdict = backtest.deflated_sharpe(returns, [0.4, -0.2])
    risks = [backtest.tail_risk(returns, method) for method in ("historical", "normal", "cornish_fisher")]
    table = pd.DataFrame({"mean": [0.02, -0.01], "t": [1.5, -0.4]}, index=["x", "y"])
    executed = an_analysis()
    return {
        "slippage": figures.slippage_distribution(executed.orders, "Slippage", LABELS),
        "shortfall": figures.shortfall_waterfall(executed.shortfall_by().iloc[0], "Shortfall", LABELS),
        "realized": figures.realized_spreads(executed.realized_curve(), "After the fill", LABELS),
        "venue": figures.venue_quality(executed.by("venue"), "Venues", LABELS),
        "equity": figures.equity({"ours": returns, "theirs": -returns}, "Growth", LABELS),
        "equity log": figures.equity({"ours": returns}, "Growth", LABELS, log=True),
        "monthly": figures.monthly_returns(returns, "Months", LABELS),
        "holdings": figures.holdings(weights, "Held", LABELS),
        "holdings few": figures.holdings(weights[["A"]].iloc[:100], "Held", LABELS),
        "panels": figures.panels({"USD": prices[["A", "B"]], "%": prices[["C"]]}, "Panels", LABELS),
        "correlation": figures.correlation(prices.corr(), "Correlation", LABELS),
        "coverage": figures.coverage(pd.DataFrame(1.0, list("AB"), ["f", "g"]), "Coverage", LABELS),
        "information": figures.information(table, "Information", LABELS),
        "splits": figures.splits(parts, labels.values.index.get_level_values(0), "Splits", LABELS),
        "trials": figures.trials(done, verdict, "Trials", LABELS),
        "losses": figures.losses(returns, risks, "Losses", LABELS),
        "var": figures.var_history(returns, backtest.rolling_var(returns, 0.95, 250), "Value at risk", LABELS),
        "exposures": figures.exposures(model, "Exposures", LABELS),
        "attribution": figures.attribution_bars(attribution, "Attribution", LABELS),
        "contributions": figures.contributions(pd.Series({"a": 0.1, "b": -0.05}), 0.05, "Parts", LABELS),
        "amounts": figures.amounts(pd.Series({"a": -12.0, "b": -31.0}), "%", "Amounts", LABELS, limit=-30, decimals=1),
        "amounts one": figures.amounts(pd.Series({"a": 3.0}), "days", "Ages", LABELS),
        "cumulative": figures.cumulative(attribution.cumulative, "Over time", LABELS),
    }


def test_every_public_figure_is_here(made):
    drawn = {name.split()[0] for name in made}
    # Those of stress have their own tests, in test_stress_figures.py.
    short = {name: name.split("_")[0] for name in figures.__all__ if not name.startswith("stress_")}
    assert set(short.values()) == drawn


def test_each_has_a_title_its_labels_the_house_template_and_room(made):
    for name, figure in made.items():
        layout = figure.layout
        assert layout.title.text, name
        assert layout.title.subtitle.text == f"Data: {theme.label_line(LABELS)}", name
        assert layout.template.layout.meta == theme.TEMPLATE_NAME, name
        assert layout.height >= 450, name
        assert layout.width is None, name


def test_each_uses_only_colours_that_have_a_dark_partner(made):
    light = {value for value in vars(theme.LIGHT).values() if isinstance(value, str)}
    for group in ("categorical", "sequential", "diverging"):
        light |= set(getattr(theme.LIGHT, group))
    for name, figure in made.items():
        plain = figure.to_plotly_json()
        plain["layout"].pop("template")
        text = json.dumps(plain, default=str)
        assert set(re.findall(r"#[0-9a-fA-F]{6}", text)) <= light, name
        assert "rgb" not in text, name


def test_amounts_beyond_their_limit_are_told_by_colour_and_pattern(made):
    bars = made["amounts"].data[0]
    assert list(bars.x) == [-12.0, -31.0]
    assert list(bars.text) == ["-12.0", "-31.0"]
    assert bars.marker.color[0] != bars.marker.color[1] == theme.LIGHT.negative
    assert list(bars.marker.pattern.shape) == ["", "/"]
    assert made["amounts"].layout.shapes[0].x0 == -30
    assert not made["amounts one"].layout.shapes


def test_each_survives_the_trip_into_a_notebook(made):
    for name, figure in made.items():
        bundle = figure._repr_mimebundle_()
        assert list(bundle) == ["application/vnd.plotly.v1+json"], name
        assert json.loads(figure.to_json())["data"], name


def test_value_axes_name_their_unit(made):
    for name in (
        "equity",
        "panels",
        "holdings",
        "losses",
        "var",
        "exposures",
        "attribution",
        "contributions",
        "trials",
        "slippage",
        "shortfall",
        "realized",
    ):
        plain = made[name].layout.to_plotly_json()
        titles = [axis["title"]["text"] for key, axis in plain.items() if "axis" in key and axis.get("title")]
        assert titles, name
    assert made["equity"].layout.yaxis2.title.text == "drawdown, %"


def test_the_numbers_are_those_that_were_given(made, returns):
    growth, fall = made["equity"].data[:2]
    assert growth.y[-1] == pytest.approx(float((1 + returns).prod()))
    assert min(fall.y) == pytest.approx(100 * backtest.drawdowns(returns, 1)[0].depth)
    calendar, year = made["monthly"].data
    first = returns[(returns.index.year == 2016) & (returns.index.month == 1)]
    assert calendar.z[0][0] == pytest.approx(100 * ((1 + first).prod() - 1))
    assert year.z[1][0] == pytest.approx(100 * ((1 + returns.loc["2017"]).prod() - 1))
    assert sum(made["losses"].data[0].y) == len(returns)
    assert len(made["var"].data[2].x) == int(made["var"].data[2].name.split()[0])
    stacked = np.sum([trace.y for trace in made["holdings"].data], axis=0)
    np.testing.assert_allclose(stacked, 100)
    assert made["contributions"].data[0].y[-1] == pytest.approx(5.0)


def test_dates_are_those_of_the_sessions_in_any_browser(made):
    drawn = pd.DatetimeIndex(made["equity"].data[0].x)
    assert drawn.tz is None
    assert list(drawn) == list(INDEX.tz_localize(None).normalize())


def test_splits_draw_every_row_once(made):
    spans = {trace.name for trace in made["splits"].data}
    assert spans == {"train", "purged", "embargoed", "test"}


def test_nothing_and_unknown_labels_are_refused(returns):
    with pytest.raises(BadInput, match="no returns"):
        figures.equity({}, "x")
    with pytest.raises(BadInput, match="no table"):
        figures.panels({}, "x")
    with pytest.raises(UnknownName, match="label"):
        figures.equity({"a": returns}, "x", ["certain"])
    assert figures.equity({"a": returns}, "x").layout.title.subtitle.text is None
