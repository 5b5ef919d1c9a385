"""From a raw series to what the store writes: checked, timed, described. Pure."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from quantdesk.errors import BadInput, DataError
from quantdesk.market.checks import problems
from quantdesk.market.series import FIELDS, KINDS, Description, Series
from quantdesk.market.sessions import event_times

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SOURCE_NAME", "SYMBOL", "admit"]

SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,31}")
"""What a symbol may be. An ``@`` would be read as the start of a source; slashes and spaces make trouble in paths."""

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What a source may be called."""


def admit(description: Description, frame: pd.DataFrame) -> tuple[Series, pd.DataFrame]:
    """Check one raw series, and give each row the UTC instant of its event.

    Parameters
    ----------
    description, frame
        As a source hands them over; see :class:`quantdesk.market.sources.RawSeries`.

    Returns
    -------
    tuple
        The series, and a frame with ``timestamp`` (UTC), ``session`` and the fields, one row per session, ascending.

    Raises
    ------
    DataError
        The name, the fields, a date or a number is not what it must be; the message names it.
    """
    _described_well(description)
    name = description.id
    if frame.empty:
        raise DataError(f"{name} holds no rows.", "Leave the series out, or give it data.")
    found = problems(description, frame, strict=False)
    if found:
        first = found[0]
        place = f", row {first.row}" if first.row is not None else ""
        more = f" {len(found) - 1} more like it." if len(found) > 1 else ""
        raise DataError(f"{name}{place}: {first}.{more}", "The source must hand over rows that can be.")
    import pandas as pd

    sessions = pd.DatetimeIndex(frame["session"])
    columns = {field: frame[field].to_numpy() for field in description.fields}
    try:
        events = event_times(description.calendar, sessions)
    except BadInput as error:
        raise DataError(f"{name}: {error.problem}", error.remedy) from error
    if not (events.is_monotonic_increasing and events.is_unique):
        raise DataError(f"{name}: the calendar {description.calendar} gives two sessions the same time.")
    stamped = pd.DataFrame({"timestamp": events, "session": sessions, **columns})
    series = Series(
        **{field.name: getattr(description, field.name) for field in dataclasses.fields(Description)},
        start=sessions[0].date(),
        end=sessions[-1].date(),
        rows=len(sessions),
    )
    return series, stamped


def _described_well(description: Description) -> None:
    """The parts of a description that must fit together."""
    name = f"{description.symbol!r} of {description.source!r}"
    if not SYMBOL.fullmatch(description.symbol):
        raise DataError(
            f"The symbol {name} cannot be used.",
            "Up to 32 of A-Z a-z 0-9 . ^ = _ - are allowed, and the first is a letter, a digit or ^.",
        )
    if not SOURCE_NAME.fullmatch(description.source):
        raise DataError(
            f"The source name {description.source!r} cannot be used.",
            "Up to 32 of a-z 0-9 _ - are allowed, and the first is a letter or a digit.",
        )
    if description.kind not in KINDS:
        raise DataError(f"{name} has the kind {description.kind!r}.", f"There are: {', '.join(KINDS)}.")
    ordered = tuple(field for field in FIELDS if field in description.fields)
    if ordered != description.fields or not {"close", "adj_close"} & set(ordered):
        raise DataError(
            f"{name} has the fields {', '.join(description.fields) or '(none)'}.",
            f"Some of {', '.join(FIELDS)}, in this order, with close or adj_close among them.",
        )
    if description.adjusted_fields and not description.flags.adjusted_with_hindsight:
        raise DataError(
            f"{name} holds {', '.join(description.adjusted_fields)} adjusted for later events, and its flag denies it.",
            "Set adjusted_with_hindsight.",
        )
