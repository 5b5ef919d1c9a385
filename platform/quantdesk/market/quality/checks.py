"""All checks on one series; the ones on its dates are here, the ones on its numbers in :mod:`.values`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantdesk.market.quality import values
from quantdesk.market.quality.finding import Rows, finding, runs
from quantdesk.market.quality.report import DEGREES, Example, Finding, Report
from quantdesk.market.series import Description

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check"]


def check(description: Description, frame: pd.DataFrame, sessions: pd.DatetimeIndex) -> Report:
    """Look for everything that can be odd in one series.

    Parameters
    ----------
    description
        What the series is: its fields, and whether prices must be positive.
    frame
        Column ``session`` (midnights without a zone) and the fields, as :meth:`quantdesk.market.MarketStore.bars`
        returns them. Order and uniqueness are checked, not assumed.
    sessions
        The days that the calendar has from the first row to the last, as
        :func:`quantdesk.market.sessions.sessions_between` returns them.

    Returns
    -------
    Report
        Only what was found, the worst degree first. `frame` is not changed.
    """
    rows = Rows(description, frame.reset_index(drop=True))
    found = [duplicates(rows), missing_sessions(rows, sessions), extra_sessions(rows, sessions)]
    ordered = rows.ascending()
    found += [look(ordered) for look in values.CHECKS]
    kept = sorted((one for one in found if one is not None), key=lambda one: DEGREES.index(one.degree))
    return Report(description.id, len(frame), len(sessions), tuple(kept))


def duplicates(rows: Rows) -> Finding | None:
    """Sessions that come twice, and rows out of order."""
    days = rows.frame["session"]
    hit = days.duplicated() | (days < days.cummax())
    examples = [Example(day.date(), 1.0, f"{day.date()} comes again or too late") for day in days[hit]]
    return finding("duplicates", "wrong", hit.sum(), len(days), "a session that comes again, or out of order", examples)


def missing_sessions(rows: Rows, sessions: pd.DatetimeIndex) -> Finding | None:
    """Days on which the calendar has a session and the series has no row; the longest gap first."""
    absent = ~sessions.isin(rows.frame["session"])
    examples = [
        Example(
            sessions[start].date(),
            float(length),
            f"{sessions[start].date()}"
            + (f" to {sessions[start + length - 1].date()}, {length} sessions" if length > 1 else ""),
        )
        for start, length in runs(absent)
    ]
    return finding(
        "missing_sessions",
        "doubtful",
        absent.sum(),
        len(sessions),
        "the calendar has a session, there is no row",
        examples,
    )


def extra_sessions(rows: Rows, sessions: pd.DatetimeIndex) -> Finding | None:
    """Rows on days on which the calendar has no session."""
    days = rows.frame["session"]
    hit = ~days.isin(sessions)
    examples = [Example(day.date(), 1.0, f"{day.date()}, a {day.day_name()}") for day in days[hit]]
    return finding("extra_sessions", "doubtful", hit.sum(), len(days), "a row on a day without a session", examples)
