"""A copy of a SQLite file that others may be writing: one state of it, checked page by page. An edge module: files."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from quantdesk.errors import DataError, EnvironmentProblem

__all__ = ["copy_sqlite", "is_sqlite", "others_of"]

_MAGIC = b"SQLite format 3\x00"


def is_sqlite(name: str, folder: int) -> bool:
    """Whether a regular file, named in an open folder, is a SQLite database."""
    with contextlib.suppress(OSError):
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            return stat.S_ISREG(os.fstat(handle).st_mode) and os.read(handle, len(_MAGIC)) == _MAGIC
        finally:
            os.close(handle)
    return False


def others_of(path: str) -> tuple[str, ...]:
    """The names of what SQLite keeps beside a file while it is in use."""
    return (f"{path}-wal", f"{path}-shm", f"{path}-journal")


def copy_sqlite(source: Path, target: Path, *, folder: int | None = None) -> None:
    """Copy a SQLite database that others may be writing.

    Parameters
    ----------
    source
        The file; a link is not followed.
    target
        Does not exist yet; mode 0600.
    folder
        An open folder in which `source` is, so that a link in its path is not followed either.

    Raises
    ------
    DataError
        It is damaged.
    EnvironmentProblem
        It cannot be read, or is no regular file.
    """
    # A handle that only names the file: to close one that reads it would drop SQLite's locks in this process.
    try:
        known = os.open(source.name if folder is not None else source, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        raise EnvironmentProblem(f"{source} cannot be read ({error.strerror}).", "Look at its permissions.") from error
    try:
        facts = os.fstat(known)
        if not stat.S_ISREG(facts.st_mode):
            raise EnvironmentProblem(f"{source} is no regular file.", "Move it away.")
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as there:
            there.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not _has_open(facts, besides=known):
                raise EnvironmentProblem(f"{source} was exchanged while it was opened.", "Try again.")
            with closing(sqlite3.connect(target)) as here:
                there.backup(here, pages=-1)
                found = here.execute("PRAGMA quick_check(1)").fetchone()
        if found != ("ok",):
            raise DataError(f"{source} is damaged ({str(found[0])[:200]}).", "Restore an earlier backup.")
    except sqlite3.OperationalError as error:
        target.unlink(missing_ok=True)
        full = (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_FULL
        what = f"No disk space is left for a copy of {source}." if full else f"{source} cannot be copied ({error})."
        raise EnvironmentProblem(what, "Free some." if full else "Look at its permissions, and at its disk.") from error
    except sqlite3.DatabaseError as error:
        target.unlink(missing_ok=True)
        raise DataError(f"{source} is damaged ({error}).", "Restore an earlier backup.") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(known)


def _has_open(facts: os.stat_result, besides: int) -> bool:
    """Whether this process has a file open by another handle."""
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            seen = handle.stat()
            if int(handle.name) != besides and (seen.st_dev, seen.st_ino) == (facts.st_dev, facts.st_ino):
                return True
    return False
