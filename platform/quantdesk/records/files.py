"""Files that are there whole or not at all. An edge module.

A writer works on a temporary sibling, which is flushed to the disk and then renamed over the target. A reader, and a
writer that comes back after a crash, see the old content or the new one and never half of either.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from quantdesk.errors import BadInput, EnvironmentProblem

__all__ = ["LockHeld", "atomic_directory", "atomic_write", "exclusive", "sha256_of", "text_of"]

_SPACE = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


class LockHeld(EnvironmentProblem):
    """Another process holds a lock."""


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn what the disk says into one clear error; everything else passes."""
    try:
        yield
    except OSError as error:
        if error.errno in _SPACE:
            raise EnvironmentProblem(
                f"No disk space is left for {target}.", "Free some, or set QUANTDESK_STATE to a larger disk."
            ) from error
        if error.errno in _REFUSED:
            raise EnvironmentProblem(
                f"{target} cannot be written ({error.strerror}).",
                "Make its folder writable, or set QUANTDESK_STATE to one that is.",
            ) from error
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_write(target: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well, it becomes `target`, and otherwise it is removed.

    Parameters
    ----------
    target
        The final path. Its folder is created when missing.
    mode
        Permissions of the new file.

    Raises
    ------
    EnvironmentProblem
        The disk is full, or the folder is read-only.
    """
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, mode)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, target)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yield an empty temporary directory; when the block ends well it becomes `target`, which must not exist yet.

    Raises
    ------
    FileExistsError
        `target` is there already: finished work is never replaced.
    EnvironmentProblem
        The disk is full, or the folder is read-only.
    """
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        try:
            yield temporary
            if target.exists():
                raise FileExistsError(errno.EEXIST, "finished work is never replaced", str(target))
            os.chmod(temporary, 0o755)  # noqa: S103 (a published directory is for every account to read)
            for written in temporary.rglob("*"):
                if written.is_file():
                    with written.open("rb") as stream:
                        os.fsync(stream.fileno())
            os.rename(temporary, target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def exclusive(lock: Path, *, timeout: float = 600.0) -> Iterator[None]:
    """Hold an advisory lock between processes; the kernel drops it when the holder dies.

    Parameters
    ----------
    lock
        The lock file; it is created and stays.
    timeout
        Seconds to wait before giving up.

    Raises
    ------
    LockHeld
        Another process held the lock for the whole time.
    EnvironmentProblem
        The lock cannot be written.
    """
    with _explained(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LockHeld(
                        f"Another quantdesk process has held {lock} for {timeout:g} s.",
                        "Wait for it to end, or stop it, and run this again.",
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_of(path: Path, what: str, remedy: str) -> str:
    """The text of a file that somebody named.

    Parameters
    ----------
    path
        Which.
    what
        That it should be, for people: ``"policy"``.
    remedy
        What to name instead, a sentence.

    Raises
    ------
    BadInput
        It cannot be read, or is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"The {what} {path} cannot be read ({reason}).", remedy) from error
