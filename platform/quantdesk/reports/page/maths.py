"""Formulas as drawings: TeX in, SVG out, with matplotlib's own TeX. No script and no font is loaded. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape

__all__ = ["svg"]

_SIZE = 100.0
"""Units of the drawing that make one em."""


@lru_cache(maxsize=512)
def svg(tex: str, *, display: bool) -> str:
    """A formula as inline SVG in the colour of the text around it, with the TeX as its text alternative.

    Parameters
    ----------
    tex
        The formula without its dollar signs. What matplotlib's TeX does not know is shown as it was written.
    display
        Whether it stands on a line of its own.
    """
    plain = " ".join(tex.split())
    # A fraction on a line of its own has the room to be as large as the letters around it.
    drawn = _drawn(re.sub(r"\\frac(?![a-zA-Z])", r"\\dfrac", plain) if display else plain)
    kind = "qd-math qd-display" if display else "qd-math"
    label = escape(tex.strip(), quote=True)
    if drawn is None:
        return f'<code class="{kind}">{escape(tex.strip())}</code>'
    path, left, top, width, height, depth = drawn
    # The policy of the page forbids style attributes: the depth below the baseline is a class, in twentieths of an em.
    step = min(40, max(0, round(depth / _SIZE * 20)))
    return (
        f'<svg class="{kind} qd-depth-{step}" role="img" aria-label="{label}" width="{width / _SIZE:.2f}em" '
        f'height="{height / _SIZE:.2f}em" viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}">'
        f'<title>{label}</title><path fill="currentColor" d="{path}"/></svg>'
    )


def _drawn(tex: str) -> tuple[str, float, float, float, float, float] | None:
    """Outline and box of a formula; None when it cannot be read."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    properties = FontProperties(family="serif", math_fontfamily="cm")
    try:
        outline = TextPath((0, 0), f"${tex}$", size=_SIZE, prop=properties)
    except (ValueError, RuntimeError, RecursionError):
        return None
    if not len(outline.vertices):
        return None
    words = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    parts = []
    for points, code in outline.iter_segments(curves=True, simplify=False):
        numbers = " ".join(f"{value if place % 2 == 0 else -value:.1f}" for place, value in enumerate(points))
        parts.append("Z" if code == Path.CLOSEPOLY else words[code] + numbers)
    (left, low), (right, high) = outline.get_extents().get_points()
    depth = max(0.0, -float(low))
    top, bottom = -max(float(high), 0.6 * _SIZE), depth
    return "".join(parts), float(left) - 2, top - 2, float(right - left) + 4, bottom - top + 4, depth
