"""What a code cell gave, as pieces that can be compared, and what differs between two cells' pieces. Pure."""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantdesk.reports.compare.values import Tolerance, differing_json, differing_text

__all__ = ["FIGURES", "OutputDiff", "Piece", "differing_outputs", "pieces"]

PLOTLY = "application/vnd.plotly.v1+json"
IMAGES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif")
FIGURES = ("figure", "image")
"""Kinds that a person compares by looking."""


@dataclass(frozen=True)
class Piece:
    """One output, in the one form of it that is compared.

    Attributes
    ----------
    kind
        ``text``, ``table``, ``prose``, ``image``, ``figure``, ``record`` (JSON of ours or of others), ``error``.
    content
        Text; a tree of JSON for a figure and a record; the SHA-256 for an image of pixels.
    index
        Its place among the outputs of the cell, from 0; of text that was written in parts, that of the first.
    mime
        The form.
    """

    kind: str
    content: Any
    index: int
    mime: str = "text/plain"


@dataclass(frozen=True)
class OutputDiff:
    """One difference between what two cells gave.

    Attributes
    ----------
    kind
        As of :class:`Piece`.
    what
        One sentence without its stop.
    before, after
        Place among the outputs of the cell, from 0; None on the side that has none.
    """

    kind: str
    what: str
    before: int | None
    after: int | None


def pieces(outputs: Sequence[Mapping[str, Any]]) -> tuple[Piece, ...]:
    """The outputs of a cell, without messages on the standard error: those are no results.

    Parameters
    ----------
    outputs
        As a notebook holds them. Text that a cell wrote in parts is one piece.
    """
    found: list[Piece] = []
    for index, node in enumerate(outputs):
        kind = node.get("output_type")
        if kind == "stream":
            if node.get("name") == "stdout":
                text = _joined(node.get("text"))
                if found and found[-1].mime == "stdout":
                    last = found.pop()
                    found.append(Piece("text", last.content + text, last.index, "stdout"))
                else:
                    found.append(Piece("text", text, index, "stdout"))
        elif kind == "error":
            found.append(Piece("error", f"{_joined(node.get('ename'))}: {_joined(node.get('evalue'))}", index))
        else:
            data = node.get("data")
            piece = _of_bundle(data, index) if isinstance(data, Mapping) else None
            if piece is not None:
                found.append(piece)
    return tuple(piece for piece in found if piece.content not in ("", None))


def _of_bundle(data: Mapping[str, Any], index: int) -> Piece | None:
    """The richest form of an output: the others say the same with less, or with random names in them."""
    if isinstance(data.get(PLOTLY), Mapping):
        figure = data[PLOTLY]
        return Piece(
            "figure", {key: figure[key] for key in ("data", "layout", "frames") if key in figure}, index, PLOTLY
        )
    for mime in IMAGES:
        if mime in data:
            content = _joined(data[mime])
            return Piece("image", content if mime.endswith("svg+xml") else _digest(content), index, mime)
    for mime in sorted(data):
        # Widgets are names of what lived in the kernel, and nothing of what it showed.
        if mime.endswith("+json") and "widget" not in mime:
            return Piece("record", data[mime], index, mime)
    if "text/html" in data:
        return Piece("table", _joined(data["text/html"]), index, "text/html")
    for mime, kind in (("text/markdown", "prose"), ("text/latex", "prose"), ("application/json", "record")):
        if mime in data:
            return Piece(kind, data[mime] if kind == "record" else _joined(data[mime]), index, mime)
    return Piece("text", _joined(data["text/plain"]), index) if "text/plain" in data else None


def _digest(content: str) -> str:
    packed = "".join(content.split())
    try:
        raw = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raw = packed.encode()
    return hashlib.sha256(raw).hexdigest()


def _joined(value: Any) -> str:
    """Multi-line text as the notebook format may hold it."""
    if isinstance(value, list):
        return "".join(str(part) for part in value)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)


def differing_outputs(before: Sequence[Piece], after: Sequence[Piece], tolerance: Tolerance) -> tuple[OutputDiff, ...]:
    """What differs between the outputs of a cell in two runs; empty where nothing does."""
    found: list[OutputDiff] = []
    matcher = difflib.SequenceMatcher(None, [one.kind for one in before], [one.kind for one in after], autojunk=False)
    for _, low, high, start, end in matcher.get_opcodes():
        old, new = before[low:high], after[start:end]
        for number in range(max(len(old), len(new))):
            a = old[number] if number < len(old) else None
            b = new[number] if number < len(new) else None
            found += _pair(a, b, tolerance)
    return tuple(found)


def _pair(before: Piece | None, after: Piece | None, tolerance: Tolerance) -> list[OutputDiff]:
    if before is None:
        new = [] if after is None else [after]
        return [OutputDiff(one.kind, f"a piece of kind {one.kind} is new", None, one.index) for one in new]
    if after is None:
        return [OutputDiff(before.kind, f"a piece of kind {before.kind} is gone", before.index, None)]
    if before.kind != after.kind:
        said = f"it was of kind {before.kind} and is of kind {after.kind}"
        return [OutputDiff(after.kind, said, before.index, after.index)]
    what = _differing(before, after, tolerance)
    return [] if what is None else [OutputDiff(after.kind, what, before.index, after.index)]


def _differing(before: Piece, after: Piece, tolerance: Tolerance) -> str | None:
    if before.kind in {"figure", "record"}:
        return differing_json(before.content, after.content, tolerance)
    if before.mime != after.mime and "image/" in before.mime:
        return f"it was {before.mime} and is {after.mime}"
    if before.kind == "image" and not after.mime.endswith("svg+xml"):
        if before.content == after.content:
            return None
        return f"another picture (SHA-256 {before.content[:12]}, now {after.content[:12]})"
    if before.kind == "table":
        return differing_text(_visible(before.content), _visible(after.content), tolerance) or differing_text(
            before.content, after.content, tolerance
        )
    return differing_text(before.content, after.content, tolerance)


def _visible(html: str) -> str:
    """What of HTML is read, a row of a table on a line: enough to say what differs, nothing that is shown."""
    text = re.sub(r"(?s)<(style|script)\b.*?</\1>", "", html)
    text = re.sub(r"\s*</t[hd]>\s*", "\t", text)
    return re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"<[^>]*>", "", text))
