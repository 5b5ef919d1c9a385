"""What an online store must be able to do. Pure: only the shapes; :mod:`.sqlite`, :mod:`.redis` and :mod:`.postgres`
do it.

Every store keeps the same three things: rows, one per view and key; of each view what it was filled from; and marks,
one per partition of a view's source, that say how far that partition has been brought over. A mark is written together
with its rows or after them, never before, so that a run that is killed repeats a partition at worst.

**The order of rows.** A row replaces another one of its key only if its (era, event, created) is not smaller. The era
counts how often the definitions of the view have changed: rows of new definitions replace those of old ones whatever
their times, and a writer that still works by the old ones is refused.

**Rows of what is gone.** A key that no longer exists is not deleted but voided: its row keeps its event, its created
time becomes the moment at which it was found to be gone, and it answers nothing. So a slow writer cannot bring it back
with an old row. A row that is newer does, and so does a writer that looked at its source after that moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Protocol

from quantdesk.features.online.rows import Found, Rows, Schema

__all__ = ["Answer", "Backend", "Mark", "State", "Writer"]


@dataclass(frozen=True)
class Mark:
    """How far one partition of a view's source has been brought over.

    Attributes
    ----------
    source
        What the partition was then: a hash of its file, or its size and time.
    event
        The latest event that was brought over; nanoseconds since 1970 (UTC).
    due
        When the partition, unchanged, has more to give: the earliest created time beyond that moment; None for never.
    """

    source: str
    event: int
    due: int | None = None

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Mark:
        """What :meth:`to_json` wrote."""
        given = json.loads(text)
        return cls(str(given["source"]), int(given["event"]), given["due"])


@dataclass(frozen=True)
class State:
    """What a view was filled from.

    Attributes
    ----------
    era
        How often its definitions have changed.
    definitions
        Their version.
    until
        The moment up to which it was filled, nanoseconds since 1970 (UTC); None while it never was filled wholly.
    build
        What it was filled from then; empty while rows of new definitions take the place of those of old ones.
    """

    era: int
    definitions: str
    until: int | None = None
    build: str = ""


@dataclass(frozen=True)
class Answer:
    """Rows that were read.

    Attributes
    ----------
    rows
        Per asked view one row per asked key, in that order; None where there is none.
    schemas
        By tag, those of the rows.
    states
        Of every view.
    """

    rows: Sequence[Sequence[Found | None]]
    schemas: Mapping[bytes, Schema]
    states: Mapping[str, State]


class Writer(Protocol):
    """Writes; safe to share between threads."""

    def begin(self, view: str, definitions: str, *, afresh: bool = False) -> int:
        """The era in which to write by these definitions: a new one, without marks, where they have changed."""

    def put(
        self,
        view: str,
        schema: Schema,
        rows: Rows,
        *,
        as_of: int,
        era: int | None = None,
        marks: Mapping[str, Mark] | None = None,
    ) -> int:
        """Write rows, but none over a later one, each at once; then the marks. Returns how many were written.

        Parameters
        ----------
        view, schema, rows
            What to write.
        as_of
            When the writer looked at its source, nanoseconds since 1970 (UTC).
        era
            That of :meth:`begin`; None for whatever is current.
        marks
            What is done when the rows are there.
        """

    def void(self, view: str, keys: Sequence[bytes], *, as_of: int, era: int, newest: int) -> int:
        """Void keys whose event is not after `newest`; returns how many."""

    def unmark(self, view: str, partitions: Sequence[str]) -> None:
        """Forget marks."""

    def finish(self, view: str, *, era: int, until: int, build: str) -> None:
        """Note that the view is filled, unless its era has passed or it was filled further."""

    def drop(self, view: str) -> None:
        """Remove all that is known of a view."""

    def checkpoint(self) -> None:
        """Let readers see what was written so far, and keep it if this process ends now."""


class Backend(Protocol):
    """An online store. Safe to share between threads; usable after a fork."""

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Answer:
        """Rows of several views in one go. Never waits for a writer."""

    def states(self) -> Mapping[str, State]:
        """Of every view that was ever begun."""

    def marks(self, view: str) -> Mapping[str, Mark]:
        """By partition."""

    def keys(self, view: str) -> Sequence[bytes]:
        """The keys of a view that answer."""

    def session(self) -> AbstractContextManager[Writer]:
        """Write. What the block wrote is there for all when it ends well."""

    def close(self) -> None:
        """Let go of files and connections; they are opened again when they are needed."""
