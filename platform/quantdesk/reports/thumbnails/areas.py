"""Heat maps and slices. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from quantdesk.reports.theme import LIGHT
from quantdesk.reports.thumbnails.frame import Frame, Mark, Style, rectangle
from quantdesk.reports.thumbnails.scales import Axis, values_of

__all__ = ["heat", "slices"]

MOST_CELLS = (60, 40)


def heat(trace: Mapping[str, Any], x: Axis, y: Axis, _style: Style) -> Mark:
    """A grid of colours: diverging where values have both signs, sequential otherwise."""
    z = values_of(trace["z"])
    if z.dtype == object or z.ndim != 2 or not z.size:
        raise ValueError("no grid")
    ends = []
    for axis, name, count in ((x, "x", z.shape[1]), (y, "y", z.shape[0])):
        given = values_of(trace[name]) if trace.get(name) is not None else np.arange(count, dtype=float)
        at = axis.place(given[:count])
        at = at if len(at) == count and np.isfinite(at).all() else np.arange(count, dtype=float)
        step = (at[-1] - at[0]) / max(1, count - 1) or 1.0
        ends.append((at[0] - step / 2, at[-1] + step / 2))
        if axis.kind != "category":
            axis.extend(np.array(ends[-1]))
    shrunk = z[np.ix_(*(np.linspace(0, size - 1, min(size, most)).astype(int) for size, most in zip(
        z.shape, MOST_CELLS[::-1], strict=True)))]  # fmt: skip
    real = shrunk[np.isfinite(shrunk)]
    if not real.size:
        raise ValueError("no numbers")
    low, high = float(real.min()), float(real.max())
    around = trace.get("zmid")
    if isinstance(around, (int, float)) or (low < 0 < high):
        middle = float(around) if isinstance(around, (int, float)) else 0.0
        reach = max(abs(low - middle), abs(high - middle)) or 1.0
        low, high, ramp = middle - reach, middle + reach, LIGHT.diverging
    else:
        ramp = LIGHT.sequential
    scale = _ramp(trace.get("colorscale"), ramp)

    def draw(frame: Frame) -> str:
        rows, columns = shrunk.shape
        edges_x = np.linspace(*ends[0], columns + 1)
        edges_y = np.linspace(*ends[1], rows + 1)
        return "".join(
            rectangle(
                frame, edges_x[c : c + 2], edges_y[r : r + 2], scale((shrunk[r, c] - low) / ((high - low) or 1.0))
            )
            for r in range(rows)
            for c in range(columns)
            if math.isfinite(shrunk[r, c])
        )

    return draw


def _ramp(stated: Any, otherwise: Sequence[str]) -> Callable[[float], str]:
    """A colour for each share from 0 to 1."""
    stops: list[tuple[float, str]] = []
    if isinstance(stated, Sequence) and not isinstance(stated, str):
        for stop in stated:
            match stop:
                case [int() | float() as share, str() as hexadecimal] if re.fullmatch(r"#[0-9a-fA-F]{6}", hexadecimal):
                    stops.append((float(share), hexadecimal))
    if len(stops) < 2:
        stops = [(n / (len(otherwise) - 1), tone) for n, tone in enumerate(otherwise)]
    shares = [share for share, _ in stops]
    channels = [[int(tone[at : at + 2], 16) for _, tone in stops] for at in (1, 3, 5)]

    def colour(share: float) -> str:
        return "#" + "".join(f"{round(float(np.interp(share, shares, channel))):02x}" for channel in channels)

    return colour


def slices(trace: Mapping[str, Any], centre: tuple[float, float], radius: float) -> str:
    """The slices of a pie.

    Raises
    ------
    ValueError
        Its values are none.
    """
    values = Axis({}).place(values_of(trace["values"]))
    values = np.where(values > 0, values, 0.0)[:24]
    whole = float(np.nansum(values))
    if whole <= 0:
        raise ValueError("no slices")
    parts, begin = [], 0.0
    for n, value in enumerate(values):
        share = float(value) / whole if math.isfinite(value) else 0.0
        tone = LIGHT.categorical[n % len(LIGHT.categorical)]
        if share > 0.999:
            return f'<circle cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:.1f}" fill="{tone}"/>'
        ends = [
            (centre[0] + radius * math.sin(2 * math.pi * turn), centre[1] - radius * math.cos(2 * math.pi * turn))
            for turn in (begin, begin + share)
        ]
        parts.append(
            f'<path d="M{centre[0]:.1f} {centre[1]:.1f}L{ends[0][0]:.1f} {ends[0][1]:.1f}'
            f"A{radius:.1f} {radius:.1f} 0 {int(share > 0.5)} 1 {ends[1][0]:.1f} {ends[1][1]:.1f}z"
            f'" fill="{tone}"/>'
        )
        begin += share
    return "".join(parts)
