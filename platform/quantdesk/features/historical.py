"""Questions about the past: rows in, a proven frame out. Pure: what it asks is a snapshot of whatever backend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates
from quantdesk.features import missing
from quantdesk.features.asof import Integers, Outcome
from quantdesk.features.backend import Asking, Snapshot
from quantdesk.features.build import definitions_version
from quantdesk.features.definitions import Feature, View
from quantdesk.features.evidence import RULE, Evidence, Examination, Times, examine
from quantdesk.features.frame import Answers, FeatureFrame, Labels
from quantdesk.features.manifest import Manifest
from quantdesk.features.proof import Matched
from quantdesk.features.request import by_view, nanosecond
from quantdesk.market.spans import Span

__all__ = ["Rows", "answer", "rows_by_range", "rows_of_entities"]

_SEED = 20_000


@dataclass(frozen=True)
class Rows:
    """The rows that ask. Arrays of shape ``(n,)``.

    Attributes
    ----------
    names
        The distinct symbols, as the caller wrote them.
    code
        The place of each row's symbol in `names`.
    time
        The moment of each row, nanoseconds since 1970 (UTC).
    session
        The session close of each row, or None.
    carried
        Other columns that go along, or None.
    """

    names: tuple[str, ...]
    code: NDArray[np.int64]
    time: Integers
    session: Integers | None = None
    carried: pd.DataFrame | None = None


def rows_of_entities(frame: pd.DataFrame, times: Integers) -> Rows:
    """The rows of an entity frame that was checked, in its order."""
    code, names = pd.factorize(frame["symbol"].to_numpy(dtype=object))
    others = frame.drop(columns=["symbol", "event_timestamp"])
    return Rows(tuple(names), code.astype(np.int64), times, carried=others if others.shape[1] else None)


def rows_by_range(snapshot: Snapshot, symbols: Sequence[str], span: Span) -> Rows:
    """One row per symbol and session, at the moment the session was known; by time, then in the order of `symbols`.

    Raises
    ------
    BadDates
        A symbol has no session in the range; the message says which it has.
    """
    times, sessions = [], []
    for name in symbols:
        series = snapshot.manifest.find(name)
        found = snapshot.sessions(series.key)
        inside = _inside(span, found.session, found.known)
        if not inside.any():
            raise BadDates(
                f"{name} has no sessions from {span}.", f"It runs from {series.start} to {series.end} ({series.id})."
            )
        times.append(found.known[inside])
        sessions.append(found.event[inside])
    time = np.concatenate(times)
    sorting = np.argsort(time, kind="stable")  # stable: within a moment the order of the symbols
    code = np.repeat(np.arange(len(symbols)), [len(one) for one in times])[sorting]
    return Rows(tuple(symbols), code, time[sorting], np.concatenate(sessions)[sorting])


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
    snapshot: Snapshot, rows: Rows, features: Sequence[Feature], as_of: pd.Timestamp | None = None
) -> FeatureFrame:
    """Answer the rows from every view that the features need, prove it, and label it."""
    manifest = snapshot.manifest
    known_by = None if as_of is None else as_of.as_unit("ns").value
    keys = tuple(manifest.find(name).key for name in rows.names)
    asking = Asking(keys, rows.code, rows.time, known_by)

    views = by_view(features)
    answers: dict[str, Matched] = {}
    found: list[Examination] = []
    for view, some in views.items():
        matched = snapshot.match(view, [feature.name for feature in some], asking)
        answers[view.name] = matched
        found.append(examine(matched, rows.time, known_by=known_by, ttl=_nanos(view), seed=_SEED))

    labels = _labels(list(views), manifest, keys)
    sources = snapshot.digests(list(views), list(dict.fromkeys(keys)))
    evidence = Evidence(
        rule=RULE,
        views=tuple(found),
        seed=_SEED,
        as_of=None if as_of is None else as_of.isoformat(),
        ttl={view.name: _nanos(view) for view in views},
        origin=snapshot.origin,
        build=manifest.key,
        sources=dict(sources),
        as_built={name: manifest.files.get(name) for name in sources},
        registry_version=manifest.definitions,
        code_version=definitions_version(),
        market_version=manifest.market,
        impossible=tuple(said for view in views for said in snapshot.unproven(view)),
        not_cured=labels.not_cured,
        knowledge=tuple(_knowledge(view, manifest) for view in views),
    )
    behind = Answers(
        views={feature.name: feature.view for feature in features},
        known={name: Times(given.event, given.created, given.outcome) for name, given in answers.items()},
        codes=_codes_of(features, answers),
        sessions=rows.session,
    )
    return FeatureFrame.sealed(_values(rows, features, answers), behind, evidence, labels)


def _labels(views: Sequence[View], manifest: Manifest, keys: Sequence[str]) -> Labels:
    """What must be said: by the series behind the built-in views, and by what was declared of the user's own."""
    own = [view for view in views if view.flags is not None]
    labels = Labels.of([one for view in views if view not in own for one in manifest.behind(view.name, tuple(keys))])
    for flags in (view.flags for view in own if view.flags is not None):
        labels = replace(
            labels,
            real=labels.real and flags.real,
            adjusted_with_hindsight=labels.adjusted_with_hindsight or flags.adjusted_with_hindsight,
            survivors_only=labels.survivors_only or flags.survivors_only,
        )
    return labels


def _knowledge(view: View, manifest: Manifest) -> str:
    """How it is known when the rows of a view were known, in a sentence."""
    if view.flags is None:
        return f"{view.name}: {manifest.knowledge}"
    said = f"each row counts as {view.knowledge}, as declared" if view.knowledge else "not declared"
    return f"{view.name}: {said}."


def _nanos(view: View) -> int | None:
    return view.ttl // pd.Timedelta(1, "ns") or None


def _values(rows: Rows, features: Sequence[Feature], answers: Mapping[str, Matched]) -> pd.DataFrame:
    columns = {feature.name: answers[feature.view].columns[feature.name] for feature in features}
    values = pd.DataFrame(columns, index=_index(rows), copy=False)
    if rows.carried is None:
        return values
    return values.assign(**{str(name): rows.carried[name].to_numpy() for name in rows.carried.columns})


def _index(rows: Rows) -> pd.MultiIndex:
    """The index ``(timestamp, symbol)``, built from the codes that are there; both levels sorted."""
    if bool((rows.time[1:] >= rows.time[:-1]).all()):
        first = np.concatenate([[True], rows.time[1:] != rows.time[:-1]])
        moments, when = rows.time[first], np.cumsum(first) - 1
    else:
        moments, when = np.unique(rows.time, return_inverse=True)
    order = sorted(range(len(rows.names)), key=rows.names.__getitem__)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    symbols = pd.Index([rows.names[number] for number in order], dtype=object)
    stamps = pd.DatetimeIndex(moments.view("datetime64[ns]")).tz_localize("UTC")
    levels, codes = cast("Any", [stamps, symbols]), cast("Any", [when, place[rows.code]])  # the stubs want lists
    return pd.MultiIndex(levels, codes, names=["timestamp", "symbol"])


def _codes_of(
    features: Sequence[Feature], answers: Mapping[str, Matched]
) -> Callable[[], Mapping[str, NDArray[np.object_]]]:
    """Makes per feature and row the reason why it is null: what the store wrote, or why nothing answered.

    It keeps of the answers only what it needs: what the oracle looked at may be as large as the history.
    """
    outcomes = {view: given.outcome for view, given in answers.items()}
    stored = {view: given.reasons for view, given in answers.items()}

    def codes() -> dict[str, NDArray[np.object_]]:
        made: dict[str, NDArray[np.object_]] = {}
        for feature in features:
            words = np.array([missing.of_outcome(outcome, feature.home.ttl) for outcome in Outcome], dtype=object)
            outcome = outcomes[feature.view]
            written = stored[feature.view](feature.name).copy()
            written[pd.isna(written)] = None  # however the place spells nothing
            made[feature.name] = np.where(outcome == Outcome.FOUND, written, words[outcome])
        return made

    return codes
