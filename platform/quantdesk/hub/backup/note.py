"""That a restore is between its last steps: a note beside the state directory, or in it. An edge module: files.

The hub reads it before each start. It imports nothing that the hub's image on Kubernetes lacks.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from quantdesk.hub.config import HubFiles

__all__ = ["NOTE", "note_of", "unfinished"]

NOTE = ".restoring"


def note_of(state: Path, *, within: bool) -> Path:
    """The note of a restore that changes a state directory, or what is within it."""
    return state / NOTE if within else state.with_name(f".{state.name}{NOTE}")


def unfinished(files: HubFiles) -> str | None:
    """The backup whose restore was interrupted between two of its last steps, or None."""
    for note in (note_of(files.state, within=False), note_of(files.state, within=True)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                return str(json.loads(note.read_text())["backup"])
            except (ValueError, KeyError, TypeError):
                return "an unknown file"
    return None
