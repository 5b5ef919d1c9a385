"""One parameter of a report: its type, its bounds, and which values it takes. Pure."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

__all__ = ["Parameter", "is_date", "shown", "type_of"]


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
        The trailing comment, or the declaration's.
    unit, label
        For people; empty where nobody declared one.
    minimum, maximum
        Both included, of the value or of each item of a list; a date is a text. None where there is none.
    choices
        All that the value, or each item of a list, may be; empty where everything of the type may.
    """

    name: str
    type: str
    default: Any
    help: str = ""
    unit: str = ""
    minimum: Any = None
    maximum: Any = None
    choices: tuple[Any, ...] = ()
    label: str = ""

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        kind = type_of(ast.parse(self.type, mode="eval").body)
        return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))

    def accepts(self, value: Any) -> bool:
        """Whether `value` has the type of this parameter and fits into 64 bits where it is a number."""
        try:
            self._adapter.validate_python(value)
        except ValidationError:
            return False
        return _plain(value)

    def outside(self, value: Any) -> str:
        """Why an accepted value lies outside of bounds and choices, as the end of a sentence; empty when it does not.

        None, where the type takes it, is outside of nothing.
        """
        unit = f" {self.unit}" if self.unit else ""
        for item in _items(value):
            if self.choices and not any(_same(item, choice) for choice in self.choices):
                return f"{shown(item)} is none of {', '.join(map(shown, self.choices))}"
            for limit, below in ((self.minimum, True), (self.maximum, False)):
                if limit is None:
                    continue
                if not _comparable(item, limit):
                    return f"{shown(item)} is no {'date' if isinstance(limit, str) else 'number'}"
                if item < limit if below else item > limit:
                    word = "below the minimum" if below else "above the maximum"
                    return f"{shown(item)}{unit} is {word} of {shown(limit)}{unit}"
        return ""

    @property
    def range(self) -> str:
        """What is allowed within the type, for people: ``20 to 500 sessions``; empty without bounds."""
        unit = f" {self.unit}" if self.unit else ""
        if self.choices:
            return f"one of {', '.join(map(shown, self.choices))}{unit}"
        match self.minimum, self.maximum:
            case None, None:
                return ""
            case low, None:
                return f"{shown(low)}{unit} or more"
            case None, high:
                return f"{shown(high)}{unit} or less"
            case low, high:
                return f"{shown(low)} to {shown(high)}{unit}"


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


def type_of(node: ast.expr) -> Any:
    """The type that an annotation names. Only the names above, ``|``, ``list[]``, ``dict[]``, ``Literal[]``."""
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[type_of(left), type_of(right)]  # noqa: UP007 (a union of computed types)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[type_of(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return dict[str, type_of(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Optional"), slice=item):
            return Union[type_of(item), None]  # noqa: UP007
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            given = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return Literal[tuple(ast.literal_eval(choice) for choice in given)]
    raise ValueError(f"{ast.unparse(node)} is none of int, float, bool, str, date, list, dict, Literal, None")


def is_date(text: str) -> bool:
    """Whether `text` is a day, written as 2020-01-31."""
    try:
        _a_date(text)
    except ValueError:
        return False
    return True


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


def _items(value: Any) -> Iterator[Any]:
    """The values that bounds speak of: the value, or those in a list of whatever depth; None is none."""
    if isinstance(value, list):
        for item in value:
            yield from _items(item)
    elif value is not None:
        yield value


def _same(one: Any, other: Any) -> bool:
    """Equal, where True is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _comparable(one: Any, limit: Any) -> bool:
    if isinstance(limit, str):
        return isinstance(one, str) and is_date(one)
    return isinstance(one, (int, float)) and not isinstance(one, bool)


def shown(value: Any) -> str:
    """A value for a message: short, and on one line whatever it holds."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, a list of a thousand levels
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
