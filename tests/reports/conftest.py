"""Small notebooks of our own, and a state directory that belongs to the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
import pytest

Write = Callable[..., Path]


def write_notebook(path: Path, cells: Sequence[str], tags: dict[int, str] | None = None) -> Path:
    """A notebook at `path`: a cell that starts with ``#md `` is prose. `tags` by cell number from 0."""
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "quantdesk", "display_name": "quantdesk", "language": "python"}}
    )
    for number, source in enumerate(cells):
        new = nbformat.v4.new_markdown_cell if source.startswith("#md ") else nbformat.v4.new_code_cell
        cell = new(source.removeprefix("#md "), id=f"cell-{number}")
        if tags and number in tags:
            cell.metadata["tags"] = [tags[number]]
        book.cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Write:
    """Write a notebook in the folder of the test: ``notebook(name, cells, tags)``."""
    return lambda name, cells, tags=None: write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", cells, tags)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory and a folder of notebooks of this test's own."""
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(tmp_path / "notebooks"))
    monkeypatch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    (tmp_path / "notebooks").mkdir(exist_ok=True)
    return tmp_path / "state"
