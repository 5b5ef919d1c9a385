"""Figures of executions: they draw the numbers of the analysis, and say what they leave out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput
from quantdesk.orders.tca import Analysis, Fill, OrderFacts, Tape, analyse
from quantdesk.reports import figures, theme

LABELS = ("reconstructed", "simulated")
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def done() -> Analysis:
    """Thirty orders of both sides over three venues; the session ends soon after the last."""
    rng = np.random.default_rng(0)
    at = np.arange(0, 3700) * SECOND
    bid = 50_000_000 + 10_000 * np.cumsum(rng.integers(-1, 2, len(at)))
    tape = Tape("AAA", at, bid, bid + 20_000, [(0, int(at[-1]))])
    orders, fills = [], []
    for number in range(30):
        start, side = (100 + 120 * number) * SECOND, (1, -1)[number % 2]
        now, end = tape.quote(start), tape.quote(start + 60 * SECOND)
        orders.append(OrderFacts(f"o{number}", "AAA", side, 600, now, now, end, mode="simulated"))
        for part, venue in enumerate(("XNAS", "XNYS", "IEXG")[: 1 + number % 3]):
            then = tape.quote(start + (part + 1) * SECOND)
            price = then.ask if side > 0 else then.bid
            fills.append(Fill(f"o{number}", "AAA", side, 150, price, 450_000, "remove", venue, then.at))
    return analyse(orders, fills, [tape])


def test_the_distribution_counts_every_order_once(done):
    figure = figures.slippage_distribution(done.orders, "Slippage", LABELS, interval=done.interval("slippage", 1))
    bars = [trace for trace in figure.data if trace.type == "bar"]
    dots = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]
    assert [trace.name for trace in bars] == ["bought", "sold"]
    assert sum(int(trace.y.sum()) for trace in bars) == 30
    drawn = np.sort(np.concatenate([trace.x for trace in dots]))
    np.testing.assert_allclose(drawn, np.sort(done.orders["slippage_bps"]))
    (average,) = [trace for trace in figure.data if trace.name and trace.name.startswith("average")]
    assert average.x[0] == pytest.approx(done.by().iloc[0]["slippage_bps"])
    assert "95%" in average.name
    assert "simulated" in figure.layout.title.subtitle.text


def test_an_interval_of_one_order_is_a_line_alone(done):
    one = analyse([done.known["o0"][0]], done.known["o0"][1], done.tapes.values())
    figure = figures.slippage_distribution(one.orders, "Slippage", LABELS, interval=one.interval("slippage", 1))
    names = [trace.name for trace in figure.data if trace.name]
    assert not any("95%" in name for name in names)
    assert any(name.startswith("average") for name in names)


def test_the_waterfall_ends_at_the_shortfall(done):
    total = done.shortfall_by().iloc[0]
    (trace,) = figures.shortfall_waterfall(total, "Shortfall", LABELS).data
    assert list(trace.x) == ["delay", "execution", "opportunity", "fees", "implementation<br>shortfall"]
    assert sum(trace.y[:-1]) == pytest.approx(trace.y[-1]) == pytest.approx(total["shortfall_bps"])
    assert trace.measure[-1] == "total"
    assert trace.increasing.marker.color == theme.LIGHT.negative  # a cost is what rises
    assert f"${total['fees_usd']:,.0f}" in trace.text[3]


def test_a_saving_reads_as_one():
    row = pd.Series({f"{part}_{unit}": -2.0 for part in ("delay", "execution", "opportunity", "fees", "shortfall")
                     for unit in ("bps", "usd")} | {"known": 1})  # fmt: skip
    (trace,) = figures.shortfall_waterfall(row, "Shortfall").data
    assert trace.text[0] == "−2.00 bps<br>−$2"


def test_the_curve_draws_what_is_known_at_each_delay(done):
    curve = done.realized_curve()
    effective, realized, impact = figures.realized_spreads(curve, "After the fill", LABELS).data
    np.testing.assert_allclose(np.asarray(realized.y) + np.asarray(impact.y), effective.y)
    np.testing.assert_allclose(realized.error_y.array, 2 * curve["realized_se"])
    assert [one[0] for one in realized.customdata] == ["50 ms", "1 s", "15 s", "1 min", "5 min"]
    assert realized.customdata[-1][1] < 100  # the last orders have no quote of five minutes later


def test_venues_are_shown_with_their_numbers_and_their_standing(done):
    table = done.by("venue")
    figure = figures.venue_quality(table, "Venues", LABELS)
    (trace,) = figure.data
    assert list(trace.x) == ["XNAS", "XNYS", "IEXG"]  # the most shares first
    rows = dict(zip(trace.y, range(len(trace.y)), strict=True))
    assert "filled of sent, %" not in rows  # nobody said what was sent
    assert trace.text[rows["shares filled"]][0] == "4,500"
    slippage = table.loc[list(trace.x), "slippage_bps"]
    assert trace.text[rows["slippage, bps"]][0] == f"{slippage.iloc[0]:.2f}".replace("-", "−")
    colours = pd.Series(trace.z[rows["slippage, bps"]], index=trace.x)
    assert colours[slippage.idxmin()] > 0 > colours[slippage.idxmax()]
    assert set(trace.z[rows["fee, $ per 1,000"]]) == {0.0}  # the same for all
    assert np.abs(trace.z).max() <= 2.5


def test_nothing_to_draw_is_said(done):
    nothing = analyse([], [])
    for draw in (
        lambda: figures.slippage_distribution(nothing.orders, "x"),
        lambda: figures.realized_spreads(nothing.realized_curve(), "x"),
        lambda: figures.venue_quality(nothing.by("venue"), "x"),
    ):
        with pytest.raises(BadInput):
            draw()
    row = done.shortfall_by().iloc[0].copy()
    row["known"] = 0
    with pytest.raises(BadInput, match="known shortfall"):
        figures.shortfall_waterfall(row, "x")


def test_a_measure_that_is_not_known_is_a_dash(done):
    table = done.by("venue")
    table.loc["XNYS", "slippage_bps"] = np.nan
    (trace,) = figures.venue_quality(table, "Venues").data
    assert trace.text[list(trace.y).index("slippage, bps")][list(trace.x).index("XNYS")] == "–"
