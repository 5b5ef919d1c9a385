"""Figures of models: how time was split, and what all trials showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quantdesk.reports import theme
from quantdesk.reports.figures.style import COLOURS, Labels, dates, finish, hatch

if TYPE_CHECKING:
    from quantdesk.backtest import DeflatedSharpe, Trial
    from quantdesk.backtest.validation import Split

__all__ = ["splits", "trials"]


def splits(parts: Sequence[Split], label_starts: pd.Index, title: str, labels: Labels = ()) -> go.Figure:
    """Which sessions each split trains on, purges, embargoes and tests.

    Parameters
    ----------
    parts
        What ``splits()`` of a splitter yields.
    label_starts
        The timestamp of each row that was split.
    """
    kinds = (("train", 0, 0), ("purged", 1, 1), ("embargoed", 3, 2), ("test", 2, 0))
    times = dates(label_starts)
    figure = go.Figure()
    for name, colour, pattern in kinds:
        drawn = [(f"split {n}", times[getattr(part, name)].unique()) for n, part in enumerate(parts, start=1)]
        where = [(label, span) for label, days in drawn for span in _spans(days, times.unique())]
        if not where:
            continue
        figure.add_bar(
            y=[label for label, _ in where],
            base=[start for _, (start, _) in where],
            x=[(end - start).total_seconds() * 1000 for _, (start, end) in where],
            orientation="h",
            name=name,
            marker={"color": COLOURS[colour], "pattern": hatch(pattern)},
            hovertemplate="%{y}: " + name + "<extra></extra>",
        )
    figure.update_xaxes(type="date", title_text="session at which the features are known")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return finish(figure, title, labels, height=200 + 34 * len(parts), barmode="overlay", bargap=0.35)


def trials(done: Sequence[Trial], verdict: DeflatedSharpe, title: str, labels: Labels = ()) -> go.Figure:
    """The Sharpe ratio of every trial beyond the benchmark, beside the hurdle that luck sets for the best of them."""
    ordered = sorted(done, key=lambda trial: trial.sharpe)
    figure = go.Figure(
        go.Bar(
            x=[trial.sharpe for trial in ordered],
            y=[trial.name for trial in ordered],
            orientation="h",
            text=[f"{trial.sharpe:.2f}" for trial in ordered],
            textposition="auto",
            marker={"color": COLOURS[0]},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
            showlegend=False,
        )
    )
    mark = {"color": theme.LIGHT.warning, "width": 2, "dash": "dash"}
    said = f"hurdle {verdict.hurdle:.2f}: the luckiest of {verdict.trials} useless trials"
    figure.add_vline(x=verdict.hurdle, line=mark, annotation={"text": said, "yanchor": "bottom", "y": 1.0})
    figure.update_xaxes(
        title_text="Sharpe ratio of the return beyond the benchmark, annual, after costs", rangemode="tozero"
    )
    return finish(figure, title, labels, height=210 + 30 * len(ordered), margin={"t": 104})


def _spans(days: pd.DatetimeIndex, everything: pd.DatetimeIndex) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Runs of neighbouring sessions, each from its first one to the one that follows it."""
    if not len(days):
        return []
    known = everything.sort_values()
    following = known[1:].append(known[-1:] + pd.Timedelta(days=1))
    place = np.sort(known.get_indexer(days))
    cuts = np.flatnonzero(np.diff(place) > 1)
    first, last = place[np.r_[0, cuts + 1]], place[np.r_[cuts, len(place) - 1]]
    return [(known[int(a)], following[int(b)]) for a, b in zip(first, last, strict=True)]
