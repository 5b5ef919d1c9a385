"""Tables that only grow: the database itself refuses to change or delete a row. An edge module: SQL.

The refusal is a trigger, and holds for every program that writes to the table, not only for ours. Whoever owns the
table can drop the trigger; :func:`is_protected` tells, and a chain of hashes over the rows tells what was done then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from quantdesk.errors import BadInput

__all__ = ["is_protected", "protect", "unprotect"]

_FUNCTION = """
CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: no % there', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
_TRIGGER = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION append_only()
"""
# ALWAYS: also in a session that sets session_replication_role to replica.
_ALWAYS = "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only"


def protect(connection: Connection, table: str, keys: Iterable[Sequence[str]]) -> None:
    """Let nobody change or delete the rows of a table.

    Parameters
    ----------
    connection
        Of a transaction that may create triggers.
    table
        Its name.
    keys
        The columns of each of its keys, the primary one and the unique ones. In SQLite, ``INSERT OR REPLACE`` deletes
        what is in its way without a trigger for deleting; so a row with a key that is there is refused before.
    """
    name = _identifier(table)
    if connection.dialect.name == "postgresql":
        connection.execute(text(_FUNCTION))
        connection.execute(text(_TRIGGER.format(table=name)))
        connection.execute(text(_ALWAYS.format(table=name)))
        return
    message = f"{name} is append-only"
    for what in ("UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name}_no_{what.lower()} BEFORE {what} ON {name}"
            f" BEGIN SELECT RAISE(ABORT, '{message}: no {what} there'); END"
        )
    same = " OR ".join(
        "(" + " AND ".join(f"{_identifier(column)} = NEW.{_identifier(column)}" for column in key) + ")" for key in keys
    )
    connection.exec_driver_sql(
        f"CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS (SELECT 1 FROM {name} WHERE {same})"  # noqa: S608
        f" BEGIN SELECT RAISE(ABORT, '{message}: that key is there'); END"
    )


def unprotect(connection: Connection, table: str) -> None:
    """Take the triggers of :func:`protect` away, so that a migration can drop the table."""
    for trigger in _triggers(connection, _identifier(table)):
        on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {trigger}{on}")


def is_protected(connection: Connection, table: str) -> bool:
    """Whether the triggers are there and enabled."""
    wanted = _triggers(connection, _identifier(table))
    if connection.dialect.name == "postgresql":
        asked = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgenabled = 'A'"
    else:
        asked = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
    return wanted <= set(connection.scalars(text(asked), {"table": table}))


def _triggers(connection: Connection, name: str) -> set[str]:
    if connection.dialect.name == "postgresql":
        return {f"{name}_append_only"}
    return {f"{name}_no_{what}" for what in ("update", "delete", "replace")}


def _identifier(name: str) -> str:
    """A name that can stand in a statement as it is."""
    if not (name.isascii() and name.isidentifier()):
        raise BadInput(f"A table or column {name!r}.", "Give letters, digits and underscores.")
    return name
