"""What all figures share: dates on the axis, line styles, the title with the line of labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from quantdesk.reports import theme

__all__ = ["COLOURS", "Labels", "dates", "finish", "hatch", "line_style"]

Labels = Iterable[str]
COLOURS = theme.LIGHT.categorical


def dates(index: pd.Index) -> pd.DatetimeIndex:
    """The sessions' dates: plotly would show aware times in the reader's own zone, and so perhaps another day."""
    times = pd.DatetimeIndex(index)
    return times.tz_convert("UTC").tz_localize(None).normalize() if times.tz is not None else times


def line_style(number: int) -> dict[str, Any]:
    """Lines are told apart by colour and by dash."""
    return {"color": COLOURS[number % len(COLOURS)], "dash": theme.DASHES[number % len(theme.DASHES)]}


def hatch(number: int) -> dict[str, Any]:
    """A pattern over the colour of bars, so that they are told apart without it; the first has none."""
    shape = ("", "/", "x", ".")[number % 4]
    return {"shape": shape, "fillmode": "overlay", "fgcolor": theme.LIGHT.background, "fgopacity": 0.55, "size": 7}


def finish(figure: go.Figure, title: str, labels: Labels, height: int = 450, **layout: Any) -> go.Figure:
    """Give `figure` its title, the line of labels under it, the house template and its height in pixels."""
    named = [trace for trace in figure.data if trace.name and trace.showlegend is not False]
    legend = len(named) > 1 and layout.get("showlegend") is not False
    theme.register()
    shown = str(theme.label_line(labels))
    figure.update_layout(
        template=theme.TEMPLATE_NAME,
        height=max(height, 450),  # a page keeps this much free while it draws
        title={"text": title, "subtitle": {"text": f"Data: {shown}"} if shown else None, "y": 1, "yref": "container"},
        **{"margin": {"t": (128 if len(named) > 6 else 112) if legend else 76}, "showlegend": legend, **layout},
    )
    figure.layout.title.update(yanchor="top", pad={"t": 16, "l": 12})
    return figure
