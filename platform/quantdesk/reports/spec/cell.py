"""Reads the cell tagged ``parameters``, without running it. Pure."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from typing import Any

from quantdesk.errors import DataError
from quantdesk.reports.spec.parameter import Parameter, is_date, shown, type_of

__all__ = ["read_parameters"]


def _inferred(value: Any) -> str:
    """The type of a default that has no annotation."""
    match value:
        case None:
            return "any"
        case bool() | int() | float():
            return type(value).__name__
        case str():
            return "date" if is_date(value) else "str"
        case list():
            kinds = {_inferred(item) for item in value}
            if kinds == {"int", "float"}:
                kinds = {"float"}
            return f"list[{kinds.pop()}]" if len(kinds) == 1 and not kinds & {"any"} else "list"
        case dict():
            return "dict"
    raise ValueError(f"{value!r} is no JSON value")


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
            raise refuse(f"line {statement.lineno}: the default {shown(default)} of {name} is no {kind}")
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
    type_of(annotation)
    kind = ast.unparse(annotation)
    # A notebook cannot annotate a text as a date without an import; the default tells.
    if isinstance(default, str) and is_date(default):
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
