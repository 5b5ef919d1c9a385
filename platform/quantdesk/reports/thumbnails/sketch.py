"""A plotly figure as a small SVG, drawn from its data without a browser. Pure.

It is a sketch: the traces in their axes, the title, the ends of the axes. What it leaves out it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from quantdesk.reports.theme import FONT, LIGHT
from quantdesk.reports.thumbnails.areas import slices
from quantdesk.reports.thumbnails.frame import Frame, Mark, Style, colour_of
from quantdesk.reports.thumbnails.marks import marks
from quantdesk.reports.thumbnails.scales import Axis

__all__ = ["HEIGHT", "WIDTH", "sketch"]

WIDTH, HEIGHT = 480, 300
MOST_TRACES = 60
LONGEST_TITLE = 50
LEFT, TOP, RIGHT, BOTTOM = 14, 34, 14, 24


def sketch(figure: Mapping[str, Any]) -> str:
    """The figure as an SVG of some kilobytes; empty where nothing of it can be drawn.

    Parameters
    ----------
    figure
        As plotly's JSON has it, from a stranger: ``data`` and ``layout``.
    """
    layout = _mapping(figure.get("layout"))
    traces = [trace for trace in _list(figure.get("data")) if isinstance(trace, Mapping)]
    traces = [trace for trace in traces if trace.get("visible") not in (False, "legendonly")]
    body, drawn = _panels(traces[:MOST_TRACES], layout)
    if not drawn:
        return ""
    left_out = len(traces) - drawn
    title = _title(layout)
    words = [_text(LEFT, 22, title, 14, LIGHT.ink, "600")] if title else []
    if left_out:
        words.append(_text(WIDTH - RIGHT, 12, f"{left_out} of {len(traces)} traces not drawn", 10, end=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title or "Figure")}" font-family="{escape(FONT)}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{LIGHT.background}"/>{body}{"".join(words)}</svg>\n'
    )


def _panels(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> tuple[str, int]:
    """Every pair of axes with its traces, and how many traces were drawn."""
    axes: dict[str, Axis] = {}
    panels: dict[tuple[str, str], list[Mark]] = {}
    shared: dict[tuple[str, str], Style] = {}
    bars: dict[tuple[str, str], int] = {}
    pies: list[str] = []
    tones = _tones(layout)
    for trace in traces:
        if trace.get("type") == "bar":
            bars[_pair(trace)] = bars.get(_pair(trace), 0) + 1
    drawn = 0
    for number, trace in enumerate(traces):
        pair = _pair(trace)
        try:
            if trace.get("type") == "pie":
                pies.append(slices(trace, _middle(trace), 0.42 * (HEIGHT - TOP - BOTTOM)))
                drawn += 1
                continue
            x, y = (axes.setdefault(name, Axis(_axis_layout(layout, name))) for name in pair)
            style = shared.setdefault(pair, Style("", str(layout.get("barmode", "group")), bars.get(pair, 1)))
            style.colour = tones[number % len(tones)]
            mark = marks(trace, x, y, style)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
            continue
        if mark is not None:
            panels.setdefault(pair, []).append(mark)
            drawn += 1
    parts = [_panel(pair, found, axes, layout) for pair, found in panels.items()]
    return "".join([*parts, *pies]), drawn


def _panel(pair: tuple[str, str], found: list[Mark], axes: Mapping[str, Axis], layout: Mapping[str, Any]) -> str:
    x, y = (axes[name] for name in pair)
    across, up = (_domain(layout, name) for name in pair)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    # Room between the ends of neighbouring panels, and of their labels.
    gap = 12 if across[1] - across[0] < 0.99 or up[1] - up[0] < 0.99 else 0
    frame = Frame(
        LEFT + across[0] * wide,
        TOP + (1 - up[1]) * high,
        max(20.0, (across[1] - across[0]) * wide - gap),
        max(16.0, (up[1] - up[0]) * high - gap),
        x.extent,
        _padded(y),
    )
    left, bottom = frame.left, frame.top + frame.height
    parts = [
        f'<path d="M{left:.1f} {frame.top:.1f}V{bottom:.1f}H{left + frame.width:.1f}" fill="none" '
        f'stroke="{LIGHT.rule}"/>'
    ]
    low, high_ = sorted(frame.y)
    if low < 0 < high_ and y.kind == "linear":
        level = frame.top + frame.height * (frame.y[1] / (frame.y[1] - frame.y[0]))
        parts.append(
            f'<path d="M{left:.1f} {level:.1f}h{frame.width:.1f}" stroke="{LIGHT.neutral}" stroke-width="0.7"/>'
        )
    clip = f"panel-{'-'.join(pair)}"
    parts.append(
        f'<clipPath id="{clip}"><rect x="{left - 3:.1f}" y="{frame.top - 3:.1f}" '
        f'width="{frame.width + 6:.1f}" height="{frame.height + 6:.1f}"/></clipPath><g clip-path="url(#{clip})">'
    )
    parts += [mark(frame) for mark in found]
    parts.append("</g>")
    if frame.height > 60:
        parts += [
            _text(left + 3, frame.top + 9, y.word(frame.y[1]), 9),
            _text(left + 3, bottom - 3, y.word(frame.y[0]), 9),
        ]
    if frame.width > 120 and up[0] < 0.01:
        parts.append(_text(left, bottom + 12, x.word(frame.x[0]), 9))
        parts.append(_text(left + frame.width, bottom + 12, x.word(frame.x[1]), 9, end=True))
    return "".join(parts)


def _padded(y: Axis) -> tuple[float, float]:
    """The ends of a vertical axis with a little air, unless the figure states them."""
    low, high = y.extent
    if y.layout.get("range") is not None or y.kind == "category":
        return low, high
    air = 0.05 * (high - low)
    return (low if low == 0 else low - air), (high if high == 0 else high + air)


def _pair(trace: Mapping[str, Any]) -> tuple[str, str]:
    found = []
    for sign in "xy":
        name = trace.get(f"{sign}axis")
        number = re.fullmatch(rf"{sign}(\d{{1,3}})", name) if isinstance(name, str) else None
        found.append(f"{sign}axis{number[1]}" if number else f"{sign}axis")
    return found[0], found[1]


def _axis_layout(layout: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _mapping(layout.get(name))


def _domain(layout: Mapping[str, Any], name: str) -> tuple[float, float]:
    own = _axis_layout(layout, name)
    over = own.get("overlaying")
    if isinstance(over, str) and re.fullmatch(r"[xy]\d{0,3}", over):
        own = _axis_layout(layout, f"{over[0]}axis{over[1:]}")
    match own.get("domain"):
        case [int() | float() as low, int() | float() as high] if 0 <= low < high <= 1:
            return float(low), float(high)
    return 0.0, 1.0


def _middle(trace: Mapping[str, Any]) -> tuple[float, float]:
    domain = _mapping(trace.get("domain"))
    places = []
    for sign, begin, size in (("x", LEFT, WIDTH - LEFT - RIGHT), ("y", TOP, HEIGHT - TOP - BOTTOM)):
        match domain.get(sign):
            case [int() | float() as low, int() | float() as high]:
                share = (low + high) / 2
            case _:
                share = 0.5
        places.append(begin + (1 - share if sign == "y" else share) * size)
    return places[0], places[1]


def _tones(layout: Mapping[str, Any]) -> Sequence[str]:
    template = _mapping(_mapping(layout.get("template")).get("layout"))
    for holder in (layout, template):
        stated = [colour_of(tone, "") for tone in _list(holder.get("colorway"))]
        if stated and all(stated):
            return stated
    return LIGHT.categorical


def _title(layout: Mapping[str, Any]) -> str:
    title = layout.get("title")
    text = title.get("text") if isinstance(title, Mapping) else title
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split()) if isinstance(text, str) else ""
    plain = "".join(sign for sign in plain if sign.isprintable())
    return plain if len(plain) <= LONGEST_TITLE else plain[: LONGEST_TITLE - 1].rstrip() + "…"


def _text(
    x: float, y: float, words: str, size: int, tone: str = LIGHT.muted, weight: str = "400", *, end: bool = False
) -> str:
    if not words:
        return ""
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{tone}"{anchor}>'
        f"{escape(words)}</text>"
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
