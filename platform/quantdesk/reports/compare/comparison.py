"""Two runs side by side: parameters, metrics, what they were made from, cells and figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from quantdesk.reports.compare.cells import CellDiff, FigurePair, compare_cells
from quantdesk.reports.compare.values import Tolerance, is_close

if TYPE_CHECKING:
    from quantdesk.reports.result import Metric, Provenance, Run

__all__ = ["Change", "Comparison", "MetricChange", "Side", "compare_runs", "made_from"]


@dataclass(frozen=True)
class Side:
    """One of the two runs, for the head of a page."""

    id: str
    report: str
    title: str
    status: str
    started: datetime
    duration_s: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A value that differs.

    Attributes
    ----------
    name
        Of what.
    kind
        ``changed``, ``added`` or ``removed``.
    before, after
        What JSON can hold; None on a side that has none.
    """

    name: str
    kind: str
    before: Any
    after: Any


@dataclass(frozen=True)
class MetricChange:
    """A metric of both runs, or of one.

    Attributes
    ----------
    name, unit
        As recorded, later side first.
    before, after
        As recorded; None where there is none.
    difference
        After less before, in `unit`; None unless both are numbers in one unit.
    ratio
        After by before; None also where before is zero, or the signs differ.
    better
        Whether the change goes the way that the report declares as better; None where that says nothing.
    is_same
        Whether they count as one value.
    """

    name: str
    unit: str
    before: Any
    after: Any
    difference: float | None
    ratio: float | None
    better: bool | None
    is_same: bool


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes
    ----------
    before, after
        The runs.
    parameters
        Those that differ.
    metrics
        All of them, in the order of the later run.
    provenance
        What of data, features, packages, code and machine differs.
    cells
        All of them; see :attr:`CellDiff.kind`.
    figures
        Side by side.
    """

    before: Side
    after: Side
    parameters: tuple[Change, ...]
    metrics: tuple[MetricChange, ...]
    provenance: tuple[Change, ...]
    cells: tuple[CellDiff, ...]
    figures: tuple[FigurePair, ...]

    @property
    def has_same_results(self) -> bool:
        """Whether both ended alike and gave the same outputs and metrics, whatever their sources and their times."""
        return (
            self.before.status == self.after.status
            and all(one.is_same for one in self.metrics)
            and not any(cell.is_result or cell.kind in {"added", "removed"} for cell in self.cells)
        )

    @property
    def has_same_sources(self) -> bool:
        """Whether the notebooks hold the same cells."""
        return not any(cell.source or cell.kind in {"added", "removed"} for cell in self.cells)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, without the cells that are the same."""
        record = asdict(self)
        for side in ("before", "after"):
            record[side]["started"] = record[side]["started"].isoformat()
        record["cells"] = [{**asdict(cell), "is_result": cell.is_result} for cell in self.cells if cell.kind != "same"]
        record["cells_in_all"] = len(self.cells)
        return {**record, "has_same_results": self.has_same_results, "has_same_sources": self.has_same_sources}


def compare_runs(before: Run, after: Run, notebooks: tuple[Any, Any], tolerance: Tolerance | None = None) -> Comparison:
    """Compare two finished runs, of one report or of two.

    Parameters
    ----------
    before, after
        Their records.
    notebooks
        Their executed notebooks, in this order.
    tolerance
        How far numbers may lie apart and count as one.
    """
    rule = tolerance or Tolerance()
    cells, figures = compare_cells(*notebooks, rule)
    return Comparison(
        before=_side(before),
        after=_side(after),
        parameters=_changes(before.parameters, after.parameters),
        metrics=_metrics(before, after, rule),
        provenance=_changes(made_from(before), made_from(after)),
        cells=cells,
        figures=figures,
    )


def made_from(run: Run) -> dict[str, Any]:
    """What a run was made from as one flat list: versions, and each package by its name."""
    given: Provenance = run.provenance
    record = {name: value for name, value in asdict(given).items() if name != "packages"}
    packages = {f"package {name}": version for name, version in given.packages.items()}
    return {"notebook_sha256": run.notebook_sha256, "seed": run.seed, **record, **packages}


def _side(run: Run) -> Side:
    return Side(run.id, run.report, run.title, run.status.value, run.started, round(run.duration_s, 3), run.labels)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    found: list[Change] = []
    for name in dict.fromkeys([*after, *before]):
        if name not in before:
            found.append(Change(name, "added", None, after[name]))
        elif name not in after:
            found.append(Change(name, "removed", before[name], None))
        elif type(before[name]) is not type(after[name]) or before[name] != after[name]:
            found.append(Change(name, "changed", before[name], after[name]))
    return tuple(found)


def _metrics(before: Run, after: Run, tolerance: Tolerance) -> tuple[MetricChange, ...]:
    old = {one.name: one for one in before.metrics}
    new = {one.name: one for one in after.metrics}
    return tuple(_metric(old.get(name), new.get(name), tolerance) for name in dict.fromkeys([*new, *old]))


def _metric(before: Metric | None, after: Metric | None, tolerance: Tolerance) -> MetricChange:
    one = after or before
    assert one is not None  # noqa: S101 (the name is that of one of them)
    first = None if before is None else before.value
    second = None if after is None else after.value
    one_unit = before is None or after is None or before.unit == after.unit
    difference = ratio = None
    if _is_number(first) and _is_number(second):
        is_same = one_unit and is_close(first, second, tolerance)  # type: ignore[arg-type]
        if one_unit:
            difference = float(second) - float(first)  # type: ignore[arg-type]
            ratio = float(second) / float(first) if first and first * second > 0 else None  # type: ignore[arg-type, operator]
    else:
        is_same = one_unit and before is not None and after is not None and first == second
    ways = {"higher": 1.0, "lower": -1.0}
    better = None
    if difference is not None and not is_same and one.direction in ways:
        better = difference * ways[one.direction] > 0
    return MetricChange(one.name, one.unit, first, second, difference, ratio, better, is_same)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
