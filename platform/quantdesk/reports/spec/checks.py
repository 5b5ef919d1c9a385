"""The check of what was given, before any kernel starts: names, types, bounds, choices. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from quantdesk.errors import BadParameter
from quantdesk.reports.spec.parameter import Parameter, shown

__all__ = ["check", "parse", "taken"]

LARGEST = 1_000_000
"""Characters that all parameters of a run may have together, written as JSON."""


def parse(parameters: Iterable[Parameter], given: Iterable[str], *, report: str) -> dict[str, Any]:
    """Turn ``name=value`` texts into checked values.

    A value is JSON where it parses as JSON and a plain text otherwise, so that ``window=20``, ``symbol=AAPL`` and
    ``symbols=["AAPL"]`` mean what they look like. Where the parameter is a text, ``code=600519`` stays a text.

    Raises
    ------
    BadParameter
        See :func:`check`; also a text without ``=``, and a name that is given twice.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    for text in given:
        name, equals, raw = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise BadParameter(f"{shown(text)} is no parameter.", "Write it as name=value, for example window=20.")
        if name in values:
            raise BadParameter(f"The parameter {shown(name)} is given twice.", "Give it once.")
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = raw
        parameter = declared.get(name)
        if parameter is not None and isinstance(value, (int, float)) and not parameter.accepts(value):
            # A text that looks like a number, where a text is wanted.
            value = raw if parameter.type != "any" and parameter.accepts(raw) else value
        values[name] = value
    return check(declared.values(), values, report=report)


def check(parameters: Iterable[Parameter], given: Mapping[str, Any], *, report: str) -> dict[str, Any]:
    """The given values, when every one of them is a parameter of the report and has its type.

    Parameters
    ----------
    parameters
        What the report declares.
    given
        Values by name: what JSON can hold, without NaN and infinities, integers within 64 bits.
    report
        The name of the report, for the message.

    Returns
    -------
    dict
        The same values; parameters that were not given are absent and keep their defaults.

    Raises
    ------
    BadParameter
        A name that the report does not have, a value of the wrong type or out of its bounds or choices, or far too much
        text. The message names the parameter, the value and what it takes.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    for name, value in given.items():
        if name not in declared:
            near = difflib.get_close_matches(str(name), declared, n=3, cutoff=0.5)
            remedy = f"Did you mean {' or '.join(near)}?" if near else f"It has: {', '.join(declared) or 'none'}."
            raise BadParameter(f"The report {report} has no parameter {shown(name)}.", remedy)
        parameter = declared[name]
        if not parameter.accepts(value):
            raise BadParameter(
                f"{shown(value)} is no value for the parameter {name} of {report}: it takes {_read(parameter.type)}.",
                f"For example: {name}={_example(parameter)}",
            )
        if why := parameter.outside(value):
            raise BadParameter(f"The parameter {name} of {report}: {why}.", f"It takes {parameter.range}.")
    size = len(json.dumps(dict(given)))
    if size > LARGEST:
        raise BadParameter(
            f"The parameters of {report} have {size:,} characters.", f"Pass at most {LARGEST:,}, and big data by file."
        )
    return dict(given)


def taken(
    parameters: Iterable[Parameter], given: Mapping[str, Any] | list[str] | None, *, report: str
) -> dict[str, Any]:
    """:func:`parse` of texts, :func:`check` of values."""
    if isinstance(given, list):
        return parse(parameters, given, report=report)
    return check(parameters, given or {}, report=report)


def _read(kind: str) -> str:
    words = {
        "int": "a whole number (int)",
        "float": "a number (float)",
        "bool": "true or false (bool)",
        "str": "a text (str)",
        "date": "a date such as 2020-01-31",
        "any": "any JSON value without NaN or infinity, whole numbers within 64 bits",
    }
    return words.get(kind, kind)


def _example(parameter: Parameter) -> str:
    value = parameter.default
    text = value if isinstance(value, str) else json.dumps(value)
    return f"'{text}'" if any(sign in text for sign in ' "[]{}') else text
