"""Runs, their metrics and attempts; schedules; remarks; deliveries; keys; leases. An edge module: SQL."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, Text, UniqueConstraint, text

from quantdesk.errors import DataError
from quantdesk.records import lease
from quantdesk.records.append_only import protect, unprotect

revision = "0001"
down_revision = None

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_GROWING: dict[str, list[tuple[str, ...]]] = {
    "attempts": [("run_id", "number")],
    "comments": [("number",)],
    "sign_offs": [("number",)],
    "trail": [("number",)],
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "runs",
        Column("id", Text, primary_key=True),
        Column("report", Text, nullable=False),
        Column("title", Text, nullable=False),
        Column("parameters", Text, nullable=False),
        Column("requested_by", Text, nullable=False),
        Column("owner", Text, nullable=False),
        Column("is_private", Boolean, nullable=False),
        Column("trigger", Text, nullable=False),
        Column("schedule_id", Text),
        Column("due", BigInteger),
        Column("after", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("concurrency", Integer),
        Column("details", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("queued", BigInteger, nullable=False),
        Column("not_before", BigInteger, nullable=False),
        Column("started", BigInteger),
        Column("ended", BigInteger),
        Column("holder", Text, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("fence", BigInteger, nullable=False),
        Column("is_cancelling", Boolean, nullable=False),
        Column("progress", Text, nullable=False),
        Column("problem", Text, nullable=False),
        Column("folder", Text, nullable=False),
        Column("record", Text, nullable=False),
        Column("cache_key", Text),
        Column("cached_from", Text),
        # The one run of a due time, whoever finds that it is due.
        UniqueConstraint("schedule_id", "due"),
    )
    op.create_index("runs_by_time", "runs", ["queued", "id"])
    op.create_index("runs_of_report", "runs", ["report", "queued", "id"])
    op.create_index("runs_by_state", "runs", ["state", "not_before"])
    op.create_index("runs_by_cache_key", "runs", ["cache_key"])
    op.create_table(
        "metrics",
        Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
        Column("name", Text, primary_key=True),
        Column("value", Float),
        Column("text", Text),
        Column("unit", Text, nullable=False),
    )
    op.create_table(
        "attempts",
        Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("holder", Text, nullable=False),
        Column("started", BigInteger, nullable=False),
        Column("ended", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("problem", Text, nullable=False),
    )
    op.create_table(
        "schedules",
        Column("id", Text, primary_key=True),
        Column("report", Text, nullable=False),
        Column("trigger", Text, nullable=False),
        Column("timezone", Text, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("parameters", Text, nullable=False),
        Column("catch_up", Text, nullable=False),
        Column("is_enabled", Boolean, nullable=False),
        Column("after", Text, nullable=False),
        Column("is_private", Boolean, nullable=False),
        Column("source", Text, nullable=False),
        Column("details", Text, nullable=False),
        Column("handled", BigInteger),
        Column("version", Integer, nullable=False),
        Column("is_removed", Boolean, nullable=False),
    )
    op.create_table(
        "comments",
        Column("number", _NUMBER, primary_key=True, autoincrement=False),
        Column("run_id", Text, ForeignKey("runs.id"), nullable=False, index=True),
        Column("cell_id", Text, nullable=False),
        Column("author", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("text", Text, nullable=False),
    )
    op.create_table(
        "sign_offs",
        Column("number", _NUMBER, primary_key=True, autoincrement=False),
        Column("run_id", Text, ForeignKey("runs.id"), nullable=False, index=True),
        Column("author", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("verdict", Text, nullable=False),
        Column("note", Text, nullable=False),
    )
    op.create_table(
        "trail",
        Column("number", _NUMBER, primary_key=True, autoincrement=False),
        Column("at", BigInteger, nullable=False),
        Column("who", Text, nullable=False),
        Column("what", Text, nullable=False),
        Column("subject", Text, nullable=False, index=True),
        Column("details", Text, nullable=False),
    )
    op.create_table(
        "deliveries",
        Column("id", Text, primary_key=True),
        Column("run_id", Text, nullable=False, index=True),
        Column("channel", Text, nullable=False),
        Column("target", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("not_before", BigInteger, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("problem", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
    )
    op.create_index("deliveries_by_state", "deliveries", ["state", "not_before"])
    op.create_table(
        "keys",
        Column("user", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("digest", Text, nullable=False),
        Column("status", Integer),
        Column("answer", Text),
        Column("at", BigInteger, nullable=False, index=True),
    )
    connection = op.get_bind()
    for table, keys in _GROWING.items():
        protect(connection, table, keys)
    lease.create(connection)


def downgrade() -> None:
    """Drop the tables, where no run is in them: what people said and signed is nowhere else."""
    connection = op.get_bind()
    found = connection.scalar(text("SELECT count(*) FROM runs"))
    if found:
        raise DataError(
            f"The ledger holds {found} runs, which going down to base would destroy.",
            "Keep it, or take it out of the way as a whole.",
        )
    for table in _GROWING:
        unprotect(connection, table)
    for table in ("keys", "deliveries", "trail", "sign_offs", "comments", "attempts", "metrics", "schedules", "runs"):
        op.drop_table(table)
    op.drop_table("leases")
