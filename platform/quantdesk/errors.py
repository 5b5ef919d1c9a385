"""Everything that quantdesk raises on purpose, under one root.

::

    QuantdeskError                  the root: catch this, and you catch all of ours
    ├── BadInput                    what the caller gave cannot be used          (exit code 2)
    │   ├── UnknownName             no such symbol, series, feature, report …; names the nearest
    │   ├── BadDates                naive, reversed, or a range that holds no data
    │   └── BadParameter            a parameter that does not exist or has the wrong type
    ├── DataError                   a file or a store is corrupt, half-written or missing  (exit code 3)
    ├── EnvironmentProblem          port, disk, permission, package, interpreter  (exit code 4)
    └── RunFailed                   a report or another long run ended without its result  (exit code 5)

Each message is one sentence that names the value that was wrong, and a second one that says what would be
right; :attr:`QuantdeskError.remedy` holds the second alone. Nothing is half-written when one is raised.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BadDates",
    "BadInput",
    "BadParameter",
    "DataError",
    "EnvironmentProblem",
    "QuantdeskError",
    "RunFailed",
    "UnknownName",
]


class QuantdeskError(Exception):
    """The root of the tree.

    Parameters
    ----------
    problem
        What was wrong, with the value.
    remedy
        What would be right, or what to do. May be empty where nothing can be done.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())


class BadInput(QuantdeskError, ValueError):
    """What the caller gave cannot be used."""

    exit_code = 2


class UnknownName(BadInput, LookupError):
    """A name that is not there: the message offers the nearest ones that are.

    Parameters
    ----------
    what
        The kind of thing that was looked up, for example ``"symbol"``.
    name
        The name as given.
    known
        Every name that would have been right.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            remedy = f"Did you mean {' or '.join(near)}?"
        elif names:
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            remedy = f"Known: {shown}."
        else:
            remedy = f"There is no {what} at all yet."
        self.name = name
        super().__init__(f"Unknown {what} {name!r}.", remedy)


class BadDates(BadInput):
    """A date that is naive where it must not be, a reversed range, or a range without data."""


class BadParameter(BadInput):
    """A parameter that does not exist, or whose value has the wrong type."""


class DataError(QuantdeskError):
    """A file or a store is corrupt, half-written or missing; the message names it."""

    exit_code = 3


class EnvironmentProblem(QuantdeskError):
    """Something about this machine: a port, the disk, a permission, a package."""

    exit_code = 4


class RunFailed(QuantdeskError):
    """A long run ended without its result; the message names what it left behind."""

    exit_code = 5
