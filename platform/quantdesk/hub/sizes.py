"""Numbers of bytes in words, the same in the gallery and in a terminal. Pure."""

from __future__ import annotations

__all__ = ["size"]


def size(count: float | None) -> str:
    """Bytes for people, in powers of ten: ``12.3 MB``."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
