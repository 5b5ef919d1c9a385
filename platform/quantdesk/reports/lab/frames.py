"""What a job under another account sends back through a pipe: events and files. An edge module: a pipe, the disk.

Each frame is one line of JSON; a file's bytes follow its line. Who reads trusts nothing of it: only known names are
written, below a folder that he has made himself, and never more than a limit. So no link, no owner and no path of the
other account's has any meaning here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from quantdesk.errors import DataError

__all__ = ["LARGEST", "Sender", "files_of", "received"]

LARGEST = 1_000_000_000
"""Bytes of all files of a job."""
_MOST_FILES = 2000
_LINE = 100_000
_CHUNK = 1 << 20
_NAME = re.compile(
    r"(notebook\.ipynb|report\.html|run\.json|log\.txt|metrics\.json|(tables|thumbnails)/[A-Za-z0-9_][A-Za-z0-9_.-]{0,150})"
)


class Sender:
    """Writes frames; several threads may.

    Parameters
    ----------
    pipe
        Unbuffered.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def event(self, kind: str, **values: Any) -> None:
        """Send an event."""
        with self._lock:
            self._pipe.write(json.dumps({"event": kind, **values}).encode() + b"\n")

    def file(self, name: str, path: Path) -> None:
        """Send a file."""
        with path.open("rb") as file, self._lock:
            size = path.stat().st_size
            self._pipe.write(json.dumps({"event": "file", "name": name, "bytes": size}).encode() + b"\n")
            while size > 0:
                part = file.read(min(size, _CHUNK))
                part = part or b"\0" * min(size, _CHUNK)  # it became shorter; its length is told already
                self._pipe.write(part)
                size -= len(part)


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a run that can be sent, by name; the record comes last."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    named = [(path.relative_to(folder).as_posix(), path) for path in found]
    yield from (one for one in named if _NAME.fullmatch(one[0]) and one[0] != "run.json")
    yield from (one for one in named if one[0] == "run.json")


def received(pipe: IO[bytes], folder: Path) -> Iterator[dict[str, Any]]:
    """The events that come, until ``done``, an error or the end of the pipe; files are written to `folder`.

    Parameters
    ----------
    pipe
        Buffered, of bytes.
    folder
        Empty, and nobody else's to write in.

    Raises
    ------
    DataError
        What comes is no frame, or too much.
    """
    left, names = LARGEST, set[str]()
    while line := pipe.readline(_LINE):
        event = _read(line)
        if event.get("event") != "file":
            yield event
            continue
        name, size = event.get("name"), event.get("bytes")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in names or len(names) >= _MOST_FILES:
            raise DataError(f"A job sent a file {str(name)[:80]!r}.", "It is none that a run leaves.")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
            raise DataError(f"A job sent more than {LARGEST / 1e9:g} GB.", "Keep less in its outputs.")
        left -= size
        names.add(name)
        _copy(pipe, folder / name, size)


def _read(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise DataError("A job sent something that cannot be read.", "Its log says no more; run it again.")
    return event


def _copy(pipe: IO[bytes], path: Path, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        while size > 0:
            part = pipe.read(min(size, _CHUNK))
            if not part:
                raise DataError("A job ended in the middle of a file.", "Run it again.")
            file.write(part)
            size -= len(part)
