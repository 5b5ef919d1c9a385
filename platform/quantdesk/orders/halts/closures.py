"""Days on which an exchange was shut although the calendars list a session. Pure.

`exchange_calendars` knows holidays, early closes and most closures (New York was shut from 2001-09-11 to 09-14, and it
says so). What it lacks stands in ``closures.toml``, dated and with its source.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

__all__ = ["Closure", "closures"]


@dataclass(frozen=True)
class Closure:
    """An exchange was shut.

    Attributes
    ----------
    exchange
        Its MIC.
    first, last
        Local days, both included.
    reason, source, grade
        Why, where it was read, and how sure that is (see :class:`~quantdesk.orders.rulebook.entries.Entry`).
    """

    exchange: str
    first: dt.date
    last: dt.date
    reason: str
    source: str
    grade: str

    def __contains__(self, day: dt.date) -> bool:
        return self.first <= day <= self.last


@lru_cache(maxsize=1)
def _all() -> tuple[Closure, ...]:
    text = resources.files(__package__).joinpath("closures.toml").read_text(encoding="utf-8")
    return tuple(Closure(**entry) for entry in tomllib.loads(text)["closure"])


def closures(exchange: str) -> tuple[Closure, ...]:
    """The closures of an exchange that `exchange_calendars` lacks, in the order of time; often none.

    Examples
    --------
    >>> [(str(one.first), str(one.last)) for one in closures("XMOS")]
    [('2022-02-28', '2022-03-23')]
    """
    return tuple(sorted((one for one in _all() if one.exchange == exchange.upper()), key=lambda one: one.first))
