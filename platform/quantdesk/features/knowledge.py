"""When the rows of a source could first be known: its policy, declared beside the view and applied to its rows. Pure.

A feature row says what it is about (its event). Whether it may answer a question of the past depends on when it was
known, and sources differ in how they tell:

- :class:`PublishedAt`: a column says when each row was published. Vendors of news, filings and estimates have one.
- :class:`EventPlus`: the row was known a fixed time after its event, such as a session's close plus 15 minutes. History
  that was loaded today was not learned today; this policy says when it was.
- :class:`LoadTime`: the row was known when it was loaded here, and no earlier. The safe choice for what nobody dated.

A policy is written as a tag, so that the view stays plain Feast, whatever else reads it:

>>> import datetime as dt
>>> PublishedAt("published").tags
{'knowledge_time': 'published at published'}
>>> EventPlus(dt.timedelta(days=1, minutes=15)).tags
{'knowledge_time': 'event plus 1d 15min'}
>>> parse({"knowledge_time": "load time"}, "view news")
LoadTime()
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = ["TAG", "EventPlus", "Knowledge", "LoadTime", "PublishedAt", "known_times", "parse"]

TAG = "knowledge_time"
"""The tag of a Feast view, or of its source, that holds the policy."""

Integers = NDArray[np.int64]

_UNITS = {"d": dt.timedelta(days=1), "h": dt.timedelta(hours=1), "min": dt.timedelta(minutes=1)}
_UNITS |= {"s": dt.timedelta(seconds=1), "us": dt.timedelta(microseconds=1)}
_REMEDY = (
    'Write "published at COLUMN", "event plus 1d 2h 15min" or "load time", or let quantdesk.features.knowledge write '
    'it: tags=PublishedAt("COLUMN").tags.'
)


@dataclass(frozen=True)
class PublishedAt:
    """Known when a column of the source says.

    Attributes
    ----------
    column
        The column, which is also the source's ``created_timestamp_column``: aware times, none missing.
    """

    column: str

    @property
    def tags(self) -> dict[str, str]:
        """The policy as a tag of a Feast view or source."""
        return {TAG: f"published at {self.column}"}

    @property
    def sentence(self) -> str:
        """The policy in words."""
        return f"known when its column {self.column!r} says"


@dataclass(frozen=True)
class EventPlus:
    """Known a fixed time after the event.

    The first version of an event was known then, whenever it was loaded. A later version was known when it was loaded
    (the ``created_timestamp_column``, if the source has one), and not before the first.

    Attributes
    ----------
    lag
        The time from the event; zero or more.
    """

    lag: dt.timedelta

    def __post_init__(self) -> None:
        if not isinstance(self.lag, dt.timedelta) or self.lag < dt.timedelta(0):
            raise BadInput(
                f"A row cannot be known {self.lag!r} after its event.", "Give a datetime.timedelta of zero or more."
            )

    @property
    def tags(self) -> dict[str, str]:
        """The policy as a tag of a Feast view or source."""
        return {TAG: f"event plus {_written(self.lag)}"}

    @property
    def sentence(self) -> str:
        """The policy in words."""
        return f"known {_written(self.lag)} after its event, and later versions when they were loaded"


@dataclass(frozen=True)
class LoadTime:
    """Known when it was loaded here: the time that the ``created_timestamp_column`` holds."""

    @property
    def tags(self) -> dict[str, str]:
        """The policy as a tag of a Feast view or source."""
        return {TAG: "load time"}

    @property
    def sentence(self) -> str:
        """The policy in words."""
        return "known when it was loaded here"


Knowledge = PublishedAt | EventPlus | LoadTime


def parse(tags: Mapping[str, str], where: str) -> Knowledge | None:
    """The policy that some tags declare; None where they declare none.

    Parameters
    ----------
    tags
        Of a Feast view or source.
    where
        What they are tags of, for the error.

    Raises
    ------
    BadInput
        The tag is there and says nothing that can be understood.
    """
    text = tags.get(TAG)
    if text is None:
        return None
    words = " ".join(str(text).split())
    if words == "load time":
        return LoadTime()
    if words.startswith("published at ") and words.removeprefix("published at "):
        return PublishedAt(words.removeprefix("published at "))
    lag = _read(words.removeprefix("event plus ")) if words.startswith("event plus ") else None
    if lag is None:
        raise BadInput(f"The tag {TAG} of {where} is {str(text)[:80]!r}.", _REMEDY)
    return EventPlus(lag)


def known_times(
    policy: Knowledge | None, key: Integers, event: Integers, created: Integers | None, *, per_second: int = 10**9
) -> Integers:
    """When each row of a source was known.

    Parameters
    ----------
    policy
        As declared. None where nothing is: what the created column says, or the event where there is no such column.
    key
        Shape ``(n,)``: whose row it is, as codes.
    event
        Shape ``(n,)``: since 1970 (UTC).
    created
        Shape ``(n,)``: what the created column says, or None where the source has none. Only :class:`EventPlus` can do
        without.
    per_second
        How finely the times are counted; nanoseconds unless said otherwise.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``: the created times that the point-in-time join is to use.

    Raises
    ------
    BadInput
        The policy needs a created column and there is none.
    """
    if isinstance(policy, EventPlus):
        first = event + (policy.lag // dt.timedelta(microseconds=1)) * (per_second // 1_000_000)
        if created is None or not len(event):
            return first
        order = np.lexsort((np.arange(len(event)), created, event, key))
        later = np.zeros(len(order), dtype=bool)
        later[1:] = (key[order][1:] == key[order][:-1]) & (event[order][1:] == event[order][:-1])
        known = first.copy()
        known[order[later]] = np.maximum(first, created)[order[later]]
        return known
    if created is not None:
        return created
    if policy is not None:
        raise BadInput(
            f"A source whose rows are {policy.sentence} has no created column.",
            "Name it as the source's created_timestamp_column.",
        )
    return event


def _written(lag: dt.timedelta) -> str:
    """A duration such as ``1d 2h 15min``."""
    parts = []
    for unit, size in _UNITS.items():
        count, lag = divmod(lag, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0min"


def _read(text: str) -> dt.timedelta | None:
    """The inverse; None for anything else."""
    found = re.findall(r"(\d{1,6}) ?(us|min|d|h|s)\b", text)
    if not found or "".join(text.split()) != "".join(count + unit for count, unit in found):
        return None
    return sum((int(count) * _UNITS[unit] for count, unit in found), dt.timedelta(0))
