"""Running nbval over a folder of notebooks, with reference copies that say what their cells should print."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from quantdesk.reports import kernelspec

from .refresh import CHECKED, HERE

PROGRAM = "import sys; from quantdesk.reports import grammar; grammar.spare(); import pytest; sys.exit(pytest.main())"


def staged(folder: Path, template: Any, copy: Any, name: str) -> None:
    """The template with the outputs of the copy, in the form that nbval takes for executed."""
    outputs = {cell.id: cell.outputs for cell in copy.cells if cell.cell_type == "code"}
    for number, cell in enumerate((one for one in template.cells if one.cell_type == "code"), start=1):
        cell.execution_count = number
        cell.outputs = outputs.get(cell.id, [])
        for node in cell.outputs:
            if node.output_type == "execute_result":
                node.execution_count = number
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(template, folder / f"{name}.ipynb")


def tampered(copy: Any) -> Any:
    """A copy in which one digit of each compared cell is another: the last one of its first number."""
    for cell in copy.cells:
        if CHECKED in cell.metadata.get("tags", ()):
            told = next(node for node in cell.outputs if re.search(r"\d", _text(node)))
            changed = re.sub(r"\d(?!\d)", lambda found: str((int(found[0]) + 1) % 10), _text(told), count=1)
            if told.output_type == "stream":
                told.text = changed
            else:
                told.data["text/markdown" if "text/markdown" in told.data else "text/plain"] = changed
    return copy


def _text(node: Any) -> str:
    data = node.get("data", {})
    return str(node.get("text") or data.get("text/markdown") or data.get("text/plain") or "")


def validate(folder: Path, environment: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Run nbval, lax, over a folder: for each notebook its cells and what was wrong with each, empty where nothing.

    Parameters
    ----------
    folder
        With the notebooks, as `staged` writes them.
    environment
        All of it: of nbval, and of its kernels.
    """
    kernelspec.install(folder / "kernel")
    # nbval waits 5 s for the last output of a cell, which a busy machine does not always keep.
    (folder / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n    for item in items:\n        item.output_timeout = 120\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ["--nbval-lax", f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}", "--nbval-cell-timeout=600"]
    options += ["--nbval-kernel-startup-timeout=180", "-p", "nbval.plugin", "-p", "no:cacheprovider"]
    options += ["-q", "--color=no", "--junitxml=result.xml"]
    own = {
        # The other plugins that are installed here have nothing to do with this.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "JUPYTER_PATH": str(folder / "kernel" / "share" / "jupyter"),
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "-c", "pytest.ini", *options, "."],
        cwd=folder,
        env={**environment, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert (folder / "result.xml").is_file(), done.stdout + done.stderr
    found: dict[str, list[tuple[str, str]]] = {}
    for case in ElementTree.parse(folder / "result.xml").iter("testcase"):
        name = case.get("classname", "").split(".")[0] or case.get("file", "")
        wrong = "".join(child.text or "" for child in case if child.tag in {"failure", "error", "skipped"})
        found.setdefault(name, []).append((case.get("name", ""), wrong))
    return found
