"""Reading the online store directly, without Feast. An edge module: it asks a store.

A question of a hundred symbols has half a millisecond: nothing here is a data frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.features.asof import NOT_A_TIME, Integers
from quantdesk.features.online.backend import Backend, State
from quantdesk.features.online.rows import DUMMY, entity_key, floats

__all__ = ["SESSION_CLOCK", "Read", "Reader", "table"]

SESSION_CLOCK = ("online_ttl", "session")
"""The tag of a Feast view whose rows do not age while nothing newer of the same key exists."""


@dataclass(frozen=True)
class Read:
    """What a view holds for some keys.

    Attributes
    ----------
    values
        Shape ``(keys, columns)``; NaN where there is no value.
    event, created
        Shape ``(keys,)``: of the row, nanoseconds since 1970 (UTC); NaT where there is none.
    """

    values: NDArray[np.float64]
    event: Integers
    created: Integers

    def only(self, alive: NDArray[np.bool_]) -> Read:
        """The same with no value where a row is too old; its times stay, so that one can see why."""
        if alive.all():
            return self
        return Read(np.where(alive[:, None], self.values, np.nan), self.event, self.created)


def table(project: str, view: str) -> str:
    """What a view is called in the store; Feast's rule."""
    return f"{project}_{view}"


class Reader:
    """Reads features of one join key, or of none.

    Parameters
    ----------
    backend
        The store.
    project
        The Feast project.
    key
        The join key.
    """

    def __init__(self, backend: Backend, project: str, key: str = "symbol") -> None:
        self.backend = backend
        self._project = project
        self._key = key
        self._keys: dict[str, bytes] = {}

    def states(self) -> Mapping[str, State]:
        """Of each view of the project that was ever begun, by its name."""
        prefix = table(self._project, "")
        return {name[len(prefix) :]: state for name, state in self.backend.states().items() if name.startswith(prefix)}

    def read(
        self,
        views: Mapping[str, Sequence[str]],
        keys: Sequence[str],
        entityless: frozenset[str] = frozenset(),
        *,
        ttl: Mapping[str, int] | None = None,
        now: int | None = None,
    ) -> tuple[Mapping[str, Read], Mapping[str, State]]:
        """Features of several views in one round trip.

        Parameters
        ----------
        views
            Per view the wanted columns; one that the store does not know is NaN.
        keys
            The wanted keys, in order.
        entityless
            Those of the views that have one row for all keys.
        ttl
            Per view the time to live in nanoseconds.
        now
            With `ttl`: rows whose event is older than that answer nothing. Nanoseconds since 1970 (UTC).

        Returns
        -------
        answers, states
            Per view, its rows for the keys, and what it was filled from (absent where it never was).
        """
        known = self._keys
        packed = [known.get(key) or known.setdefault(key, entity_key([self._key], [key])) for key in keys]
        asked = [(table(self._project, view), [DUMMY] if view in entityless else packed) for view in views]
        answer = self.backend.read(asked)
        found: dict[str, Read] = {}
        for (view, columns), rows in zip(views.items(), answer.rows, strict=True):
            read = Read(*floats(answer.schemas, rows, columns))
            if now is not None and ttl is not None and view in ttl:
                read = read.only((read.event != NOT_A_TIME) & (read.event >= now - ttl[view]))
            found[view] = _spread(read, len(keys)) if view in entityless else read
        states = {view: answer.states.get(name) for view, (name, _) in zip(views, asked, strict=True)}
        return found, {view: state for view, state in states.items() if state is not None}


def _spread(read: Read, keys: int) -> Read:
    one: dict[str, Any] = {
        name: np.repeat(getattr(read, name), keys, axis=0) for name in ("values", "event", "created")
    }
    return Read(**one)
