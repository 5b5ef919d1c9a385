"""Which kind of trace is drawn by what. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantdesk.reports.thumbnails.areas import heat
from quantdesk.reports.thumbnails.bars import bars, boxes, candles, histogram
from quantdesk.reports.thumbnails.frame import Mark, Style
from quantdesk.reports.thumbnails.lines import line
from quantdesk.reports.thumbnails.scales import Axis

__all__ = ["marks"]

_MAKERS = {
    "scatter": line,
    "scattergl": line,
    "bar": bars,
    "histogram": histogram,
    "box": boxes,
    "violin": boxes,
    "heatmap": heat,
    "contour": heat,
    "candlestick": candles,
    "ohlc": candles,
}


def marks(trace: Mapping[str, Any], x: Axis, y: Axis, style: Style) -> Mark | None:
    """What draws a trace; None for a kind that is not drawn here.

    Parameters
    ----------
    trace
        As plotly's JSON has it.
    x, y
        Its axes; their extent grows.
    style
        What it shares with the other traces of its frame.

    Raises
    ------
    ValueError
        Its values are none.
    """
    maker = _MAKERS.get(str(trace.get("type", "scatter")))
    return maker(trace, x, y, style) if maker is not None else None
