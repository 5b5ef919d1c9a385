"""Write an archive, part by part; what stands in the parts is told at the end. An edge module: files, the clock."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from quantdesk.hub.backup.archive.headers import BLOCK, inner, outer, padding
from quantdesk.hub.backup.archive.layout import ABOUT, HASH, MANIFEST, About, part_file
from quantdesk.hub.backup.manifest import Entry, Manifest, Part, to_json

__all__ = ["PartWriter", "Writer"]

_CHUNK = 1 << 20
_LEVEL = 1
"""Of the compression: Parquet and pictures are compressed already."""


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
        self._member(ABOUT, json.dumps(about.__dict__).encode())

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
        self._stream.write(outer(part_file(name), size, int(time.time())))
        self._stream.seek(end)
        self._stream.write(padding(size))
        self._parts.append(Part(name, title, tuple(writer.entries), open_links, size))

    def finish(self, manifest: Manifest) -> Manifest:
        """Write the manifest with the parts that were written, and the end; the manifest as it stands there."""
        whole = replace(manifest, parts=tuple(self._parts))
        text = to_json(whole)
        self._member(MANIFEST, text)
        self._member(HASH, hashlib.sha256(text).hexdigest().encode())
        self._stream.write(b"\0" * (2 * BLOCK))
        return whole

    def _member(self, name: str, content: bytes) -> None:
        self._stream.write(outer(name, len(content), int(time.time())) + content + padding(len(content)))


class PartWriter:
    """Writes the members of a part."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """A folder or a link."""
        if entry.path:
            self._stream.write(inner(entry))
        self.entries.append(entry)

    def file(self, entry: Entry, source: BinaryIO) -> bool:
        """A file of the size that `entry` says; whether it had as many bytes. What is missing is filled with zeros."""
        self._stream.write(inner(entry))
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
        self._stream.write(padding(entry.size))
        self.entries.append(replace(entry, sha256=digest.hexdigest()))
        return whole
