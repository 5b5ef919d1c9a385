"""The kind of a leak, from what the suspected statement called, from its words, and from how it behaves. Pure.

The rules are tried in order on the call that first returned a difference, then on the statement, then on the
statements around it. A rule matches the name of a library function together with its telling arguments, or the text
of the expression. They only *name* a leak that the comparison has found; nothing is accused by its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quantdesk.features.audit.blame import Suspect
from quantdesk.features.audit.source import lines_of, text_of
from quantdesk.features.audit.tracing import Call

__all__ = ["Behaviour", "kind_of"]


@dataclass(frozen=True)
class Behaviour:
    """How a leaking row looks ahead.

    Attributes
    ----------
    ahead
        How many rows ahead some leaking rows look.
    to_the_end
        Whether each of these looks as far as the last row.
    only_there
        Whether such a row reads the furthest of these rows only, and none between.
    members
        Whether the answer is a universe, or columns of it vanished.
    membership
        Whether the answer is a table of flags, as a universe may be.
    dates_only
        Whether the number or dates of later rows matter and their values do not.
    fitted
        Whether the function is an estimator that was fitted on its data.
    published_late
        Whether the leak comes from a table whose rows were known later than the time that they are about.
    """

    ahead: tuple[int, ...]
    to_the_end: bool
    only_there: bool
    members: bool
    membership: bool
    dates_only: bool
    fitted: bool
    published_late: bool


Rule = Callable[[str, dict[str, Any], str], bool]
"""Of the called name, its telling arguments and the text: whether a kind fits."""


def _words(pattern: str) -> Rule:
    found = re.compile(pattern)
    return lambda name, facts, text: bool(found.search(name)) or bool(found.search(text))


def _fact(name: str, *values: Any) -> Rule:
    return lambda called, facts, text: any(facts.get(name) == value and facts.get(name) is not None for value in values)


def _negative(name: str, facts: dict[str, Any], text: str) -> bool:
    periods = facts.get("periods")
    moves = re.search(r"\b(shift|diff|pct_change|roll)$", name) is not None
    return (moves and isinstance(periods, int | float) and periods < 0) or bool(
        re.search(r"\b(shift|diff|pct_change)\(\s*(periods\s*=\s*)?-|\broll\([^()]*,\s*-", text)
    )


def _calls(called: str, fact: str, *values: Any) -> Rule:
    return lambda name, facts, text: called in name and facts.get(fact) in values


_RULES: tuple[tuple[str, Rule], ...] = (
    ("centred_window", _fact("center", True)),
    ("centred_window", _words(r"center\s*=\s*True|convolve\(.*[\"']same[\"']")),
    (
        "two_sided_filter",
        _words(
            r"\b(filtfilt|sosfiltfilt|savgol_filter|gaussian_filter1?d?|hilbert|i?r?fft|detrend|lowess|hpfilter|"
            r"bkfilter|cffilter|seasonal_decompose|STL|fftconvolve|uniform_filter1d|medfilt|wiener|dwt)\b"
        ),
    ),
    ("shifted_label", _negative),
    ("forward_join", _calls("merge_asof", "direction", "forward", "nearest")),
    ("forward_join", _words(r"direction\s*=\s*[\"'](forward|nearest)|method\s*=\s*[\"']nearest")),
    ("forward_join", _calls("reindex", "method", "bfill", "backfill", "nearest")),
    ("forward_join", _words(r"reindex\(.*method\s*=\s*[\"'](bfill|backfill)")),
    ("backward_fill", _words(r"\b(bfill|backfill)\b")),
    ("backward_fill", _fact("method", "bfill", "backfill")),
    ("interpolation", _words(r"\binterp(olate|1d)?\b|[Ss]pline|griddata|KNNImputer|pchip")),
    ("shuffled_split", _words(r"train_test_split|\bshuffle\b|ShuffleSplit|\.permutation\(|\.sample\(|\brng\.choice")),
    (
        "look_ahead_resampling",
        _words(
            r"\bresample\b|\bGrouper\b|[Rr]esampler|to_period|isocalendar|\basfreq\b|"
            r"\.(week|weekofyear|month|year|quarter)\b"
        ),
    ),
    (
        "reversed_time",
        _words(r"::-1|\bflip(ud)?\b|ascending\s*=\s*False|\breversed\b|len\(\w+\)\s*-\s*[12]\s*,\s*-1\s*,\s*-1"),
    ),
    ("whole_sample_binning", _words(r"\bqcut\b|\bcut\(|KBins|\bdigitize\b|\bhistogram\b")),
    ("whole_sample_clipping", _words(r"\bclip\b|winsor|quantile|percentile")),
    (
        "rank_over_time",
        _words(r"\brank(data)?\b|arg(sort|partition)|\bsort(ed|_values)?\b|searchsorted|nlargest|nsmallest"),
    ),
    ("target_encoding", _words(r"TargetEncoder|\bgroupby\b|GroupBy|\bpivot_table\b|value_counts")),
    (
        "fitted_on_everything",
        _words(
            r"\bfit(_transform|_predict)?\b|\bPCA\b|polyfit|lstsq|linregress|\bsvd\b|\beigh?\b|\bOLS\b|"
            r"\bcov\b|\bcorr(coef)?\b"
        ),
    ),
    ("whole_sample_extreme", _words(r"\b(cum|nan|arg|idx)?(max|min)(imum)?\b|\bptp\b|_amax|_amin")),
    (
        "whole_sample_normalisation",
        _words(
            r"\b_?(nan)?(mean|median|std|var|sum|average|scale|zscore|norm|normalize|minmax_scale|describe|sem|mad|"
            r"skew|kurt)\b"
        ),
    ),
)

_NEEDS_MORE = frozenset(
    {
        "whole_sample_normalisation",
        "whole_sample_extreme",
        "rank_over_time",
        "whole_sample_clipping",
        "target_encoding",
        "fitted_on_everything",
    }
)
"""Names that say what is computed, not why it looks ahead; the statement around may say more."""
_SAYS_MORE = frozenset(
    {"centred_window", "look_ahead_resampling", "reversed_time", "shuffled_split", "two_sided_filter"}
)
_CHOOSES = _NEEDS_MORE | {None}
"""With flags as answer, these choose members by what they did over all rows."""


def kind_of(found: Suspect | None, behaviour: Behaviour) -> str:
    """The name of the kind, one of :data:`quantdesk.features.audit.kinds.KINDS`."""
    if behaviour.members:
        return "survivorship"
    named = _of_suspect(found)
    if behaviour.membership and named in _CHOOSES:
        return "survivorship"
    if behaviour.dates_only:
        return named if named in {"look_ahead_resampling", "reversed_time"} else "future_calendar"
    if behaviour.published_late and named not in {"forward_join", "shifted_label", "backward_fill", "centred_window"}:
        return "publication_lag"
    if named is not None:
        return named
    if behaviour.fitted:
        return "fitted_on_everything"
    if behaviour.to_the_end:
        return "future_values"
    if behaviour.ahead and len(set(behaviour.ahead)) == 1:
        return "shifted_label" if behaviour.only_there else "centred_window"
    return "future_values"


def _of_suspect(found: Suspect | None) -> str | None:
    if found is None:
        return None
    own = _first(found)
    around = [_match("", {}, lines_of(step.code, step.span)) for step in (*found.around, *found.feeding)]
    wider = next((kind for kind in around if kind in _SAYS_MORE), None)
    if own is None or (own in _NEEDS_MORE and wider is not None):
        return wider or own
    return own


def _first(found: Suspect) -> str | None:
    """By the first call that differed; then by all calls of the statement; then by its words."""
    text = lines_of(found.step.code, found.step.span)
    for call in found.calls[:1]:
        named = _of_call(found, call)
        if named is not None:
            return named
    if found.calls:
        for call in found.calls[1:]:
            named = _of_call(found, call)
            if named is not None:
                return named
    for call in found.others:
        named = _match(call.name, call.facts, "")
        if named is not None and named not in _NEEDS_MORE:
            return named
    return _match("", {}, text)


def _of_call(found: Suspect, call: Call) -> str | None:
    text = text_of(found.step.code, call.where) if call.where is not None else ""
    return _match(call.name.replace("_", " _").replace(".", " "), call.facts, text) or _match(
        call.name, call.facts, text
    )


def _match(name: str, facts: dict[str, Any], text: str) -> str | None:
    return next((kind for kind, rule in _RULES if rule(name, facts, text)), None)
