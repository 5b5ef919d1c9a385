"""What was done to prove a frame, what it showed, and the hash that ties the proof to the frame. Pure.

A verdict is never stored: :attr:`Evidence.failures` works it out from what was found, each time that it is asked for.
The hash covers the values, the index, the column types and their order, the matched times, the labels, and the
evidence itself; change any of them, by whatever route, and the frame is no longer believed.

The hash finds changes. It is no signature: whoever writes a whole frame by hand, times and evidence included, can hash
that, too. What such a frame cannot do is agree with the files it names; :meth:`FeatureFrame.verify` asks them again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.features.asof import NOT_A_TIME, Integers
from quantdesk.features.proof import SAMPLE, Examination, examine

__all__ = ["RULE", "SAMPLE", "Evidence", "Examination", "Times", "content_hash", "examine"]

RULE = (
    "A row asked for time t sees a feature row only if max(event_timestamp, created_timestamp) <= t; of those the "
    "latest event, of its revisions the latest one known. A frame by date range asks each symbol's sessions at the "
    "moment the session was known, close plus publication lag: that moment is the row's timestamp. Trade after it."
)


@dataclass(frozen=True)
class Times:
    """What answered each row of a view, in nanoseconds since 1970 (UTC). Arrays of shape ``(m,)``.

    Attributes
    ----------
    event, created
        The two times of the feature row; :data:`~quantdesk.features.asof.NOT_A_TIME` where nothing answered.
    outcome
        An :class:`~quantdesk.features.asof.Outcome` per row, ``int8``.
    """

    event: Integers
    created: Integers
    outcome: NDArray[np.int8]


@dataclass(frozen=True)
class Evidence:
    """Why a frame may be believed, or why not.

    Attributes
    ----------
    rule
        The rule that its rows follow, in words.
    views
        What was found in each view.
    seed
        Of the oracle's sample.
    as_of
        The moment at which knowledge was cut off (ISO), or None.
    ttl
        Per view how old an answer may be, in nanoseconds; None for ever.
    origin
        Where the feature rows are: a folder, or an address without its password.
    build
        The key of the build that they belong to.
    sources
        Per part of the build that was read, its SHA-256 as it was found; None where it could not be hashed.
    as_built
        The SHA-256 that the build wrote down for each of them; None where it does not know the part.
    registry_version
        The version of the definitions that made the feature rows.
    code_version
        The version of the definitions that were running when the question was asked.
    market_version
        The version of the market data that the rows were made from.
    impossible
        Checks that could not be made, in sentences.
    not_cured
        What no point-in-time join can cure, said by the data's own labels.
    knowledge
        Per view how it is known when its rows were known, in sentences: observed, or by which policy.
    content
        The hash of the frame as it was checked; see :func:`content_hash`.
    """

    rule: str
    views: tuple[Examination, ...]
    seed: int
    as_of: str | None
    ttl: Mapping[str, int | None]
    origin: str
    build: str
    sources: Mapping[str, str | None]
    as_built: Mapping[str, str | None]
    registry_version: str
    code_version: str
    market_version: str
    impossible: tuple[str, ...] = ()
    not_cured: tuple[str, ...] = ()
    knowledge: tuple[str, ...] = ()
    content: str = field(default="", compare=False)

    @property
    def rows_checked(self) -> int:
        """Rows that were checked, over all views."""
        return sum(view.rows for view in self.views)

    @property
    def violations(self) -> int:
        """Rows that break the rule, and rows on which the oracle disagrees."""
        return sum(view.violations + view.oracle_mismatches for view in self.views)

    @property
    def failures(self) -> tuple[str, ...]:
        """Every reason not to believe the frame; empty when all checks ran and passed."""
        return (*self._of_views(), *self._of_sources(), *self._of_versions(), *self.impossible)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        said = {"failures": list(self.failures), "rows_checked": self.rows_checked, "violations": self.violations}
        return {**asdict(self), **said}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Evidence:
        """The inverse of :meth:`to_dict`; what it worked out is worked out again, not taken over."""
        own = {name: given[name] for name in cls.__dataclass_fields__}
        own["views"] = tuple(Examination(**view) for view in own["views"])
        for name in ("impossible", "not_cured", "knowledge"):
            own[name] = tuple(own[name])
        return cls(**own)

    def _of_views(self) -> list[str]:
        found = [] if self.views else ["No view was examined."]
        for view in self.views:
            if view.violations:
                how = ", ".join(f"{name} {count}" for name, count in view.kinds.items())
                how = f" ({how})" if how else ""
                found.append(f"{view.violations} of {view.rows} rows of {view.view} saw what they could not know{how}.")
            if view.oracle_mismatches:
                share = f"{view.oracle_mismatches} of {view.oracle_rows}"
                found.append(f"The oracle gives {share} sampled rows of {view.view} another answer.")
            if not view.oracle_rows:
                found.append(f"The oracle answered no row of {view.view} again.")
        return found

    def _of_sources(self) -> list[str]:
        found = []
        gone = sorted(name for name, digest in self.sources.items() if digest is None)
        if gone:
            found.append(f"{len(gone)} feature files could not be hashed, {gone[0]} among them.")
        changed = sorted(
            name for name, digest in self.sources.items() if digest is not None and digest != self.as_built.get(name)
        )
        if changed:
            found.append(f"{len(changed)} feature files are not as they were built, {changed[0]} among them.")
        if not self.sources and any(view.found for view in self.views):
            found.append("There are answers, and no source that they come from.")
        return found

    def _of_versions(self) -> list[str]:
        if not self.registry_version or not self.code_version:
            return ["The version of the definitions behind the features is not known."]
        if self.registry_version != self.code_version:
            return ["The features were built by another version of their definitions; build them again."]
        return []

    def sealed(self, content: str) -> Evidence:
        """The same evidence with the hash of the frame."""
        return replace(self, content=content)


def content_hash(
    values: pd.DataFrame,
    views: Mapping[str, str],
    known: Mapping[str, Times],
    sessions: Integers | None,
    evidence: Evidence,
    labels: str,
) -> str:
    """A hash of all that a frame says, its own evidence included.

    Parameters
    ----------
    values
        Every bit of every column, the columns' names, types and order, and the index with its names and types.
    views
        Per feature its view.
    known
        Per view the matched times and outcomes.
    sessions
        The session close of each row, or None.
    evidence
        All of it but its own ``content``.
    labels
        The labels, as text.
    """
    index = cast("pd.MultiIndex", values.index)
    head = {
        "columns": [[str(name), str(dtype)] for name, dtype in values.dtypes.items()],
        "index": [[str(name), str(level.dtype)] for name, level in zip(index.names, index.levels, strict=True)],
        "rows": len(values),
        "features": list(views.items()),
        "views": list(known),
        "sessions": sessions is not None,
        "evidence": asdict(replace(evidence, content="")),
        "labels": labels,
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True, default=str).encode())
    for level in range(index.nlevels):
        _feed_level(digest, index, level)
    for place in range(values.shape[1]):
        _feed(digest, values.iloc[:, place])
    for times in known.values():
        for part in (times.event, times.created, times.outcome):
            digest.update(np.ascontiguousarray(part).data)
    if sessions is not None:
        digest.update(np.ascontiguousarray(sessions).data)
    return digest.hexdigest()


def _feed_level(digest: Any, index: pd.MultiIndex, level: int) -> None:
    """One level of the index: in the order of the rows, however its labels happen to be coded."""
    codes, labels = np.asarray(index.codes[level]), index.levels[level]
    if isinstance(labels, pd.DatetimeIndex):
        stamps = np.append(cast("Any", labels).asi8, NOT_A_TIME)  # the last place is where code -1 points
        digest.update(np.ascontiguousarray(stamps[codes]).data)
        return
    places, first = pd.factorize(codes)
    names = [None if code < 0 else labels[code] for code in first.tolist()]
    digest.update(_said(names).encode())
    digest.update(places.astype(np.int32).data)


def _feed(digest: Any, column: pd.Series) -> None:
    """One column: its bits where it has a plain type, else each value with its type."""
    if isinstance(column.dtype, np.dtype) and column.dtype != object:
        digest.update(np.ascontiguousarray(column.to_numpy()).view(np.uint8).data)
    else:
        digest.update(_said(column.tolist()).encode())


def _said(values: list[Any]) -> str:
    return "\x1f".join(f"{type(value).__name__}:{value!r}" for value in values)
