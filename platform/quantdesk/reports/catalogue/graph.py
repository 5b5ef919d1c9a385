"""The lineage of a feature as SVG: files, inputs, the feature, and what uses it, from left to right. Pure.

The drawing repeats what the page also says as a list, so that nothing is known to those alone who can see it.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from quantdesk.features.lineage import Lineage

__all__ = ["drawing"]

_BOX, _TALL, _GAP, _BETWEEN, _TOP = 214, 46, 14, 64, 26
_LONGEST = 24, 29
"""Letters of the title and of the detail that fit into a box, in the widest of the fonts that a reader may have."""


@dataclass(frozen=True)
class _Node:
    """A box: two lines of text, and where it stands."""

    key: str
    title: str
    detail: str
    role: str


def drawing(found: Lineage, most: int = 8) -> Markup:
    """Draw the lineage.

    Parameters
    ----------
    found
        The lineage.
    most
        How many boxes a column has; the rest is counted in one more box.
    """
    files = [
        _Node(f"file {file.package} {file.sha256}", f"{file.package} {file.version}", _named(file.series), "file")
        for file in found.files
    ]
    inputs = [_Node(f"input {one.name}", one.name, one.says, "input") for one in found.inputs]
    middle = [_Node("feature", found.feature, f"view {found.view}", "feature")]
    users = [_Node(f"use {use.kind} {use.name}", use.name, use.kind, "use") for use in found.used_by]
    columns = [
        (title, _shortened(nodes, most, what))
        for title, nodes, what in (
            ("Files", files, "files"),
            ("Inputs", inputs, "inputs"),
            ("Feature", middle, ""),
            ("Used by", users, "users"),
        )
        if nodes
    ]
    height = _TOP + max(len(nodes) for _, nodes in columns) * (_TALL + _GAP)
    width = len(columns) * _BOX + (len(columns) - 1) * _BETWEEN + 2
    places: dict[str, tuple[float, float]] = {}
    boxes, heads = [], []
    for number, (title, nodes) in enumerate(columns):
        x = 1 + number * (_BOX + _BETWEEN)
        heads.append(f'<text class="head" x="{x}" y="14">{title}</text>')
        start = _TOP + (height - _TOP - len(nodes) * (_TALL + _GAP)) / 2
        for row, node in enumerate(nodes):
            y = start + row * (_TALL + _GAP) + _GAP / 2
            places[node.key] = (x, y)
            boxes.append(_box(node, x, y))
    lines = "".join(_line(places[left], places[right]) for left, right in _edges(found, places))
    said = (
        f"{found.feature} is made from {len(found.inputs)} inputs out of {len(found.files)} files, and used by "
        f"{len(found.used_by)} others. The list below the drawing names them all."
    )
    return Markup(  # noqa: S704 - every text is escaped, every other part is a number of ours
        f'<svg class="lineage" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(said)}"><g class="lines">{lines}</g>{"".join(heads)}{"".join(boxes)}</svg>'
    )


def _named(series: tuple[str, ...]) -> str:
    return ", ".join(series) if len(series) <= 3 else f"{len(series)} series: {series[0]} …"


def _shortened(nodes: list[_Node], most: int, what: str) -> list[_Node]:
    if len(nodes) <= most:
        return nodes
    return [*nodes[: most - 1], _Node(f"more {what}", f"{len(nodes) - most + 1} more", what, nodes[0].role)]


def _edges(found: Lineage, places: dict[str, tuple[float, float]]) -> list[tuple[str, str]]:
    """Which boxes belong together; a box that was left out is represented by the one that counts the rest."""

    def shown(key: str, rest: str) -> str | None:
        return key if key in places else rest if rest in places else None

    pairs: dict[tuple[str, str], None] = {}
    for one in found.inputs:
        right = shown(f"input {one.name}", "more inputs")
        for file in one.files:
            left = shown(f"file {file.package} {file.sha256}", "more files")
            if left and right:
                pairs[left, right] = None
        if right:
            pairs[right, "feature"] = None
    for use in found.used_by:
        right = shown(f"use {use.kind} {use.name}", "more users")
        if right:
            pairs["feature", right] = None
    return list(pairs)


def _line(left: tuple[float, float], right: tuple[float, float]) -> str:
    x0, y0 = left[0] + _BOX, left[1] + _TALL / 2
    x1, y1 = right[0], right[1] + _TALL / 2
    bend = (x1 - x0) / 2
    return f'<path d="M{x0:.0f} {y0:.1f}C{x0 + bend:.0f} {y0:.1f} {x1 - bend:.0f} {y1:.1f} {x1:.0f} {y1:.1f}"/>'


def _box(node: _Node, x: float, y: float) -> str:
    title, detail = escape(_cut(node.title, _LONGEST[0])), escape(_cut(node.detail, _LONGEST[1]))
    return (
        f'<g class="box {node.role}"><title>{escape(node.title)}: {escape(node.detail)}</title>'
        f'<rect x="{x}" y="{y:.1f}" width="{_BOX}" height="{_TALL}" rx="6"/>'
        f'<text class="name" x="{x + 12}" y="{y + 19:.1f}">{title}</text>'
        f'<text class="detail" x="{x + 12}" y="{y + 36:.1f}">{detail}</text></g>'
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
