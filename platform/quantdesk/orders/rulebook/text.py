"""From TOML to entries. A bad entry is refused with its line. Pure.

A file holds one table for each entry, ``[[luld]]``, ``[[venue_fee]]`` and so on. The standard library's parser keeps no
lines, so they are found again in the text: the n-th table of a kind stands at the n-th header of that name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.rulebook.book import Layer
from quantdesk.orders.rulebook.entries import KINDS, Entry

__all__ = ["parse"]

_HEADER = re.compile(r"^\s*\[\[\s*(?P<kind>[A-Za-z0-9_-]+)\s*\]\]")


def parse(text: str, name: str) -> Layer:
    """Read the entries of a rulebook file.

    Parameters
    ----------
    text
        TOML.
    name
        The file's name, for messages.

    Raises
    ------
    BadInput
        It is not TOML, a table is no kind of rule, an entry has a wrong or missing value (the message names file, line,
        field and value), or two entries overlap.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{name} is not TOML: {error}.", "Mend that line.") from error
    lines = text.splitlines()
    entries: dict[str, list[Entry]] = {}
    for kind, tables in content.items():
        if kind not in KINDS:
            line = _mentioned(lines, kind)
            raise BadInput(f"{name}, line {line}: there is no rule {kind!r}.", UnknownName("rule", kind, KINDS).remedy)
        if not isinstance(tables, list):
            line = _mentioned(lines, kind)
            raise BadInput(f"{name}, line {line}: {kind} is no list of tables.", f"Write [[{kind}]] above each entry.")
        headers = [place for place, line in enumerate(lines) if _kind_of(line) == kind]
        for number, table in enumerate(tables):
            begin = headers[number] if number < len(headers) else 0
            entries.setdefault(kind, []).append(_entry(kind, table, name, lines, begin))
    return Layer(name, entries)


def _entry(kind: str, table: Any, name: str, lines: Sequence[str], begin: int) -> Entry:
    try:
        return KINDS[kind].model_validate(table, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        end = next((n for n in range(begin + 1, len(lines)) if _HEADER.match(lines[n])), len(lines))
        where = next((n for n in range(begin, end) if re.match(rf"\s*\"?{re.escape(field)}\"?\s*=", lines[n])), begin)
        path = ".".join(str(part) for part in first["loc"]) or kind
        what = first["msg"].removeprefix("Value error, ")
        given = f", not {first['input']!r}"[:120] if first["loc"] and first["type"] != "missing" else ""
        raise BadInput(
            f"{name}, line {where + 1}: {path} of this [[{kind}]]: {what[:1].lower()}{what[1:]}{given}.",
            f"See {KINDS[kind].__name__} in quantdesk.orders.rulebook.entries.",
        ) from None


def _kind_of(line: str) -> str | None:
    match = _HEADER.match(line)
    return match["kind"] if match else None


def _mentioned(lines: Sequence[str], kind: str) -> int:
    return next((n + 1 for n, line in enumerate(lines) if re.match(rf"\s*\[*\s*\"?{re.escape(kind)}\b", line)), 1)
