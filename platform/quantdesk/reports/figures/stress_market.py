"""Figures of a scenario's market: how liquid it is, and how far what is shown of it is true."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantdesk.errors import BadInput
from quantdesk.reports import theme
from quantdesk.reports.figures.stress import clock, new_york, said, shade, share, words
from quantdesk.reports.figures.style import COLOURS, Labels, finish

if TYPE_CHECKING:
    from quantdesk.scenarios.run import Stage

__all__ = ["stress_data", "stress_liquidity"]

_GRADES = (("real", 0, ""), ("reconstructed", 1, "/"), ("simulated", 3, "x"), ("missing", 7, "."))


def stress_liquidity(stage: Stage, title: str, labels: Labels = ()) -> go.Figure:
    """Quoted spread in basis points, and displayed depth as a multiple of calm times, over the window.

    The line is the median of what is traded, the band reaches from the tenth to the ninetieth percent of the symbols.
    Halts and closures are bands as in :func:`~quantdesk.reports.figures.stress.stress_path`.
    """
    market = stage.market
    columns = [stage.path.column(symbol) for symbol in market.symbols]
    there = np.isfinite(stage.path.close[:, columns])
    times = new_york(stage.path.ends)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    usual = (2 * market.config.liquidity.half_spread_bps, 1.0)
    shown = (
        ("spread", 2 * market.conditions.half_spread_bps, "%{y:.3~g} bp", "spread, bp"),
        ("depth", market.conditions.depth, "%{y:.3~g} times calm", "depth, × calm"),
    )
    for row, (name, table, form, unit) in enumerate(shown, start=1):
        calm = usual[row - 1]
        known = np.where(there, np.broadcast_to(table, there.shape), np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a bar in which all are closed has none
            low, middle, high = np.nanpercentile(known, (10, 50, 90), axis=1)
        for first, end in _runs(np.isfinite(middle)):
            figure.add_scatter(
                x=[*times[first:end], *times[first:end][::-1]],
                y=[*high[first:end], *low[first:end][::-1]],
                mode="lines",
                line={"color": COLOURS[row - 1], "width": 0},
                fill="toself",
                hoverinfo="skip",
                showlegend=False,
                row=row,
                col=1,
            )
        figure.add_scatter(
            x=times,
            y=middle,
            mode="lines" if stage.path.is_intraday else "lines+markers",
            marker={"size": 4},
            name=name,
            line={"color": COLOURS[row - 1], "width": 2},
            hovertemplate=f"{name}: {form}<br>%{{x|%d %b %Y %H:%M}}<extra></extra>",
            showlegend=False,
            row=row,
            col=1,
        )
        figure.add_hline(y=calm, line={"color": theme.LIGHT.neutral, "width": 1, "dash": "dot"}, row=row, col=1)
        ticks = _ticks(float(np.nanmin([*low, calm])), float(np.nanmax([*high, calm])))
        figure.update_yaxes(
            title_text=unit, type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks], row=row, col=1
        )
    shade(figure, stage.met, times)
    clock(figure, times, row=2)
    sentence = "Median and 10th to 90th percentile of the symbols; dotted: calm. No quote is a record."
    return said(finish(figure, title, labels, height=500), sentence)


def _runs(there: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last of each stretch without a gap."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis: as many as are read at a glance."""
    steps: tuple[tuple[float, ...], ...] = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5))
    powers = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    for step in (*steps, (1,)):
        found = [round(one * 10.0**power, 12) for power in powers for one in step]
        shown = [tick for tick in found if low / 1.05 <= tick <= high * 1.05]
        if len(shown) <= 6:
            break
    return shown


def stress_data(stage: Stage, title: str, labels: Labels = ()) -> go.Figure:
    """Which part of the bars of each asset class is real, reconstructed, simulated or missing.

    Bars of a market that was closed are not counted: there should be none.
    """
    from quantdesk.scenarios.path import GRADES

    path = stage.path
    groups: dict[str, list[str]] = {}
    for asset in path.assets:
        groups.setdefault(str(asset.kind), []).append(asset.symbol)
    groups = dict(sorted(groups.items()))
    groups["all"] = list(path.symbols)
    grades = {str(grade): grade for grade in GRADES}
    counts = np.array([[path.graded(grades[name], group) for name, *_ in _GRADES] for group in groups.values()])
    totals = counts.sum(axis=1)
    if not totals.any():
        raise BadInput(f"{path.name} has no bar: all markets are closed.", "Give a window with a session.")
    figure = go.Figure()
    rows = [f"{words(name)} ({len(group)})" for name, group in groups.items()]
    for place, (name, colour, pattern) in enumerate(_GRADES):
        if not counts[:, place].any() and place > 1:
            continue  # real and reconstructed are always named
        parts = counts[:, place] / np.maximum(totals, 1)
        figure.add_bar(
            x=100 * parts,
            y=rows,
            orientation="h",
            name=name,
            marker={
                "color": COLOURS[colour],
                "pattern": {
                    "shape": pattern,
                    "fillmode": "overlay",
                    "fgcolor": theme.LIGHT.background,
                    "fgopacity": 0.55,
                    "size": 7,
                },
            },
            customdata=[
                f"{share(part)}, {number:,} bars" for part, number in zip(parts, counts[:, place], strict=True)
            ],
            hovertemplate="%{y}: %{customdata} " + name + "<extra></extra>",
        )
    figure.update_xaxes(title_text="part of the bars, %", range=[0, 100])
    figure.update_yaxes(autorange="reversed", type="category")
    return finish(
        figure,
        title,
        labels,
        height=200 + 34 * len(rows),
        barmode="stack",
        bargap=0.35,
        legend={"traceorder": "normal"},
    )
