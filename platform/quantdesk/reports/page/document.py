"""A run and its notebook as one HTML file. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from quantdesk.reports import banner, theme
from quantdesk.reports.page.outputs import Output, output
from quantdesk.reports.page.prose import Heading, prose
from quantdesk.reports.result import Run

__all__ = ["render", "render_bare"]


@dataclass(frozen=True)
class Block:
    """One cell on the page.

    Parameters
    ----------
    html
        Prose, clean; empty for a code cell.
    code
        Highlighted source; empty for prose and for an empty cell.
    number
        Of the code cell, counted from 1; 0 for prose.
    outputs
        What the cell gave.
    stopped
        Whether the run ended here.
    idle
        Whether it never ran.
    """

    html: str = ""
    code: str = ""
    number: int = 0
    outputs: tuple[Output, ...] = ()
    stopped: bool = False
    idle: bool = False


def render(run: Run, notebook: Any) -> str:
    """The page of a run.

    Parameters
    ----------
    run
        Its record.
    notebook
        The executed notebook, as far as it came; nothing in it is trusted.

    Returns
    -------
    str
        HTML that loads nothing. It carries plotly.js once when there is a figure, and not otherwise.
    """
    blocks, headings = _blocks(run, notebook)
    return _page(run, blocks, headings)


def render_bare(run: Run, why: str) -> str:
    """The page of a run whose notebook could not be shown: head and banner, and why the rest is missing."""
    note = f"The cells of this run cannot be shown here ({why}). The executed notebook beside this page has them."
    return _page(run, [Block(outputs=(Output("error", "", note),))], [])


def _page(run: Run, blocks: list[Block], headings: list[Heading]) -> str:
    figures = [item.figure for block in blocks for item in block.outputs if item.figure is not None]
    scripts = [_plotly(), _part("report.js")] if figures else [_part("report.js")]
    style = theme.tokens_css() + _part("report.css")
    # plotly.js styles what it draws. Styles can do no harm here: no address of any kind is allowed to load.
    styles = "'unsafe-inline'" if figures else _hashes([style])
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {styles}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    context = {
        "run": run,
        "look": banner.shown(run.status),
        "what": banner.sentence(run),
        "labels": [(label, theme.LABELS[label][0], theme.LABELS[label][1]) for label in run.labels],
        "parameters": [(name, _shown(value), name in run.given) for name, value in run.parameters.items()],
        "headings": [heading for heading in headings if heading.level <= 3],
        "blocks": blocks,
        "policy": policy,
        "style": style,
        "scripts": scripts,
        "templates": _json(_templates()) if figures else "",
    }
    return str(_environment().get_template("report.html.j2").render(context))


def _blocks(run: Run, notebook: Any) -> tuple[list[Block], list[Heading]]:
    from nbconvert.filters.highlight import Highlight2HTML

    highlight = Highlight2HTML(pygments_lexer="ipython3")  # type: ignore[no-untyped-call]
    blocks: list[Block] = []
    headings: list[Heading] = []
    number = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and banner.TAG not in cell.metadata.get("tags", ()):
            html, found = prose(cell.source, attachments=cell.get("attachments", {}), first=len(headings) + 1)
            if not headings and found and found[0].level == 1 and found[0].text == run.title:
                # The page's own head says it already.
                html = html.replace(f'<h1 id="{found[0].anchor}">', '<h1 hidden="">', 1)
                found = found[1:] or []
            headings += found
            blocks.append(Block(html=html))
        elif cell.cell_type == "code":
            number += 1
            shown = tuple(item for node in cell.outputs if (item := output(node)) is not None)
            # Pygments styles its own element, which the policy of a page without figures forbids.
            code = re.sub(r'<pre style="[^"]*">', "<pre>", str(highlight(cell.source)), count=1)
            stopped = run.problem is not None and run.problem.cell == number
            idle = run.problem is not None and not stopped and cell.execution_count is None
            code = code if cell.source.strip() else ""
            blocks.append(Block(code=code, number=number, outputs=shown, stopped=stopped, idle=idle))
    return blocks, headings


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else text[:397] + "…"


def _json(value: Any) -> str:
    """JSON for a script element of type application/json: no sign in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _figure(figure: Mapping[str, Any]) -> str:
    return _json(_finite(figure))


def _finite(value: Any) -> Any:
    """NaN and infinities as null, which is how plotly.js draws a gap."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


@cache
def _templates() -> dict[str, Any]:
    """What the page needs to draw a figure of ours on a dark page: the dark template, and colour for colour."""
    light, dark = theme.LIGHT, theme.DARK
    pairs: dict[str, str] = {}
    for name in (
        "background",
        "surface",
        "ink",
        "muted",
        "rule",
        "accent",
        "positive",
        "negative",
        "warning",
        "neutral",
    ):
        pairs[getattr(light, name)] = getattr(dark, name)
    for name in ("categorical", "sequential", "diverging"):
        pairs.update(zip(getattr(light, name), getattr(dark, name), strict=True))
    return {"mark": theme.TEMPLATE_NAME, "dark": theme.template(dark).to_plotly_json(), "colours": pairs}


def _hashes(texts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    # A browser reads line ends as \n before it takes the hash.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")


@cache
def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


@cache
def _environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure_json"] = _figure
    return environment
