"""Outputs of cells, each as the richest form that can stand on a page without acting. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbconvert.filters.ansi import ansi2html

from quantdesk.reports.page.prose import prose
from quantdesk.reports.page.sanitize import clean, text_of
from quantdesk.reports.theme import LABELS, LABELS_MIME

__all__ = ["Output", "labels_of", "output"]

PLOTLY = "application/vnd.plotly.v1+json"
LONGEST = 200_000
"""Characters of one text output that the page shows."""
LONGEST_HTML = 1_000_000
"""Characters of one HTML output; cleaning takes some 5 s for so many."""


@dataclass(frozen=True)
class Output:
    """One output of a cell, ready for the page.

    Parameters
    ----------
    kind
        ``html`` (clean), ``text``, ``messages`` (standard error), ``error``, ``image`` or ``figure``.
    html
        Safe markup; for an image its address, for a figure empty.
    alt
        Text alternative of an image or a figure; title of an error.
    figure
        Data, layout and frames of a plotly figure.
    """

    kind: str
    html: str = ""
    alt: str = ""
    figure: Mapping[str, Any] | None = None


def output(node: Mapping[str, Any]) -> Output | None:
    """What to show of one output; None when there is nothing to see."""
    kind = node["output_type"]
    if kind == "stream":
        shown = "messages" if node.get("name") == "stderr" else "text"
        return Output(shown, _text(_joined(node.get("text")))) if _joined(node.get("text")).strip() else None
    if kind == "error":
        name = f"{_joined(node.get('ename'))}: {_joined(node.get('evalue'))}"
        return Output("error", _text("\n".join(node.get("traceback", ()))), name[:500])
    return _data(node.get("data", {}), node.get("metadata", {}))


def _data(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Output | None:
    if isinstance(data.get(PLOTLY), Mapping):
        figure = data[PLOTLY]
        parts = {name: figure[name] for name in ("data", "layout", "frames") if name in figure}
        return Output("figure", alt=_described(parts), figure=parts)
    plain = _joined(data.get("text/plain"))
    if "text/html" in data:
        given = _joined(data["text/html"])
        if len(given) > LONGEST_HTML:
            return Output("html", f'<p class="left-out">{_left_out(len(given))}</p>')
        html = clean(given)
        if text_of(html) or "<img" in html:
            return Output("html", _scrolling(html))
    for mime in ("image/svg+xml", "image/png", "image/jpeg"):
        if mime in data and (address := _address(mime, _joined(data[mime]))):
            alt = metadata.get("alt") if isinstance(metadata.get("alt"), str) else plain
            return Output("image", address, str(alt or "Image")[:300])
    if "text/markdown" in data:
        html, _ = prose(_joined(data["text/markdown"]), attachments={}, first=0)
        return Output("html", _scrolling(re.sub(r' id="section-\d+"', "", html)))
    if "text/latex" in data:
        html, _ = prose(f"$${_joined(data['text/latex']).strip().strip('$')}$$", attachments={}, first=0)
        return Output("html", html)
    if any(mime.endswith(("widget-view+json", "javascript")) for mime in data):
        return Output("html", '<p class="left-out">An output that needs a running kernel or a script is left out.</p>')
    return Output("text", _text(plain)) if plain.strip() else None


def _joined(value: Any) -> str:
    """Multi-line text as the notebook format may hold it."""
    if isinstance(value, list):
        return "".join(str(part) for part in value)
    return value if isinstance(value, str) else ""


def _text(text: str) -> str:
    """Terminal text as markup: escaped, colours as classes, and cut in the middle when it is huge."""
    if len(text) > LONGEST:
        left_out = len(text) - LONGEST
        text = f"{text[: LONGEST // 2]}\n… {_left_out(left_out)} …\n{text[-LONGEST // 2 :]}"
    return str(ansi2html(text))  # type: ignore[no-untyped-call]


def _left_out(count: int) -> str:
    return f"{count:,} characters are left out here; the executed notebook has them."


def _address(mime: str, content: str) -> str:
    if mime == "image/svg+xml":
        return f"data:{mime};base64,{base64.b64encode(content.encode()).decode()}"
    packed = "".join(content.split())
    try:
        base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f"data:{mime};base64,{packed}"


def _scrolling(html: str) -> str:
    """Let a wide table scroll by itself, by keyboard too."""
    box = '<div class="scroll" role="region" aria-label="Table" tabindex="0">'
    return html.replace("<table", f"{box}<table").replace("</table>", "</table></div>")


def _described(figure: Mapping[str, Any]) -> str:
    """A sentence about a figure for those who do not see it: title, kinds, names and axes."""
    layout = figure.get("layout") if isinstance(figure.get("layout"), Mapping) else {}
    traces = [trace for trace in _list(figure.get("data")) if isinstance(trace, Mapping)]
    title = _titled(layout)
    names = list(dict.fromkeys(str(trace["name"]) for trace in traces if trace.get("name")))
    kinds = sorted({str(trace.get("type", "scatter")) for trace in traces})
    parts = [f"{title or 'Figure'}."]
    if kinds:
        parts.append(f"Chart of type {', '.join(kinds)}" + (f" with {', '.join(names[:12])}." if names else "."))
    axes = [(axis, _titled((layout or {}).get(f"{axis}axis"))) for axis in ("x", "y")]
    parts += [f"The {axis} axis shows {text}." for axis, text in axes if text]
    return text_of(" ".join(parts))[:600]


def _titled(holder: Any) -> str:
    title = holder.get("title") if isinstance(holder, Mapping) else None
    text = title.get("text") if isinstance(title, Mapping) else title
    return text_of(text) if isinstance(text, str) else ""


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def labels_of(outputs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The kinds of data that outputs state, in the order of the theme."""
    stated: set[str] = set()
    for node in outputs:
        data = node.get("data")
        given = data.get(LABELS_MIME) if isinstance(data, Mapping) else None
        stated |= {label for label in _list(given) if isinstance(label, str)}
    return tuple(label for label in LABELS if label in stated)
