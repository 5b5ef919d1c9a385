"""From TOML to a scenario. Each wrong field is one sentence, with its line. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.scenario import (
    AssetEntry,
    ClosureEntry,
    Figure,
    Intraday,
    Scenario,
    Waypoint,
)

__all__ = ["parse"]

_PARTS: Mapping[str, type[BaseModel]] = {
    "assets": AssetEntry,
    "closures": ClosureEntry,
    "figures": Figure,
    "intraday": Intraday,
    "waypoints": Waypoint,
}
_MOST = 8


def parse(text: str, name: str) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    text
        TOML, with the fields of :class:`~quantdesk.scenarios.scenario.Scenario`.
    name
        The file's name, for messages.

    Raises
    ------
    BadInput
        It is not TOML, or fields are unknown, missing or wrong: the message has a sentence for each of them, with file,
        line, field, value and what would be right.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{name} is not TOML: {error}.", "Mend that line.") from error
    try:
        return Scenario.model_validate(content)
    except ValidationError as error:
        faults = _without_slips(error.errors())
    lines = text.splitlines()
    said = [f"{name}, line {_line_of(lines, fault['loc'])}: {_sentence(fault)}" for fault in faults[:_MOST]]
    if len(faults) > _MOST:
        said.append(f"{len(faults) - _MOST} more fields of {name} are wrong.")
    raise BadInput(" ".join(said), "See the fields of Scenario in quantdesk.scenarios.scenario.")


def _without_slips(faults: Sequence[Any]) -> list[Any]:
    """Without the missing fields that are there under a name that is nearly theirs: one slip is one fault."""
    slips = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]

    def slipped(place: Sequence[str | int]) -> bool:
        beside = [str(one[-1]) for one in slips if tuple(one[:-1]) == tuple(place[:-1])]
        return bool(get_close_matches(str(place[-1]), beside, 1, 0.8))

    return [fault for fault in faults if fault["type"] != "missing" or not slipped(fault["loc"])]


def _sentence(fault: Any) -> str:
    """What is wrong with a field, and what would be right."""
    place, kind = fault["loc"], fault["type"]
    field = _field(place)
    given = repr(fault["input"])
    given = given if len(given) <= 80 else f"{given[:77]}..."
    if kind == "extra_forbidden":
        model = _PARTS.get(str(place[0]), Scenario) if len(place) > 1 else Scenario
        return f"there is no field {field}. {UnknownName('field', str(place[-1]), model.model_fields).remedy}"
    if kind == "missing":
        return f"{field} is missing; give it."
    right = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    right = right[:1].lower() + right[1:]
    if kind == "value_error":
        return f"{right}; mend it." if not place else f"{field}: {right}; mend it."
    return f"{field} is {given}; it {right}." if right.startswith("should") else f"{field} is {given}: {right}."


def _field(place: Sequence[str | int]) -> str:
    """``figures[3].value``, counted from 1 as a reader counts."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the scenario"


def _line_of(lines: Sequence[str], place: Sequence[str | int]) -> int:
    """The line, counted from 1, of the field, else of the table that it is in; 1 where there is neither."""
    names = [str(part) for part in place if isinstance(part, str)]
    number = next((part for part in place if isinstance(part, int)), 0)
    if not names:
        return 1
    headers = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\[?\s*{re.escape(names[0])}\s*\]", line)]
    if not headers or len(place) == 1:
        begin = next((n for n, line in enumerate(lines) if _sets(line, names[0])), (headers or [0])[0])
        inline = [n for n in range(begin, len(lines)) if lines[n].lstrip().startswith("{")]
        return (inline[number] if len(place) > 1 and number < len(inline) else begin) + 1
    begin = headers[min(number, len(headers) - 1)]
    end = next((n for n in range(begin + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
    return next((n + 1 for n in range(begin + 1, end) if _sets(lines[n], names[-1])), begin + 1)


def _sets(line: str, field: str) -> bool:
    return re.match(rf"\s*\"?{re.escape(field)}\"?\s*=", line) is not None
