"""The file of a backup: one tar of compressed tars, which `tar` alone can read, too. An edge module: files.

::

    about.json            the version, for whoever is too old to read on
    <part>.tar.gz         one for each part: files, folders and links
    manifest.json         what is in the parts; see :mod:`quantdesk.hub.backup.manifest`
    manifest.sha256       its hash

The outer tar is not compressed, so that the manifest is found without reading the parts. A reader takes nothing from
the headers of the inner tars but their length: what a member is, the manifest says, and the bytes must fit it.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub.backup.manifest import FILE, FOLDER, FORMAT, Entry, Manifest, Part, from_json, to_json

__all__ = ["About", "PartReader", "PartWriter", "Reader", "Sink", "Writer"]

BLOCK = 512
_CHUNK = 1 << 20
_LEVEL = 1
"""Of the compression: Parquet and pictures are compressed already."""
_LARGEST_MANIFEST = 1 << 30
_ABOUT, _MANIFEST, _HASH, _PART = "about.json", "manifest.json", "manifest.sha256", ".tar.gz"
_ANOTHER = "Use another backup."


@dataclass(frozen=True)
class About:
    """What can be told of an archive without reading it."""

    format: int
    quantdesk: str
    made: str


class Sink(Protocol):
    """Takes the bytes of a file."""

    def write(self, data: bytes, /) -> object:
        """Take some."""


# ----------------------------------------------------------------------------------------------------- writing


class Writer:
    """Writes an archive; the stream must be one that can be gone back in.

    Parameters
    ----------
    stream
        Empty, and of the caller.
    about
        For the first member.
    """

    def __init__(self, stream: BinaryIO, about: About) -> None:
        self._stream = stream
        self._parts: list[Part] = []
        self._member(_ABOUT, json.dumps(about.__dict__).encode())

    @contextlib.contextmanager
    def part(self, name: str, title: str, *, open_links: bool = False) -> Iterator[PartWriter]:
        """Write a part; it counts when the block has ended."""
        begin = self._stream.tell()
        self._stream.write(b"\0" * BLOCK)
        with gzip.GzipFile(filename="", mode="wb", fileobj=self._stream, compresslevel=_LEVEL, mtime=0) as packed:
            writer = PartWriter(packed)
            yield writer
            packed.write(b"\0" * (2 * BLOCK))
        end = self._stream.tell()
        size = end - begin - BLOCK
        self._stream.seek(begin)
        self._stream.write(_header(f"{name}{_PART}", size))
        self._stream.seek(end)
        self._stream.write(_padding(size))
        self._parts.append(Part(name, title, tuple(writer.entries), open_links, size))

    def finish(self, manifest: Manifest) -> Manifest:
        """Write the manifest with the parts that were written, and the end; the manifest as it stands there."""
        whole = replace(manifest, parts=tuple(self._parts))
        text = to_json(whole)
        self._member(_MANIFEST, text)
        self._member(_HASH, hashlib.sha256(text).hexdigest().encode())
        self._stream.write(b"\0" * (2 * BLOCK))
        return whole

    def _member(self, name: str, content: bytes) -> None:
        self._stream.write(_header(name, len(content)) + content + _padding(len(content)))


class PartWriter:
    """Writes the members of a part."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """A folder or a link."""
        if entry.path:
            self._stream.write(_inner(entry))
        self.entries.append(entry)

    def file(self, entry: Entry, source: BinaryIO) -> bool:
        """A file of the size that `entry` says; whether it had as many bytes. What is missing is filled with zeros."""
        self._stream.write(_inner(entry))
        digest, left = hashlib.sha256(), entry.size
        while left and (chunk := source.read(min(_CHUNK, left))):
            self._stream.write(chunk)
            digest.update(chunk)
            left -= len(chunk)
        whole = left == 0
        while left:
            chunk = b"\0" * min(_CHUNK, left)
            self._stream.write(chunk)
            digest.update(chunk)
            left -= len(chunk)
        self._stream.write(_padding(entry.size))
        self.entries.append(replace(entry, sha256=digest.hexdigest()))
        return whole


def _header(name: str, size: int) -> bytes:
    return _block(name.encode(), b"0", size, 0o600, int(time.time()))


def _inner(entry: Entry) -> bytes:
    """The head of a member: the same bytes for the same entry, whatever Python writes and reads it."""
    kind = {FOLDER: b"5", FILE: b"0"}.get(entry.kind, b"2")
    name = os.fsencode(entry.path) + (b"/" if entry.kind == FOLDER else b"")
    link, moment = os.fsencode(entry.target), max(0, entry.modified // 1_000_000_000)
    head = b"".join(
        _block(b"././@LongLink", sign, len(text) + 1, 0, 0) + text + b"\0" + _padding(len(text) + 1)
        for sign, text in ((b"K", link), (b"L", name))
        if len(text) > 100
    )
    return head + _block(name[:100], kind, entry.size, entry.mode, moment, link[:100], (entry.owner, entry.group))


def _block(
    name: bytes, kind: bytes, size: int, mode: int, moment: int, link: bytes = b"", who: tuple[str, str] = ("", "")
) -> bytes:
    """One header as GNU tar writes it."""
    number = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    owner, group = (os.fsencode(one)[:31].ljust(32, b"\0") for one in who)
    before = name.ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + number + b"%011o\0" % min(moment, 8**11 - 1)
    after = kind + link.ljust(100, b"\0") + b"ustar  \0" + owner + group
    block = (before + b" " * 8 + after).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _padding(size: int) -> bytes:
    return b"\0" * (-size % BLOCK)


# ----------------------------------------------------------------------------------------------------- reading


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
        begin, size = self._places[f"{part.name}{_PART}"]
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
            if not places and info.name != _ABOUT:
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
        if _MANIFEST not in self._places or _HASH not in self._places:
            raise self._damaged("it has no manifest")
        text = self._bytes(*self._places[_MANIFEST], _LARGEST_MANIFEST)
        told = self._bytes(*self._places[_HASH], 64)
        if hashlib.sha256(text).hexdigest().encode() != told:
            raise self._damaged("its manifest is not as it was written")
        found = from_json(text)
        wanted = {_ABOUT, _MANIFEST, _HASH, *(f"{part.name}{_PART}" for part in found.parts)}
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
        wanted = _inner(entry)
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
