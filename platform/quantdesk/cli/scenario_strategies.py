"""Strategies as the command line names them. An edge module: it runs notebooks and imports modules."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantdesk.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from quantdesk.scenarios.strategies import Named, Wisher

__all__ = ["strategies_of"]


def strategies_of(texts: Sequence[str]) -> dict[str, str | Named | Wisher]:
    """Strategies by the name that results give them.

    Parameters
    ----------
    texts
        Each a name (``momentum_alpha``), the path of a notebook (``research/carry.ipynb``), or a function of a module
        that is installed or lies in the working directory (``research.carry:strategy``).

    Raises
    ------
    BadInput
        A module that cannot be imported, or something of it that cannot be called; one strategy twice.
    UnknownName
        The module has no such function.
    BadInput, DataError
        See :func:`quantdesk.reports.strategy.from_notebook`.
    """
    found: dict[str, str | Named | Wisher] = {}
    for text in texts:
        name, strategy = _one(text)
        if name in found:
            raise BadInput(f"The strategy {name} is given twice.", "Give each once, and notebooks different names.")
        found[name] = strategy
    return found


def _one(text: str) -> tuple[str, str | Named | Wisher]:
    if text.endswith(".ipynb"):
        from quantdesk.reports.strategy import from_notebook

        read = from_notebook(text)
        return read.__name__, read
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        return text, _function(*text.split(":"))
    if re.fullmatch(r"\w+", text):
        from quantdesk.scenarios.strategies import named

        named(text)  # or the message that offers the nearest names
        return text, text
    raise BadInput(f"{text[:80]!r} is no strategy.", "Give a name, a notebook's path, or module:function.")


def _function(module: str, name: str) -> Wisher:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise BadInput(
            f"The module {module} cannot be imported ({type(error).__name__}: {error}).",
            "Install it, or call from the directory that holds it.",
        ) from error
    functions = [one for one, what in vars(found).items() if callable(what) and not one.startswith("_")]
    if name not in vars(found):
        raise UnknownName(f"function of {module}", name, functions)
    strategy: Wisher = vars(found)[name]
    if not callable(strategy):
        raise BadInput(f"{module}:{name} is {strategy!r}, which cannot be called.", "Name a function strategy(seen).")
    import cloudpickle

    cloudpickle.register_pickle_by_value(found)  # workers may not have it
    return strategy
