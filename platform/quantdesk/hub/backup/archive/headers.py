"""The bytes that a member of an archive begins and ends with. Pure.

They are the same for the same entry, whatever Python writes and reads them: a reader compares them, and parses none.
"""

from __future__ import annotations

import os

from quantdesk.hub.backup.manifest import FILE, FOLDER, Entry

__all__ = ["BLOCK", "inner", "outer", "padding"]

BLOCK = 512


def outer(name: str, size: int, moment: int) -> bytes:
    """The head of a member of the outer tar; `moment` is in seconds since 1970 (UTC)."""
    return _block(name.encode(), b"0", size, 0o600, moment)


def inner(entry: Entry) -> bytes:
    """The head of a member of a part."""
    kind = {FOLDER: b"5", FILE: b"0"}.get(entry.kind, b"2")
    name = os.fsencode(entry.path) + (b"/" if entry.kind == FOLDER else b"")
    link, moment = os.fsencode(entry.target), max(0, entry.modified // 1_000_000_000)
    head = b"".join(
        _block(b"././@LongLink", sign, len(text) + 1, 0, 0) + text + b"\0" + padding(len(text) + 1)
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


def padding(size: int) -> bytes:
    """What fills up the last block of a member."""
    return b"\0" * (-size % BLOCK)
