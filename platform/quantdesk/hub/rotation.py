"""A log that others write without end is kept within bounds. An edge module: the disk.

Those who write have the file open for adding and know nothing of this: it is copied and emptied, not renamed. What is
written between the end of the copy and the emptying would be lost, so the copy goes on until it has met the end.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["KEPT", "LARGEST", "bounded"]

LARGEST = 20_000_000
"""Bytes of a log before it begins anew."""
KEPT = 3
"""Older ones: ``service.log.1`` is the newest of them."""
_PART = 1 << 20


def bounded(path: Path, largest: int = LARGEST, kept: int = KEPT) -> bool:
    """Begin a log anew where it is too large; whether that was so.

    Parameters
    ----------
    path
        The log.
    largest
        Bytes that it may have.
    kept
        How many older ones are kept beside it; only its owner may read them.

    Raises
    ------
    OSError
        The disk is full, or a file cannot be written. The log stays as it is then.
    """
    try:
        source = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(source).st_size <= largest:
            return False
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        target = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while part := os.read(source, _PART):
                os.write(target, part)
            for number in range(kept - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    os.replace(older, path.with_name(f"{path.name}.{number + 1}"))
            os.replace(fresh, path.with_name(f"{path.name}.1"))
            while part := os.read(source, _PART):  # what came meanwhile
                os.write(target, part)
            os.ftruncate(source, 0)
        finally:
            os.close(target)
            fresh.unlink(missing_ok=True)
    finally:
        os.close(source)
    return True
