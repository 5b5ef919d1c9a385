"""QuantLib, imported when it is first needed (a second), and its dates. Pure.

QuantLib keeps one evaluation date for the whole process. Nothing here depends on it: curves are bootstrapped under
:func:`evaluation_date`, which sets it under a lock and sets it back, and what they come to is kept as plain numbers.
"""

from __future__ import annotations

import datetime as dt
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

from quantdesk.errors import BadInput

__all__ = ["after", "date_of", "evaluation_date", "quantlib"]

_LOCK = threading.RLock()
_FIRST, _LAST = dt.date(1901, 1, 1), dt.date(2199, 12, 31)


@lru_cache(maxsize=1)
def quantlib() -> ModuleType:
    """The module."""
    with warnings.catch_warnings():
        # Python 3.12 and above say of every module that SWIG made that its types have no __module__.
        warnings.simplefilter("ignore", DeprecationWarning)
        import QuantLib  # type: ignore[import-untyped,unused-ignore]

    module: ModuleType = QuantLib
    return module


def date_of(day: dt.date) -> Any:
    """A day as QuantLib has it.

    Raises
    ------
    BadInput
        It knows days from 1901 to 2199.
    """
    if not _FIRST <= day <= _LAST:
        raise BadInput(f"The day {day} cannot be priced on.", f"Give one from {_FIRST} to {_LAST}.")
    return quantlib().Date(day.day, day.month, day.year)


def after(day: dt.date, count: int, unit: str) -> dt.date:
    """The day that lies so many days, weeks, months or years (``D``, ``W``, ``M``, ``Y``) later.

    A day that the month lacks is its last: a month after January 31 is February 28 or 29.
    """
    try:
        then = date_of(day) + quantlib().Period(f"{count}{unit}")
    except RuntimeError as error:
        raise BadInput(f"{count}{unit} after {day} cannot be priced on.", f"Stay before {_LAST}.") from error
    return dt.date(then.year(), then.month(), then.dayOfMonth())


@contextmanager
def evaluation_date(day: dt.date) -> Iterator[None]:
    """QuantLib believes that it is this day; one thread at a time."""
    with _LOCK:
        settings = quantlib().Settings.instance()
        before = settings.evaluationDate
        settings.evaluationDate = date_of(day)
        try:
            yield
        finally:
            if before == quantlib().Date.todaysDate():  # nobody had set it: let it follow the clock again
                settings.resetEvaluationDate()
            else:
                settings.evaluationDate = before
