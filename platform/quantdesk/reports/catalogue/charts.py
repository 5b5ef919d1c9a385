"""Histograms as SVG: drawn with classes, so that one drawing serves light and dark pages. Pure."""

from __future__ import annotations

import math

from markupsafe import Markup, escape

from quantdesk.reports.catalogue.facts import QUANTILES, Distribution

__all__ = ["histogram", "number", "spark"]

_WIDTH, _HEIGHT, _FLOOR, _SIDE = 360, 150, 28, 8


def number(value: float) -> str:
    """A value with four significant digits, grouped, with a real minus sign."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        text = f"{value:.3e}"
    else:
        text = f"{value:,.{max(0, 3 - math.floor(math.log10(size)))}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−")


def histogram(given: Distribution, unit: str) -> Markup:
    """The histogram of one kind of series, with its median marked and the ends of its axis named."""
    top = max(given.counts) or 1
    width, height = _WIDTH - 2 * _SIDE, _HEIGHT - _FLOOR - 14
    step = width / len(given.counts)
    bars = "".join(
        f'<rect x="{_SIDE + place * step:.2f}" y="{14 + height * (1 - count / top):.2f}" '
        f'width="{max(step - 0.6, 0.5):.2f}" height="{height * count / top:.2f}"/>'
        for place, count in enumerate(given.counts)
        if count
    )
    middle = given.quantiles[QUANTILES.index(0.5)]
    x = _SIDE + width * _place(middle, given)
    side = "end" if x > _WIDTH * 0.6 else "start"
    shift = -5 if side == "end" else 5
    first, last = given.edges[0], given.edges[-1]
    outside = given.below + given.above
    said = (
        f"Histogram of {given.values:,} values of {given.series} {given.kind} series, in {unit}: half of them lie "
        f"between {number(given.quantiles[3])} and {number(given.quantiles[5])}, the median is {number(middle)}."
    )
    if outside:
        said += f" {outside:,} values lie outside of the drawing."
    return Markup(  # noqa: S704 - every text is escaped, every other part is a number of ours
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">'
        f'<g class="bars">{bars}</g>'
        f'<line class="axis" x1="{_SIDE}" y1="{14 + height}" x2="{_WIDTH - _SIDE}" y2="{14 + height}"/>'
        f'<line class="median" x1="{x:.2f}" y1="8" x2="{x:.2f}" y2="{14 + height}"/>'
        f'<text class="mark" x="{x + shift:.2f}" y="16" text-anchor="{side}">median {number(middle)}</text>'
        f'<text x="{_SIDE}" y="{_HEIGHT - 10}">{number(first)}</text>'
        f'<text x="{_WIDTH - _SIDE}" y="{_HEIGHT - 10}" text-anchor="end">{number(last)}</text>'
        + (
            f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">logarithmic</text>'
            if given.logarithmic
            else ""
        )
        + "</svg>"
    )


def _place(value: float, given: Distribution) -> float:
    """Where a value stands on the axis, 0 to 1."""
    first, last = given.edges[0], given.edges[-1]
    if given.logarithmic:
        value, first, last = math.log(value), math.log(first), math.log(last)
    share = (value - first) / (last - first)
    return min(max(share, 0.0), 1.0)


def spark(given: Distribution) -> Markup:
    """The shape alone, for a line of the index; what it says is in the cells beside it."""
    pairs = [sum(given.counts[place : place + 2]) for place in range(0, len(given.counts), 2)]
    top = max(pairs) or 1
    bars = "".join(
        f'<rect x="{place * 4}" y="{24 - 24 * count / top:.1f}" width="3.4" height="{24 * count / top:.1f}"/>'
        for place, count in enumerate(pairs)
        if count
    )
    return Markup(f'<svg class="spark" viewBox="0 0 96 24" aria-hidden="true"><g class="bars">{bars}</g></svg>')  # noqa: S704 - numbers only
