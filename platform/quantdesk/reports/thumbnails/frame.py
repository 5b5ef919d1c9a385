"""A rectangle of the picture, and what all marks share. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quantdesk.reports.thumbnails.scales import Numbers, values_of

__all__ = ["Frame", "Mark", "Style", "colour_of", "part", "rectangle", "xy"]

COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}|(?:rgb|rgba|hsl|hsla)\([0-9., %]{3,40}\)|[a-zA-Z]{3,24}")


@dataclass(frozen=True)
class Frame:
    """A rectangle of the picture and the axes that fill it."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
        """Pixels of places on the axes."""
        return (
            self.left + (x - self.x[0]) / (self.x[1] - self.x[0]) * self.width,
            self.top + self.height - (y - self.y[0]) / (self.y[1] - self.y[0]) * self.height,
        )


Mark = Callable[[Frame], str]
"""Draws what a trace holds, once the axes are known."""


@dataclass
class Style:
    """What a trace shares with the others of its frame.

    Parameters
    ----------
    colour
        Where the trace names none.
    barmode
        As plotly's layout has it.
    bars
        How many traces of bars stand side by side.
    bar
        How many of them were placed.
    heights
        Of bars so far, for those that stand on each other.
    line
        The last line, for an area that ends at it.
    stacks
        The upper edge of each stack of areas so far, by its name.
    """

    colour: str
    barmode: str = "group"
    bars: int = 1
    bar: int = 0
    heights: dict[tuple[bool, float], float] = field(default_factory=dict)
    line: tuple[Numbers, Numbers] | None = None
    stacks: dict[str, Numbers] = field(default_factory=dict)


def colour_of(value: Any, otherwise: str) -> str:
    """A colour that a figure names, where it is one and nothing else."""
    return value if isinstance(value, str) and COLOUR.fullmatch(value) else otherwise


def part(trace: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table within a trace; empty where it has none."""
    part = trace.get(name)
    return part if isinstance(part, Mapping) else {}


def xy(trace: Mapping[str, Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Values of both axes, of one length; numbers from 0 for those that are not given."""
    y = values_of(trace["y"]) if trace.get("y") is not None else None
    x = values_of(trace["x"]) if trace.get("x") is not None else None
    if x is None and y is None:
        raise ValueError("a trace without values")
    count = len(y) if x is None and y is not None else len(x) if x is not None else 0
    x = np.arange(count, dtype=float) if x is None else x
    y = np.arange(count, dtype=float) if y is None else y
    size = min(len(x), len(y))
    return x[:size], y[:size]


def rectangle(frame: Frame, x: Numbers, y: Numbers, fill: str) -> str:
    """The rectangle between two places on each axis, half a pixel at least."""
    px, py = frame.at(x, y)
    if not (np.isfinite(px).all() and np.isfinite(py).all()):
        return ""
    left, top = min(px), min(py)
    wide, high = max(abs(px[1] - px[0]), 0.5), max(abs(py[1] - py[0]), 0.5)
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}"/>'
