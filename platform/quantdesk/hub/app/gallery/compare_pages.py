"""Two runs side by side: what went in, what came out, what it was made from. An edge module: FastAPI, the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from quantdesk.errors import DataError
from quantdesk.hub.app.gallery.leavings import kept, record_of
from quantdesk.hub.app.gallery.library import Books, Look, viewer_of
from quantdesk.hub.app.gallery.run_pages import parameters_of
from quantdesk.hub.app.gallery.show import show
from quantdesk.reports.compare import Comparison, compare_runs
from quantdesk.reports.ledger import Recorded
from quantdesk.reports.notebooks import load

__all__ = ["Beside", "beside", "router"]

router = APIRouter(include_in_schema=False)
Picked = Annotated[list[str] | None, Query(max_length=20)]
_LARGEST = 20_000_000
_FIGURES = 24


@dataclass(frozen=True)
class Beside:
    """A value of two runs; None where one has none."""

    name: str
    first: Any
    second: Any
    unit: str = ""

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return type(self.first) is type(self.second) and bool(self.first == self.second)


@router.get("/compare")
def compare(request: Request, user: Look, books: Books, run: Picked = None) -> Response:
    """Two runs; with fewer or more, how to choose two."""
    names = list(dict.fromkeys(run or ()))
    if len(names) != 2:
        said = {0: "No run is chosen.", 1: "One run is chosen."}.get(len(names), f"{len(names)} runs are chosen.")
        return show(request, "compare.html", 422 if names else 200, two=None, said=said)
    viewer = viewer_of(user)
    found = (books.ledger.search.run(name, viewer) for name in names)
    two = tuple(sorted(found, key=lambda one: (one.queued, one.id)))
    made, reports = tuple(record_of(one) for one in two), books.reports(user)
    given = [parameters_of(one, record, reports.get(one.report)) for one, record in zip(two, made, strict=True)]
    inputs = [{name: value for name, value, _, _ in side} for side in given]
    units = {name: unit for side in given for name, _, unit, _ in side}
    labels = {one.name: one.label for record in made if record for one in record.metrics if one.label}
    comparison, why = _compared(two)
    return show(
        request, "compare.html", two=two, made=made, now=books.now(), it=comparison,
        parameters=beside(inputs[0], inputs[1], units),
        metric_labels=labels,
        why=why, same_report=two[0].report == two[1].report, most=_FIGURES,
    )  # fmt: skip


def beside(
    first: Mapping[str, Any], second: Mapping[str, Any], units: Mapping[str, str] = MappingProxyType({})
) -> list[Beside]:
    """Values by name, of both."""
    names = dict.fromkeys((*first, *second))
    return [Beside(name, first.get(name), second.get(name), units.get(name, "")) for name in names]


def _compared(two: tuple[Recorded, ...]) -> tuple[Comparison | None, str]:
    """What differs; or why that cannot be said."""
    notebooks = []
    for one in two:
        path = kept(one, "notebook")
        if path is None or record_of(one) is None:
            return None, f"The run {one.id} left nothing that could be compared."
        try:
            notebooks.append(load(path, largest=_LARGEST)[0])
        except DataError:
            return None, f"The notebook of the run {one.id} cannot be read, or is too large to be compared here."
    first, second = (record_of(one) for one in two)
    assert first is not None  # noqa: S101  (looked at above)
    assert second is not None  # noqa: S101
    try:
        return compare_runs(first, second, (notebooks[0], notebooks[1])), ""
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        return None, f"The two notebooks cannot be compared ({type(error).__name__})."
