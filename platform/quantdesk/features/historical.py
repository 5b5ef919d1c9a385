"""Questions about the past: rows in, a proven frame out. An edge module: it reads the current build."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quantdesk.errors import BadDates
from quantdesk.features import missing
from quantdesk.features.asof import Integers, Outcome
from quantdesk.features.build import definitions_version, reason_column
from quantdesk.features.definitions import VIEWS, Feature, View
from quantdesk.features.evidence import RULE, Evidence, Examination, content_hash, examine
from quantdesk.features.frame import Answers, FeatureFrame, Labels
from quantdesk.features.manifest import Manifest
from quantdesk.features.request import by_view, nanosecond
from quantdesk.features.retrieval import Answer, Source, files_of, join, nanoseconds, read
from quantdesk.market.spans import Span
from quantdesk.records import sha256_of

__all__ = ["Rows", "answer", "rows_by_range", "source_of"]

_SEED = 20_000
_CLOCK = "technical"
"""The view whose rows are the sessions of every symbol."""


@dataclass(frozen=True)
class Rows:
    """The rows that ask. Arrays of shape ``(n,)``.

    Attributes
    ----------
    name
        The symbol of each row, as the caller wrote it.
    time
        The moment of each row, nanoseconds since 1970 (UTC).
    session
        The session close of each row, or None.
    carried
        Other columns that go along, or None.
    """

    name: NDArray[np.object_]
    time: Integers
    session: Integers | None = None
    carried: pd.DataFrame | None = None


def source_of(view: View, build: Path) -> Source:
    """Where a view's rows are in a build."""
    keys = ("symbol",) if view.entity else ()
    return Source(build / view.name, keys, "event_timestamp", "created_timestamp", view.ttl)


def rows_by_range(build: Path, manifest: Manifest, symbols: Sequence[str], span: Span) -> Rows:
    """One row per symbol and session, at the moment the session was known; by time, then in the order of `symbols`.

    Raises
    ------
    BadDates
        A symbol has no session in the range; the message says which it has.
    """
    source = source_of(VIEWS[_CLOCK], build)
    names, times, sessions, orders = [], [], [], []
    for order, name in enumerate(symbols):
        series = manifest.find(name)
        table = read(source, ["session", "event_timestamp", "created_timestamp"], {"symbol": [series.key]})
        event, known, session = _first_known(table)
        inside = _inside(span, session, known)
        if not inside.any():
            raise BadDates(
                f"{name} has no sessions from {span}.", f"It runs from {series.start} to {series.end} ({series.id})."
            )
        times.append(known[inside])
        sessions.append(event[inside])
        names.append(np.full(int(inside.sum()), name, dtype=object))
        orders.append(np.full(int(inside.sum()), order))
    time = np.concatenate(times)
    sorting = np.lexsort((np.concatenate(orders), time))
    return Rows(np.concatenate(names)[sorting], time[sorting], np.concatenate(sessions)[sorting])


def _first_known(table: pa.Table) -> tuple[Integers, Integers, NDArray[np.datetime64]]:
    """Each event once, with the moment at which its first version was known and its session."""
    event, created = nanoseconds(table["event_timestamp"]), nanoseconds(table["created_timestamp"])
    known = np.maximum(event, created)
    order = np.lexsort((known, event))
    once = order[np.unique(event[order], return_index=True)[1]]
    return event[once], known[once], table["session"].to_numpy().astype("datetime64[D]")[once]


def _inside(span: Span, session: NDArray[np.datetime64], known: Integers) -> NDArray[np.bool_]:
    """Dates bound sessions; aware datetimes bound the rows' timestamps."""
    inside = np.ones(len(known), dtype=bool)
    for bound, first in ((span.start, True), (span.end, False)):
        if bound is None:
            continue
        if isinstance(bound, dt.datetime):
            moment = nanosecond(bound).value
            inside &= known >= moment if first else known <= moment
        else:
            day = np.datetime64(bound, "D")
            inside &= session >= day if first else session <= day
    return inside


def answer(
    build: Path, manifest: Manifest, rows: Rows, features: Sequence[Feature], as_of: pd.Timestamp | None = None
) -> FeatureFrame:
    """Answer the rows from every view that the features need, prove it, and label it."""
    known_by = None if as_of is None else as_of.as_unit("ns").value
    distinct = tuple(dict.fromkeys(rows.name))
    key_of = {name: manifest.find(name).key for name in distinct}
    keys = pd.Series(rows.name).map(key_of).to_numpy(dtype=object)

    answers: dict[str, Answer] = {}
    found: list[Examination] = []
    for view, some in by_view(features).items():
        source = source_of(view, build)
        row_keys = [keys] if view.entity else []
        given = join(source, [feature.name for feature in some], row_keys, rows.time, known_by=known_by)
        answers[view.name] = given
        ttl = view.ttl // pd.Timedelta(1, "ns")
        found.append(
            examine(view.name, given, source.keys, row_keys, rows.time, known_by=known_by, ttl=ttl, seed=_SEED)
        )

    index = pd.MultiIndex.from_arrays([_instants(rows.time), rows.name], names=["timestamp", "symbol"])
    columns = {feature.name: answers[feature.view].floats(feature.name) for feature in features}
    values = pd.DataFrame(columns, index=index)
    if rows.carried is not None:
        values = _carry(values, rows.carried)
    labels = Labels.of([one for view in answers for one in manifest.behind(view, tuple(key_of.values()))])
    hashes = _hashes(build, list(answers), set(key_of.values()))
    evidence = Evidence(
        rule=RULE,
        views=tuple(found),
        seed=_SEED,
        as_of=None if as_of is None else as_of.isoformat(),
        sources=hashes,
        registry_version=manifest.definitions,
        market_version=manifest.market,
        failures=_failures(manifest, found, hashes),
        not_cured=labels.not_cured,
        content=content_hash(values),
    )
    behind = Answers(
        features=tuple(feature.name for feature in features),
        known={name: _known(given) for name, given in answers.items()},
        codes=lambda: _codes(build, features, answers, set(key_of.values())),
        sessions=None if rows.session is None else _instants(rows.session),
    )
    return FeatureFrame(values, behind, evidence, labels)


def _carry(values: pd.DataFrame, carried: pd.DataFrame) -> pd.DataFrame:
    """Set the caller's other columns beside the features, row by row."""
    return values.assign(**{str(name): carried[name].to_numpy() for name in carried.columns})


def _instants(nanos: Integers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(nanos.view("datetime64[ns]")).tz_localize("UTC")


def _known(given: Answer) -> pd.DataFrame:
    """The two times of what answered each row; NaT where nothing did."""
    position = given.match.position
    hit = position >= 0

    def times(column: Integers) -> pd.DatetimeIndex:
        taken = np.full(len(position), np.iinfo(np.int64).min)
        taken[hit] = column[position[hit]]
        return _instants(taken)

    return pd.DataFrame(
        {"event_timestamp": times(given.history.event), "created_timestamp": times(given.history.created)}
    )


def _failures(manifest: Manifest, found: Sequence[Examination], hashes: Mapping[str, str]) -> tuple[str, ...]:
    failures = []
    for view in found:
        if view.violations:
            failures.append(f"{view.violations} of {view.rows} rows of {view.view} saw what they could not know.")
        if view.oracle_mismatches:
            share = f"{view.oracle_mismatches} of {view.oracle_rows}"
            failures.append(f"The oracle gives {share} sampled rows of {view.view} another answer.")
    changed = sorted(name for name, digest in hashes.items() if digest != manifest.files.get(name))
    if changed:
        failures.append(f"{len(changed)} feature files are not as they were built, {changed[0]} among them.")
    if manifest.definitions != definitions_version():
        failures.append("The features were built by another version of their definitions; build them again.")
    return tuple(failures)


def _hashes(build: Path, views: Sequence[str], keys: set[str]) -> dict[str, str]:
    """The SHA-256 of every file that was read, as it is now."""
    found = {}
    for view in views:
        source = source_of(VIEWS[view], build)
        for path in files_of(source, {"symbol": keys}):
            status = path.stat()
            found[path.relative_to(build).as_posix()] = _hash(path, status.st_mtime_ns, status.st_size, status.st_ino)
    return found


@lru_cache(maxsize=4096)
def _hash(path: Path, _modified: int, _size: int, _inode: int) -> str:
    """A file's hash, worked out once for what is there: again after it was replaced or touched."""
    return sha256_of(path)


def _codes(
    build: Path, features: Sequence[Feature], answers: Mapping[str, Answer], keys: set[str]
) -> dict[str, NDArray[np.object_]]:
    codes: dict[str, NDArray[np.object_]] = {}
    for feature in features:
        view, given = VIEWS[feature.view], answers[feature.view]
        column = reason_column(feature.name)
        table = read(source_of(view, build), [column], {"symbol": keys})
        written = table[column].to_pandas().to_numpy(dtype=object) if table.num_rows else np.array([None], dtype=object)
        words = np.array([missing.of_outcome(outcome, view.ttl) for outcome in Outcome], dtype=object)
        found = given.match.outcome == Outcome.FOUND
        codes[feature.name] = np.where(
            found, written[np.where(found, given.match.position, 0)], words[given.match.outcome]
        )
    return codes
