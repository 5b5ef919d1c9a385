"""Lines, areas and points. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from quantdesk.reports.thumbnails.frame import Frame, Mark, Style, colour_of, part, xy
from quantdesk.reports.thumbnails.scales import Axis, Numbers

__all__ = ["line"]

MOST_POINTS = 400


def line(trace: Mapping[str, Any], x: Axis, y: Axis, style: Style) -> Mark:
    """Lines with their dashes, the area below them, and points."""
    given = xy(trace)
    at_x = x.place(given[0])
    stacked = trace.get("stackgroup")
    at_y = y.place(given[1], extend=not stacked)
    mode = str(trace.get("mode") or ("lines+markers" if len(at_x) <= 20 else "lines"))
    fill = str(trace.get("fill") or "none")
    stroke = colour_of(part(trace, "line").get("color"), colour_of(part(trace, "marker").get("color"), style.colour))
    area = colour_of(trace.get("fillcolor"), stroke)
    dash = {"dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "9 4"}.get(
        str(part(trace, "line").get("dash")), ""
    )
    before = style.line
    if stacked:
        below = style.stacks.get(str(stacked))
        ground = below if below is not None and len(below) == len(at_y) else np.zeros(len(at_y))
        style.stacks[str(stacked)] = at_y = ground + np.nan_to_num(at_y)
        before, fill = (at_x, ground), "tonexty"
        y.extend(np.concatenate([at_y, ground]))
    style.line = (at_x, at_y)
    if fill == "tozeroy":
        y.extend(np.zeros(1))

    def draw(frame: Frame) -> str:
        parts = []
        if fill in {"tozeroy", "tonexty", "toself"}:
            under = np.zeros_like(at_y)
            edge = before if fill == "tonexty" and before is not None else (at_x, under) if fill == "tozeroy" else None
            ring_x = at_x if edge is None else np.concatenate([at_x, edge[0][::-1]])
            ring_y = at_y if edge is None else np.concatenate([at_y, edge[1][::-1]])
            whole = np.isfinite(ring_x) & np.isfinite(ring_y)
            points = _points(frame, *_thin_evenly(ring_x[whole], ring_y[whole], 2 * MOST_POINTS))
            parts.append(f'<polygon points="{points}" fill="{area}" fill-opacity="{0.85 if stacked else 0.25}"/>')
        if "lines" in mode and part(trace, "line").get("width") != 0:
            dashed = f' stroke-dasharray="{dash}"' if dash else ""
            for run_x, run_y in _unbroken(at_x, at_y):
                points = _points(frame, *_thin_line(run_x, run_y))
                parts.append(f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="1.5"{dashed}/>')
        if "markers" in mode:
            whole = np.isfinite(at_x) & np.isfinite(at_y)
            px, py = frame.at(*_thin_evenly(at_x[whole], at_y[whole], MOST_POINTS))
            dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(px, py, strict=True))
            parts.append(
                f'<path d="{dots}" stroke="{stroke}" stroke-width="4" stroke-linecap="round"/>' if dots else ""
            )
        return "".join(parts)

    return draw


def _unbroken(x: Numbers, y: Numbers) -> list[tuple[Numbers, Numbers]]:
    """The runs of a line between its gaps."""
    whole = np.isfinite(x) & np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(int), [0]])))
    return [(x[a:b], y[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)][:MOST_POINTS]


def _thin_line(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """At most some hundred points that keep every peak: the lowest and the highest of each stretch."""
    if len(x) <= MOST_POINTS:
        return x, y
    keep = {0, len(x) - 1}
    for stretch in np.array_split(np.arange(len(x)), MOST_POINTS // 2):
        keep |= {int(stretch[y[stretch].argmin()]), int(stretch[y[stretch].argmax()])}
    chosen = np.array(sorted(keep))
    return x[chosen], y[chosen]


def _thin_evenly(x: Numbers, y: Numbers, most: int) -> tuple[Numbers, Numbers]:
    if len(x) <= most:
        return x, y
    chosen = np.linspace(0, len(x) - 1, most).astype(int)
    return x[chosen], y[chosen]


def _points(frame: Frame, x: Numbers, y: Numbers) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(*frame.at(x, y), strict=True))
