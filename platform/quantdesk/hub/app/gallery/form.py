"""A form made from typed parameters, and what was typed into it as values. Pure.

Each parameter becomes the field that fits its type: a choice, a tick, a number with its bounds, a date, lines for a
list, JSON for what nothing else fits. What comes back is text; it becomes the value that it looks like and is then
judged by :func:`quantdesk.reports.spec.check` alone, so that a form, a command and the API say the same.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.reports.spec import Parameter, check

__all__ = ["PREFIX", "Field", "Reading", "blank", "read"]

PREFIX = "p."
"""What the names of parameters begin with in a form, apart from the form's own fields."""
_INTEGER = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_SCALARS = {"int", "float", "str", "date"}


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes
    ----------
    parameter
        What it is for.
    kind
        ``choice``, ``flag``, ``number``, ``date``, ``text``, ``lines``, ``picks`` (some of the choices) or ``json``.
    scalar
        The type of the value or of each of its items: ``int``, ``float``, ``number`` (either), ``str``,
        ``date``; empty for others.
    is_optional
        Whether nothing at all, None, is a value.
    text
        What stands in it.
    picked
        What is ticked, of ``picks``.
    error, remedy
        What is wrong with it; empty when nothing is.
    """

    parameter: Parameter
    kind: str
    scalar: str
    is_optional: bool
    text: str = ""
    picked: tuple[str, ...] = ()
    error: str = ""
    remedy: str = ""

    @property
    def name(self) -> str:
        """Its name in the form."""
        return PREFIX + self.parameter.name

    @property
    def label(self) -> str:
        """For people: the declared one, or the name with its first letter large."""
        return self.parameter.label or self.parameter.name.replace("_", " ").capitalize()

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """What can be chosen: the text that is sent, and the text that is shown."""
        return tuple((_sent(one), one if isinstance(one, str) else _sent(one)) for one in _choices(self.parameter))

    @property
    def hint(self) -> str:
        """Type, range and how it is written, in a few words."""
        words = {"int": "whole number", "float": "number", "str": "text", "date": "date"}
        bounds = self.parameter.range.replace("'", "") if not _choices(self.parameter) else ""
        unit = f", {self.parameter.unit}" if self.parameter.unit and not bounds else ""
        said = {
            "lines": f"{words.get(self.scalar, 'value')}s, one on each line{unit}",
            "json": f"{self.parameter.type}, written as JSON{unit}",
            "picks": f"any of these{unit}",
            "number": f"{words.get(self.scalar, 'number')}{unit}",
        }.get(self.kind, unit.removeprefix(", "))
        none = "empty for none" if self.is_optional and self.kind != "choice" else ""
        return "; ".join(part for part in (said, bounds, none) if part)

    @property
    def default(self) -> str:
        """The notebook's own value, for people."""
        value = self.parameter.default
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return ", ".join(value)
        return "none" if value is None else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Reading:
    """What a form said.

    Attributes
    ----------
    fields
        As they are shown again, each with what was typed and what is wrong with it.
    given
        Checked values that differ from the notebook's own; None where something is wrong.
    problem, remedy
        What is wrong with all of it together; empty when nothing is.
    """

    fields: tuple[Field, ...]
    given: dict[str, Any] | None
    problem: str = ""
    remedy: str = ""


def blank(parameters: Iterable[Parameter], values: Mapping[str, Any] | None = None) -> tuple[Field, ...]:
    """The fields of a form that nobody has typed into.

    Parameters
    ----------
    parameters
        What the report asks for.
    values
        In place of the defaults, by name. What a parameter does not take any more is left out.
    """
    found = []
    for one in parameters:
        value = (values or {}).get(one.name, one.default)
        found.append(_filled(_field(one), value if one.accepts(value) else one.default))
    return tuple(found)


def read(parameters: Iterable[Parameter], sent: Mapping[str, list[str]], *, report: str) -> Reading:
    """What somebody typed.

    Parameters
    ----------
    parameters
        What the report asks for.
    sent
        Of the form: name to all texts under it. A field that was not sent is empty, and a tick that was not, is off.
    report
        Its name, for messages.
    """
    fields, values = [], {}
    known = tuple(parameters)
    for one in known:
        empty = _field(one)
        texts = sent.get(empty.name, [])
        field = replace(empty, text=texts[0] if texts else "", picked=tuple(texts))
        try:
            value = _value(field)
            check([one], {one.name: value}, report=report)
        except BadInput as error:
            fields.append(replace(field, error=_beside(error.problem, one, report), remedy=error.remedy))
            continue
        fields.append(field)
        values[one.name] = value
    strange = {name.removeprefix(PREFIX): "" for name in sent if name.startswith(PREFIX)}
    if any(field.error for field in fields):
        wrong = sum(bool(field.error) for field in fields)
        fields_are = "One field has" if wrong == 1 else f"{wrong} fields have"
        return Reading(tuple(fields), None, f"{fields_are} to be changed; nothing was started.")
    defaults = {one.name: one.default for one in known}
    given = {name: value for name, value in values.items() if not _same(value, defaults[name])}
    try:
        check(known, {name: text for name, text in strange.items() if name not in defaults}, report=report)
        return Reading(tuple(fields), check(known, given, report=report))
    except BadInput as error:
        return Reading(tuple(fields), None, error.problem, error.remedy)


def _beside(problem: str, one: Parameter, report: str) -> str:
    """What is wrong, where it stands beside the field that it is about."""
    said = problem.removeprefix(f"The parameter {one.name} of {report}: ")
    return problem if said == problem else said[:1].upper() + said[1:]


def _field(one: Parameter) -> Field:
    names, is_optional = _shape(one.type)
    kind, scalar = "json", ""
    if names == ("bool",) and not is_optional and not one.choices:
        kind = "flag"
    elif _choices(one) and not (len(names) == 1 and names[0].startswith("list")):
        kind = "choice"
    elif names and set(names) <= {"int", "float"}:
        kind, scalar = "number", names[0] if len(names) == 1 else "number"
    elif names == ("date",):
        kind, scalar = "date", "date"
    elif names == ("str",):
        kind, scalar = "text", "str"
    elif len(names) == 1 and names[0] in {f"list[{item}]" for item in _SCALARS}:
        kind, scalar = "picks" if _choices(one) else "lines", names[0][5:-1]
    return Field(one, kind, scalar, is_optional)


def _shape(kind: str) -> tuple[tuple[str, ...], bool]:
    """The members of a union without None, and whether None was one."""
    members: list[str] = []

    def walk(node: ast.expr) -> None:
        match node:
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                walk(left)
                walk(right)
            case ast.Subscript(value=ast.Name(id="Optional"), slice=item):
                walk(item)
                members.append("None")
            case _:
                members.append(ast.unparse(node))

    walk(ast.parse(kind, mode="eval").body)
    return tuple(name for name in members if name != "None"), "None" in members


def _choices(one: Parameter) -> tuple[Any, ...]:
    """All that a parameter, or an item of it, may be: as declared, or as its type says."""
    if one.choices:
        return one.choices
    names, _ = _shape(one.type)
    if names == ("bool",):
        return (True, False)
    if len(names) == 1 and names[0].startswith("Literal["):
        node = ast.parse(names[0], mode="eval").body
        if isinstance(node, ast.Subscript):
            found = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return tuple(ast.literal_eval(item) for item in found)
    return ()


def _filled(field: Field, value: Any) -> Field:
    match field.kind:
        case "flag":
            return replace(field, text="true" if value else "")
        case "choice":
            return replace(field, text="" if value is None else _sent(value))
        case "picks":
            return replace(field, picked=tuple(map(_sent, value or ())))
        case "lines":
            return replace(
                field, text="\n".join(item if isinstance(item, str) else _sent(item) for item in value or ())
            )
        case "json":
            return replace(
                field, text="" if value is None and field.is_optional else json.dumps(value, ensure_ascii=False)
            )
    return replace(field, text="" if value is None else value if isinstance(value, str) else _sent(value))


def _value(field: Field) -> Any:
    """The value that a text looks like; what looks like none stays a text, for the check to say so."""
    text = field.text
    if field.kind == "flag":
        return bool(field.picked)
    if field.is_optional and not text.strip() and not field.picked[1:]:
        return None
    match field.kind:
        case "choice":
            return next((one for one in _choices(field.parameter) if _sent(one) == text), text)
        case "picks":
            known = {_sent(one): one for one in _choices(field.parameter)}
            return [known.get(one, one) for one in field.picked]
        case "lines":
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            return [_scalar(line, field.scalar) for line in lines]
        case "json":
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                raise BadInput(
                    f"{field.parameter.name} cannot be read as JSON.",
                    f"For example: {json.dumps(field.parameter.default)}",
                ) from None
    return _scalar(text.replace("\r\n", "\n") if field.kind == "text" else text.strip(), field.scalar)


def _scalar(text: str, scalar: str) -> Any:
    if scalar in ("int", "number") and _INTEGER.fullmatch(text):
        return int(text)
    if scalar in ("float", "number") and _NUMBER.fullmatch(text):
        return float(text)
    return text


def _sent(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
