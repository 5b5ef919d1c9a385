"""When somebody is to be told: once as something goes wrong, and once as it is right again. Pure.

What is wrong at present is a :class:`Standing`, which goes from run to run. A run that says nothing of a metric,
because it failed before the metric was recorded, neither alerts nor recovers it: the standing keeps what was known, so
that a report that fails every second day does not announce the same limit each time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from quantdesk.reports import banner
from quantdesk.reports.amounts import amount
from quantdesk.reports.result import Status

if TYPE_CHECKING:
    from quantdesk.reports.declaration import Declaration
    from quantdesk.reports.result import Metric, Run

__all__ = ["Alert", "Bound", "Rules", "Standing", "alerts_of", "rules_of", "standing_of"]


@dataclass(frozen=True)
class Bound:
    """Where a metric has to be. Both ends are allowed values; None leaves an end open.

    Attributes
    ----------
    metric
        Its name.
    low, high
        In the metric's own unit.
    severity
        Of its alerts: ``info``, ``warning`` or ``critical``.
    """

    metric: str
    low: float | None = None
    high: float | None = None
    severity: str = "warning"


@dataclass(frozen=True)
class Rules:
    """What a report is watched for.

    Attributes
    ----------
    bounds
        Of the metrics that every complete run records.
    on_failure
        Whether a run that is not complete is told.
    oldest_data
        How long the newest day of the data may be over at the end of a run; None for any age.
    labels
        Labels that a result must not carry, such as ``mock``.
    """

    bounds: tuple[Bound, ...] = ()
    on_failure: bool = True
    oldest_data: timedelta | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alert:
    """One change: something went wrong, or is right again.

    Attributes
    ----------
    subject
        What: ``run``, ``data``, ``label:mock``, ``metric:var_99``.
    is_over
        Whether it is right again.
    message
        One sentence, with value, unit and bound. It may quote what a notebook wrote, and is hostile until escaped.
    severity
        ``info``, ``warning`` or ``critical``.
    """

    subject: str
    is_over: bool
    message: str
    severity: str = "warning"


@dataclass(frozen=True)
class Standing:
    """What is wrong at present, and up to which run that is known.

    Attributes
    ----------
    wrong
        By subject, the sentence with which it was announced.
    run_id, started
        The last run that was judged; empty and None before the first.
    """

    wrong: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    started: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "wrong": dict(self.wrong),
            "run_id": self.run_id,
            "started": None if self.started is None else self.started.isoformat(),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Standing:
        """The inverse of :meth:`to_dict`."""
        started = given["started"]
        return cls(given["wrong"], given["run_id"], None if started is None else datetime.fromisoformat(started))


def rules_of(declaration: Declaration) -> Rules:
    """What a report is watched for, by what it declares: a metric without bounds must be there all the same."""
    bounds = tuple(
        Bound(entry.name)
        if entry.bounds is None
        else Bound(entry.name, entry.bounds.lower, entry.bounds.upper, entry.bounds.severity)
        for entry in declaration.metrics
    )
    hours = declaration.data_max_age_h
    return Rules(bounds, oldest_data=None if hours is None else timedelta(hours=hours))


def alerts_of(rules: Rules, run: Run, previous: Standing) -> tuple[tuple[Alert, ...], Standing]:
    """What a run changes.

    Parameters
    ----------
    rules
        What the report is watched for, now. What is not watched any more is forgotten without a word.
    run
        A run that has ended. A cancelled run says nothing.
    previous
        What was wrong before it, by the runs that it is one of a row with: those of one schedule. A run that somebody
        made by hand with other parameters says nothing about them.

    Returns
    -------
    alerts
        One for each change, none for what stays as it was. Empty for a run that was judged already, and for one that
        began before the last judged one: it was overtaken.
    standing
        For the next run.
    """
    key = (run.started, run.id)
    if previous.started is not None and key <= (previous.started, previous.run_id):
        return (), previous
    if run.status is Status.CANCELLED:
        return (), Standing(previous.wrong, run.id, run.started)
    found = _judged(rules, run)
    watched = _watched(rules)
    wrong = {subject: said for subject, said in previous.wrong.items() if subject in watched}
    alerts: list[Alert] = []
    for subject, verdict in found.items():
        if verdict.is_wrong and subject not in wrong:
            alerts.append(Alert(subject, False, verdict.said, verdict.severity))
            wrong[subject] = verdict.said
        elif not verdict.is_wrong and subject in wrong:
            alerts.append(Alert(subject, True, verdict.said, verdict.severity))
            del wrong[subject]
    return tuple(alerts), Standing(wrong, run.id, run.started)


def standing_of(rules: Rules, runs: Sequence[Run]) -> Standing:
    """What is wrong after `runs`, which may come in any order: for a report whose standing nobody kept."""
    standing = Standing()
    for run in sorted(runs, key=lambda one: (one.started, one.id)):
        _, standing = alerts_of(rules, run, standing)
    return standing


@dataclass(frozen=True)
class _Verdict:
    is_wrong: bool
    said: str
    severity: str = "warning"


def _watched(rules: Rules) -> set[str]:
    subjects = {f"metric:{bound.metric}" for bound in rules.bounds} | {f"label:{label}" for label in rules.labels}
    return subjects | ({"run"} if rules.on_failure else set()) | ({"data"} if rules.oldest_data is not None else set())


def _judged(rules: Rules, run: Run) -> dict[str, _Verdict]:
    """By subject what the run says of it; a subject of which it says nothing is absent."""
    found: dict[str, _Verdict] = {}
    complete = run.status is Status.COMPLETED
    if rules.on_failure:
        said = "The report is complete again." if complete else _ended(run)
        found["run"] = _Verdict(not complete, said, "critical")
    metrics = {metric.name: metric for metric in run.metrics}
    for bound in rules.bounds:
        if bound.metric in metrics:
            found[f"metric:{bound.metric}"] = _bounded(bound, metrics[bound.metric])
        elif complete:
            missing = f"The metric {bound.metric} is missing."
            found[f"metric:{bound.metric}"] = _Verdict(True, missing, bound.severity)
    if rules.oldest_data is not None and (verdict := _aged(rules.oldest_data, run)) is not None:
        found["data"] = verdict
    if complete or run.labels:
        for label in rules.labels:
            there = label in run.labels
            found[f"label:{label}"] = _Verdict(there, f"The result is {'' if there else 'no longer '}labelled {label}.")
    return found


def _ended(run: Run) -> str:
    why = banner.sentence(run)
    word = banner.shown(run.status).word
    return f"{word}: {why}" if why else f"{word}."


def _bounded(bound: Bound, metric: Metric) -> _Verdict:
    value, unit = metric.value, f" {metric.unit}" if metric.unit else ""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        why = f" ({metric.reason})" if metric.reason else ""
        return _Verdict(True, f"{bound.metric} is no number{why}.", bound.severity)
    low, high = bound.low, bound.high
    if low is None and high is None:
        return _Verdict(False, f"{bound.metric} is there.", bound.severity)
    if isinstance(value, (str, bool)):
        return _Verdict(True, f"{bound.metric} is {ascii(value)[:60]} and no number.", bound.severity)
    outside = (low is not None and value < low) or (high is not None and value > high)
    ends = [f"{amount(low)}{unit} or more"] if low is not None else []
    ends += [f"{amount(high)}{unit} or less"] if high is not None else []
    verdict = "has left its bounds" if outside else "is within its bounds"
    said = f"{bound.metric} {verdict}: {amount(value)}{unit}, allowed {' and '.join(ends)}."
    return _Verdict(outside, said, bound.severity)


def _aged(oldest: timedelta, run: Run) -> _Verdict | None:
    until = run.provenance.data_until
    if until is None:
        # Nobody can tell how old they are. For a complete run that is no clean bill.
        complete = run.status is Status.COMPLETED
        return _Verdict(True, "It is not known how old the data are.") if complete else None
    age = run.ended - datetime.combine(date.fromisoformat(until) + timedelta(days=1), time.min, UTC)
    said = f"The newest data are of {until}, {_hours(max(age, timedelta()))} old; {_hours(oldest)} are allowed."
    return _Verdict(age > oldest, said)


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours / 24:,.1f} days" if abs(hours) >= 48 else f"{hours:,.1f} hours"
