"""One visual language: the plotly template, the colours, the CSS tokens and the line of labels.

Figures in a notebook, pages of a report and pages of the hub take every colour from here. Each palette exists for
light and dark; text meets WCAG AA (4.5 : 1 on its background), lines and marks 3 : 1. The eight categorical
colours stay apart for the three kinds of colour blindness (smallest OKLab distance 0.08, as simulated by Machado,
Oliveira and Fernandes 2009), but colour never speaks alone: figures add a name or a dash, labels a word and a shape.

The template is set with :func:`register`; :data:`DARK_TEMPLATE_NAME` is its sibling for dark pages, which a page of a
report swaps in by itself when the reader's system is dark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from quantdesk.errors import UnknownName

__all__ = [
    "DARK",
    "DARK_TEMPLATE_NAME",
    "DASHES",
    "FONT",
    "LABELS",
    "LABELS_MIME",
    "LIGHT",
    "MONO",
    "TEMPLATE_NAME",
    "LabelLine",
    "Palette",
    "label_line",
    "register",
    "tokens_css",
]

TEMPLATE_NAME = "quantdesk"
DARK_TEMPLATE_NAME = "quantdesk_dark"

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif'
"""Fonts that every system has; nothing is loaded."""
MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
"""Line styles in the order of the categorical colours, so that lines differ by shape too."""


@dataclass(frozen=True)
class Palette:
    """Every colour of one appearance, as ``#rrggbb``.

    Parameters
    ----------
    background, surface
        The page, and a card or a table head on it.
    ink, muted
        Text, and text of second rank; both 4.5 : 1 or better on `background` and `surface`.
    rule
        Grid lines and borders.
    accent
        Links and focus rings.
    positive, negative, warning
        Gains and success; losses and failure; caution. Fit for text. Add a word, a sign or a shape.
    neutral
        A benchmark or a reference line.
    categorical
        Eight colours for series, in this order.
    sequential
        Low to high, for heat maps of one sign.
    diverging
        Negative, zero, positive, for heat maps around zero.
    """

    background: str
    surface: str
    ink: str
    muted: str
    rule: str
    accent: str
    positive: str
    negative: str
    warning: str
    neutral: str
    categorical: tuple[str, ...]
    sequential: tuple[str, ...]
    diverging: tuple[str, ...]


LIGHT = Palette(
    background="#ffffff",
    surface="#f4f6f8",
    ink="#1b2430",
    muted="#56616f",
    rule="#d9dfe6",
    accent="#1d5fa6",
    positive="#0f6e56",
    negative="#b23a10",
    warning="#855300",
    neutral="#6b7076",
    categorical=("#2a6fb0", "#e8622c", "#1fa07c", "#a866f0", "#7a5a0c", "#7a1f33", "#2b3a78", "#6b7075"),
    sequential=("#f1f5fa", "#c3d7ec", "#8ab2dc", "#5088c2", "#285f9e", "#123d70"),
    diverging=("#a8340c", "#e58a5f", "#f7d9c9", "#f4f4f4", "#c9dcef", "#6ba0d2", "#1d5fa6"),
)
DARK = Palette(
    background="#14181f",
    surface="#1d232c",
    ink="#e6ebf1",
    muted="#a3aebb",
    rule="#39424e",
    accent="#7cc0ff",
    positive="#6fdcb4",
    negative="#ff9d7a",
    warning="#f2c14e",
    neutral="#a7a6a6",
    categorical=("#4fb3f6", "#fc9417", "#92f9d5", "#a868b0", "#f7e612", "#d8482a", "#5273ff", "#a6a6a6"),
    sequential=("#1b2532", "#1f3d5f", "#275a8c", "#3a7fbd", "#6aaae3", "#b9dcfb"),
    diverging=("#ff9d7a", "#c25f38", "#5f3a2c", "#2a303a", "#26466a", "#3a7fbd", "#7cc0ff"),
)

LABELS: dict[str, tuple[str, str]] = {
    "real": ("●", "Values as they were observed."),
    "reconstructed": ("◐", "Values derived from real ones under stated assumptions."),
    "not_real": ("▲", "Values that did not happen: simulated or made up."),
    "simulated": ("△", "Values drawn from a model."),
    "mock": ("✕", "Values made up for a demonstration."),
    "adjusted_with_hindsight": ("↺", "Prices adjusted with today's knowledge of splits and dividends: levels differ."),
    "survivors_only": ("◆", "Only companies that still exist: returns of the past look better than they were."),
}
"""Every label of a result: its shape and what it means."""
LABELS_MIME = "application/vnd.quantdesk.labels+json"
"""The form of a label line that a report's page and record read: a list of names."""


@cache
def tokens_css() -> str:
    """The design tokens as CSS: custom properties for light and dark, and the label line. No address in it."""
    return resources.files("quantdesk.reports").joinpath("tokens.css").read_text("utf-8")


class LabelLine:
    """What stands beside a result: which kind of data it was built on. Shown by a notebook, a page and a terminal.

    ``str()`` gives plain text; a notebook shows HTML whose look does not depend on colour.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels

    def __str__(self) -> str:
        return "  ".join(f"{LABELS[label][0]} {_words(label)}" for label in self.labels)

    def __repr__(self) -> str:
        return f"LabelLine({', '.join(self.labels)})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {LABELS_MIME: list(self.labels), "text/html": self._html(), "text/plain": str(self)}

    def _html(self) -> str:
        # The inline style is for JupyterLab, which has no tokens.css; a report page drops it and styles the classes.
        style = "display:inline-block;margin:0 .4em .3em 0;padding:.1em .6em;border:1px solid currentColor;"
        style += "border-radius:1em;font-size:.85em"
        badges = (
            f'<span class="qd-label qd-label-{label}" style="{style}" title="{escape(LABELS[label][1])}">'
            f'<span aria-hidden="true">{LABELS[label][0]}</span> {_words(label)}</span>'
            for label in self.labels
        )
        return f'<div class="qd-labels" role="note" aria-label="Kind of data">{"".join(badges)}</div>'


def _words(label: str) -> str:
    return label.replace("_", " ")


def label_line(labels: Iterable[str]) -> LabelLine:
    """The line that tells a reader what a result was built on.

    Parameters
    ----------
    labels
        Names out of :data:`LABELS`, with spaces or underscores. Double ones are shown once, in the order of that list.

    Returns
    -------
    LabelLine
        Shown as badges by a notebook (make it the last expression of a cell), as text by ``print``.

    Raises
    ------
    UnknownName
        A label that does not exist.
    """
    given = {label.replace(" ", "_") for label in ((labels,) if isinstance(labels, str) else labels)}
    for label in sorted(given):
        if label not in LABELS:
            raise UnknownName("label", label, LABELS)
    return LabelLine(tuple(label for label in LABELS if label in given))


def template(palette: Palette) -> Any:
    """A plotly template in the colours of `palette`; transparent outside, so that it sits on any page."""
    import plotly.graph_objects as go

    axis = {
        "automargin": True,
        "gridcolor": palette.rule,
        "linecolor": palette.rule,
        "zerolinecolor": palette.neutral,
        "zerolinewidth": 1,
        "tickcolor": palette.rule,
        "tickfont": {"color": palette.muted, "size": 12},
        "title": {"font": {"color": palette.muted, "size": 13}, "standoff": 8},
    }
    sequential = _scale(palette.sequential)
    layout = {
        "meta": TEMPLATE_NAME,  # by this a page knows that it may swap the template for its dark sibling
        "font": {"family": FONT, "size": 13, "color": palette.ink},
        "title": {
            "font": {"size": 17, "color": palette.ink},
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "pad": {"l": 12},
        },
        "paper_bgcolor": palette.background,
        "plot_bgcolor": palette.background,
        "colorway": list(palette.categorical),
        "colorscale": {
            "sequential": sequential,
            "sequentialminus": _scale(palette.sequential[::-1]),
            "diverging": _scale(palette.diverging),
        },
        "xaxis": {**axis, "showgrid": False, "showline": True, "ticks": "outside", "ticklen": 4},
        "yaxis": {**axis, "showline": False},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "hoverlabel": {
            "bgcolor": palette.surface,
            "bordercolor": palette.rule,
            "font": {"family": FONT, "color": palette.ink},
        },
        "hovermode": "closest",
        "margin": {"l": 56, "r": 24, "t": 72, "b": 48},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": palette.muted, "activecolor": palette.accent},
        "annotationdefaults": {
            "font": {"color": palette.muted, "size": 12},
            "arrowcolor": palette.muted,
            "arrowwidth": 1,
        },
        "shapedefaults": {"line": {"color": palette.neutral, "width": 1}},
    }
    colorbar = {"outlinewidth": 0, "ticks": "", "tickfont": {"color": palette.muted}}
    data = {
        "heatmap": [{"type": "heatmap", "colorscale": sequential, "colorbar": colorbar}],
        "scatter": [{"type": "scatter", "line": {"width": 1.8}}],
        "bar": [{"type": "bar", "marker": {"line": {"width": 0}}}],
        "histogram": [{"type": "histogram", "marker": {"line": {"width": 0.5, "color": palette.background}}}],
        "table": [
            {
                "type": "table",
                "header": {
                    "fill": {"color": palette.surface},
                    "line": {"color": palette.rule},
                    "font": {"color": palette.ink},
                },
                "cells": {
                    "fill": {"color": palette.background},
                    "line": {"color": palette.rule},
                    "font": {"color": palette.ink},
                },
            }
        ],
    }
    return go.layout.Template(layout=layout, data=data)


def _scale(colours: tuple[str, ...]) -> list[list[float | str]]:
    last = len(colours) - 1
    return [[position / last, colour] for position, colour in enumerate(colours)]


def register() -> None:
    """Make the house style the default of plotly in this process. May be called twice.

    Figures then leave a notebook as ``application/vnd.plotly.v1+json`` and nothing else: JupyterLab draws that with the
    extension that plotly ships, a report page with the one plotly.js that it carries, and no copy of the library lands
    in the notebook.
    """
    import plotly.io as pio

    pio.templates[TEMPLATE_NAME] = template(LIGHT)
    pio.templates[DARK_TEMPLATE_NAME] = template(DARK)
    pio.templates.default = TEMPLATE_NAME
    pio.renderers.default = "plotly_mimetype"
