"""What a question needs of the place where feature rows are kept. Pure: only the shapes; the places are elsewhere.

Two places ship: files on this machine (:mod:`quantdesk.features.files`) and PostgreSQL
(:mod:`quantdesk.features.postgres`). :mod:`quantdesk.features.historical` asks either of them the same questions and
proves the answers in the same way, so a frame from one is as good as a frame from the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.features.asof import Integers

if TYPE_CHECKING:
    from quantdesk.features.definitions import View
    from quantdesk.features.manifest import Manifest
    from quantdesk.features.proof import Matched

__all__ = ["Asking", "Backend", "Sessions", "Snapshot"]


@dataclass(frozen=True)
class Sessions:
    """The sessions of one symbol, each once, in ascending order. Arrays of shape ``(n,)``.

    Attributes
    ----------
    event
        The close of the session, nanoseconds since 1970 (UTC).
    known
        When the first version of its row was known: the later of its event and its created time.
    session
        Its date at the exchange.
    """

    event: Integers
    known: Integers
    session: NDArray[np.datetime64]


@dataclass(frozen=True)
class Asking:
    """The rows that ask a view.

    Attributes
    ----------
    keys
        The distinct keys of the store that are asked for, such as ``("AAPL", "SPX")``.
    code
        Shape ``(m,)``: the place of each row's key in `keys`.
    time
        Shape ``(m,)``: the moment of each row, nanoseconds since 1970 (UTC). Any order; duplicates are rows, too.
    known_by
        Feature rows created later than this do not exist, whatever the row's time; None for no cut-off.
    """

    keys: tuple[str, ...]
    code: NDArray[np.int64]
    time: Integers
    known_by: int | None = None

    def __post_init__(self) -> None:
        if len(self.code) != len(self.time):
            raise BadInput(
                f"{len(self.code)} row keys do not fit {len(self.time)} row times.", "Give one of each per row."
            )

    @property
    def row_keys(self) -> NDArray[np.object_]:
        """The key of each row. Shape ``(m,)``."""
        return np.array(self.keys, dtype=object)[self.code]


class Snapshot(Protocol):
    """One build, as it stood when it was opened: whatever happens to the store, two answers never mix two builds."""

    @property
    def manifest(self) -> Manifest:
        """What the build holds.

        Its ``files`` say what each part hashed to when it was written; a place that keeps no files puts the hashes
        of its own parts there.
        """
        ...

    @property
    def origin(self) -> str:
        """Where the build can be found again: a folder, or an address. Never with a password."""
        ...

    def sessions(self, key: str) -> Sessions:
        """The sessions of a symbol, from the view that has a row for each of them. Empty for an unknown key."""
        ...

    def match(self, view: View, columns: Sequence[str], asking: Asking) -> Matched:
        """Answer the rows from a view, each from what was known at its time.

        A view without an entity gives every row the same history, whatever its key.

        Raises
        ------
        DataError
            The view, or a part of it, is not there, is damaged or lacks a column; the message names it.
        """
        ...

    def unproven(self, view: View) -> tuple[str, ...]:
        """Why no answer of the view can be proven, in sentences; empty when it can be.

        For example: its rows do not say when they were known, or nobody has declared how that is to be found out.
        """
        ...

    def digests(self, views: Sequence[View], keys: Sequence[str]) -> Mapping[str, str | None]:
        """Per part that the views read for the keys, its hash as it is now; None where it can no longer be hashed.

        The names are those of ``manifest.files``.
        """
        ...

    def revisions(self, view: View, key: str, feature: str) -> pd.DataFrame:
        """Every version that the store holds of a feature of one symbol, nothing overwritten.

        Returns
        -------
        pandas.DataFrame
            By event and then by the time at which each version was known: ``event_timestamp`` and
            ``created_timestamp`` (UTC), ``value`` (float64, NaN for null), ``reason`` (why it is null, else None) and
            ``load`` (the place in ``manifest.loads`` of the load that wrote it).
        """
        ...


class Backend(Protocol):
    """Where builds are kept."""

    def snapshot(self) -> Snapshot:
        """The current build.

        Raises
        ------
        DataError
            Nothing has been built, or the manifest is damaged.
        """
        ...
