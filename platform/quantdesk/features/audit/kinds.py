"""What an audit can find, by name: the kinds of leak, and what else keeps a function from passing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes
    ----------
    name
        The word that a program reads, such as ``"centred_window"``.
    title
        The same for a person.
    meaning
        What happens, in one sentence.
    remedy
        What would be right.
    leak
        True for a value that depends on the future; False for what made the question unanswerable.
    """

    name: str
    title: str
    meaning: str
    remedy: str
    leak: bool = True


_LEAKS = (
    (
        "centred_window",
        "Centred window",
        "A window reaches as far into the future as into the past.",
        "Let the window end at the row itself: leave out center=True, or use a causal kernel.",
    ),
    (
        "shifted_label",
        "Shifted label",
        "A value of a later row stands on this row, as a training target does.",
        "Shift by a positive number; keep targets in a table of their own, away from the features.",
    ),
    (
        "backward_fill",
        "Backward fill",
        "A gap is filled with the next value, which was not there yet.",
        "Fill forward (ffill), or leave the gap.",
    ),
    (
        "interpolation",
        "Interpolation",
        "A gap is filled between the values before and after it.",
        "Fill forward (ffill), or interpolate only when both ends are known and use the row later.",
    ),
    (
        "whole_sample_normalisation",
        "Whole-sample normalisation",
        "A mean, a deviation or another statistic is taken over all rows, the future ones included.",
        "Use a rolling or expanding statistic, or one that is fixed on rows before the test.",
    ),
    (
        "whole_sample_clipping",
        "Whole-sample clipping",
        "Limits come from percentiles of all rows, the future ones included.",
        "Take the percentiles from a rolling or expanding window.",
    ),
    (
        "whole_sample_binning",
        "Whole-sample binning",
        "The edges of the bins come from all rows, the future ones included.",
        "Fix the edges on earlier rows, or rank within a trailing window.",
    ),
    (
        "whole_sample_extreme",
        "Whole-sample extreme",
        "The highest or lowest of all rows is used before it was reached.",
        "Use the running extreme: cummax, cummin, or a rolling max or min.",
    ),
    (
        "rank_over_time",
        "Ranking across time",
        "A row is ranked or sorted among rows that come later.",
        "Rank across symbols on one date (axis=1), or within a trailing window.",
    ),
    (
        "reversed_time",
        "Reversed time",
        "A running calculation goes from the last row to the first.",
        "Run it forward in time.",
    ),
    (
        "two_sided_filter",
        "Two-sided filter",
        "A zero-phase or smoothing filter runs over the data in both directions.",
        "Use a causal filter, such as scipy.signal.lfilter, and accept its delay.",
    ),
    (
        "fitted_on_everything",
        "Fitted on everything",
        "A model, scaler or projection was fitted on all rows and then applied to the early ones.",
        "Fit on rows before the test (Use(fit_until=...)), or refit as time goes on.",
    ),
    (
        "shuffled_split",
        "Shuffled split",
        "The training rows were drawn at random, so they come from the future of the rows that are judged.",
        "Split by time: everything before a date trains, everything after it tests.",
    ),
    (
        "target_encoding",
        "Group statistic over all rows",
        "A category is encoded by a statistic of its group over all rows, as target encoding does.",
        "Use the group's expanding statistic, shifted by one row.",
    ),
    (
        "look_ahead_resampling",
        "Look-ahead resampling",
        "The value of a week or month stands on rows inside it, or at its start, before it was complete.",
        'Label and close periods at the right (label="right", closed="right") and fill forward.',
    ),
    (
        "forward_join",
        "Forward join",
        "A row is joined with a later one, because it is the next or the nearest.",
        'Join as of: merge_asof(direction="backward"), reindex(method="ffill").',
    ),
    (
        "publication_lag",
        "Publication lag ignored",
        "Rows are joined by the date that they are about, although they were published later.",
        "Join by the time at which a row was published.",
    ),
    (
        "survivorship",
        "Survivorship",
        "Who belongs to the universe depends on what happened to the members later.",
        "Decide membership on each date from what was known on that date.",
    ),
    (
        "future_calendar",
        "Number or dates of later rows",
        "No later value matters, but how many rows follow, or their dates, does.",
        "Count from the beginning; take holidays and period ends from a calendar that was known in advance.",
    ),
    (
        "future_values",
        "Depends on later rows",
        "The value changes with rows that come later.",
        "Let each row use only rows up to its own.",
    ),
)
_PROBLEMS = (
    (
        "not_reproducible",
        "Not reproducible",
        "Two calls on the same data gave different values.",
        "Hand a seed or a random generator in, so that equal data give equal values.",
    ),
    (
        "mutates_input",
        "Changes its input",
        "The function changed the data that it was given.",
        "Work on a copy, or assign to a new column of a new frame.",
    ),
    (
        "wrong_shape",
        "Cannot be matched with the data",
        "What came back cannot be matched, row by row, with the times of the data.",
        "Return one value per row, or a pandas object on the index of the data.",
    ),
    (
        "fails",
        "Fails on the data",
        "The function failed on the whole data.",
        "Repair it first; nothing can be said about its use of the future.",
    ),
    (
        "fails_when_truncated",
        "Fails when the data end earlier",
        "The function failed on a history that ends earlier, so it was not compared there.",
        "Say how many rows it needs with Use(min_rows=...), or let it return NaN.",
    ),
    (
        "fails_on_another_future",
        "Fails on another future",
        "The function failed when later values were other ones, so a future that it dislikes shows in the past.",
        "Do not check or convert all rows at once.",
    ),
    (
        "reads_outside_data",
        "Reads data from outside its arguments",
        "The function reads data that it was not given, which an audit cannot cut off.",
        "Hand all data in as arguments: a mapping of names to tables.",
    ),
    (
        "nothing_to_compare",
        "Nothing to compare",
        "There was no value that could be compared.",
        "Give more rows, or data on which the function has values.",
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {row[0]: Kind(*row) for row in _LEAKS} | {row[0]: Kind(*row, leak=False) for row in _PROBLEMS}
)
"""Every kind by name: first the leaks, then the problems."""
