"""Figures of risk: the distribution of losses, value at risk over time, exposures, amounts against a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quantdesk.reports import theme
from quantdesk.reports.figures.style import COLOURS, Labels, dates, finish, hatch, line_style

if TYPE_CHECKING:
    from quantdesk.backtest import FactorModel, TailRisk

__all__ = ["amounts", "exposures", "losses", "var_history"]


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


def amounts(
    values: pd.Series, unit: str, title: str, labels: Labels = (), *, limit: float | None = None, decimals: int = 0
) -> go.Figure:
    """Amounts that do not add up, one bar each in the order given, and the limit that they are held against.

    Parameters
    ----------
    values
        By name.
    unit
        Title of their axis.
    title, labels
        See the module.
    limit
        Drawn as a line; bars beyond it, on its side of zero, have the colour of what is bad, and a pattern.
    decimals
        Of the numbers beside the bars.
    """
    numbers = values.to_numpy(dtype=float)
    beyond = np.zeros(len(numbers), dtype=bool)
    if limit is not None:
        beyond = numbers < limit if limit < 0 else numbers > limit
    figure = go.Figure(
        go.Bar(
            x=numbers,
            y=[str(name) for name in values.index],
            orientation="h",
            marker={
                "color": [theme.LIGHT.negative if bad else COLOURS[0] for bad in beyond],
                "pattern": {**hatch(0), "shape": ["/" if bad else "" for bad in beyond]},
            },
            text=[f"{number:,.{decimals}f}" for number in numbers],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{y}}: %{{x:,.{decimals}f}}<extra></extra>",
            showlegend=False,
        )
    )
    if limit is not None:
        figure.add_vline(
            x=limit,
            line={"color": theme.LIGHT.neutral, "width": 1, "dash": "dash"},
            annotation={"text": f"limit {limit:,.{decimals}f}", "font": {"size": 12}, "yshift": 6},
        )
    # Room for the numbers beside the bars, on either side.
    low, high = (min(0.0, *numbers, limit or 0.0), max(0.0, *numbers, limit or 0.0)) if len(numbers) else (0.0, 1.0)
    room = 0.14 * (high - low or 1.0)
    reach = [low - room if low < 0 else low, high + room if high > 0 else high]
    figure.update_xaxes(title_text=unit, range=reach, zeroline=True)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return finish(figure, title, labels, height=180 + 34 * len(numbers), bargap=0.35)
