"""What the feeds said of halts, on the disk: an append-only file of JSON lines. An edge module: it writes files.

Each line is flushed to the disk before :meth:`Journal.append` returns, so that a restart knows what was halted. A crash
while a line is written leaves half of it, which was never acknowledged: it is passed over, and said. The next writer
ends it with a line of its own, so that it stays known as what it is. A bad line anywhere else is corruption: refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.orders.halts.feeds.halt import Halt

__all__ = ["Entry", "Journal"]

_TORN = "torn"


@dataclass(frozen=True)
class Entry:
    """What a feed said of a halt.

    Attributes
    ----------
    at
        When it was heard: nanoseconds since 1970 (UTC).
    source
        The name of the feed.
    halt
        What it said.
    """

    at: int
    source: str
    halt: Halt


class Journal:
    """The file. Several processes may read it, one at a time may append (the poller holds a lock).

    Parameters
    ----------
    path
        The file; it and its folder are made by the first :meth:`append`.

    Attributes
    ----------
    torn
        Descriptions of half lines that were passed over, in the order of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: list[str] = []
        self._read = 0
        self._line = 0
        self._file = (0, 0)

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries; they are on the disk when this returns.

        Raises
        ------
        EnvironmentProblem
            The disk is full, or the file cannot be written. What was written before stays good.
        """
        lines = [
            json.dumps({"at": one.at, "source": one.source, "halt": one.halt.to_dict()}, separators=(",", ":"))
            for one in entries
        ]
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                text = "".join(line + "\n" for line in lines).encode()
                tail = self._half_line(handle)
                if tail:
                    text = b"\n" + json.dumps({_TORN: tail}).encode() + b"\n" + text
                while text:
                    text = text[os.write(handle, text) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            if new:
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise EnvironmentProblem(
                f"The journal of halts {self.path} cannot be written ({error.strerror}).",
                "Free space or make it writable, or set QUANTDESK_STATE to another folder.",
            ) from error

    @staticmethod
    def _half_line(handle: int) -> int:
        """Bytes behind the last line feed."""
        size = os.fstat(handle).st_size
        length, step = 0, 4096
        while length < size:
            begin = max(0, size - length - step)
            block = os.pread(handle, size - length - begin, begin)
            found = block.rfind(b"\n")
            if found >= 0:
                return length + len(block) - found - 1
            length += len(block)
        return length

    def read(self) -> list[Entry]:
        """What was added since the last call; everything on the first.

        Raises
        ------
        DataError
            A line is corrupt and was not torn by a crash; the message names it.
        EnvironmentProblem
            The file cannot be read.
        """
        try:
            with self.path.open("rb") as stream:
                file = os.fstat(stream.fileno())
                if (file.st_dev, file.st_ino) != self._file or file.st_size < self._read:
                    # Another file than before: somebody has put the old one away.
                    self._file, self._read, self._line = (file.st_dev, file.st_ino), 0, 0
                stream.seek(self._read)
                block = stream.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EnvironmentProblem(
                f"The journal of halts {self.path} cannot be read ({error.strerror}).", "Make it readable."
            ) from error
        end = block.rfind(b"\n") + 1
        lines = block[:end].split(b"\n")[:-1]
        found: list[Entry] = []
        doubtful: str | None = None
        for place, line in enumerate(lines, self._line + 1):
            try:
                given = json.loads(line)
                if doubtful is not None and _TORN in given:
                    self.torn.append(doubtful)
                    doubtful = None
                    continue
                if doubtful is None:
                    found.append(Entry(int(given["at"]), str(given["source"]), Halt.from_dict(given["halt"])))
                    continue
            except (ValueError, TypeError, KeyError, DataError):
                if doubtful is None:
                    doubtful = f"line {place} of {self.path} ({len(line)} bytes)"
                    continue
            break
        if doubtful is not None:
            raise DataError(
                f"{doubtful[0].upper()}{doubtful[1:]} is corrupt.", "Restore the file, or move it away to start anew."
            )
        if block[end:]:
            half = f"the last line of {self.path} ({len(block) - end} bytes)"
            if half not in self.torn:
                self.torn.append(half)
        self._read += end
        self._line += len(lines)
        return found
