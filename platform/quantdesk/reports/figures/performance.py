"""Figures of an account: growth, calendar, holdings, and what brought its return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantdesk.backtest.drawdown import underwater
from quantdesk.errors import BadInput
from quantdesk.reports import theme
from quantdesk.reports.figures.features import panels
from quantdesk.reports.figures.style import COLOURS, Labels, dates, finish, hatch, line_style

if TYPE_CHECKING:
    from quantdesk.backtest import Attribution

__all__ = ["attribution_bars", "contributions", "cumulative", "equity", "holdings", "monthly_returns"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def equity(returns: Mapping[str, pd.Series], title: str, labels: Labels = (), *, log: bool = False) -> go.Figure:
    """Growth of 1, and the way down from each peak, for one or more series of returns.

    Parameters
    ----------
    returns
        Simple returns per session by name; the first is the one in question, the others are for comparison.
    log
        Logarithmic growth: equal distances are equal percentages. Use it beyond about ten years.
    """
    if not returns:
        raise BadInput("There are no returns to draw.", "Give at least one series.")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.07)
    for number, (name, values) in enumerate(returns.items()):
        line = {**line_style(number), "width": 2.2 if number == 0 else 1.4}
        common = {"x": dates(values.index), "name": name, "legendgroup": name, "mode": "lines"}
        figure.add_scatter(y=(1 + values).cumprod(), line=line, hovertemplate="%{y:.2f}", row=1, col=1, **common)
        figure.add_scatter(
            y=100 * underwater(values),
            line={**line, "width": 1},
            fill="tozeroy" if number == 0 else None,
            showlegend=False,
            hovertemplate="%{y:.1f} %",
            row=2,
            col=1,
            **common,
        )
    figure.update_yaxes(title_text="growth of 1", type="log" if log else "linear", row=1, col=1)
    if log:
        ticks = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 5)]
        figure.update_yaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks], row=1, col=1)
    figure.update_yaxes(title_text="drawdown, %", row=2, col=1)
    return finish(figure, title, labels, height=540, hovermode="x unified")


def monthly_returns(returns: pd.Series, title: str, labels: Labels = ()) -> go.Figure:
    """A calendar of monthly returns in percent, years downwards, with the year's own return at the right."""
    days = dates(returns.index)
    growth = pd.Series(1 + returns.to_numpy(), days)
    monthly = growth.groupby([days.year, days.month]).prod().unstack() * 100 - 100
    monthly = monthly.reindex(columns=range(1, 13)).set_axis(_MONTHS, axis=1)
    yearly = growth.groupby(days.year).prod() * 100 - 100
    figure = make_subplots(rows=1, cols=2, column_widths=[0.9, 0.1], shared_yaxes=True, horizontal_spacing=0.015)
    reach = float(np.nanmax(np.abs(monthly.to_numpy())))
    crowded = len(monthly) > 20
    for column, table in enumerate((monthly, yearly.to_frame("Year")), start=1):
        figure.add_heatmap(
            z=table.to_numpy(),
            x=list(table.columns),
            y=[str(year) for year in table.index],
            coloraxis="coloraxis",
            texttemplate="%{z:.1f}",
            textfont={"size": 10 if crowded else 12},
            hovertemplate="%{x} %{y}: %{z:.1f} %<extra></extra>",
            xgap=1,
            ygap=1,
            row=1,
            col=column,
        )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_yaxes(title_text="year", row=1, col=1)
    figure.update_xaxes(showline=False, ticks="")
    scale = [[place / 6, colour] for place, colour in enumerate(theme.LIGHT.diverging)]
    bar = {"title": {"text": "%", "font": {"size": 12}}, "outlinewidth": 0, "thickness": 12}
    axis = {"cmin": -reach, "cmax": reach, "colorscale": scale, "colorbar": bar}
    return finish(figure, title, labels, height=180 + max(3, len(monthly)) * (19 if crowded else 24), coloraxis=axis)


def holdings(weights: pd.DataFrame, title: str, labels: Labels = (), *, most: int = 7) -> go.Figure:
    """What the account held over time, in percent: the largest holdings by name, the rest together, then cash.

    Parameters
    ----------
    weights
        Weights at the close of each session, long only; shown weekly when there are more than two years of them.
    most
        How many symbols (or groups) are shown by name.
    """
    shown = weights if len(weights) <= 504 else weights.iloc[::5]
    order = weights.mean().sort_values(ascending=False).index
    table = shown[order[:most]].copy()
    if len(order) > most:
        table[f"{len(order) - most} others"] = shown[order[most:]].sum(axis=1)
    table["cash"] = 1 - shown.sum(axis=1)
    figure = go.Figure()
    for number, name in enumerate(table.columns):
        colour = COLOURS[number % len(COLOURS)] if name != "cash" else theme.LIGHT.rule
        figure.add_scatter(
            x=dates(table.index),
            y=100 * table[name],
            name=str(name),
            stackgroup="all",
            mode="lines",
            line={"width": 0, "color": colour, "shape": "hv"},
            hovertemplate="%{y:.1f} %",
        )
    figure.update_yaxes(title_text="share of the account, %", range=[0, 100])
    return finish(figure, title, labels, hovermode="x unified", legend={"traceorder": "normal"})


def attribution_bars(found: Attribution, title: str, labels: Labels = ()) -> go.Figure:
    """Allocation, selection and interaction of each group, in percentage points of return."""
    table = found.table.sort_values("total")
    figure = go.Figure()
    for number, effect in enumerate(("allocation", "selection", "interaction")):
        figure.add_bar(
            x=100 * table[effect],
            y=list(table.index),
            orientation="h",
            name=effect,
            marker={"color": COLOURS[number], "pattern": hatch(number)},
            hovertemplate="%{y}: " + effect + " %{x:.1f} points<extra></extra>",
        )
    figure.update_xaxes(title_text="contribution to the difference in return, percentage points", zeroline=True)
    return finish(figure, title, labels, height=220 + 34 * len(table), barmode="relative", bargap=0.35)


def contributions(parts: pd.Series, total: float, title: str, labels: Labels = ()) -> go.Figure:
    """Parts that add up to a total, as a waterfall in percentage points."""
    names = [str(name) for name in parts.index]
    figure = go.Figure(
        go.Waterfall(
            x=[*names, "total"],
            y=[*(100 * parts), 100 * total],
            measure=[*["relative"] * len(names), "total"],
            text=[f"{100 * part:+.1f}" for part in parts] + [f"{100 * total:+.1f}"],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": theme.LIGHT.positive}},
            decreasing={"marker": {"color": theme.LIGHT.negative}},
            totals={"marker": {"color": COLOURS[0]}},
            connector={"line": {"color": theme.LIGHT.rule, "width": 1}},
            hovertemplate="%{x}: %{text} points<extra></extra>",
        )
    )
    figure.update_yaxes(title_text="percentage points of return")
    return finish(figure, title, labels)


def cumulative(steps: pd.DataFrame, title: str, labels: Labels = ()) -> go.Figure:
    """Sums over time of parts of a return, in percentage points: one line per column."""
    return panels({"percentage points, summed": 100 * steps}, title, labels, height=450)
