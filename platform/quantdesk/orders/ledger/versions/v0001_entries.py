"""Entries, and what is unique among them: orders, children, executions; leases. An edge module: SQL."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Text, UniqueConstraint, text

from quantdesk.errors import DataError
from quantdesk.records import lease
from quantdesk.records.append_only import protect, unprotect

revision = "0001"
down_revision = None

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_KEYS: dict[str, list[tuple[str, ...]]] = {
    "entries": [("seq",), ("hash",)],
    "orders": [("order_id",), ("seq",), ("user_id", "idempotency_key")],
    "children": [("client_id",), ("seq",)],
    "executions": [("mode", "execution_id"), ("seq",)],
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "entries",
        Column("seq", _NUMBER, primary_key=True, autoincrement=False),
        Column("at", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("mode", Text),
        Column("order_id", Text, nullable=False),
        Column("client_id", Text, nullable=False),
        Column("user_id", Text),
        Column("payload", Text, nullable=False),
        Column("hash", Text, nullable=False, unique=True),
    )
    op.create_index("entries_of_order", "entries", ["order_id", "seq"])
    op.create_index("entries_of_kind", "entries", ["kind", "seq"])
    op.create_table(
        "orders",
        Column("order_id", Text, primary_key=True),
        Column("seq", _NUMBER, ForeignKey("entries.seq"), nullable=False, unique=True),
        Column("mode", Text, nullable=False),
        Column("user_id", Text, nullable=False),
        Column("idempotency_key", Text),
        UniqueConstraint("user_id", "idempotency_key"),
    )
    op.create_table(
        "children",
        Column("client_id", Text, primary_key=True),
        Column("seq", _NUMBER, ForeignKey("entries.seq"), nullable=False, unique=True),
        Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
        Column("symbol", Text, nullable=False),
        Column("action", Text, nullable=False),
    )
    op.create_table(
        "executions",
        Column("mode", Text, primary_key=True),
        Column("execution_id", Text, primary_key=True),
        Column("seq", _NUMBER, ForeignKey("entries.seq"), nullable=False, unique=True),
        Column("client_id", Text, ForeignKey("children.client_id"), nullable=False),
    )
    connection = op.get_bind()
    for table, keys in _KEYS.items():
        protect(connection, table, keys)
    lease.create(connection)


def downgrade() -> None:
    """Drop the tables, where nothing is in them: what a ledger holds is nowhere else."""
    connection = op.get_bind()
    found = connection.scalar(text("SELECT count(*) FROM entries"))
    if found:
        raise DataError(
            f"The ledger holds {found} entries, which going down to base would destroy.",
            "Keep it, or take it out of the way as a whole.",
        )
    for table in reversed(_KEYS):
        unprotect(connection, table)
        op.drop_table(table)
    op.drop_table("leases")
