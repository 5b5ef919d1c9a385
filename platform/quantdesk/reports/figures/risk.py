"""Figures of risk: the distribution of losses, value at risk over time, exposures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quantdesk.reports import theme
from quantdesk.reports.figures.style import COLOURS, Labels, dates, finish, line_style

if TYPE_CHECKING:
    from quantdesk.backtest import FactorModel, TailRisk

__all__ = ["exposures", "losses", "var_history"]


def losses(returns: pd.Series, risks: Sequence[TailRisk], title: str, labels: Labels = ()) -> go.Figure:
    """How returns are distributed, with the value at risk of each method drawn in."""
    values = 100 * returns.to_numpy(dtype=float)
    counts, edges = np.histogram(values, bins=min(120, max(20, len(values) // 25)))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            name="sessions",
            marker={"color": COLOURS[0]},
            opacity=0.75,
            hovertemplate="%{x:.2f} %: %{y} sessions<extra></extra>",
            showlegend=False,
        )
    )
    top = float(counts.max())
    for number, risk in enumerate(risks):
        name = f"{risk.confidence:.0%} VaR, {risk.method.replace('_', '-')}" + ("" if risk.valid else " (not usable)")
        figure.add_scatter(
            x=[-100 * risk.var] * 2,
            y=[0, top],
            mode="lines",
            name=name,
            line={**line_style(number + 1), "width": 2},
            hovertemplate=f"{name}: {100 * risk.var:.2f} %<extra></extra>",
        )
    figure.update_xaxes(title_text="return of one session, %")
    figure.update_yaxes(title_text="sessions")
    return finish(figure, title, labels, bargap=0)


def var_history(returns: pd.Series, var: pd.Series, title: str, labels: Labels = ()) -> go.Figure:
    """Returns, the value at risk that was known the session before, and the losses beyond it."""
    shared = returns.loc[var.index]
    beyond = shared[-shared > var]
    figure = go.Figure()
    figure.add_scatter(
        x=dates(shared.index),
        y=100 * shared,
        mode="lines",
        name="return",
        line={"color": theme.LIGHT.neutral, "width": 0.7},
        hovertemplate="%{y:.2f} %",
    )
    figure.add_scatter(
        x=dates(var.index),
        y=-100 * var,
        mode="lines",
        name="minus VaR",
        line={"color": COLOURS[0], "width": 2},
        hovertemplate="%{y:.2f} %",
    )
    figure.add_scatter(
        x=dates(beyond.index),
        y=100 * beyond,
        mode="markers",
        name=f"{len(beyond)} losses beyond it",
        marker={"color": COLOURS[1], "size": 5, "symbol": "diamond"},
        hovertemplate="%{y:.2f} %",
    )
    figure.update_yaxes(title_text="return of one session, %")
    return finish(figure, title, labels, hovermode="x unified")


def exposures(model: FactorModel, title: str, labels: Labels = ()) -> go.Figure:
    """Betas with their 95 % intervals; an interval that crosses 0 is drawn hollow."""
    table = model.table.drop(index="alpha").iloc[::-1]
    clear = (table["low"] > 0) | (table["high"] < 0)
    figure = go.Figure(
        go.Scatter(
            x=table["beta"],
            y=list(table.index),
            mode="markers",
            error_x={"type": "data", "array": table["high"] - table["beta"], "thickness": 1.4, "color": COLOURS[0]},
            marker={
                "size": 11,
                "color": COLOURS[0],
                "symbol": ["circle" if one else "circle-open" for one in clear],
                "line": {"width": 2, "color": COLOURS[0]},
            },
            customdata=table["t"],
            hovertemplate="%{y}: beta %{x:.2f}, t = %{customdata:.1f}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": theme.LIGHT.neutral, "width": 1})
    figure.update_xaxes(title_text="beta, 95 % interval (hollow: not distinguishable from 0)")
    return finish(figure, title, labels, height=200 + 34 * len(table))
