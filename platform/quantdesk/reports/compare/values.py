"""Whether texts and trees of JSON say the same: numbers within a tolerance, and what says nothing left out. Pure.

What says nothing: addresses in memory, how long something took, random names that libraries give to what they draw,
paths of a state directory, colours of a terminal, a bar of progress that was drawn over. Whole numbers are compared
exactly: they are counts and names, and a name is not nearly another one.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Tolerance", "cleaned", "differing_json", "differing_text", "is_close"]


@dataclass(frozen=True)
class Tolerance:
    """How far apart two numbers may lie and count as one: the larger of both.

    Attributes
    ----------
    relative
        As a share of the larger one.
    absolute
        In their own unit.
    """

    relative: float = 1e-9
    absolute: float = 1e-12


_NOISE = (
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    # What was drawn over on the same line is not there any more.
    (re.compile(r"[^\n]*\r(?!\n)"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d+)? ?(ns|µs|us|ms|s|seconds?|minutes?)\b"), "DURATION"),
    (re.compile(r"\b\d{1,2}:\d{2}(:\d{2})?<\d{1,2}:\d{2}\b"), "DURATION"),
    (re.compile(r"/[^\s'\"<>]*/(state|scratch)[^/\s'\"<>]*/"), "STATE/"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{32}\b(?=[\"'])"), "ID"),
    # Names that pandas gives to styled tables, and matplotlib to the parts of an SVG.
    (re.compile(r"\bT_[0-9a-f]{5}(?=[_\"'\s])"), "T_ID"),
    (re.compile(r"\b[mpC][0-9a-f]{10}\b"), "ID"),
    (re.compile(r"<dc:date>[^<]*</dc:date>"), ""),
)
_NUMBER = re.compile(r"(?:(?<![\w)])[-+])?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def cleaned(text: str) -> str:
    """A text without what says nothing."""
    for pattern, put in _NOISE:
        text = pattern.sub(put, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def is_close(before: float, after: float, tolerance: Tolerance) -> bool:
    """Whether two numbers count as one. NaN is NaN; whole numbers have to be equal."""
    if isinstance(before, int) and isinstance(after, int):
        return before == after
    if math.isnan(before) or math.isnan(after):
        return math.isnan(before) and math.isnan(after)
    return math.isclose(before, after, rel_tol=tolerance.relative, abs_tol=tolerance.absolute)


def differing_text(before: str, after: str, tolerance: Tolerance) -> str | None:
    """What differs between two texts, one sentence without its stop; None where nothing does."""
    first, second = cleaned(before), cleaned(after)
    if first == second:
        return None
    if _NUMBER.sub("#", first) == _NUMBER.sub("#", second):
        pairs = list(zip(_NUMBER.findall(first), _NUMBER.findall(second), strict=True))
        apart = [(a, b) for a, b in pairs if a != b and not is_close(_number(a), _number(b), tolerance)]
        if not apart:
            return None
        a, b = apart[0]
        count = f"{len(apart)} of {len(pairs)} numbers differ" if len(pairs) > 1 else "the number differs"
        return f"{count}: {a} is now {b}" + (f", {_furthest(apart)}" if len(apart) > 1 else "")
    lines = list(zip(first.splitlines(), second.splitlines(), strict=False))
    found = next((number for number, (a, b) in enumerate(lines, 1) if a != b), None)
    if found is None:
        return f"it had {len(first.splitlines())} lines and has {len(second.splitlines())}"
    a, b = lines[found - 1]
    return f"line {found}: {_cut(a)} is now {_cut(b)}"


def _number(text: str) -> float:
    plain = text.replace(",", "")
    try:
        return int(plain)
    except ValueError:
        return float(plain)


def _furthest(apart: Sequence[tuple[str, str]]) -> str:
    shares = [abs(_number(b) - _number(a)) / (abs(_number(a)) or 1.0) for a, b in apart]
    return f"by {max(shares):.3g} of the value at most"


def _cut(text: str) -> str:
    shown = ascii(text.strip()) if not text.isprintable() else repr(text.strip())
    return shown if len(shown) <= 60 else f"{shown[:57]}…{shown[-1]}"


def differing_json(before: Any, after: Any, tolerance: Tolerance) -> str | None:
    """What differs between two trees of JSON, one sentence without its stop; None where nothing does.

    Arrays of plotly in their packed form are unpacked, and random ``uid`` are left out.
    """
    found = list(_apart(before, after, tolerance, "", 0))
    if not found:
        return None
    where, a, b = found[0]
    count = f"{len(found)} values differ, first " if len(found) > 1 else ""
    return f"{count}{where or 'it'}: {_brief(a)} is now {_brief(b)}"


_ABSENT = object()


def _apart(before: Any, after: Any, tolerance: Tolerance, where: str, depth: int) -> Iterator[tuple[str, Any, Any]]:
    before, after = _unpacked(before), _unpacked(after)
    if depth > 100:
        if before != after:
            yield where, before, after
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after} - {"uid"}, key=str):
            inner = f"{where}.{key}" if where else str(key)
            yield from _apart(before.get(key, _ABSENT), after.get(key, _ABSENT), tolerance, inner, depth + 1)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{where}: length", len(before), len(after)
        else:
            for number, (a, b) in enumerate(zip(before, after, strict=True)):
                yield from _apart(a, b, tolerance, f"{where}[{number}]", depth + 1)
    elif isinstance(before, str) and isinstance(after, str):
        if cleaned(before) != cleaned(after):
            yield where, before, after
    elif _is_number(before) and _is_number(after):
        if not is_close(before, after, tolerance):
            yield where, before, after
    elif type(before) is not type(after) or before != after:
        yield where, before, after


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unpacked(value: Any) -> Any:
    """The list that plotly packs into bytes; anything else as it is."""
    if not (isinstance(value, Mapping) and set(value) <= {"dtype", "bdata", "shape"} and "bdata" in value):
        return value
    try:
        array = np.frombuffer(base64.b64decode(value["bdata"], validate=True), dtype=np.dtype(value["dtype"]))
    except (TypeError, ValueError, KeyError, binascii.Error):
        return value
    return array.tolist()


def _brief(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    return _cut(value) if isinstance(value, str) else _cut(str(value))[1:-1]
