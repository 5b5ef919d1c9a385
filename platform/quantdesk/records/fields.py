"""From a text that people write to a model: each wrong field is one sentence, with file, line, value and remedy. Pure.

What a file declares is read into a pydantic model. Pydantic's own message lists types and addresses of its manual; a
person who wrote a TOML file needs the line, the value, and what would be right.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from quantdesk.errors import DataError, QuantdeskError, UnknownName

__all__ = ["Where", "of_mapping", "of_toml", "places"]

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]
Where = Callable[[Path], str]
"""How a message names the place of a field: file and line, or file and key."""

_MOST = 8


def of_toml(model: type[Model], text: str, name: str, *, remedy: str, error: type[QuantdeskError] = DataError) -> Model:
    """Read a TOML text into `model`.

    Parameters
    ----------
    model
        Strict or not as it says itself; lists are taken for tuples, dates for their ISO texts.
    text
        TOML.
    name
        Of the file, for messages.
    remedy
        Where the fields are explained, a sentence.
    error
        What to raise.

    Raises
    ------
    QuantdeskError
        Of the kind `error`: it is not TOML, or fields are unknown, missing or wrong. The message has a sentence for
        each of them, with file, line, field, value and what would be right.
    """
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as broken:
        raise error(f"{name} is not TOML: {broken}.", "Mend that line.") from broken
    return of_mapping(model, content, places(text, name), remedy=remedy, error=error)


def places(text: str, name: str) -> Where:
    """Names the place of a field in a TOML text: the file, and the line of the field, or of what holds it."""
    lines = dict(_lines(text))

    def where(place: Path) -> str:
        known = next((place[:size] for size in range(len(place), 0, -1) if place[:size] in lines), ())
        return f"{name}, line {lines.get(known, 1)}"

    return where


def of_mapping(
    model: type[Model],
    content: Mapping[str, Any],
    where: Where,
    *,
    remedy: str,
    error: type[QuantdeskError] = DataError,
) -> Model:
    """Read what JSON or TOML held into `model`.

    Parameters
    ----------
    model, remedy, error
        As of :func:`of_toml`.
    content
        What was read.
    where
        Names the place of a field in the message.

    Raises
    ------
    QuantdeskError
        As of :func:`of_toml`.
    """
    try:
        # As JSON, a strict model takes a list for a tuple and a text for a date, and nothing else for anything.
        return model.model_validate_json(json.dumps(content, default=_written))
    except ValidationError as refused:
        faults = refused.errors()
    except (TypeError, ValueError, RecursionError) as unfit:
        raise error(f"{where(())}: it holds what JSON does not ({unfit}).", remedy) from unfit
    said = [f"{where(tuple(fault['loc']))}: {_sentence(model, fault)}" for fault in faults[:_MOST]]
    if len(faults) > _MOST:
        said.append(f"{len(faults) - _MOST} more fields are wrong.")
    raise error(" ".join(said), remedy)


def _written(value: Any) -> str:
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__}")


def _sentence(model: type[BaseModel], fault: Any) -> str:
    """What is wrong with a field, and what would be right."""
    place, kind = tuple(fault["loc"]), fault["type"]
    field = _field(place)
    given = repr(fault["input"])
    given = given if len(given) <= 80 else f"{given[:77]}..."
    if kind == "extra_forbidden":
        holder = _holder(model, place[:-1])
        return f"there is no field {field}. {UnknownName('field', str(place[-1]), holder.model_fields).remedy}"
    if kind == "missing":
        return f"{field} is missing; give it."
    right = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    right = right[:1].lower() + right[1:]
    if kind == "value_error":
        return f"{right}; mend it." if not place else f"{field}: {right}; mend it."
    return f"{field} is {given}; it {right}." if right.startswith("should") else f"{field} is {given}: {right}."


def _field(place: Path) -> str:
    """``schedules[2].trigger``, counted from 1 as a reader counts."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the whole"


def _holder(model: type[BaseModel], place: Path) -> type[BaseModel]:
    """The model that the fields at `place` belong to, as far as annotations tell."""
    for part in place:
        field = model.model_fields.get(str(part))
        inner = next(_models(field.annotation), None) if field is not None else None
        model = inner or model
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    """The line, counted from 1, on which each table and each key of a TOML text begins."""
    counts: dict[tuple[str, ...], int] = {}
    table: Path = ()
    array: tuple[Path, int] | None = None
    quoted = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        if header := _HEADER.match(line):
            names = _parts(header[2])
            if header[1] == "[[":
                counts[names] = counts.get(names, -1) + 1
            steps: list[str | int] = []
            for size, step in enumerate(names, start=1):
                steps.append(step)
                if names[:size] in counts:
                    steps.append(counts[names[:size]])
            table = tuple(steps)
            array = None
            yield table, number
        elif key := _KEY.match(line):
            path = (*table, *_parts(key[1]))
            yield path, number
            array = (path, 0) if line[key.end() :].lstrip().startswith("[") else None
        elif array is not None and line.lstrip().startswith("{"):
            yield (*array[0], array[1]), number
            array = (array[0], array[1] + 1)
        for sign in ('"""', "'''"):
            if line.count(sign) % 2:
                quoted = sign


def _parts(dotted: str) -> tuple[str, ...]:
    found: Sequence[str] = re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", dotted)
    return tuple(part.strip("\"'") for part in found)
