"""Which runs of a report are past what it keeps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from quantdesk.reports.declaration import Retention
from quantdesk.reports.ledger.entry import Left, State

__all__ = ["past"]


def past(left: Sequence[Left], retention: Retention, now: datetime) -> tuple[str, ...]:
    """The names of the runs whose files may go.

    A run is kept as long as one of the two limits keeps it, and always where it is the newest complete one, where
    somebody spoke of it or signed it, and where a run that is kept shares its files.

    Parameters
    ----------
    left
        All runs of one report that have ended and have files, the newest first.
    retention
        What the report declares.
    now
        The moment (UTC).

    Returns
    -------
    tuple
        Those that share another's files first: what nobody shares any more can go after them.
    """
    if retention.runs is None and retention.days is None:
        return ()
    kept = {one.id for one in left if one.is_held}
    if retention.runs is not None:
        kept |= {one.id for one in left[: retention.runs]}
    if retention.days is not None:
        since = now - timedelta(days=retention.days)
        kept |= {one.id for one in left if one.began >= since}
    newest = next((one.id for one in left if one.state is State.COMPLETED), None)
    if newest is not None:
        kept.add(newest)
    sources = {one.id: one.cached_from for one in left}
    look = list(kept)
    while look:
        source = sources.get(look.pop())
        if source is not None and source not in kept:
            kept.add(source)
            look.append(source)
    gone = [one for one in left if one.id not in kept]
    return tuple(one.id for one in sorted(gone, key=lambda one: one.cached_from is None))
