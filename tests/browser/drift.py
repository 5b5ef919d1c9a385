"""A report that takes seconds: typed parameters, a figure, a metric, and pauses in which somebody can watch it."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat

CELLS = (
    ("head", "markdown", "# Drift of the book\n\nHow far has each position moved from its target?"),
    ("parameters", "code",
     'window = 20  # sessions that are looked at\nbook = "core"  # whose positions\n'
     "pause = 0.6  # seconds for each step"),
    ("positions", "code", "import time\ntime.sleep(pause)\ndrift = [round(0.1 * at % 1.7 - window / 100, 3)"
     " for at in range(window)]\nprint(f'{len(drift)} sessions of the book {book}')"),
    ("chart-title", "markdown", "## Drift by session"),
    ("chart", "code",
     "from IPython.display import display\ntime.sleep(pause)\n"
     'trace = {"type": "scatter", "mode": "lines", "x": list(range(window)), "y": drift, "name": "drift"}\n'
     'axes = {"xaxis": {"title": {"text": "session"}}, "yaxis": {"title": {"text": "drift, %"}}}\n'
     'figure = {"data": [trace], "layout": {"title": {"text": "Drift by session"}, **axes}}\n'
     'display({"application/vnd.plotly.v1+json": figure, "text/plain": "Drift"}, raw=True)'),
    ("wait-title", "markdown", "## The largest"),
    ("largest", "code",
     "from quantdesk.reports import record\ntime.sleep(pause)\nrecord('drift_max', max(drift), unit='%')"),
)  # fmt: skip
DECLARATION = """
title = "Drift of the book"
owner = "eva"
tags = ["risk"]
timeout_s = 60
[parameters.window]
unit = "sessions"
minimum = 5
maximum = 250
label = "Window"
[parameters.book]
choices = ["core", "event"]
[parameters.pause]
unit = "s"
minimum = 0.0
maximum = 5.0
[[metrics]]
name = "drift_max"
label = "Largest drift"
unit = "%"
direction = "lower"
bounds = { upper = 2.0, severity = "warning" }
"""


def write(folder: Path) -> None:
    """Put the report into a folder of notebooks, as somebody of the desk would."""
    made = nbformat.v4.new_notebook()
    for name, kind, source in CELLS:
        new = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        made.cells.append(new(source, id=name))
        if name == "parameters":
            made.cells[-1].metadata["tags"] = [name]
    (folder / "drift.ipynb").write_text(json.dumps(made), "utf-8")
    (folder / "drift.toml").write_text(DECLARATION, "utf-8")
