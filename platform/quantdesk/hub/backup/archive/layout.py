"""The members of an archive by name, and what can be told of it without reading on. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ABOUT", "HASH", "MANIFEST", "About", "part_file"]

ABOUT, MANIFEST, HASH = "about.json", "manifest.json", "manifest.sha256"


def part_file(name: str) -> str:
    """The member that holds a part."""
    return f"{name}.tar.gz"


@dataclass(frozen=True)
class About:
    """What can be told of an archive without reading it."""

    format: int
    quantdesk: str
    made: str
