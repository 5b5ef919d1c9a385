"""The rows of a run: as it is when it has not begun, what it recorded, and reading it. An edge module: SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from quantdesk.errors import BadInput, UnknownName
from quantdesk.reports.ledger.entry import FINAL, Order, Recorded, State
from quantdesk.reports.ledger.tables import METRICS, RUNS, as_json, nanoseconds, with_metrics

__all__ = ["fresh", "keep_metrics", "must_be_final", "run_of"]


def run_of(connection: Connection, run_id: str) -> Recorded:
    """One run; UnknownName where there is none of the name."""
    row = connection.execute(select(RUNS).where(RUNS.c.id == run_id)).one_or_none()
    if row is None:
        near = connection.scalars(select(RUNS.c.id).order_by(RUNS.c.queued.desc()).limit(20))
        raise UnknownName("run", run_id[:200], list(near))
    return with_metrics(connection, [row])[0]


def fresh(order: Order, now: int) -> dict[str, Any]:
    """The row of a run that has not begun."""
    not_before = 0 if order.not_before is None else nanoseconds(order.not_before)
    return {
        "id": order.id,
        "report": order.report,
        "title": order.title,
        "parameters": as_json(dict(order.parameters)),
        "requested_by": order.requested_by,
        "owner": order.owner,
        "is_private": order.is_private,
        "trigger": order.trigger,
        "schedule_id": order.schedule_id,
        "due": None if order.due is None else nanoseconds(order.due),
        "after": as_json(list(order.after)),
        "attempts": order.attempts,
        "concurrency": order.concurrency,
        "details": as_json(dict(order.details)),
        "state": State.WAITING if order.after else State.QUEUED,
        "attempt": 0,
        "queued": now,
        "not_before": not_before,
        "started": None,
        "ended": None,
        "holder": "",
        "until": 0,
        "fence": 0,
        "is_cancelling": False,
        "progress": "{}",
        "problem": "",
        "folder": "",
        "record": "{}",
        "cache_key": None,
        "cached_from": None,
        "removed": None,
    }


def keep_metrics(connection: Connection, run_id: str, metrics: Mapping[str, tuple[float | str | None, str]]) -> None:
    """Put what a run recorded in the place of what it had."""
    connection.execute(delete(METRICS).where(METRICS.c.run_id == run_id))
    rows = [
        {
            "run_id": run_id,
            "name": name,
            "value": float(value) if isinstance(value, (int, float)) else None,
            "text": value if isinstance(value, str) else None,
            "unit": unit,
        }
        for name, (value, unit) in metrics.items()
    ]
    if rows:
        connection.execute(insert(METRICS), rows)


def must_be_final(state: State) -> None:
    """BadInput where more comes after a state."""
    if not state.is_final:
        raise BadInput(f"{state} is no end of a run.", f"Give one of {', '.join(FINAL)}.")
