"""Calling the function under audit: on copies, quietly, repeatably, with failures as values. Pure.

The function is the caller's own code and runs as it would anywhere in the caller's process.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.features.audit.answers import Answer, Unreadable, answer_of
from quantdesk.features.audit.material import Material

__all__ = ["Failure", "Trial", "code_of", "outside_data", "same_input"]


@dataclass(frozen=True)
class Failure:
    """A call that gave no answer.

    Attributes
    ----------
    kind
        ``"fails"`` for an exception, ``"wrong_shape"`` for something that cannot be matched with the rows.
    words
        What happened, in one sentence.
    """

    kind: str
    words: str


class Trial:
    """The function, and how it is called.

    Parameters
    ----------
    function
        Takes the data, gives an answer.
    seeded
        A seed for numpy's and Python's global generators before each call, for a function that draws from them; None
        leaves them alone.
    """

    def __init__(self, function: Callable[[Any], Any], seeded: int | None = None) -> None:
        self.function = function
        self.seeded = seeded
        self.calls = 0

    def raw(self, data: Material, given: Any = None) -> Any:
        """What the function returns; its exceptions come through."""
        self.calls += 1
        with _quiet(), _seeded(self.seeded):
            return self.function(data.given() if given is None else given)

    def __call__(self, data: Material, given: Any = None) -> Answer | Failure:
        """The answer, laid out."""
        try:
            output = self.raw(data, given)
        except Exception as error:  # noqa: BLE001  whatever the caller's code raises is an outcome
            text = str(error).strip().splitlines()
            return Failure("fails", f"{type(error).__name__}: {text[0] if text else 'no message'}")
        try:
            return answer_of(output, data)
        except Unreadable as problem:
            return Failure("wrong_shape", str(problem))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hundreds of calls on odd data must not fill the notebook with warnings and prints."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    numpys, pythons = np.random.get_state(), random.getstate()
    try:
        np.random.seed(seed)
        random.seed(seed)
        yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)


def same_input(before: Any, after: Any) -> str | None:
    """What a function changed in its input, in words; None where it left it alone."""
    if isinstance(before, dict):
        if set(before) != set(after):
            return f"the entries {sorted(map(str, set(before) ^ set(after)))}"
        words = ((name, same_input(before[name], after[name])) for name in before)
        return next((f"{name!r}: {found}" for name, found in words if found), None)
    if isinstance(before, pd.DataFrame):
        if list(before.columns) != list(after.columns):
            changed = [str(name) for name in [*after.columns, *before.columns]
                       if (name in before.columns) != (name in after.columns)]  # fmt: skip
            return f"the columns {', '.join(changed)}" if changed else "the order of the columns"
        if not before.index.equals(after.index):
            return "the index"
        different = [str(name) for place, name in enumerate(before.columns)
                     if not before.iloc[:, place].equals(after.iloc[:, place])]  # fmt: skip
        return f"the values of {', '.join(different)}" if different else None
    if isinstance(before, pd.Series):
        return None if before.index.equals(after.index) and before.equals(after) else "the values"
    if isinstance(before, np.ndarray):
        alike = before.shape == after.shape and pd.DataFrame(before).equals(pd.DataFrame(after))
        return None if alike else "the values"
    return None


def code_of(function: Any) -> types.CodeType | None:
    """The code that runs when a function is called; None for one that is not written in Python."""
    seen = function
    for _ in range(8):
        if isinstance(seen, functools.partial):
            seen = seen.func
        elif hasattr(seen, "py_func"):  # numba's compiled functions keep what they were made from
            seen = seen.py_func
        elif hasattr(seen, "__wrapped__"):
            seen = seen.__wrapped__
        elif isinstance(seen, types.MethodType):
            seen = seen.__func__
        elif isinstance(seen, types.FunctionType):
            return seen.__code__
        elif isinstance(seen, type):
            return None
        else:  # an object with a __call__ of its own
            seen = vars(type(seen)).get("__call__")
    return None


def outside_data(function: Any, rows: int) -> list[str]:
    """Names of tables that a function reads from its module, its notebook or its enclosing function.

    A table is a pandas object with times as index, an array as long as the data, or a fitted estimator. A plain
    number is not one: where it came from cannot be seen.
    """
    holder = _plain(function)
    if holder is None:
        return []
    free = dict(zip(holder.__code__.co_freevars, holder.__closure__ or (), strict=False))
    found = {name: _content(cell) for name, cell in free.items()}
    for code in _codes(holder.__code__):
        found |= {name: holder.__globals__[name] for name in code.co_names if name in holder.__globals__}
    for place, value in enumerate(holder.__defaults__ or ()):
        found[f"default {place + 1}"] = value
    if isinstance(function, functools.partial):
        found |= dict(function.keywords) | {f"argument {place + 1}": one for place, one in enumerate(function.args)}
    return sorted(name for name, value in found.items() if _is_data(value, rows))


def _plain(function: Any) -> types.FunctionType | None:
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, types.MethodType):
        function = function.__func__
    return function if isinstance(function, types.FunctionType) else None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _is_data(value: Any, rows: int) -> bool:
    if isinstance(value, pd.Series | pd.DataFrame):
        levels = [value.index.get_level_values(number) for number in range(value.index.nlevels)]
        dated = any(isinstance(level, pd.DatetimeIndex | pd.PeriodIndex) for level in levels)
        return dated or len(value) == rows
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and len(value) == rows
    if isinstance(value, type) or "sklearn" not in sys.modules or not hasattr(value, "fit"):
        return False
    return any(name.endswith("_") and not name.startswith("_") for name in vars(value))
