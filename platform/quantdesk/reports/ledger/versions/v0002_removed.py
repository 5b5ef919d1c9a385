"""When the files of a run were removed. An edge module: SQL."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, text

from quantdesk.errors import DataError

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; the runs that are there have their files."""
    op.add_column("runs", Column("removed", BigInteger))


def downgrade() -> None:
    """Drop the column, where no run was removed: without it, nobody would know why its files are not there."""
    found = op.get_bind().scalar(text("SELECT count(*) FROM runs WHERE removed IS NOT NULL"))
    if found:
        raise DataError(
            f"The files of {found} runs were removed, which going down would forget.", "Keep the newer version."
        )
    op.drop_column("runs", "removed")
