"""Why a value is missing, as codes that a program can read. Pure.

A code is a word, or a word and an argument joined by a colon:

===========================  =========================================================================================
``missing_input:a,b``        the series does not carry the fields a and b, so it never has this feature
``undefined:not_daily``      the series is an average over months; windows of sessions have no meaning on it
``undefined:<kind>``         the feature has no meaning for this kind of series (``not_a_price``, ``not_a_stock``,
                             ``not_traded``, ``unknown_kind``)
``undefined:other_hours``    the series does not close when the benchmark closes, so their returns do not pair
``undefined:not_as_traded``  the source adjusted its only close for dividends, so close times volume is not money
``warm_up:<n>``              fewer than n sessions of history so far
``no_history:<symbol>``      the benchmark has no value there at all: before its first or after its last session
``input_gap``                a session inside the window has no value in the source
``undefined:<why>``          the inputs are there and the formula has no value: ``no_price_change``, ``zero_variance``,
                             ``zero_volume``, ``non_positive_price``, ``no_value``
``no_history``               the store holds nothing at all about this symbol in the feature's view
``not_yet_known``            the store holds something, but nothing of it was known at the row's time
``expired:<days>d``          the latest known row is older than the view's time to live
``withdrawn``                the source no longer has the session: a load found it gone
``null_in_source``           the source of a declared view holds no value there
===========================  =========================================================================================
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from quantdesk.features.asof import Outcome
from quantdesk.features.definitions import BENCHMARK, Feature
from quantdesk.features.inputs import FIELDS_OF, Inputs
from quantdesk.market.series import Series

__all__ = ["any_in_window", "of_outcome", "of_series", "of_values"]

Words = NDArray[np.object_]


def of_outcome(outcome: Outcome, ttl: timedelta) -> str | None:
    """The code for a row of the point-in-time join that found no feature row; None where it found one."""
    return {
        Outcome.FOUND: None,
        Outcome.NO_HISTORY: "no_history",
        Outcome.NOT_YET_KNOWN: "not_yet_known",
        Outcome.EXPIRED: f"expired:{ttl.days}d",
    }[outcome]


def of_series(feature: Feature, inputs: Inputs, series: Series, *, same_hours: bool) -> str | None:
    """The code that holds for a whole series, or None where the feature can have values on it."""
    absent = {field for name in feature.inputs if name not in inputs.carried for field in FIELDS_OF.get(name, ())}
    if absent:
        return "missing_input:" + ",".join(sorted(absent))
    if series.frequency != "daily":
        return "undefined:not_daily"
    if series.kind not in feature.kinds:
        return f"undefined:{feature.not_for_others}"
    if "benchmark" in feature.inputs:
        if "benchmark" not in inputs.carried:
            return f"no_history:{BENCHMARK}"
        if not same_hours:
            return "undefined:other_hours"
    if "traded_close" in feature.inputs and series.adjustment in {"splits and dividends", "unknown"}:
        return "undefined:not_as_traded"
    return None


def any_in_window(flags: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Whether any of the last `window` flags is set; a window that is not full counts those that are there."""
    so_far = np.concatenate([[0], np.cumsum(flags)])
    begins = np.maximum(np.arange(1, len(flags) + 1) - window, 0)
    return np.asarray(so_far[1:] > so_far[begins])


def of_values(feature: Feature, inputs: Inputs, values: NDArray[np.float64]) -> Words:
    """One code per session; None where there is a value. Shape ``(n,)``."""
    codes = np.full(len(values), None, dtype=object)
    null = np.isnan(values)
    if not null.any():
        return codes
    read = [np.asarray(getattr(inputs, name)) for name in feature.inputs]
    gap = np.logical_or.reduce([np.isnan(column) for column in read])
    undefined = np.full(len(values), f"undefined:{feature.undefined}", dtype=object)
    if "price" in feature.inputs and feature.undefined != "non_positive_price":
        undefined[any_in_window(inputs.price <= 0, feature.look_back)] = "undefined:non_positive_price"
    position = np.arange(len(values))
    codes[null] = undefined[null]
    codes[null & any_in_window(gap, feature.look_back)] = "input_gap"
    codes[null & (position < feature.look_back - 1)] = f"warm_up:{feature.look_back}"
    if "benchmark" in feature.inputs:
        there = np.flatnonzero(~np.isnan(inputs.benchmark))
        first, last = (int(there[0]), int(there[-1])) if there.size else (len(values), -1)
        codes[null & (position >= first) & (position < first + feature.look_back - 1)] = f"warm_up:{feature.look_back}"
        codes[null & ((position < first) | (position > last))] = f"no_history:{BENCHMARK}"
    return codes
