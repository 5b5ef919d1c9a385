"""A directory of a user's own files as a source."""

from __future__ import annotations

__all__ = ["FolderSource"]


class FolderSource:
    """Being written."""
