"""``quantdesk report compare`` and ``reproduce``: two runs side by side, and one made again. An edge module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantdesk.cli.terminal import Json, emit, out, progress, table

if TYPE_CHECKING:
    from quantdesk.reports.compare import CellDiff, Comparison, MetricChange

__all__ = ["compare", "register", "reproduce"]

FAILED = 6
"""Exit code of a check that did not pass."""
MOST_CELLS = 40
MOST_LINES = 12
"""What a screen shows; ``--json`` has everything."""

Relative = Annotated[
    float, typer.Option("--tolerance", min=0.0, max=1.0, help="Share by which numbers may lie apart and count as one.")
]


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command()(compare)
    app.command()(reproduce)


def compare(
    before: Annotated[str, typer.Argument(help="A run, or a unique beginning of its name.")],
    after: Annotated[str, typer.Argument(help='The other one; "latest" is the newest run of all.')],
    tolerance: Relative = 1e-9,
    as_json: Json = False,
) -> None:
    """Compare two runs: parameters, metrics, what they were made from, and cell by cell."""
    from quantdesk.reports.compare import Tolerance
    from quantdesk.reports.reproduce import compare as comparison_of

    found = comparison_of(before, after, Tolerance(relative=tolerance))
    if as_json:
        emit(found.to_dict())
        return
    _show(found)


def reproduce(
    run: Annotated[str, typer.Argument(help="A run, a unique beginning of its name, or its report for the newest.")],
    output: Annotated[Path | None, typer.Option(help="A new folder for what is made now.")] = None,
    tolerance: Relative = 1e-9,
    as_json: Json = False,
) -> None:
    """Make a run again, from its notebook, parameters and seed, and say what differs.

    Ends with 6 when results differ.
    """
    from quantdesk.reports.compare import Tolerance
    from quantdesk.reports.reproduce import reproduce as repeat

    with progress(quiet=as_json) as shown:
        found = repeat(run, output=output, tolerance=Tolerance(relative=tolerance), progress=shown)
    if as_json:
        emit(found.to_dict())
    else:
        words = {
            "file": "the file that ran is still what it was",
            "changed": "the file has changed since; the sources of the executed notebook ran",
            "gone": "the file is not there any more; the sources of the executed notebook ran",
        }
        out.print(f"notebook  {words[found.notebook.value]}", markup=False)
        out.print(f"made now  {found.again.folder}", markup=False)
        _show(found.comparison)
    if not found.is_same:
        raise typer.Exit(FAILED)


def _show(found: Comparison) -> None:
    same = found.has_same_results
    changed = [cell for cell in found.cells if cell.kind != "same"]
    verdict = "✓ the same results" if same else "✗ the results differ"
    sources = "from the same notebook" if found.has_same_sources else "from notebooks that differ"
    out.print(
        f"{verdict}, {sources} · {len(found.cells) - len(changed)} of {len(found.cells)} cells are the same",
        style="bold green" if same else "bold red",
        markup=False,
    )
    sides = [
        (mark, side.id, side.status, f"{side.started:%Y-%m-%d %H:%M:%S}", f"{side.duration_s:,.1f}")
        for mark, side in (("before", found.before), ("after", found.after))
    ]
    table("runs", ("", "run", "status", "started (UTC)", "seconds"), sides, numeric=["seconds"], whole=["run"])
    if found.parameters:
        rows = [(one.name, _value(one.before), _value(one.after)) for one in found.parameters]
        table("parameters that differ", ("parameter", "before", "after"), rows)
    if found.metrics:
        columns = ("metric", "unit", "before", "after", "difference", "ratio", "")
        numbers = ["before", "after", "difference", "ratio"]
        table("metrics", columns, [_metric(one) for one in found.metrics], numeric=numbers)
    if found.provenance:
        rows = [(one.name, _value(one.before), _value(one.after)) for one in found.provenance]
        table("made from other", ("what", "before", "after"), rows)
    for cell in changed[:MOST_CELLS]:
        _show_cell(cell)
    if len(changed) > MOST_CELLS:
        out.print(f"… and {len(changed) - MOST_CELLS} more cells; --json has them all", style="dim")


def _show_cell(cell: CellDiff) -> None:
    number = cell.after if cell.after is not None else cell.before
    what = f"cell {number}" if cell.cell_type == "code" else f"{cell.cell_type} at {number}"
    under = f", under “{_safe(cell.heading)}”" if cell.heading else ""
    out.print(f"\n{what}{under}: {cell.kind}", style="bold", markup=False)
    for line in cell.source[:MOST_LINES]:
        style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "")
        out.print(f"  {_safe(line)}", style=style, markup=False)
    if len(cell.source) > MOST_LINES:
        out.print(f"  … and {len(cell.source) - MOST_LINES} more lines", style="dim")
    for one in cell.outputs[:MOST_LINES]:
        out.print(f"  {one.kind}: {_safe(one.what)}", markup=False)
    if cell.cell_type == "code" and cell.kind == "changed" and cell.ran[0] != cell.ran[1]:
        out.print(f"  it ran {'before' if cell.ran[0] else 'after'}, and not {'after' if cell.ran[0] else 'before'}")


def _metric(one: MetricChange) -> tuple[str, ...]:
    better = {True: "better", False: "worse", None: ""}[one.better]
    return (
        _safe(one.name),
        _safe(one.unit),
        _value(one.before),
        _value(one.after),
        "" if one.difference is None else f"{one.difference:+,.6g}",
        "" if one.ratio is None else f"{one.ratio:,.4g}",
        "same" if one.is_same else better or "differs",
    )


def _value(value: Any) -> str:
    import json

    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.6g}"
    text = _safe(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else f"{text[:59]}…"


def _safe(text: str) -> str:
    """What somebody wrote, without signs that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "�" for sign in text.expandtabs(4))
