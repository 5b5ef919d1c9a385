"""Figures of features: lines over time, correlations, coverage, what they say about the future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantdesk.errors import BadInput
from quantdesk.reports import theme
from quantdesk.reports.figures.style import COLOURS, Labels, dates, finish, line_style

__all__ = ["correlation", "coverage", "information", "panels"]


def panels(tables: Mapping[str, pd.DataFrame], title: str, labels: Labels = (), *, height: int = 0) -> go.Figure:
    """Tables of lines under each other, sharing the time axis. The key of each is the title of its vertical axis.

    Parameters
    ----------
    tables
        By axis title (with the unit): sessions by lines, at most eight lines each.
    height
        In pixels; 0 for 170 per panel.
    """
    if not tables:
        raise BadInput("There is no table to draw.", "Give at least one.")
    figure = make_subplots(rows=len(tables), cols=1, shared_xaxes=True, vertical_spacing=0.16 / (len(tables) + 1))
    for row, (unit, table) in enumerate(tables.items(), start=1):
        for number, name in enumerate(table.columns):
            figure.add_scatter(
                x=dates(table.index),
                y=table[name],
                name=str(name),
                mode="lines",
                line={**line_style(number), "width": 1.5},
                showlegend=len(table.columns) > 1,
                hovertemplate="%{y:.4~g}",
                row=row,
                col=1,
            )
        figure.update_yaxes(title_text=unit, row=row, col=1)
    return finish(figure, title, labels, height=height or 150 + 170 * len(tables), hovermode="x unified")


def correlation(table: pd.DataFrame, title: str, labels: Labels = ()) -> go.Figure:
    """A square of correlations from -1 to 1."""
    figure = squares(table, theme.LIGHT.diverging, (-1, 1), "%{z:.2f}", "correlation")
    return finish(figure, title, labels, height=200 + 26 * len(table))


def coverage(share: pd.DataFrame, title: str, labels: Labels = ()) -> go.Figure:
    """Which share of the rows has a value, 0 to 1: symbols downwards, features across."""
    figure = squares(100 * share, theme.LIGHT.sequential, (0, 100), "%{z:.0f}", "rows with<br>a value, %")
    return finish(figure, title, labels, height=200 + 24 * len(share))


def information(table: pd.DataFrame, title: str, labels: Labels = ()) -> go.Figure:
    """Information coefficients with the range of two standard errors.

    Parameters
    ----------
    table
        Index: names; columns ``mean`` and ``t``.
    """
    ordered = table.sort_values("mean")
    reach = 2 * (ordered["mean"] / ordered["t"]).abs()
    figure = go.Figure(
        go.Scatter(
            x=ordered["mean"],
            y=[str(name) for name in ordered.index],
            mode="markers",
            marker={"size": 9, "color": COLOURS[0]},
            error_x={"type": "data", "array": reach, "thickness": 1.4, "color": COLOURS[0]},
            customdata=ordered["t"],
            hovertemplate="%{y}: %{x:.3f}, t = %{customdata:.1f}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": theme.LIGHT.neutral, "width": 1})
    figure.update_xaxes(title_text="mean rank correlation with the return that follows, ± 2 standard errors")
    return finish(figure, title, labels, height=190 + 24 * len(ordered))


def squares(table: pd.DataFrame, scale: Sequence[str], limits: tuple[float, float], text: str, bar: str) -> go.Figure:
    small = max(table.shape) <= 24
    return go.Figure(
        go.Heatmap(
            z=table.to_numpy(dtype=float),
            x=[str(name) for name in table.columns],
            y=[str(name) for name in table.index],
            zmin=limits[0],
            zmax=limits[1],
            colorscale=[[place / (len(scale) - 1), colour] for place, colour in enumerate(scale)],
            texttemplate=text if small else None,
            textfont={"size": 11},
            hovertemplate="%{y}, %{x}: " + text + "<extra></extra>",
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": bar, "font": {"size": 12}}, "outlinewidth": 0, "thickness": 12},
        )
    ).update_yaxes(autorange="reversed", showgrid=False)
