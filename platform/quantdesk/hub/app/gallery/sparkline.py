"""A line of values as a small picture, with the same said in words. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from quantdesk.hub.app.gallery.look import number

__all__ = ["Spark", "sparkline"]

_WIDTH, _HEIGHT, _EDGE = 132, 34, 3


@dataclass(frozen=True)
class Spark:
    """A metric over the last runs.

    Attributes
    ----------
    name, unit
        Of the metric.
    values
        The oldest first; at least one, all finite.
    lower, upper
        Where it should stay, drawn where they are in sight; None without.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    lower: float | None = None
    upper: float | None = None

    @property
    def last(self) -> float:
        """The newest value."""
        return self.values[-1]

    @property
    def is_outside(self) -> bool:
        """Whether the newest value lies outside of its bounds."""
        low = self.lower is not None and self.last < self.lower
        return low or (self.upper is not None and self.last > self.upper)

    @property
    def words(self) -> str:
        """The picture in a sentence, for those who do not see it."""
        low, high = min(self.values), max(self.values)
        span = f"from {number(low, self.unit)} to {number(high, self.unit)}, " if low != high else ""
        runs = f"{len(self.values)} runs" if len(self.values) > 1 else "one run"
        outside = ", outside of its bounds" if self.is_outside else ""
        return f"{self.name} over {runs}: {span}last {number(self.last, self.unit)}{outside}"

    def svg(self) -> Markup:
        """The picture as inline SVG; it has neither style nor script."""
        return sparkline(self)


def sparkline(spark: Spark) -> Markup:
    """Draw a :class:`Spark`: a line, its last point, and bounds as dashes where they lie within reach."""
    low, high = min(spark.values), max(spark.values)
    # Halves first: the distance of two large numbers may be more than a number can hold.
    half = high / 2 - low / 2
    # A flat line runs through the middle; a bound is in sight where it is no further away than the values spread.
    bounds = [at for at in (spark.lower, spark.upper) if at is not None]
    for at in bounds:
        if half > 0 and low / 2 - half <= at / 2 <= high / 2 + half:
            low, high = min(low, at), max(high, at)
    half = high / 2 - low / 2

    def up(at: float) -> float:
        share = 0.5 if half <= 0 else (at / 2 - low / 2) / half
        return round(_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE), 1)

    step = (_WIDTH - 2 * _EDGE) / max(1, len(spark.values) - 1)
    along = [round(_EDGE + place * step, 1) for place in range(len(spark.values))]
    if len(along) == 1:
        along = [_WIDTH - _EDGE]
    points = " ".join(f"{x:g},{up(at):g}" for x, at in zip(along, spark.values, strict=True))
    lines = Markup("").join(
        Markup('<line class="qg-bound" x1="0" x2="{}" y1="{}" y2="{}"/>').format(_WIDTH, f"{up(at):g}", f"{up(at):g}")
        for at in bounds
        if low <= at <= high and math.isfinite(up(at))
    )
    return Markup(
        '<svg class="qg-spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '{}<polyline points="{}"/><circle cx="{}" cy="{}" r="2.6"/></svg>'
    ).format(_WIDTH, _HEIGHT, _WIDTH, _HEIGHT, spark.words, lines, points, f"{along[-1]:g}", f"{up(spark.last):g}")
