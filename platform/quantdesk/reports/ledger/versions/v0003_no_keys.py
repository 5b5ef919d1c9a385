"""The service alone keeps answers to repeated requests (:mod:`quantdesk.hub.app.replays`). An edge module: SQL."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Drop the table. What was in it was of use for a day: it kept a form that is sent twice from two runs."""
    op.drop_table("keys")


def downgrade() -> None:
    """Make it again, empty."""
    op.create_table(
        "keys",
        Column("user", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("digest", Text, nullable=False),
        Column("status", Integer),
        Column("answer", Text),
        Column("at", BigInteger, nullable=False, index=True),
    )
