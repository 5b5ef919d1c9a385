"""The audit itself: cut, change, compare, then find the first row, the reach, the line and the name. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput, BadParameter
from quantdesk.features.audit import cuts as places
from quantdesk.features.audit.answers import Answer
from quantdesk.features.audit.estimators import Fitted, is_estimator
from quantdesk.features.audit.inquiry import Inquiry
from quantdesk.features.audit.material import Material, material
from quantdesk.features.audit.report import AuditReport, Finding
from quantdesk.features.audit.search import Leak, examine
from quantdesk.features.audit.trial import Failure, Trial, outside_data, same_input

__all__ = ["Progress", "Use", "check"]

Progress = Callable[[str, int, int], None]
"""What is being done, how many steps are done, how many there are."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """How the data became known, and how the answer is used.

    Attributes
    ----------
    known
        When rows could first be known, where that is not the time in their index: the name of a column, a lag
        (``"15min"``, a timedelta; a number where rows are numbered), or one time per row. For data that are a mapping:
        a mapping of names to these.
    delay
        How long after its label a row of the answer is used. Daily rows that are labelled at midnight and used in the
        evening have ``"1D"``. None: at its label.
    index
        The times of data that are arrays.
    min_rows
        How many rows the function needs; no cut leaves fewer.
    target
        For an estimator: the name of the entry of the data that is the target.
    fit_until
        For an estimator: it is fitted on rows up to this label, and only later rows are judged. None: it is fitted on
        all rows, and all are judged.
    gaps
        Also try the function on data with gaps, so that code that fills them runs. A function that refuses missing
        values is spared.
    name
        What the report calls it; the name of the function when left out.
    """

    known: Any = None
    delay: Any = None
    index: Any = None
    min_rows: int = 1
    target: str | None = None
    fit_until: Any = None
    gaps: bool = True
    name: str | None = None


def check(
    fn: Any,
    data: Any,
    *,
    use: Use | None = None,
    cuts: int | Any = places.CUTS,
    seed: int = 0,
    progress: Progress | None = None,
) -> AuditReport:
    """Ask whether any value that a function gives for a row depends on rows that come later.

    The function is called on the whole data, on data that end earlier, and on data with another future. Where the rows
    up to the cut differ, it has used what was not known.

    Parameters
    ----------
    fn
        A function of `data`; or a scikit-learn estimator, transformer or pipeline, which is fitted and then applied. It
        gives one value per row, a table of them, a mapping of names to arrays, a list of members, or a mapping of dates
        to members. It runs in this process, about 50 times; its prints and warnings are not shown.
    data
        A Series or DataFrame in order of time (panels have one level of times and one of symbols), arrays in order of
        time, or a mapping of names to these, which `fn` then takes as one dictionary. Times may have a zone or not. It
        is never changed: the function gets copies.
    use
        How the data became known and how the answer is used; see :class:`Use`.
    cuts
        How many places the data are cut at (special places come on top), or the labels themselves.
    seed
        Of the places and of the other futures. Equal calls give equal reports.
    progress
        Called with (what, done, total).

    Returns
    -------
    AuditReport
        ``passed`` is True only if everything could be compared and nothing differed by more than rounding does (see
        :mod:`quantdesk.features.audit.answers`). NaN in one run and a number in the other is a difference.

    Raises
    ------
    BadInput
        `data` is nothing that can be cut, or `fn` cannot be called. What `fn` itself raises is a finding.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from quantdesk.features import audit
    >>> days = pd.date_range("2020-01-01", periods=60, freq="B")
    >>> price = pd.Series(np.linspace(50, 60, 60) + np.sin(np.arange(60)), days)
    >>> audit.check(lambda p: p.rolling(5).mean(), price).passed
    True
    >>> [found.kind for found in audit.check(lambda p: p.rolling(5, center=True).mean(), price).findings]
    ['centred_window']
    """
    use = use or Use()
    tell = progress or (lambda what, done, total: None)
    given = material(data, use.known, use.index)
    function, fitted, earliest = _callable(fn, given, use)
    name = use.name or _name_of(fn)
    report = AuditReport(name=name, findings=(), rows=len(given.main.times), seed=_seed(seed))
    tell(name, 0, 1)

    trial, whole, findings = _first_calls(function, given, name)
    findings += _outside(function, given, name)
    if not isinstance(whole, Answer):
        return replace(report, findings=tuple(findings), calls=trial.calls)
    report = replace(report, columns=tuple(_shown(column, name) for column in whole.columns))
    steady = trial.seeded is None
    delay = given.clock.span(use.delay) if use.delay is not None else 0
    inquiry = Inquiry(trial, given, whole, report.seed, delay, steady, fitted)
    at = _cuts(given, cuts, report.seed, earliest)
    found = examine(inquiry, at, name, lambda done, total: tell(name, done, total))
    if use.gaps and fitted is None and steady:
        found = found.joined(_with_gaps(inquiry, name, earliest))
    findings += found.findings
    findings += _never_compared(inquiry, at[-1], name, findings)
    label = given.clock.label
    order = {"leak": 0, "problem": 1}
    findings.sort(key=lambda one: order["leak" if one.is_leak else "problem"])
    return replace(
        report,
        findings=tuple(findings),
        cuts=len(at),
        calls=trial.calls,
        first=label(at[0]),
        last=label(at[-1]),
        notes=found.notes,
    )


def _callable(fn: Any, given: Material, use: Use) -> tuple[Callable[[Any], Any], Fitted | None, float]:
    """The function to call, the estimator that it is made from, and the earliest cut."""
    if isinstance(use.min_rows, bool) or not isinstance(use.min_rows, int) or use.min_rows < 1:
        raise BadParameter(f"min_rows is {use.min_rows!r}.", "Give a whole number of rows, 1 or more.")
    moments = given.moments
    if use.min_rows >= len(moments):
        raise BadInput(f"min_rows is {use.min_rows}, and there are {len(moments)} rows.", "Give more rows.")
    earliest = moments[use.min_rows - 1].item()
    if not is_estimator(fn):
        if not callable(fn):
            raise BadInput(f"{type(fn).__name__} cannot be called.", "Give a function or a scikit-learn estimator.")
        if use.target is not None or use.fit_until is not None:
            raise BadParameter("target and fit_until are for estimators.", "Leave them out for a function.")
        return fn, None, earliest
    names = [part.name for part in given.parts]
    if use.target is not None and use.target not in names:
        raise BadInput(f"The data have no entry {use.target!r} for the target.", f"They have {names}.")
    until = None if use.fit_until is None else given.clock.moment(use.fit_until)
    fitted = Fitted(fn, use.target, until, given.clock)
    return fitted, fitted, earliest if until is None else max(earliest, until)


def _first_calls(
    function: Callable[[Any], Any], given: Material, name: str
) -> tuple[Trial, Answer | Failure, list[Finding]]:
    """Call it on the whole data twice: does it answer, leave its input alone, and say the same again?"""
    trial = Trial(function)
    handed = given.given()
    whole = trial(given, handed)
    if isinstance(whole, Failure):
        return trial, whole, [Finding(name, whole.kind, whole.words)]
    findings = []
    changed = same_input(given.given(), handed)
    if changed is not None:
        findings.append(Finding(name, "mutates_input", f"After the call, {changed} had changed."))
    if not any(whole.holds(column) for column in whole.columns):
        return trial, Failure("nothing_to_compare", ""), [
            *findings, Finding(name, "nothing_to_compare", "The answer on the whole data holds no value at all."),
        ]  # fmt: skip
    if _equal(whole, trial(given)):
        return trial, whole, findings
    findings.append(Finding(name, "not_reproducible", "Two calls on the same data did not agree."))
    seeded = Trial(function, seeded=0)
    seeded.calls = trial.calls
    first, second = seeded(given), seeded(given)
    if isinstance(first, Answer) and _equal(first, second):
        return seeded, first, findings
    return seeded, Failure("not_reproducible", ""), findings


def _never_compared(inquiry: Inquiry, last: float, name: str, findings: list[Finding]) -> list[Finding]:
    """Columns without a value before the last cut: nothing was compared there, and that is not a pass."""
    accused = {column for one in findings for column in (one.feature, *one.also)}
    shown = {_shown(column, name): column for column in inquiry.whole.columns}
    return [
        Finding(label, "nothing_to_compare", "It has no value before any of the cuts.")
        for label, column in shown.items()
        if label not in accused and not inquiry.values_until(last, column)
    ]


def _equal(one: Answer, other: Answer | Failure) -> bool:
    from quantdesk.features.audit.answers import compare

    return isinstance(other, Answer) and not compare(one, other, np.inf)


def _outside(function: Callable[[Any], Any], given: Material, name: str) -> list[Finding]:
    read = outside_data(function, len(given.main.times))
    if not read:
        return []
    detail = f"It reads {', '.join(read)}, which was not handed in and so was never cut off."
    return [Finding(name, "reads_outside_data", detail)]


def _cuts(given: Material, cuts: Any, seed: int, earliest: float) -> Any:
    if isinstance(cuts, int) and not isinstance(cuts, bool):
        if cuts < 1:
            raise BadParameter(f"cuts is {cuts}.", "Give 1 or more.")
        return places.chosen(given, cuts, seed, earliest)
    try:
        labels = list(cuts)
    except TypeError:
        raise BadParameter(f"cuts is {cuts!r}.", "Give a number of cuts, or their labels.") from None
    at = np.unique([given.clock.moment(label) for label in labels])
    last = given.moments[-1]
    if not len(at) or at[0] < given.moments[0] or at[-1] >= last:
        raise BadInput(
            "The cuts do not lie inside the data.",
            f"Give labels from {given.clock.label(given.moments[0])} to before {given.clock.label(last)}.",
        )
    return at


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadParameter(f"The seed is {seed!r}.", "Give a whole number, 0 or more.")
    return int(seed)


def _with_gaps(inquiry: Inquiry, name: str, earliest: float) -> Leak:
    """The same on data with planted gaps, where the function takes missing values and the data have none."""
    rng = np.random.default_rng([inquiry.seed, 2])
    holed = _holed(inquiry.data, rng)
    if holed is None:
        return Leak()
    whole = inquiry.trial(holed)
    if not isinstance(whole, Answer) or not any(whole.holds(column) for column in whole.columns):
        return Leak()
    at = np.unique(np.concatenate([places.inside_gaps(part, rng) for part in holed.parts]))
    at = at[(at >= earliest) & (at < holed.moments[-1])]
    second = replace(inquiry, data=holed, whole=whole)
    found = examine(second, at, name, lambda done, total: None, only_leaks=True)
    words = "It shows only where the data have a gap; the audit planted some. "
    told = [replace(one, detail=words + one.detail) for one in found.findings]
    return replace(found, findings=told)


def _holed(data: Material, rng: np.random.Generator) -> Material | None:
    """Gaps of one to three rows, about one row in twenty; None where there are some, or none can be."""
    planted = False
    parts = []
    for part in data.parts:
        table = pd.DataFrame(part.value)
        floats = [place for place, one in enumerate(table.dtypes) if isinstance(one, np.dtype) and one.kind == "f"]
        if not floats or table.isna().to_numpy().any():
            parts.append(part)
            continue
        other = table.copy()
        for place in floats:
            column = other.iloc[:, place].to_numpy(dtype=np.float64, copy=True)
            for start in np.flatnonzero(rng.random(len(column)) < 0.025):
                column[start : start + int(rng.integers(1, 4))] = np.nan
            other.isetitem(place, column.astype(other.dtypes.iloc[place]))
            planted = planted or bool(np.isnan(column).any())
        parts.append(replace(part, value=_as_before(part.value, other)))
    return replace(data, parts=tuple(parts)) if planted else None


def _as_before(value: Any, table: pd.DataFrame) -> Any:
    if isinstance(value, pd.DataFrame):
        return table
    if isinstance(value, pd.Series):
        return pd.Series(table.iloc[:, 0], name=value.name)
    return table.to_numpy()[:, 0] if value.ndim == 1 else table.to_numpy()


def _name_of(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return str(name) if name else type(fn).__name__


def _shown(column: str, name: str) -> str:
    return column or name
