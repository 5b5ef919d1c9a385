"""The tables of the newest revision, and how their rows are read. An edge module: SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, Row, Table, Text, select

from quantdesk.reports.ledger.entry import (
    Attempt,
    Comment,
    Delivery,
    DeliveryState,
    Recorded,
    Schedule,
    SignOff,
    State,
    Verdict,
)

__all__ = [
    "ATTEMPTS",
    "COMMENTS",
    "DELIVERIES",
    "METRICS",
    "RUNS",
    "SCHEDULES",
    "SIGN_OFFS",
    "TRAIL",
    "as_json",
    "attempt_of",
    "comment_of",
    "delivery_of",
    "moment",
    "nanoseconds",
    "recorded_of",
    "schedule_of",
    "sign_off_of",
    "with_metrics",
]

_META = MetaData()
RUNS = Table(
    "runs",
    _META,
    Column("id", Text, primary_key=True),
    Column("report", Text),
    Column("title", Text),
    Column("parameters", Text),
    Column("requested_by", Text),
    Column("owner", Text),
    Column("is_private", Boolean),
    Column("trigger", Text),
    Column("schedule_id", Text),
    Column("due", BigInteger),
    Column("after", Text),
    Column("attempts", Integer),
    Column("concurrency", Integer),
    Column("details", Text),
    Column("state", Text),
    Column("attempt", Integer),
    Column("queued", BigInteger),
    Column("not_before", BigInteger),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("holder", Text),
    Column("until", BigInteger),
    Column("fence", BigInteger),
    Column("is_cancelling", Boolean),
    Column("progress", Text),
    Column("problem", Text),
    Column("folder", Text),
    Column("record", Text),
    Column("cache_key", Text),
    Column("cached_from", Text),
    Column("removed", BigInteger),
)
METRICS = Table(
    "metrics",
    _META,
    Column("run_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Float),
    Column("text", Text),
    Column("unit", Text),
)
ATTEMPTS = Table(
    "attempts",
    _META,
    Column("run_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("holder", Text),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("state", Text),
    Column("problem", Text),
)
SCHEDULES = Table(
    "schedules",
    _META,
    Column("id", Text, primary_key=True),
    Column("report", Text),
    Column("trigger", Text),
    Column("timezone", Text),
    Column("created_by", Text),
    Column("parameters", Text),
    Column("catch_up", Text),
    Column("is_enabled", Boolean),
    Column("after", Text),
    Column("is_private", Boolean),
    Column("source", Text),
    Column("details", Text),
    Column("handled", BigInteger),
    Column("version", Integer),
    Column("is_removed", Boolean),
)
COMMENTS = Table(
    "comments",
    _META,
    Column("number", BigInteger, primary_key=True),
    Column("run_id", Text),
    Column("cell_id", Text),
    Column("author", Text),
    Column("at", BigInteger),
    Column("text", Text),
)
SIGN_OFFS = Table(
    "sign_offs",
    _META,
    Column("number", BigInteger, primary_key=True),
    Column("run_id", Text),
    Column("author", Text),
    Column("at", BigInteger),
    Column("verdict", Text),
    Column("note", Text),
)
TRAIL = Table(
    "trail",
    _META,
    Column("number", BigInteger, primary_key=True),
    Column("at", BigInteger),
    Column("who", Text),
    Column("what", Text),
    Column("subject", Text),
    Column("details", Text),
)
DELIVERIES = Table(
    "deliveries",
    _META,
    Column("id", Text, primary_key=True),
    Column("run_id", Text),
    Column("channel", Text),
    Column("target", Text),
    Column("message", Text),
    Column("state", Text),
    Column("attempts", Integer),
    Column("not_before", BigInteger),
    Column("until", BigInteger),
    Column("problem", Text),
    Column("created", BigInteger),
)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(at: datetime) -> int:
    """A moment as the tables hold it: nanoseconds since 1970 (UTC)."""
    since = at - EPOCH
    return (since // timedelta(microseconds=1)) * 1000


def moment(ns: int) -> datetime:
    """The moment (UTC) of :func:`nanoseconds`, to the microsecond."""
    return EPOCH + timedelta(microseconds=ns // 1000)


def as_json(value: Any) -> str:
    """One text for one value: keys in order, no NaN."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _maybe(ns: int | None) -> datetime | None:
    return None if ns is None else moment(ns)


def _read(text: str) -> Any:
    """The value of a text of :func:`as_json`; nearly all are empty."""
    return {} if text == "{}" else [] if text == "[]" else json.loads(text)


def recorded_of(row: Row[Any], metrics: Mapping[str, tuple[float | str | None, str]]) -> Recorded:
    """The run of a row of ``runs``, with its metrics."""
    return Recorded(
        id=row.id,
        report=row.report,
        title=row.title,
        parameters=_read(row.parameters),
        requested_by=row.requested_by,
        owner=row.owner,
        is_private=bool(row.is_private),
        trigger=row.trigger,
        schedule_id=row.schedule_id,
        due=_maybe(row.due),
        after=tuple(_read(row.after)),
        attempts=row.attempts,
        concurrency=row.concurrency,
        details=_read(row.details),
        state=State(row.state),
        attempt=row.attempt,
        queued=moment(row.queued),
        started=_maybe(row.started),
        ended=_maybe(row.ended),
        holder=row.holder,
        is_cancelling=bool(row.is_cancelling),
        progress=_read(row.progress),
        problem=row.problem,
        folder=row.folder,
        record=_read(row.record),
        metrics=metrics,
        cache_key=row.cache_key,
        cached_from=row.cached_from,
        removed=_maybe(row.removed),
    )


def with_metrics(connection: Any, rows: list[Row[Any]]) -> tuple[Recorded, ...]:
    """The runs of rows, in their order, with what they recorded."""
    found: dict[str, dict[str, tuple[float | str | None, str]]] = {row.id: {} for row in rows}
    if found:
        for one in connection.execute(select(METRICS).where(METRICS.c.run_id.in_(found)).order_by(METRICS.c.name)):
            found[one.run_id][one.name] = (one.text if one.value is None else one.value, one.unit)
    return tuple(recorded_of(row, found[row.id]) for row in rows)


def attempt_of(row: Row[Any]) -> Attempt:
    """The attempt of a row of ``attempts``."""
    return Attempt(
        row.run_id, row.number, row.holder, moment(row.started), moment(row.ended), State(row.state), row.problem
    )


def schedule_of(row: Row[Any]) -> Schedule:
    """The schedule of a row of ``schedules``."""
    return Schedule(
        id=row.id,
        report=row.report,
        trigger=row.trigger,
        timezone=row.timezone,
        created_by=row.created_by,
        parameters=json.loads(row.parameters),
        catch_up=row.catch_up,
        is_enabled=bool(row.is_enabled),
        after=tuple(json.loads(row.after)),
        is_private=bool(row.is_private),
        source=row.source,
        details=json.loads(row.details),
        handled=_maybe(row.handled),
        version=row.version,
    )


def comment_of(row: Row[Any]) -> Comment:
    """The comment of a row of ``comments``."""
    return Comment(row.number, row.run_id, row.cell_id, row.author, moment(row.at), row.text)


def sign_off_of(row: Row[Any]) -> SignOff:
    """The sign-off of a row of ``sign_offs``."""
    return SignOff(row.number, row.run_id, row.author, moment(row.at), Verdict(row.verdict), row.note)


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery of a row of ``deliveries``."""
    return Delivery(
        id=row.id,
        run_id=row.run_id,
        channel=row.channel,
        target=row.target,
        message=json.loads(row.message),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        not_before=moment(row.not_before),
        problem=row.problem,
        created=moment(row.created),
    )
