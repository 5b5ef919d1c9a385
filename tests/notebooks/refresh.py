"""The frozen data that notebooks are tested on, and the executed reference copies beside this file.

``python tests/notebooks/refresh.py [NAME ...]`` runs the templates again on the frozen data, shows what changed in
their outputs, and writes the copies; with ``--dry-run`` it only shows. Run it when a template or its numbers change
on purpose, and read the differences: they are what a reader of the report will see change.

The data are frozen because the bundled files are, each by its SHA-256. A copy keeps the text of outputs and leaves out
figures, images and execution counts: figures are megabytes, and counts say nothing.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE.parents[1] / "notebooks"
CHECKED = "nbval-check-output"
"""Tag of the cells whose outputs are compared."""
KEPT = ("text/markdown", "text/html", "text/plain")


def freeze(state: Path) -> None:
    """Load the bundled history into `state` and build its features; ``QUANTDESK_STATE`` must name it already."""
    from quantdesk import features, market

    assert Path(os.environ["QUANTDESK_STATE"]) == state
    market.load(market.bundled())
    features.FeatureStore().build()


def names() -> list[str]:
    """The templates, by name."""
    return sorted(path.stem for path in TEMPLATES.glob("*.ipynb"))


def reference(name: str) -> Path:
    """The executed copy of a template."""
    return HERE / f"{name}.ipynb"


def copy_of(executed: Any) -> Any:
    """An executed notebook as a reference copy: text outputs only, no counts, no marks of the run."""
    book = nbformat.reads(nbformat.writes(executed), as_version=4)
    book.metadata = {key: book.metadata[key] for key in ("kernelspec",) if key in book.metadata}
    book.metadata["language_info"] = {"name": "python"}
    for cell in book.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags" and value}
        if cell.cell_type == "code":
            cell.execution_count = None
            checked = CHECKED in cell.metadata.get("tags", ())
            cell.outputs = [kept for node in cell.outputs if (kept := _kept(node, whole=checked)) is not None]
    return book


def _kept(node: Any, *, whole: bool) -> Any:
    """One output without what a reader of differences cannot use; `whole` where nbval compares every form of it."""
    if node.output_type == "execute_result":
        node["execution_count"] = None
    if "data" in node and not whole:
        if any(mime.startswith(("application/vnd.plotly", "image/")) for mime in node.data):
            return None
        node["data"] = {mime: node.data[mime] for mime in KEPT if mime in node.data}
    if node.output_type == "stream" and node.name == "stderr":
        return None
    return node


def texts(book: Any) -> Iterator[str]:
    """The lines that differences are shown in: each code cell by id, then the text of its outputs."""
    for cell in book.cells:
        if cell.cell_type == "code":
            mark = " (compared)" if CHECKED in cell.metadata.get("tags", ()) else ""
            yield f"## {cell.id}{mark}"
            for node in cell.outputs:
                shown = node.get("text") or node.get("data", {})
                if not isinstance(shown, str):
                    shown = next((shown[mime] for mime in ("text/markdown", "text/plain") if mime in shown), "")
                yield from str(shown).splitlines()


def main() -> int:
    """Refresh the copies; the exit code is 1 when one differed or a report failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="templates to run; all of them when none is named")
    parser.add_argument("--state", type=Path, help="a state directory to build the data in, or that holds them already")
    parser.add_argument("--dry-run", action="store_true", help="show the differences and write nothing")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frozen-") as scratch:
        state = (asked.state or Path(scratch)).resolve()
        os.environ["QUANTDESK_STATE"] = str(state)
        sys.stdout.write(f"data in {state}\n")
        freeze(state)
        return max([_refreshed(name, write=not asked.dry_run) for name in asked.names or names()], default=0)


def _refreshed(name: str, *, write: bool) -> int:
    from quantdesk import reports

    sys.stdout.write(f"{name}: running\n")
    try:
        done = reports.run(str(TEMPLATES / f"{name}.ipynb"))
    except reports.ReportFailed as failed:
        sys.stdout.write(f"{failed}\n")
        return 1
    new = copy_of(nbformat.read(done.executed, as_version=4))
    path = reference(name)
    before = list(texts(nbformat.read(path, as_version=4))) if path.exists() else []
    lines = list(difflib.unified_diff(before, list(texts(new)), "reference", "this run", lineterm=""))
    sys.stdout.write("\n".join(lines) + "\n" if lines else f"{name}: the same\n")
    if write:
        nbformat.write(new, path)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
