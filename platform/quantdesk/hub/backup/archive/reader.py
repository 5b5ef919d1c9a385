"""Read an archive with nothing believed: its bytes must be those that its manifest tells of. An edge module: files."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub.backup.archive.headers import BLOCK, inner
from quantdesk.hub.backup.archive.layout import ABOUT, HASH, MANIFEST, About, part_file
from quantdesk.hub.backup.manifest import FORMAT, Entry, Manifest, Part, from_json

__all__ = ["PartReader", "Reader", "Sink"]

_CHUNK = 1 << 20
_LARGEST_MANIFEST = 1 << 30
_ANOTHER = "Use another backup."


class Sink(Protocol):
    """Takes the bytes of a file."""

    def write(self, data: bytes, /) -> object:
        """Take some."""


class Reader:
    """Reads an archive: first what it says of itself, then its parts.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    BadInput
        There is no such file, or it is no backup.
    DataError
        It is damaged or cut off, or was made by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._stream = path.open("rb")
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}).", "Name the file of a backup.") from error
        try:
            self._places = self._index()
            self.manifest = self._manifest()
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    @contextlib.contextmanager
    def part(self, part: Part) -> Iterator[PartReader]:
        """Read a part, whose members come in the order of the manifest; all of them have to be read."""
        begin, size = self._places[part_file(part.name)]
        if size != part.stored:
            raise self._damaged(f"the part {part.name} has {size} bytes and not {part.stored}")
        try:
            with gzip.GzipFile(fileobj=io.BufferedReader(_Slice(self._stream, begin, size)), mode="rb") as packed:
                reader = PartReader(packed, part, self._damaged)
                yield reader
                reader.end()
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self._damaged(f"the part {part.name}: {error}") from error

    def _index(self) -> dict[str, tuple[int, int]]:
        """Where each member of the outer tar is; the first is looked at before the others."""
        end = os.fstat(self._stream.fileno()).st_size
        places: dict[str, tuple[int, int]] = {}
        while True:
            block = self._stream.read(BLOCK)
            if block == b"\0" * BLOCK:
                break
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.TarError as error:
                if not places:
                    raise BadInput(f"{self.path} is no backup of quantdesk ({error}).", "Name one.") from error
                raise self._damaged(f"it is cut off, or a header is broken: {error}") from error
            begin = self._stream.tell()
            if info.type != tarfile.REGTYPE or info.name in places or info.size > end - begin:
                raise self._damaged(f"it is cut off, or its member {info.name[:60]!r} is none of a backup's")
            if not places and info.name != ABOUT:
                raise BadInput(f"{self.path} is no backup of quantdesk.", "Name one that `quantdesk backup` wrote.")
            places[info.name] = (begin, info.size)
            if len(places) == 1:
                self._admit(begin, info.size)
            self._stream.seek(begin + info.size + -info.size % BLOCK)
        if self._stream.read() != b"\0" * BLOCK:
            raise self._damaged("its end is missing, or something follows it")
        return places

    def _admit(self, begin: int, size: int) -> None:
        from packaging.version import InvalidVersion, Version

        from quantdesk import __version__

        try:
            about = About(**json.loads(self._bytes(begin, size, 10_000)))
            newer = about.format > FORMAT or Version(about.quantdesk) > Version(__version__)
        except (ValueError, TypeError, InvalidVersion) as error:
            raise self._damaged("its first member cannot be read") from error
        if newer:
            raise DataError(
                f"{self.path} was made by quantdesk {about.quantdesk} (format {about.format}), which is newer.",
                f"This is {__version__}, which reads format {FORMAT}: use that version or a newer one.",
            )

    def _manifest(self) -> Manifest:
        if MANIFEST not in self._places or HASH not in self._places:
            raise self._damaged("it has no manifest")
        text = self._bytes(*self._places[MANIFEST], _LARGEST_MANIFEST)
        told = self._bytes(*self._places[HASH], 64)
        if hashlib.sha256(text).hexdigest().encode() != told:
            raise self._damaged("its manifest is not as it was written")
        found = from_json(text)
        wanted = {ABOUT, MANIFEST, HASH, *(part_file(part.name) for part in found.parts)}
        if wanted != set(self._places):
            raise self._damaged("its parts are not those that it tells of")
        return found

    def _bytes(self, begin: int, size: int, most: int) -> bytes:
        if size > most:
            raise self._damaged("a member is larger than it can be")
        self._stream.seek(begin)
        return self._stream.read(size)

    def _damaged(self, why: str) -> DataError:
        return DataError(f"{self.path} is damaged: {why}.", _ANOTHER)


class PartReader:
    """Reads the files of a part, one after the other."""

    def __init__(self, stream: gzip.GzipFile, part: Part, damaged: Callable[[str], DataError]) -> None:
        self._stream, self._part, self._damaged_by = stream, part, damaged
        self._left = iter(one for one in part.entries if one.path)

    def __iter__(self) -> Iterator[Entry]:
        """The entries; after a file its bytes have to be taken by :meth:`copy`."""
        root = self._part.entries[0] if self._part.entries else None
        if root is not None:
            yield root
        for entry in self._left:
            self._expect(entry)
            yield entry

    def copy(self, entry: Entry, sink: Sink | None = None) -> None:
        """Hand on the bytes of the file that is next; its hash is looked at.

        Raises
        ------
        DataError
            They are not those of the manifest.
        """
        digest, left = hashlib.sha256(), entry.size
        while left:
            chunk = self._exactly(min(_CHUNK, left))
            digest.update(chunk)
            if sink is not None:
                sink.write(chunk)
            left -= len(chunk)
        if digest.hexdigest() != entry.sha256:
            raise self._damaged(f"{entry.path} is not as it was written")
        if self._exactly(-entry.size % BLOCK).strip(b"\0"):
            raise self._damaged(f"something follows {entry.path}")

    def end(self) -> None:
        """See to it that nothing follows."""
        if self._exactly(2 * BLOCK).strip(b"\0") or self._stream.read(1):
            raise self._damaged("something follows its last member")

    def _expect(self, entry: Entry) -> None:
        """The next member must be headed as this entry would be: the very bytes."""
        wanted = inner(entry)
        if self._exactly(len(wanted)) != wanted:
            raise self._damaged(f"{entry.path} is headed otherwise than the manifest says")

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size and (more := self._stream.read(size - len(found))):
            found += more
        if len(found) < size:
            raise self._damaged("it is cut off")
        return found

    def _damaged(self, why: str) -> DataError:
        return self._damaged_by(f"the part {self._part.name}: {why}")


class _Slice(io.RawIOBase):
    """A stretch of a file, as a file."""

    def __init__(self, stream: BinaryIO, begin: int, size: int) -> None:
        self._stream, self._at, self._end = stream, begin, begin + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            self._stream.seek(self._at)
            data = self._stream.read(min(len(view), self._end - self._at))
        except OSError as error:
            raise EnvironmentProblem(f"The backup cannot be read ({error.strerror}).", "Look at its disk.") from error
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
