"""Cost curves as a picture: one panel for each thing that grows, both axes in powers of ten.

python benchmarks/scale/draw.py benchmarks/results/….json docs/assets/scale.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from tables import said

from quantdesk.reports.theme import LIGHT

TITLES = {
    "users": "users at the same moment",
    "symbols": "symbols, ten years each",
    "rows": "rows that ask, ten features",
    "runs": "runs in the ledger",
    "reports": "reports, two at a time",
    "scenarios": "runs of a scenario grid",
}
STEPS = {
    "load": "into the store", "build": "features built", "ask": "a question", "gallery": "gallery",
    "newest 50": "newest 50 runs", "two at a time": "all of them", "two processes": "all of them",
}  # fmt: skip


def lines(document: dict[str, Any]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Panels, and in each the lines: (size, seconds)."""
    cold = [one for one in document["users"] if one["kernels"] == "cold"]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {
        "users": {
            "all have their answer": [(one["users"], one["all_seconds"]) for one in cold],
            "log-in, median": [(one["users"], one["seconds"]["log in"][0]) for one in cold],
            "kernel and cell, median": [(one["users"], one["seconds"]["kernel and cell"][0]) for one in cold],
        }
    }
    for curve, points in document["curves"].items():
        for one in points:
            for name, step in one["steps"].items():
                found.setdefault(curve, {}).setdefault(STEPS[name], []).append((one["size"], step["seconds"]))
    return found


def to(path: Path, document: dict[str, Any]) -> Path:
    """Draw a result into an SVG file."""
    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams |= {
        "font.family": "sans-serif", "font.size": 9, "svg.hashsalt": "quantdesk", "svg.fonttype": "none",
        "axes.edgecolor": LIGHT.rule, "axes.labelcolor": LIGHT.muted, "xtick.color": LIGHT.muted,
        "ytick.color": LIGHT.muted, "text.color": LIGHT.ink,
    }  # fmt: skip
    panels = lines(document)
    behind = {"facecolor": LIGHT.background, "edgecolor": "none", "pad": 0.6}
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.2), layout="constrained")
    for axis, (name, drawn) in zip(axes.flat, panels.items(), strict=True):
        above = float("inf")
        coloured = zip(drawn.items(), LIGHT.categorical, strict=False)
        for (label, points), colour in sorted(coloured, key=lambda one: -one[0][1][-1][1]):
            axis.loglog(*zip(*points, strict=True), marker="o", markersize=3.5, linewidth=1.6, color=colour)
            size, seconds = points[-1]
            room = 5 if above > 1.8 * seconds else -13  # two ends that are close to each other: one label below
            above = seconds
            axis.annotate(
                f"{label}, {said(seconds)}", (size, seconds), xytext=(-4, room), textcoords="offset points",
                ha="right", color=colour, fontsize=8, bbox=behind, zorder=4,
            )  # fmt: skip
        sizes = sorted({size for points in drawn.values() for size, _ in points})
        axis.set_xticks(sizes, [_size(one) for one in sizes])
        axis.yaxis.set_major_formatter(lambda value, _: said(value))
        axis.set_title(TITLES[name], loc="left", fontsize=10, fontweight="bold")
        axis.grid(visible=True, which="major", color=LIGHT.rule, linewidth=0.6)
        axis.minorticks_off()
        axis.margins(x=0.06, y=0.18)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    named = document["machine"]
    figure.suptitle(
        f"Measured {document['at'][:10]} on one machine: {named['cores']} cores ({named['processor']}), "
        f"{named['memory_gib']} GiB. Both axes are logarithmic.",
        x=0.01, ha="left", fontsize=9, color=LIGHT.muted,
    )  # fmt: skip
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def _size(size: float) -> str:
    return f"{size / 1e6:g} M" if size >= 1e6 else f"{size / 1e3:g} k" if size >= 1e4 else f"{size:,.0f}"


if __name__ == "__main__":
    to(Path(sys.argv[2]), json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
