"""Answers to requests that may be repeated, and jobs. An edge module: SQL."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "replays",
        Column("user_name", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("asked", Text, nullable=False),
        Column("first", BigInteger, nullable=False),
        Column("begun", BigInteger, nullable=False),
        Column("turn", Text, nullable=False),
        Column("status", Integer),
        Column("headers", Text),
        Column("body", Text),
    )
    op.create_index("replays_by_age", "replays", ["begun"])
    op.create_table(
        "jobs",
        Column("id", Text, primary_key=True),
        Column("user_name", Text, nullable=False),
        Column("asked", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("started", BigInteger),
        Column("ended", BigInteger),
        Column("holder", Text, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("is_cancelling", Boolean, nullable=False),
        Column("result", Text),
        Column("problem", Text),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "created"])
    op.create_index("jobs_of_user", "jobs", ["user_name", "created", "id"])


def downgrade() -> None:
    """Drop them: what they hold is kept for a day or a week only."""
    op.drop_table("jobs")
    op.drop_table("replays")
