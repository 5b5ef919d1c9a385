"""What a report asks for: the parameters of a notebook, their types, and the check of what was given. Pure.

The cell tagged ``parameters`` is read, never run: each line gives a name, an optional annotation, a plain value as the
default and a trailing comment as help::

    symbols: list[str] = ["AAPL", "MSFT"]   # which series
    start = "2010-01-04"                     # first session
    window: int | None = None                # sessions; None for all

Types come from the annotation where there is one, otherwise from the default; a text that is an ISO date makes the
parameter a date. Values are data from beginning to end: they arrive as JSON, are checked here against the type
(strictly: ``"20"`` is no integer), and reach the notebook as literals.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import math
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from quantdesk.errors import BadParameter, DataError

__all__ = ["Parameter", "check", "parse", "read_parameters"]

LARGEST = 1_000_000
"""Characters that all parameters of a run may have together, written as JSON."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a report.

    Parameters
    ----------
    name
        The variable in the notebook.
    type
        As people read it: ``int``, ``float``, ``bool``, ``str``, ``date`` (a text such as ``"2020-01-31"``),
        ``list[str]``, ``str | None``, ``Literal['a', 'b']``, ``any``.
    default
        The value that the notebook holds.
    help
        The trailing comment.
    """

    name: str
    type: str
    default: Any
    help: str = ""

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        kind = _type_of(ast.parse(self.type, mode="eval").body)
        return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))

    def accepts(self, value: Any) -> bool:
        """Whether `value` has the type of this parameter and fits into 64 bits where it is a number."""
        try:
            self._adapter.validate_python(value)
        except ValidationError:
            return False
        return _plain(value)


def _a_date(text: str) -> str:
    date.fromisoformat(text)
    if len(text) != len("2020-01-31"):
        raise ValueError("not written as YYYY-MM-DD")
    return text


_NAMES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "date": Annotated[str, AfterValidator(_a_date)],
    "list": list[Any],
    "dict": dict[str, Any],
    "any": Any,
    "Any": Any,
    "None": None,
}


def _type_of(node: ast.expr) -> Any:
    """The type that an annotation names. Only the names above, ``|``, ``list[]``, ``dict[]``, ``Literal[]``."""
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_type_of(left), _type_of(right)]  # noqa: UP007 (a union of computed types)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type_of(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return dict[str, _type_of(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Optional"), slice=item):
            return Union[_type_of(item), None]  # noqa: UP007
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            given = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return Literal[tuple(ast.literal_eval(choice) for choice in given)]
    raise ValueError(f"{ast.unparse(node)} is none of int, float, bool, str, date, list, dict, Literal, None")


def _inferred(value: Any) -> str:
    """The type of a default that has no annotation."""
    match value:
        case None:
            return "any"
        case bool() | int() | float():
            return type(value).__name__
        case str():
            return "date" if _is_date(value) else "str"
        case list():
            kinds = {_inferred(item) for item in value}
            if kinds == {"int", "float"}:
                kinds = {"float"}
            return f"list[{kinds.pop()}]" if len(kinds) == 1 and not kinds & {"any"} else "list"
        case dict():
            return "dict"
    raise ValueError(f"{value!r} is no JSON value")


def _is_date(text: str) -> bool:
    try:
        _a_date(text)
    except ValueError:
        return False
    return True


def read_parameters(source: str, *, where: str) -> tuple[Parameter, ...]:
    """The parameters that a cell declares. The cell is parsed, never run.

    Parameters
    ----------
    source
        Source of the cell tagged ``parameters``.
    where
        The notebook, for the message of an error.

    Raises
    ------
    DataError
        The cell holds anything but assignments of plain values.
    """

    def refuse(what: str) -> DataError:
        return DataError(
            f"The parameters cell of {where} cannot be read: {what}.",
            "Write one `name = value  # help` a line, with plain values: numbers, texts, lists, None.",
        )

    try:
        tree = ast.parse(source)
        comments = _comments(source)
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError) as error:
        raise refuse(f"it is not Python ({error})") from error
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        assignment = _assignment(statement)
        if assignment is None:
            raise refuse(f"line {statement.lineno} is no assignment of one name")
        name, declared, value = assignment
        try:
            default = json.loads(json.dumps(ast.literal_eval(value), allow_nan=False))
            kind = _inferred(default) if declared is None else _declared(declared, default)
            said = comments.get(statement.end_lineno or 0) or comments.get(statement.lineno, "")
            parameter = Parameter(name, kind, default, said)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise refuse(f"line {statement.lineno}, {name}: {error}") from error
        if not parameter.accepts(default):
            raise refuse(f"line {statement.lineno}: the default {_shown(default)} of {name} is no {kind}")
        found[name] = parameter
    return tuple(found.values())


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr | None, ast.expr] | None:
    """Name, annotation and value, where the statement assigns one plain name."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id, None, statement.value
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        return statement.target.id, statement.annotation, statement.value
    return None


def _declared(annotation: ast.expr, default: Any) -> str:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    _type_of(annotation)
    kind = ast.unparse(annotation)
    # A notebook cannot annotate a text as a date without an import; the default tells.
    if isinstance(default, str) and _is_date(default):
        kind = {"str": "date", "str | None": "date | None", "Optional[str]": "date | None"}.get(kind, kind)
    return kind


def _comments(source: str) -> dict[int, str]:
    """The comment that ends each line, by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT and token.line.strip() != token.string
    }


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
            raise BadParameter(f"{_shown(text)} is no parameter.", "Write it as name=value, for example window=20.")
        if name in values:
            raise BadParameter(f"The parameter {_shown(name)} is given twice.", "Give it once.")
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
        A name that the report does not have, a value of the wrong type, or far too much text. The message names the
        parameter, the value and the type.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    for name, value in given.items():
        if name not in declared:
            near = difflib.get_close_matches(str(name), declared, n=3, cutoff=0.5)
            remedy = f"Did you mean {' or '.join(near)}?" if near else f"It has: {', '.join(declared) or 'none'}."
            raise BadParameter(f"The report {report} has no parameter {_shown(name)}.", remedy)
        parameter = declared[name]
        if not parameter.accepts(value):
            raise BadParameter(
                f"{_shown(value)} is no value for the parameter {name} of {report}: it takes {_read(parameter.type)}.",
                f"For example: {name}={_example(parameter)}",
            )
    size = len(json.dumps(dict(given)))
    if size > LARGEST:
        raise BadParameter(
            f"The parameters of {report} have {size:,} characters.", f"Pass at most {LARGEST:,}, and big data by file."
        )
    return dict(given)


def _plain(value: Any, depth: int = 0) -> bool:
    """Whether JSON holds `value` as it is, and any reader of JSON gets the same number back."""
    if depth > 20:
        return False
    match value:
        case None | bool():
            return True
        case str():
            return not any("\ud800" <= sign <= "\udfff" for sign in value)  # half a character: no file can hold it
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case list():
            return all(_plain(item, depth + 1) for item in value)
        case dict():
            return all(isinstance(key, str) and _plain(item, depth + 1) for key, item in value.items())
    return False


def _shown(value: Any) -> str:
    """A value for a message: short, and on one line whatever it holds."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, a list of a thousand levels
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


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
