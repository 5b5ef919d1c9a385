"""Which cells of two executed notebooks belong together, and what differs in each pair. Pure.

Pairs are found by nbdime, which compares by likeness; cells with the same id that it took apart are put together again.
Cells that a run puts in by itself, for its parameters and for its banner, are left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantdesk.reports.banner import TAG
from quantdesk.reports.compare.outputs import FIGURES, OutputDiff, Piece, differing_outputs, pieces
from quantdesk.reports.compare.values import Tolerance

__all__ = ["CellDiff", "Figure", "FigurePair", "compare_cells"]

LONGEST = 400
"""Lines of a difference of sources that are kept."""


@dataclass(frozen=True)
class CellDiff:
    """Two cells that belong together, or one that has no partner.

    Attributes
    ----------
    kind
        ``same``, ``changed``, ``added`` or ``removed``.
    cell_type
        ``code``, ``markdown`` or ``raw``.
    id
        Of the later cell, where there is one.
    before, after
        Number among the code cells, from 1; for another cell its place among all cells of the notebook file, from 0.
        None on the side that has none.
    heading
        The last heading above it.
    source
        Lines of a unified difference without its head; empty where the sources are equal.
    outputs
        What differs in what the cells gave.
    ran
        Whether it ran, before and after.
    """

    kind: str
    cell_type: str
    id: str
    before: int | None
    after: int | None
    heading: str
    source: tuple[str, ...]
    outputs: tuple[OutputDiff, ...]
    ran: tuple[bool, bool]

    @property
    def is_result(self) -> bool:
        """Whether results differ here: an output, or a cell that ran on one side alone."""
        return bool(self.outputs) or (self.cell_type == "code" and self.ran[0] != self.ran[1])


@dataclass(frozen=True)
class Figure:
    """Where a figure is: place of its cell in the notebook file, place of the output in the cell, both from 0."""

    cell: int
    output: int
    kind: str
    mime: str


@dataclass(frozen=True)
class FigurePair:
    """Two figures to be looked at side by side; None on the side that has none.

    Attributes
    ----------
    before, after
        Where they are.
    is_same
        Whether they show the same.
    number
        Of the code cell, from 1, on the later side where there is one.
    """

    before: Figure | None
    after: Figure | None
    is_same: bool
    number: int


@dataclass(frozen=True)
class _Cell:
    place: int
    number: int
    heading: str
    node: Any
    pieces: tuple[Piece, ...]

    @property
    def shown(self) -> int:
        return self.number if self.node["cell_type"] == "code" else self.place


def compare_cells(
    before: Any, after: Any, tolerance: Tolerance | None = None
) -> tuple[tuple[CellDiff, ...], tuple[FigurePair, ...]]:
    """Compare two executed notebooks, cell by cell.

    Parameters
    ----------
    before, after
        Notebooks in format 4. Nothing in them is run, and neither is changed.
    tolerance
        How far numbers in outputs may lie apart.

    Returns
    -------
    cells
        In the order of the notebooks; those that are the same are there, too.
    figures
        Those of cells that belong together, side by side.
    """
    rule = tolerance or Tolerance()
    old, new = _cells(before), _cells(after)
    cells: list[CellDiff] = []
    figures: list[FigurePair] = []
    for a, b in _paired(old, new):
        first = old[a] if a is not None else None
        second = new[b] if b is not None else None
        cells.append(_cell_diff(first, second, rule))
        figures += _figures(first, second, cells[-1].outputs)
    return tuple(cells), tuple(figures)


def _cells(notebook: Any) -> list[_Cell]:
    found: list[_Cell] = []
    number, heading = 0, ""
    for place, node in enumerate(notebook["cells"]):
        tags = node.get("metadata", {}).get("tags", ())
        if TAG in tags or "injected-parameters" in tags:
            continue
        if node["cell_type"] == "markdown":
            heads = re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", node["source"], re.MULTILINE)
            heading = heads[-1] if heads else heading
        number += node["cell_type"] == "code"
        given = pieces(node.get("outputs", ())) if node["cell_type"] == "code" else ()
        found.append(_Cell(place, number, heading, node, given))
    return found


def _paired(old: Sequence[_Cell], new: Sequence[_Cell]) -> Iterator[tuple[int | None, int | None]]:
    """Places in both lists, in order; None for a cell without a partner."""
    first, second = _bare(old), _bare(new)
    if first["cells"] == second["cells"]:
        yield from ((number, number) for number in range(len(old)))
        return
    a = b = 0
    for key, added, removed in _blocks(first, second):
        while a < key:
            yield a, b
            a, b = a + 1, b + 1
        gone, come = list(range(a, a + removed)), list(range(b, b + added))
        a, b = a + removed, b + added
        yield from _by_id(old, new, gone, come)
    while a < len(old):
        yield a, b
        a, b = a + 1, b + 1


def _by_id(
    old: Sequence[_Cell], new: Sequence[_Cell], gone: list[int], come: list[int]
) -> Iterator[tuple[int | None, int | None]]:
    """Of cells that one place lost and got: those of one id and type together, in the order of the later side."""
    names = {(old[place].node.get("id"), old[place].node["cell_type"]): place for place in gone}
    left = list(gone)
    for place in come:
        partner = names.get((new[place].node.get("id"), new[place].node["cell_type"]))
        if partner is None or new[place].node.get("id") is None or partner not in left:
            yield None, place
            continue
        while left and left[0] != partner and left[0] < partner:
            yield left.pop(0), None
        left.remove(partner)
        yield partner, place
    yield from ((place, None) for place in left)


def _bare(cells: Sequence[_Cell]) -> dict[str, Any]:
    """A notebook of sources alone: pairs must not depend on counts, nor take a hundred megabytes of output."""
    bare: list[dict[str, Any]] = []
    for cell in cells:
        kind = cell.node["cell_type"]
        made: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": cell.node["source"]}
        if "id" in cell.node:
            made["id"] = cell.node["id"]
        if kind == "code":
            made |= {"execution_count": None, "outputs": []}
        bare.append(made)
    return {"cells": bare, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _blocks(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[int, int, int]]:
    """Per place at which cells come or go, by nbdime: the place on the earlier side, how many come, how many go."""
    import nbformat
    from nbdime import diff_notebooks  # type: ignore[import-untyped]

    found = diff_notebooks(nbformat.from_dict(first), nbformat.from_dict(second))  # type: ignore[no-untyped-call]
    steps: list[Any] = next((entry["diff"] for entry in found if entry.get("key") == "cells"), [])
    blocks: dict[int, list[int]] = {}
    for step in steps:
        if step["op"] == "addrange":
            blocks.setdefault(step["key"], [0, 0])[0] += len(step["valuelist"])
        elif step["op"] == "removerange":
            blocks.setdefault(step["key"], [0, 0])[1] += step["length"]
    yield from ((key, added, removed) for key, (added, removed) in sorted(blocks.items()))


def _cell_diff(before: _Cell | None, after: _Cell | None, tolerance: Tolerance) -> CellDiff:
    one = after or before
    assert one is not None  # noqa: S101 (one side of a pair is there)
    source = _source(before.node["source"] if before else "", after.node["source"] if after else "")
    outputs: tuple[OutputDiff, ...] = ()
    if before is not None and after is not None:
        outputs = differing_outputs(before.pieces, after.pieces, tolerance)
        kind = "changed" if source or outputs or _ran(before) != _ran(after) else "same"
    else:
        kind = "added" if before is None else "removed"
    return CellDiff(
        kind=kind,
        cell_type=one.node["cell_type"],
        id=str(one.node.get("id", "")),
        before=None if before is None else before.shown,
        after=None if after is None else after.shown,
        heading=one.heading,
        source=source,
        outputs=outputs,
        ran=(_ran(before), _ran(after)),
    )


def _ran(cell: _Cell | None) -> bool:
    return cell is not None and cell.node.get("execution_count") is not None


def _source(before: str, after: str) -> tuple[str, ...]:
    if before == after:
        return ()
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    # Sources that differ in the end of their last line alone.
    lines = lines or ["(white space at the end)"]
    return tuple(lines) if len(lines) <= LONGEST else (*lines[:LONGEST], f"… {len(lines) - LONGEST} more lines")


def _figures(before: _Cell | None, after: _Cell | None, differences: Sequence[OutputDiff]) -> list[FigurePair]:
    old = [] if before is None else [one for one in before.pieces if one.kind in FIGURES]
    new = [] if after is None else [one for one in after.pieces if one.kind in FIGURES]
    changed = {(one.before, one.after) for one in differences}
    number = (after or before).number if (after or before) is not None else 0  # type: ignore[union-attr]
    found: list[FigurePair] = []
    for place in range(max(len(old), len(new))):
        a = old[place] if place < len(old) else None
        b = new[place] if place < len(new) else None
        same = a is not None and b is not None and (a.index, b.index) not in changed and a.kind == b.kind
        found.append(FigurePair(_figure(before, a), _figure(after, b), same, number))
    return found


def _figure(cell: _Cell | None, piece: Piece | None) -> Figure | None:
    return None if cell is None or piece is None else Figure(cell.place, piece.index, piece.kind, piece.mime)
