"""What a caller gets: values, the times at which they were known, the proof, the labels, the reasons. Pure."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput, DataError
from quantdesk.features.evidence import Evidence, Times, content_hash
from quantdesk.market.series import Series

if TYPE_CHECKING:
    from pathlib import Path

    from quantdesk.features.asof import Integers
    from quantdesk.features.backend import Backend
    from quantdesk.features.verification import Verification

__all__ = ["Answers", "FeatureFrame", "Labels"]

_HINDSIGHT = "adjusted_with_hindsight: prices carry splits and dividends that came later; returns are right, levels not"
_SURVIVORS = "survivors_only: the symbols were chosen knowing that they lived on; a backtest on them looks too good"


_CHANGED = "The frame was changed after it was checked."


@dataclass(frozen=True)
class Labels:
    """What every number built on a frame must say about its data.

    Attributes
    ----------
    real
        All of it was observed; nothing simulated or made up.
    adjusted_with_hindsight, survivors_only
        At least one series carries the flag of :class:`quantdesk.market.series.Flags`.
    series
        Every series behind the frame, with package, version, licence and SHA-256; benchmark and panel included.
    """

    real: bool
    adjusted_with_hindsight: bool
    survivors_only: bool
    series: tuple[Series, ...]

    @classmethod
    def of(cls, series: Sequence[Series]) -> Labels:
        """The labels of a result that is built on `series`."""
        once = tuple({one.id: one for one in series}.values())
        return cls(
            real=all(one.flags.real for one in once),
            adjusted_with_hindsight=any(one.flags.adjusted_with_hindsight for one in once),
            survivors_only=any(one.flags.survivors_only for one in once),
            series=once,
        )

    @property
    def not_cured(self) -> tuple[str, ...]:
        """What is wrong with the data themselves, so that no point-in-time join can put it right."""
        said = ((self.adjusted_with_hindsight, _HINDSIGHT), (self.survivors_only, _SURVIVORS))
        return tuple(text for flag, text in said if flag)

    @property
    def words(self) -> tuple[str, ...]:
        """The labels as short words, for a caption."""
        flags = {"adjusted_with_hindsight": self.adjusted_with_hindsight, "survivors_only": self.survivors_only}
        return ("real" if self.real else "not real", *(name for name, flag in flags.items() if flag))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "real": self.real,
            "adjusted_with_hindsight": self.adjusted_with_hindsight,
            "survivors_only": self.survivors_only,
            "series": [one.to_dict() for one in self.series],
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Labels:
        """The inverse of :meth:`to_dict`."""
        series = tuple(Series.from_dict(one) for one in given["series"])
        return cls(given["real"], given["adjusted_with_hindsight"], given["survivors_only"], series)


@dataclass(frozen=True)
class Answers:
    """What stands behind the values of a frame.

    Attributes
    ----------
    views
        Per asked feature its view, in the order of the columns.
    known
        Per view the times of the feature row that answered each row.
    codes
        Makes the reasons when they are asked for: per feature one code per row, None where there is a value.
    sessions
        The session close of each row, nanoseconds since 1970 (UTC); None for a frame that was asked by entity rows.
    """

    views: Mapping[str, str]
    known: Mapping[str, Times]
    codes: Callable[[], Mapping[str, NDArray[np.object_]]]
    sessions: Integers | None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the asked features."""
        return tuple(self.views)


class FeatureFrame:
    """Historical features, each row as it was known at its timestamp.

    Made by :meth:`quantdesk.features.FeatureStore.get_historical_features`, or read by :meth:`load`.

    Parameters
    ----------
    values
        Index ``(timestamp, symbol)``, one column per feature.
    answers
        What stands behind the values.
    evidence
        Why they may be believed, or why not.
    labels
        What must be said about their data.
    objections
        What speaks against the frame besides its evidence.
    """

    def __init__(
        self,
        values: pd.DataFrame,
        answers: Answers,
        evidence: Evidence,
        labels: Labels,
        objections: tuple[str, ...] = (),
    ) -> None:
        self._values = values
        self._answers = answers
        self._evidence = evidence
        self._labels = labels
        self._objections = objections

    @classmethod
    def sealed(cls, values: pd.DataFrame, answers: Answers, evidence: Evidence, labels: Labels) -> FeatureFrame:
        """A frame whose evidence holds the hash of everything in it. For whoever has just checked it."""
        content = content_hash(values, answers.views, answers.known, answers.sessions, evidence, repr(labels))
        return cls(values, answers, evidence.sealed(content), labels)

    @classmethod
    def load(cls, path: Path | str) -> FeatureFrame:
        """Read a frame that :meth:`save` wrote. See :func:`quantdesk.features.saved.load`."""
        from quantdesk.features import saved

        return saved.load(path)

    def save(self, path: Path | str) -> Path:
        """Write everything into one Parquet file, whole or not at all. See :func:`quantdesk.features.saved.save`."""
        from quantdesk.features import saved

        return saved.save(self, path)

    def verify(self, backend: Backend | None = None) -> Verification:
        """Make the checks again from what the frame carries, and from its sources where they are still there.

        See :func:`quantdesk.features.verification.verify`.
        """
        from quantdesk.features import verification

        return verification.verify(self, backend)

    @property
    def answers(self) -> Answers:
        """What stands behind the values."""
        return self._answers

    @property
    def evidence(self) -> Evidence:
        """Why the values may be believed, or why not."""
        return self._evidence

    @property
    def labels(self) -> Labels:
        """What must be said about the data."""
        return self._labels

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the asked features."""
        return self._answers.features

    def to_pandas(self) -> pd.DataFrame:
        """A copy of the values.

        Returns
        -------
        pandas.DataFrame
            Index ``(timestamp, symbol)``; one float64 column per feature, NaN where there is no value (see
            :meth:`reasons`); then the other columns of the entity frame, if there was one. The timestamp (UTC) is the
            moment at which the row was known: act after it, never at it or before.
        """
        return self._values.copy()

    def by_session(self) -> pd.DataFrame:
        """The same rows under the session's close, the timestamp that prices carry in the market store.

        Under this label a row looks fifteen minutes older than it is: it was *not* yet known at the close that it is
        named after. Whoever uses the row of session T trades after T, at the next session at the earliest.

        Raises
        ------
        BadInput
            The frame was asked by entity rows, which belong to no session.
        """
        if self._answers.sessions is None:
            raise BadInput(
                "A frame that was asked by entity_df has no sessions.",
                "Ask by start_date and end_date, or use to_pandas().",
            )
        symbols = self._values.index.get_level_values("symbol")
        closes = _instants(self._answers.sessions)
        index = pd.MultiIndex.from_arrays([closes, symbols], names=["timestamp", "symbol"])
        return self._values.copy().set_axis(index, axis="index")

    def known(self, view: str | None = None) -> pd.DataFrame:
        """When what each row shows had happened and was first known.

        Parameters
        ----------
        view
            A view of the frame; may be left out when there is only one.

        Returns
        -------
        pandas.DataFrame
            The frame's index; columns ``event_timestamp`` and ``created_timestamp`` in UTC, NaT where nothing
            answered.
        """
        if view is None and len(self._answers.known) == 1:
            view = next(iter(self._answers.known))
        if view is None or view not in self._answers.known:
            raise BadInput(f"The frame has no view {view!r}.", f"Its views: {', '.join(self._answers.known)}.")
        times = self._answers.known[view]
        columns = {"event_timestamp": _instants(times.event), "created_timestamp": _instants(times.created)}
        return pd.DataFrame(columns).set_axis(self._values.index, axis="index")

    def reasons(self) -> pd.DataFrame:
        """Why each null is null.

        Returns
        -------
        pandas.DataFrame
            One row per null: columns ``timestamp``, ``symbol``, ``feature`` and ``reason``, in the order of the frame's
            rows. The codes are listed in :mod:`quantdesk.features.missing`.
        """
        codes = self._answers.codes()
        row, column = np.nonzero(self._values[list(self.features)].isna().to_numpy())
        reason = np.column_stack([codes[name] for name in self.features])[row, column]
        names = np.array(self.features, dtype=object)[column]
        index = self._values.index
        return pd.DataFrame(
            {
                "timestamp": index.get_level_values("timestamp")[row],
                "symbol": index.get_level_values("symbol")[row],
                "feature": names,
                "reason": reason,
            }
        )

    @property
    def is_pit_validated(self) -> bool:
        """Whether every check ran and passed, and the values are still those that were checked."""
        return not self.doubts

    @property
    def changed(self) -> bool:
        """Whether anything in the frame is not what was checked: values, index, times, labels, evidence."""
        return self._content() != self.evidence.content

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every reason not to believe the frame; empty when there is none. Worked out anew each time."""
        changed = (_CHANGED,) if self.changed else ()
        return (*self.evidence.failures, *self._objections, *changed)

    def proven(self) -> FeatureFrame:
        """The frame itself; for whoever may only build on one that was proven.

        Raises
        ------
        DataError
            It is not validated; the message says why.
        """
        doubts = self.doubts
        if doubts:
            raise DataError(
                f"The features are not validated point in time: {doubts[0]}",
                "Ask for them again; frame.doubts has every reason. Whoever uses them all the same hands on "
                "frame.to_pandas(), which proves nothing.",
            )
        return self

    def _content(self) -> str:
        given = self._answers
        try:
            return content_hash(
                self._values, given.views, given.known, given.sessions, self.evidence, repr(self.labels)
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return "a part was replaced by something of another kind"

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        first, last = self._values.index[0][0], self._values.index[-1][0]
        state = "validated point in time" if self.is_pit_validated else f"NOT validated: {self.doubts[0]}"
        return (
            f"<FeatureFrame {len(self)} rows x {len(self.features)} features, {first:%Y-%m-%d} to {last:%Y-%m-%d}, "
            f"{state}; {', '.join(self.labels.words)}>"
        )

    def _repr_html_(self) -> str:
        """The table as a notebook shows it, with its labels above it."""
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self._values.to_html(max_rows=10, notebook=True)}"


def _instants(nanos: Integers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(nanos.copy().view("datetime64[ns]")).tz_localize("UTC")
