"""Figures of stress: they draw the numbers of the result, say what stopped it, and never call a result real."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.reports import figures, theme
from quantdesk.reports.figures.stress import share
from quantdesk.scenarios import Account, Asset, Attribution, Event, Grade, Path, RunConfig, StressResult
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.recommend import Change, Effect, Figures, Recommendation
from quantdesk.scenarios.run import Stage, stage_of

LABELS = ("reconstructed", "simulated")
HOUR = 3_600_000_000_000
REAL, MADE, INVENTED, LACKING, SHUT = (
    GRADES.index(one) for one in (Grade.REAL, Grade.RECONSTRUCTED, Grade.SIMULATED, Grade.MISSING, Grade.CLOSED)
)


def at(text: str) -> int:
    """The clock of New York as nanoseconds."""
    return pd.Timestamp(text, tz="America/New_York").as_unit("ns").value


def an_account(name: str, values: list[float], **more: object) -> Account:
    ends = np.array([at("2001-09-10 15:59"), at("2001-09-10 16:00"), at("2001-09-17 16:00"), at("2001-09-18 16:00")])
    pnl = values[-1] - values[0]
    causes = {"price": pnl + 60.0, "spread": -30.0, "impact": -20.0, "fees": -10.0, "unfilled": 0.0}
    parts = Attribution({"equity": pnl}, {"Energy": pnl - 500.0, "Health care": 500.0}, causes)
    return Account(name, ends, np.array(values), parts, **more)  # type: ignore[arg-type]


@pytest.fixture
def result() -> StressResult:
    closure = Event(at("2001-09-11 09:30"), "halt", "CLOSED", "", "New York was shut", {"seconds": 4 * 86_400.0})
    pause = Event(at("2001-09-17 10:00"), "halt", "LUDP", "KO", "It stood at its band", {"seconds": 300.0})
    lost = Event(at("2001-09-17 15:59"), "risk_limit_breach", "DAY_LOSS", "", "The day has lost 3.80 %: $38,000.")
    too = dataclasses.replace(lost, cause="DRAWDOWN")
    late = Event(at("2001-09-18 09:30"), "system_alert", "DRAWDOWN", "", "It is 5 % below.", {})
    common = {"halts": (closure, pause)}
    accounts = (
        an_account("momentum_alpha", [1e6, 1e6, 950e3, 900e3], breaches=(lost, too), alerts=(late,), **common),
        an_account("hold", [1e6, 1e6, 1.02e6, 1.01e6], breaches=(lost,), **common),
        an_account("mine", [1e6, 1e6, 1e6, 1e6], error="ValueError: no", **common),
    )
    return StressResult(
        "geopolitical_2001",
        "11 September 2001",
        accounts,
        {"equity": 1.0, "volatility": 0.0, "traded": 1.0, "all": 0.996},
        {"KO": {"real": 3}, "VIX": {"reconstructed": 3}},
        {"VIX": "between 5 published closes"},
        7,
        {},
        labels=("adjusted_with_hindsight", "levels_reconstructed", "survivors_only"),
    )


def a_stage(*, minutes: bool = False) -> Stage:
    """Three days of two stocks, a yield and a VIX; on the second New York is shut. Or minutes of one of them."""
    days = sessions_between("XNYS", dt.date(2008, 9, 15), dt.date(2008, 9, 17))
    begins, ends = (times("XNYS", days).as_unit("ns").asi8.copy() for times in (open_times, event_times))
    if minutes:
        begins = begins[0] + np.arange(3) * HOUR // 60
        ends = begins + HOUR // 60
    close = np.array([[10.0, 50.0, 3.5, 30.0], [np.nan, np.nan, 3.4, 31.0], [9.0, 51.0, np.nan, 32.0]])
    grades = np.array([[REAL, REAL, REAL, MADE], [SHUT, SHUT, REAL, INVENTED], [REAL, REAL, LACKING, MADE]], np.int8)
    assets = (Asset("KO", "equity"), Asset("XOM", "equity"), Asset("UST10Y", "rate"), Asset("VIX", "volatility"))
    return stage_of(Path("made", assets, begins, ends, close, grades), None, RunConfig())


def a_recommendation() -> Recommendation:
    def effect(before: float, after: float) -> Effect:
        return Effect(*(Figures(pnl, pnl / 1e4 - 1, 1e6, 0.2) for pnl in (before, after)))

    effects = {"lehman_2008": effect(-2e5, -1e5), "covid_2020": effect(-3e5, -2.5e5), "calm_2005": effect(8e4, 7e4)}
    change = Change(settings=(("cash_buffer", 0.2),))
    return Recommendation(
        "covid_2020", change, RunConfig(), {}, effects, {}, ("lehman_2008",), ("covid_2020",), ("calm_2005",),
        None, 0.1, 0.1, None, 12,
    )  # fmt: skip


def test_a_result_is_never_called_real(result):
    assert figures.stress_labels(result) == ("reconstructed", "simulated", "adjusted_with_hindsight", "survivors_only")
    invented = dataclasses.replace(result, grades={"KO": {"simulated": 5}}, labels=("simulated_shock",))
    assert figures.stress_labels(invented) == ("simulated",)


def test_the_path_draws_value_and_drawdown_of_every_account(result):
    figure = figures.stress_path(result, "Path", LABELS)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [trace.name for trace in lines[::2]] == ["momentum alpha −10.0 %", "hold +1.0 %", "mine 0.0 % (failed)"]
    for value, fall, account in zip(lines[::2], lines[1::2], result.accounts, strict=True):
        np.testing.assert_array_equal(value.y, account.value)
        np.testing.assert_array_equal(fall.y, account.drawdown)
    assert str(lines[0].x[-1]).startswith("2001-09-18T16:00")  # the clock of New York
    assert "simulated" in figure.layout.title.subtitle.text
    assert "Bars that are real: 99 % of all, 100 % of what is traded" in figure.layout.title.subtitle.text


def test_halts_are_bands_and_events_are_marks_with_their_sentences(result):
    figure = figures.stress_path(result, "Path", LABELS)
    bands = {(str(one.x0)[:16], str(one.x1)[:16], one.fillcolor) for one in figure.layout.shapes}
    assert bands == {
        ("2001-09-11 09:30", "2001-09-15 09:30", theme.LIGHT.neutral),
        ("2001-09-17 10:00", "2001-09-17 10:05", theme.LIGHT.warning),
    }
    halts, breaches, failures, alerts = [trace for trace in figure.data if trace.mode == "markers"]
    assert list(figure.layout.yaxis3.ticktext) == ["halts 2", "breaches 3", "failures 0", "alerts 1"]
    assert (len(halts.x), len(breaches.x), len(failures.x), len(alerts.x)) == (2, 1, 0, 1)  # one mark an instant
    assert breaches.text[0].count("DAY_LOSS") == 2
    assert "momentum alpha, DRAWDOWN" in breaches.text[0]
    assert "$" not in breaches.text[0]  # two of them would be set as a formula
    assert len({trace.marker.symbol for trace in (halts, breaches, failures, alerts)}) == 4


def test_many_events_of_one_instant_are_cut_and_counted(result):
    one = result.accounts[0].breaches[0]
    busy = dataclasses.replace(result.accounts[0], breaches=(one,) * 9)
    figure = figures.stress_path(dataclasses.replace(result, accounts=(busy,)), "Path", LABELS)
    (trace,) = [trace for trace in figure.data if trace.name == "breaches"]
    assert trace.text[0].endswith("and 5 more")


def test_the_axis_is_one_of_time_also_where_nothing_happened(result):
    quiet = tuple(dataclasses.replace(one, halts=(), breaches=(), alerts=()) for one in result.accounts)
    figure = figures.stress_path(dataclasses.replace(result, accounts=quiet), "Path", LABELS)
    axes = [figure.layout.xaxis, figure.layout.xaxis2, figure.layout.xaxis3]
    assert {axis.type for axis in axes} == {"date"}
    assert not figure.layout.shapes


def test_minutes_name_their_clock_and_leave_out_nights(result):
    ends = np.array([at(f"2020-03-09 {clock}") for clock in ("09:30", "09:31", "09:32")] + [at("2020-03-10 09:31")])
    accounts = tuple(dataclasses.replace(one, ends=ends, halts=()) for one in result.accounts)
    figure = figures.stress_path(dataclasses.replace(result, accounts=accounts), "Path", LABELS)
    assert figure.layout.xaxis3.title.text == "time in New York"
    assert {one.pattern for one in figure.layout.xaxis.rangebreaks} == {None, "hour"}
    one_day = tuple(dataclasses.replace(one, ends=ends - [0, 0, 0, 24 * HOUR - HOUR]) for one in accounts)
    figure = figures.stress_path(dataclasses.replace(result, accounts=one_day), "Path", LABELS)
    assert not figure.layout.xaxis.rangebreaks


def test_the_grid_holds_percent_shares_and_failures(result):
    other = dataclasses.replace(
        result, title="Lehman Brothers, autumn 2008", share_real={"all": 0.97, "traded": 1.0},
        accounts=(an_account("hold", [1e6, 1e6, 9e5, 5e5]),),
    )  # fmt: skip
    (trace,) = figures.stress_grid([result, other], "Grid", LABELS).data
    assert list(trace.x) == ["momentum<br>alpha", "hold", "mine"]
    assert [row.replace("<br>", " ") for row in trace.y] == [
        "11 September 2001 <sub>99 % real</sub>",
        "Lehman Brothers, autumn 2008 <sub>97 % real</sub>",
    ]
    np.testing.assert_allclose(trace.z, [[-10.0, 1.0, np.nan], [np.nan, -50.0, np.nan]])
    assert trace.zmax == -trace.zmin == pytest.approx(50.0)
    assert [list(row) for row in trace.text] == [["−10.0", "+1.0", "✕ failed"], ["", "−50.0", ""]]
    assert "largest drawdown −10.00 %" in trace.customdata[0][0]
    assert "2 breaches" in trace.customdata[0][0]
    assert "failed: ValueError: no" in trace.customdata[0][2]


@pytest.mark.parametrize("by", ["cause", "asset_class", "sector"])
def test_the_waterfall_ends_at_the_profit_or_loss(result, by):
    account = result.accounts[0]
    (trace,) = figures.stress_attribution(account, "Causes", LABELS, by=by).data
    assert sum(trace.y[:-1]) == pytest.approx(trace.y[-1]) == pytest.approx(account.pnl)
    assert trace.measure[-1] == "total"
    assert trace.customdata[-1] == "−$100,000"
    assert trace.text[-1] == "−$100k"
    parts = getattr(account.attribution, by)
    assert dict(zip(trace.x[:-1], trace.y[:-1], strict=True)) == pytest.approx(parts)


def test_liquidity_is_that_of_the_market_and_stops_where_it_is_shut():
    stage = a_stage()
    figure = figures.stress_liquidity(stage, "Liquidity", LABELS)
    spread, depth = (next(trace for trace in figure.data if trace.name == name) for name in ("spread", "depth"))
    found = stage.market.conditions
    np.testing.assert_allclose(spread.y[0], np.median(2 * np.broadcast_to(found.half_spread_bps, (3, 2))[0]))
    np.testing.assert_allclose(depth.y[2], np.median(np.broadcast_to(found.depth, (3, 2))[2]))
    assert np.isnan(spread.y[1])
    assert np.isnan(depth.y[1])
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 4  # before and after the day without a market, in two rows
    assert (figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text) == ("spread, bp", "depth, × calm")
    assert "No quote is a record" in figure.layout.title.subtitle.text


@pytest.mark.parametrize(("low", "high"), [(1.9, 2.1), (0.66, 1.0), (2.0, 11.0), (0.004, 1.0), (1e-5, 1e3)])
def test_a_logarithmic_axis_has_some_round_ticks(low, high):
    from quantdesk.reports.figures.stress_market import _ticks

    ticks = _ticks(low, high)
    assert 1 <= len(ticks) <= 9
    assert ticks == sorted(set(ticks))
    assert all(low / 1.06 <= tick <= high * 1.06 for tick in ticks)


def test_shares_of_grades_leave_closed_markets_out():
    figure = figures.stress_data(a_stage(), "What is real", ("real", *LABELS))
    rows = list(figure.data[0].y)
    found = {trace.name: dict(zip(rows, trace.x, strict=True)) for trace in figure.data}
    assert found["real"]["equity (2)"] == pytest.approx(100)
    assert found["real"]["rate (1)"] == pytest.approx(200 / 3)
    assert found["missing"]["rate (1)"] == pytest.approx(100 / 3)
    assert found["simulated"]["volatility (1)"] == pytest.approx(100 / 3)
    assert found["reconstructed"]["volatility (1)"] == pytest.approx(200 / 3)
    for row in rows:
        assert sum(one[row] for one in found.values()) == pytest.approx(100)
    assert len({trace.marker.pattern.shape for trace in figure.data}) == 4  # told apart without colour


def test_a_change_is_drawn_before_and_after_with_the_question_first():
    figure = figures.stress_recommendation(a_recommendation(), "What would have helped", LABELS)
    before, after, before_depth, after_depth = [trace for trace in figure.data if trace.mode == "markers"]
    assert [name.split("<br>")[0] for name in before.y] == ["covid 2020", "lehman 2008", "calm 2005"]
    assert "in question" in before.y[0]
    np.testing.assert_allclose(before.x, [-30, -20, 8])
    np.testing.assert_allclose(after.x, [-25, -10, 7])
    np.testing.assert_allclose(np.asarray(after_depth.x) - np.asarray(before_depth.x), [5, 10, -1])
    assert before.marker.symbol != after.marker.symbol
    # Names have two lines: a row is higher than they are, on both sides.
    assert (figure.layout.height - 220) / len(before.y) >= 40
    assert [figure.layout.yaxis.autorange, figure.layout.yaxis2.autorange] == ["reversed", "reversed"]


def test_nothing_to_draw_is_said(result):
    with pytest.raises(BadInput, match="no result"):
        figures.stress_grid([], "x")
    with pytest.raises(UnknownName, match="cuase"):
        figures.stress_attribution(result.accounts[0], "x", by="cuase")
    with pytest.raises(BadInput, match="no scenario"):
        figures.stress_recommendation(dataclasses.replace(a_recommendation(), effects={}), "x")


def test_all_of_them_turn_dark_and_travel(result):
    light = {value for value in vars(theme.LIGHT).values() if isinstance(value, str)}
    light |= {*theme.LIGHT.categorical, *theme.LIGHT.sequential, *theme.LIGHT.diverging}
    stage = a_stage(minutes=True)
    for figure in (
        figures.stress_path(result, "Path", LABELS),
        figures.stress_grid([result], "Grid", LABELS),
        figures.stress_attribution(result.accounts[0], "Causes", LABELS),
        figures.stress_liquidity(stage, "Liquidity", LABELS),
        figures.stress_data(stage, "What is real", LABELS),
        figures.stress_recommendation(a_recommendation(), "Change", LABELS),
    ):
        plain = figure.to_plotly_json()
        assert plain["layout"]["title"]["subtitle"]["text"].startswith(f"Data: {theme.label_line(LABELS)}")
        plain["layout"].pop("template")
        text = json.dumps(plain, default=str)
        assert set(re.findall(r"#[0-9a-fA-F]{6}", text)) <= light
        assert "rgb" not in text
        assert json.loads(figure.to_json())["data"]
        assert figure.layout.height >= 450


@pytest.mark.parametrize(
    ("part", "told"), [(0.0, "0 %"), (0.001, "1 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %"), (np.nan, "–")]
)
def test_a_share_is_never_rounded_to_all_or_nothing(part, told):
    assert share(part) == told
