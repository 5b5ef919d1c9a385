"""Bars, histograms, boxes and candles. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quantdesk.reports.theme import LIGHT
from quantdesk.reports.thumbnails.frame import Frame, Mark, Style, colour_of, part, rectangle, xy
from quantdesk.reports.thumbnails.scales import Axis, Numbers, numbers, values_of

__all__ = ["bars", "boxes", "candles", "histogram"]

MOST_BARS = 240


def bars(trace: Mapping[str, Any], x: Axis, y: Axis, style: Style) -> Mark:
    """Bars: side by side, on each other, over each other, or from a place that each has of its own."""
    lying = trace.get("orientation") == "h"
    along, up = (y, x) if lying else (x, y)
    given = xy(trace)
    at = along.place(given[1] if lying else given[0])
    own = _bases(trace.get("base"), up, len(at))
    long = given[0] if lying else given[1]
    high = up.place(long, extend=False) if own is None else numbers(long)
    fills = part(trace, "marker").get("color")
    each = fills if isinstance(fills, Sequence) and not isinstance(fills, str) and len(fills) == len(at) else None
    tone = style.colour
    plain = colour_of(fills, tone)
    slots = style.heights
    base = np.zeros(len(at)) if own is None else own
    if style.barmode == "overlay":
        share, shift = 1.0, 0.0
    elif style.barmode in {"stack", "relative"} and own is None:
        for n, (place, value) in enumerate(zip(at, high, strict=True)):
            key = (bool(value < 0), float(place))
            base[n] = slots.get(key, 0.0)
            slots[key] = base[n] + (value if math.isfinite(value) else 0.0)
        share, shift = 1.0, 0.0
    else:
        number, count = style.bar, max(1, style.bars)
        style.bar += 1
        share, shift = 1 / count, (number + 0.5) / count - 0.5
    up.extend(np.concatenate([base, base + high, np.zeros(1 if own is None else 0)]))
    gaps = np.diff(np.unique(at[np.isfinite(at)]))
    wide = 0.8 * (float(gaps.min()) if gaps.size else 1.0)
    if along.kind != "category":  # it has room at its ends
        along.extend(np.concatenate([at - wide / 2, at + wide / 2]))
    order = np.linspace(0, len(at) - 1, min(len(at), MOST_BARS)).astype(int) if len(at) else np.array([], int)

    def draw(frame: Frame) -> str:
        parts = []
        for n in order:
            middle, half = at[n] + shift * wide, wide * share / 2
            ends = np.array([middle - half, middle + half]), np.array([base[n], base[n] + high[n]])
            fill = colour_of(each[n], tone) if each is not None else plain
            parts.append(rectangle(frame, *(ends[::-1] if lying else ends), fill))
        return "".join(parts)

    return draw


def _bases(given: Any, up: Axis, count: int) -> Numbers | None:
    """Where each bar begins, on the axis that it grows along; None where all begin at 0."""
    if given is None:
        return None
    several = isinstance(given, Mapping) or (isinstance(given, Sequence) and not isinstance(given, str))
    placed = up.place(values_of(given if several else [given] * count), extend=False)
    if len(placed) < count:
        raise ValueError("a bar without its base")
    return placed[:count]


def histogram(trace: Mapping[str, Any], x: Axis, y: Axis, style: Style) -> Mark:
    """Counts in forty bins."""
    lying = trace.get("x") is None
    along, up = (y, x) if lying else (x, y)
    placed = along.place(values_of(trace["y" if lying else "x"]))
    counts, edges = np.histogram(placed[np.isfinite(placed)], bins=40)
    up.extend(np.concatenate([counts.astype(float), np.zeros(1)]))
    fill = colour_of(part(trace, "marker").get("color"), style.colour)

    def draw(frame: Frame) -> str:
        parts = []
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            ends = np.array([low, high]), np.array([0.0, float(count)])
            parts.append(rectangle(frame, *(ends[::-1] if lying else ends), fill) if count else "")
        return "".join(parts)

    return draw


def boxes(trace: Mapping[str, Any], x: Axis, y: Axis, style: Style) -> Mark:
    """Quartiles, and whiskers to the ends."""
    lying = trace.get("y") is None or trace.get("orientation") == "h"
    along, up = (y, x) if lying else (x, y)
    values = up.place(values_of(trace["x" if lying else "y"]))
    groups = trace.get("y" if lying else "x")
    named = np.empty(len(values), dtype=object)
    named[:] = str(trace.get("name") or f"box {len(along.names)}")
    at = along.place(values_of(groups)[: len(values)] if groups is not None else named)
    fill = colour_of(part(trace, "marker").get("color"), colour_of(trace.get("fillcolor"), style.colour))
    found = []
    for place in np.unique(at[np.isfinite(at)])[:MOST_BARS]:
        inside = values[(at == place) & np.isfinite(values)]
        if inside.size:
            found.append((float(place), np.percentile(inside, [0, 25, 50, 75, 100])))

    def draw(frame: Frame) -> str:
        parts = []
        for place, (low, first, middle, third, high) in found:
            for across, ends in ((0.0, (low, high)), (0.3, (first, third)), (0.3, (middle, middle))):
                box = np.array([place - across, place + across]), np.array(ends)
                tone = LIGHT.ink if ends[0] == ends[1] else fill
                parts.append(rectangle(frame, *(box[::-1] if lying else box), tone))
        return "".join(parts)

    return draw


def candles(trace: Mapping[str, Any], x: Axis, y: Axis, _style: Style) -> Mark:
    """Bodies from open to close, wicks from low to high."""
    prices = [y.place(values_of(trace[name])) for name in ("open", "high", "low", "close")]
    count = min(map(len, prices))
    at = x.place(values_of(trace["x"])[:count] if trace.get("x") is not None else np.arange(count, dtype=float))
    order = np.linspace(0, len(at) - 1, min(len(at), MOST_BARS // 2)).astype(int) if len(at) else np.array([], int)
    placed = at[np.isfinite(at)]
    half = 0.3 * (float(np.ptp(placed)) / max(1, len(order)) or 1.0) if placed.size else 0.5

    def draw(frame: Frame) -> str:
        parts = []
        for n in order:
            first, high, low, last = (float(one[n]) for one in prices)
            tone = LIGHT.positive if last >= first else LIGHT.negative
            parts.append(rectangle(frame, np.array([at[n], at[n]]), np.array([low, high]), tone))
            parts.append(rectangle(frame, np.array([at[n] - half, at[n] + half]), np.array([first, last]), tone))
        return "".join(parts)

    return draw
