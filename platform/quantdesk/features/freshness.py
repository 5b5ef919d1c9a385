"""How fresh features are, against what was agreed. Pure: the time comes in as an argument.

What counts are sessions of the series' own calendar, not hours: on a Monday morning the row of Friday is the latest
that there can be. A session is due when its value could be known, that is at its close plus the publication lag.

A history that ships as a finished file is complete when the store holds it to its last session. It is then *ended*,
which is neither fresh nor late: nothing newer will ever come from that file, and a reader must know how old it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from quantdesk.errors import BadInput, BadParameter

if TYPE_CHECKING:
    from quantdesk.market.series import Series

__all__ = ["AGREED", "Agreement", "Fresh", "State", "agreements", "broken", "freshness", "gone", "own_view", "summary"]


@dataclass(frozen=True)
class Agreement:
    """What may be missing before the features of a source are late (its service level).

    Attributes
    ----------
    sessions
        How many due sessions may be missing.
    reason
        Why so many.
    """

    sessions: int
    reason: str


AGREED: Mapping[str, Agreement] = MappingProxyType(
    {
        "close": Agreement(1, "loaded once a day: the last close may wait for the next load, the one before may not"),
        "ecb-fixing": Agreement(1, "loaded once a day"),
        "treasury-curve": Agreement(1, "loaded once a day"),
        "eia-spot": Agreement(5, "released once a week, five sessions at a time"),
        "monthly-average": Agreement(1, "one value a month, loaded within the month after it"),
    }
)
"""The agreement per kind of publication; see :data:`quantdesk.market.publication.POLICIES`."""
_OTHER = Agreement(1, "loaded once a day; nothing else was agreed for this kind of publication")


class State(StrEnum):
    """How a table of features stands."""

    FRESH = "fresh"
    LATE = "late"
    BEHIND = "behind"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    ENDED = "ended"
    GONE = "gone"
    OPEN = "open"


_BROKEN = frozenset({State.LATE, State.BEHIND, State.EMPTY, State.UNKNOWN})


@dataclass(frozen=True)
class Fresh:
    """How fresh one series is in one view.

    Attributes
    ----------
    view, series, source
        Which table: the view, the key of the series (None for a view about the market), where it comes from.
    publication
        The kind of publication, which decides what was agreed.
    state
        See :class:`State`.
    last
        The session of the latest row that is known; None where there is none.
    due
        The latest session whose value could be known by now; None for a source that gives nothing any more.
    missing, allowed
        How many due sessions are missing, and how many may be.
    says
        The state in a sentence.
    """

    view: str
    series: str | None
    source: str
    publication: str
    state: State
    last: dt.date | None
    due: dt.date | None
    missing: int
    allowed: int
    says: str

    @property
    def broken(self) -> bool:
        """Whether what was agreed does not hold, or could not be checked."""
        return self.state in _BROKEN

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "view": self.view,
            "series": self.series,
            "source": self.source,
            "publication": self.publication,
            "state": self.state.value,
            "broken": self.broken,
            "last": self.last.isoformat() if self.last else None,
            "due": self.due.isoformat() if self.due else None,
            "missing": self.missing,
            "allowed": self.allowed,
            "says": self.says,
        }


def agreements(text: str) -> Mapping[str, Agreement]:
    """The agreements with changes, written as ``"close=2,eia-spot=7"``; an empty text changes nothing.

    The name of a view of the user's own makes an agreement for it, in days.

    Raises
    ------
    BadParameter
        A part is not ``publication=sessions`` with a number from 0 up. The name ``*`` is for every publication that
        has no agreement of its own.
    """
    changed = dict(AGREED)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, found, number = (word.strip() for word in part.partition("="))
        if not found or not name or not number.isdecimal():
            raise BadParameter(
                f"{part!r} is no agreement on freshness.", "Write publication=sessions, for example close=2,eia-spot=7."
            )
        changed[name] = Agreement(int(number), "set for this installation")
    return MappingProxyType(changed)


def freshness(
    view: str,
    series: Series,
    last: dt.date | None,
    now: dt.datetime,
    *,
    finished: Collection[str] = (),
    agreed: Mapping[str, Agreement] = AGREED,
    about: str | None = "",
) -> Fresh:
    """Judge one series in one view.

    Parameters
    ----------
    view
        The view's name.
    series
        As the build holds it: its `end` is the documented end of its source.
    last
        The session of the latest row that is known; None where there is none.
    now
        When the question is asked; aware.
    finished
        The sources that are files which nobody will extend: what ships with the platform.
    agreed
        The agreements by kind of publication; ``"*"`` for all others.
    about
        What the row is about, for a view that is not about single series: None for the market as a whole. The key of
        the series when left out.

    Raises
    ------
    BadInput
        `now` has no time zone.
    """
    if now.tzinfo is None:
        raise BadInput(f"The time {now} has no time zone.", "Give an aware time.")
    allowed = agreed.get(series.publication, agreed.get("*", _OTHER)).sessions
    name = series.key if about == "" else about

    def judged(state: State, says: str, due: dt.date | None = None, missing: int = 0) -> Fresh:
        return Fresh(view, name, series.source, series.publication, state, last, due, missing, allowed, says)

    if last is None:
        return judged(State.EMPTY, "no row is known at all")
    if last < series.end:
        return judged(
            State.BEHIND, f"the rows end on {last}, while {series.source} was loaded up to {series.end}", series.end
        )
    try:
        due, missing = _due(series, last, now)
    except BadInput as error:
        return judged(State.UNKNOWN, f"which sessions are due cannot be said: {error.problem}")
    if missing and series.source in finished:
        age = (now.date() - series.end).days
        return judged(
            State.ENDED,
            f"{series.package} {series.version} ends on {series.end}, {age:,} days ago; its whole history is here",
        )
    if missing > allowed:
        return judged(State.LATE, f"{missing:,} due sessions are missing, {allowed} may be", due, missing)
    waiting = f"{missing} due session{'s' if missing != 1 else ''} missing, {allowed} may be" if missing else "complete"
    return judged(State.FRESH, waiting, due, missing)


def own_view(view: str, last: dt.datetime | None, now: dt.datetime, agreed: Mapping[str, Agreement] = AGREED) -> Fresh:
    """Judge a view of the user's own, which has no calendar: its agreement counts days, and stands under its name.

    Parameters
    ----------
    view
        The view's name.
    last
        When the latest row happened that is known; None where there is none.
    now
        When the question is asked; aware.
    agreed
        The agreements. A view that has none is *open*: nobody has said how fresh it must be, and it is not called
        fresh.
    """
    day = None if last is None else last.astimezone(dt.UTC).date()

    def judged(state: State, says: str, missing: int = 0, allowed: int = 0) -> Fresh:
        return Fresh(view, None, "own view", "own view", state, day, None, missing, allowed, says)

    if last is None:
        return judged(State.EMPTY, "no row is known at all")
    age = max(now - last, dt.timedelta(0)).days
    if view not in agreed:
        return judged(State.OPEN, f"its latest row is {age:,} days old; how old it may be was not agreed", age)
    allowed = agreed[view].sessions
    state = State.FRESH if age <= allowed else State.LATE
    return judged(state, f"its latest row is {age:,} days old, {allowed:,} days were agreed", age, allowed)


def gone(view: str, series: Series, last: dt.date | None) -> Fresh:
    """A series that the market store no longer holds: its history stays, and nothing more is expected."""
    says = f"{series.source} no longer holds it; its rows stay, and say when it went"
    return Fresh(view, series.key, series.source, series.publication, State.GONE, last, None, 0, 0, says)


def _due(series: Series, last: dt.date, now: dt.datetime) -> tuple[dt.date, int]:
    """The latest session that could be known by now, and how many such sessions follow the last one that is there."""
    import pandas as pd

    from quantdesk.market.sessions import event_times, sessions_between

    until = max((now + dt.timedelta(days=1)).date(), last)
    sessions = sessions_between(series.calendar, last, until)
    known = event_times(series.calendar, sessions) + series.publication_lag
    due = sessions[(known <= pd.Timestamp(now)) & (sessions > pd.Timestamp(last))]
    return (due[-1].date() if len(due) else last), len(due)


def broken(found: Iterable[Fresh]) -> tuple[Fresh, ...]:
    """Those for which what was agreed does not hold."""
    return tuple(one for one in found if one.broken)


def summary(found: Iterable[Fresh]) -> list[dict[str, Any]]:
    """One entry per view, source, publication and state, with the number of series and the range of last sessions."""
    groups: dict[tuple[str, str, str, State], list[Fresh]] = {}
    for one in found:
        groups.setdefault((one.view, one.source, one.publication, one.state), []).append(one)
    rows = []
    for (view, source, publication, state), members in groups.items():
        lasts = sorted(one.last for one in members if one.last is not None)
        worst = max(members, key=lambda one: one.missing)
        rows.append(
            {
                "view": view,
                "source": source,
                "publication": publication,
                "state": state.value,
                "broken": members[0].broken,
                "series": len(members),
                "first_last": lasts[0].isoformat() if lasts else None,
                "last": lasts[-1].isoformat() if lasts else None,
                "missing": worst.missing,
                "allowed": members[0].allowed,
                "says": worst.says if len(members) == 1 or members[0].broken else _together(state, members),
            }
        )
    return rows


def _together(state: State, members: list[Fresh]) -> str:
    ends = sorted({one.last for one in members if one.last is not None})
    span = f"on {ends[0]}" if len(ends) == 1 else f"between {ends[0]} and {ends[-1]}" if ends else ""
    if state is State.ENDED:
        return f"finished files, whole to their documented ends {span}"
    return members[0].says
