"""Results of orders in a table of their own, to find the open ones. An edge module: SQL.

The entries say the same; the table is filled from them, and going down loses nothing.
"""

from __future__ import annotations

import json

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, Text, insert, text

from quantdesk.records.append_only import protect, unprotect

revision = "0002"
down_revision = "0001"

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_OPEN = ("open", "pending_unknown")


def upgrade() -> None:
    """Make the table, and fill it from the entries."""
    results = op.create_table(
        "results",
        Column("seq", _NUMBER, ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
        Column("order_id", Text, ForeignKey("orders.order_id"), nullable=False),
        Column("is_final", Boolean, nullable=False),
    )
    op.create_index("results_of_order", "results", ["order_id", "seq"])
    connection = op.get_bind()
    found = connection.execute(text("SELECT seq, order_id, payload FROM entries WHERE kind = 'result' ORDER BY seq"))
    for part in found.partitions(1000):
        rows = [
            {"seq": row.seq, "order_id": row.order_id, "is_final": json.loads(row.payload)["status"] not in _OPEN}
            for row in part
        ]
        connection.execute(insert(results), rows)
    protect(connection, "results", [("seq",)])


def downgrade() -> None:
    """Drop the table."""
    unprotect(op.get_bind(), "results")
    op.drop_index("results_of_order", "results")
    op.drop_table("results")
