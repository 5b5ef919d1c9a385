"""The checks of a frame, made again: from what it carries, and from its sources. An edge module: it opens them.

Two checks need nothing but the frame: that it is what was checked, and that each row's times keep the rule. Two need
the sources: that they still have the hashes they had, and that they still give these answers, by the join for every row
and by brute force for a sample. A source that is gone cannot be asked; that is said, and is no failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from quantdesk.errors import DataError, QuantdeskError
from quantdesk.features.asof import Integers, Outcome
from quantdesk.features.backend import Asking, Backend, Snapshot
from quantdesk.features.build import definitions_version
from quantdesk.features.declared import read_declared
from quantdesk.features.definitions import VIEWS, View
from quantdesk.features.evidence import Times, examine
from quantdesk.features.files import Build
from quantdesk.features.frame import FeatureFrame
from quantdesk.features.manifest import read_manifest
from quantdesk.features.overlay import overlaid
from quantdesk.features.proof import Examination, Matched, Recount

__all__ = ["Check", "Verification", "rule_broken", "verify"]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name
        ``content``, ``evidence``, ``rule``, ``sources`` or ``answers``.
    outcome
        ``held``, ``failed``, or ``impossible`` where it could not be made.
    said
        What was found, in a sentence.
    """

    name: str
    outcome: Literal["held", "failed", "impossible"]
    said: str


@dataclass(frozen=True)
class Verification:
    """What :meth:`FeatureFrame.verify` found. It is true when no check failed; see also :attr:`impossible`.

    Attributes
    ----------
    checks
        All of them, in the order in which they were made.
    """

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == "failed")

    @property
    def impossible(self) -> tuple[Check, ...]:
        """The checks that could not be made."""
        return tuple(check for check in self.checks if check.outcome == "impossible")

    def __bool__(self) -> bool:
        return bool(self.checks) and not self.failed

    def __repr__(self) -> str:
        verdict = "holds" if self else "DOES NOT HOLD"
        lines = [f"  {check.name:<9} {check.outcome:<11} {check.said}" for check in self.checks]
        return "\n".join([f"<Verification: the frame {verdict}", *lines]) + ">"


def verify(frame: FeatureFrame, backend: Backend | None = None) -> Verification:
    """Make the checks of a frame again.

    Parameters
    ----------
    frame
        As it was given, or as it was loaded from a file.
    backend
        Where its sources are: a :class:`~quantdesk.features.FeatureStore`, or the backend of one. Left out, the folder
        that the evidence names, if it is still there.

    Returns
    -------
    Verification
        Five checks. ``content``: nothing was changed. ``evidence``: all checks passed when the frame was made.
        ``rule``: the times of every row keep the rule (that the answer belongs to the row's own symbol only the
        sources can tell). ``sources``: their hashes are those of the evidence. ``answers``: asked again, they give
        every row the same times and values, and brute force gives a sample the same.
    """
    if frame.changed:
        return Verification((Check("content", "failed", "The frame was changed after it was checked."),))
    doubts = frame.doubts
    checks = [
        Check("content", "held", f"The hash is {frame.evidence.content[:12]}."),
        Check("evidence", "failed" if doubts else "held", doubts[0] if doubts else "All checks had passed."),
        _rule(frame),
    ]
    try:
        asked = _Asked.of(frame, backend)
    except QuantdeskError as error:
        why = error.problem
        return Verification((*checks, Check("sources", "impossible", why), Check("answers", "impossible", why)))
    return Verification((*checks, _sources(frame, asked), _answers(frame, asked)))


def rule_broken(frame: FeatureFrame) -> tuple[Examination, ...]:
    """What the rule finds in the times that a frame carries: the views in which a row breaks it."""
    evidence = frame.evidence
    found = []
    for view, times in frame.answers.known.items():
        matched = _matched(frame, view, times)
        found.append(
            examine(matched, _row_time(frame), known_by=_known_by(frame), ttl=evidence.ttl[view], seed=0, sample=0)
        )
    return tuple(one for one in found if one.violations)


def _rule(frame: FeatureFrame) -> Check:
    broken = rule_broken(frame)
    if broken:
        one = broken[0]
        how = ", ".join(f"{name} {count}" for name, count in one.kinds.items())
        return Check("rule", "failed", f"{one.violations} of {one.rows} rows of {one.view} break the rule ({how}).")
    return Check("rule", "held", f"{len(frame) * len(frame.answers.known)} answers were checked.")


@dataclass(frozen=True)
class _Asked:
    """Where a frame's question can be asked again."""

    snapshot: Snapshot
    views: Mapping[str, View]
    keys: Mapping[str, str]

    @classmethod
    def of(cls, frame: FeatureFrame, backend: Backend | None) -> _Asked:
        """Raises `QuantdeskError` where it cannot."""
        snapshot = _snapshot(frame.evidence.origin, backend)
        unknown = [name for name in frame.answers.known if name not in VIEWS]
        own: dict[str, View] = {}
        if unknown:
            # A FeatureStore knows what its user declared; else it is written down in the root of the builds.
            root = Path(frame.evidence.origin).parent.parent
            declared = getattr(backend, "declared", None) or read_declared(root)
            lost = [name for name in unknown if name not in declared.views]
            if lost:
                raise DataError(f"The view {lost[0]} is not declared any more.")
            own = {name: declared.views[name] for name in unknown}
            values = frame.to_pandas()
            columns = {name: values[name].to_numpy() for name in values.columns if name not in frame.features}
            snapshot = overlaid(snapshot, [declared.views[name] for name in unknown], columns)
        views = {name: own.get(name) or VIEWS[name] for name in frame.answers.known}
        names = frame.to_pandas().index.unique(1)
        return cls(snapshot, views, {name: snapshot.manifest.find(name).key for name in names})


def _sources(frame: FeatureFrame, asked: _Asked) -> Check:
    evidence = frame.evidence
    if asked.snapshot.manifest.key != evidence.build:
        return Check(
            "sources", "impossible", f"The store holds another build now ({asked.snapshot.manifest.key[:12]})."
        )
    now = asked.snapshot.digests(list(asked.views.values()), list(asked.keys.values()))
    gone = sorted(name for name in evidence.sources if now.get(name) is None)
    other = sorted(name for name, then in evidence.sources.items() if name not in gone and now[name] != then)
    if other:
        return Check("sources", "failed", f"{len(other)} sources have changed since, {other[0]} among them.")
    if gone:
        return Check("sources", "impossible", f"{len(gone)} sources cannot be hashed any more, {gone[0]} among them.")
    return Check("sources", "held", f"{len(evidence.sources)} sources have the hashes that they had.")


def _answers(frame: FeatureFrame, asked: _Asked) -> Check:
    evidence = frame.evidence
    if (
        asked.snapshot.manifest.definitions != evidence.registry_version
        or definitions_version() != evidence.code_version
    ):
        return Check("answers", "impossible", "The definitions of the features are others now.")
    codes, names = pd.factorize(frame.to_pandas().index.get_level_values(1).to_numpy(dtype=object))
    asking = Asking(
        tuple(asked.keys[name] for name in names), codes.astype(np.int64), _row_time(frame), _known_by(frame)
    )
    wrong, sample = 0, 0
    try:
        for view, times in frame.answers.known.items():
            features = [name for name, where in frame.answers.views.items() if where == view]
            again = asked.snapshot.match(asked.views[view], features, asking)
            mine = _matched(frame, view, times, again)
            wrong += int(np.count_nonzero(_different(mine, again)))
            known_by, ttl = asking.known_by, evidence.ttl[view]
            found = examine(mine, asking.time, known_by=known_by, ttl=ttl, seed=evidence.seed)
            wrong, sample = wrong + found.violations + found.oracle_mismatches, sample + found.oracle_rows
    except QuantdeskError as error:
        return Check("answers", "impossible", error.problem)
    if wrong:
        return Check("answers", "failed", f"The sources give {wrong} answers otherwise than the frame.")
    rows = len(frame) * len(frame.answers.known)
    return Check("answers", "held", f"{rows} answers are the same again, {sample} of them by brute force.")


def _different(mine: Matched, again: Matched) -> Any:
    """The rows whose times, outcome or values are not the same, to the bit."""
    other = (mine.event != again.event) | (mine.created != again.created) | (mine.outcome != again.outcome)
    for name, column in again.columns.items():
        one, two = np.asarray(mine.columns[name]), np.asarray(column)
        other |= (one != two) & ~(np.isnan(one) & np.isnan(two))
    return other


def _matched(frame: FeatureFrame, view: str, times: Times, again: Matched | None = None) -> Matched:
    """What the frame says a view answered. Brute force, and whose row it was, come from the sources, if there are."""
    values = frame.to_pandas()
    size = len(values)
    columns = {name: values[name].to_numpy() for name, where in frame.answers.views.items() if where == view}
    return Matched(
        view=view,
        columns=columns,
        event=times.event,
        created=times.created,
        belongs=np.ones(size, dtype=bool) if again is None else again.belongs,
        outcome=times.outcome,
        recount=_nobody if again is None else again.recount,
        reasons=lambda _: np.full(size, None, dtype=object),
    )


def _nobody(rows: Integers) -> Recount:
    none = np.full(len(rows), Outcome.NO_HISTORY, dtype=np.int64)
    return Recount(none, none)


def _row_time(frame: FeatureFrame) -> Integers:
    stamps = frame.to_pandas().index.get_level_values(0)
    return np.asarray(cast("Any", pd.DatetimeIndex(stamps).as_unit("ns")).asi8)


def _known_by(frame: FeatureFrame) -> int | None:
    as_of = frame.evidence.as_of
    return None if as_of is None else int(pd.Timestamp(as_of).as_unit("ns").value)


def _snapshot(origin: str, backend: Backend | None) -> Snapshot:
    if backend is not None:
        return backend.snapshot()
    if "://" in origin:
        raise DataError(f"The sources are at {origin}: hand over the store, frame.verify(store).")
    folder = Path(origin)
    if not folder.is_dir():
        raise DataError(f"The build {folder} is not there any more.")
    return Build(folder, read_manifest(folder))
