"""Whether a feature still has the distribution that it had: population stability index and Kolmogorov-Smirnov. Pure.

The index compares shares of a current sample with those of a reference, over bins that are quantiles of the reference:

    PSI = sum over bins of (q - p) * ln(q / p)

It is a symmetric Kullback-Leibler divergence (Jeffreys 1946) that credit scoring reads by two rules of thumb: below
0.1 no change, from 0.25 on a change that calls for action (Siddiqi, Credit Risk Scorecards, 2006, chapter 8). With
few rows it is large by itself: between samples of n and m rows from one distribution it is about
(1/n + 1/m) times chi-square with one degree of freedom less than bins (Yurdakul and Naranjo, Journal of Risk Model
Validation 14, 2020). An index from 0.1 on that stays below the 95 % point of that is called unclear: it may be a
change, and it may be chance.

Rows of a feature are not independent: a 200-session mean hardly moves in a day, and stocks move together. Sample sizes
are therefore reduced to those of independent rows with the same first autocorrelation, for the noise of the index as
well as for the test. What is left is a monitor, not a proof: with twenty features one in twenty passes the 5 % mark by
chance, so the p-values also come adjusted (Benjamini and Hochberg, 1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput

__all__ = [
    "BINS",
    "FEWEST",
    "MODERATE",
    "SHIFTED",
    "Drift",
    "Sample",
    "Verdict",
    "adjusted",
    "drift",
    "ks",
    "noise",
    "psi",
]

BINS = 10
"""Bins of the index: deciles of the reference."""
FEWEST = 100
"""Values in each window below which nothing is said: ten per bin."""
MODERATE, SHIFTED = 0.1, 0.25
"""Where the index is moderate, and where it calls for action; also for a change in the share of nulls."""

Floats = NDArray[np.float64]


class Verdict(StrEnum):
    """What is said of one feature."""

    STABLE = "stable"
    UNCLEAR = "unclear"
    MODERATE = "moderate"
    SHIFTED = "shifted"
    TOO_FEW = "too few"


@dataclass(frozen=True)
class Sample:
    """The values of one feature in one window.

    Attributes
    ----------
    values
        Shape ``(n,)``; NaN for null. In order of time within a symbol.
    symbol
        Shape ``(n,)``: a code per row that tells symbols apart, so that autocorrelation never crosses from one to
        another. All rows are one symbol when left out.
    """

    values: Floats
    symbol: NDArray[np.int64] | None = None

    @property
    def finite(self) -> Floats:
        """The values that are there."""
        return self.values[np.isfinite(self.values)]

    @property
    def nulls(self) -> float:
        """The share of rows without a value; NaN for no rows."""
        return float(1 - np.isfinite(self.values).mean()) if len(self.values) else float("nan")

    @property
    def independent(self) -> float:
        """How many independent rows tell as much: ``n (1 - r) / (1 + r)``, r the first autocorrelation within symbols.

        A negative autocorrelation is taken as none, so the answer is never more than the number of values.
        """
        there = np.isfinite(self.values)
        count = int(there.sum())
        if count < 3:
            return float(count)
        codes = np.zeros(len(self.values), dtype=np.int64) if self.symbol is None else self.symbol
        order = np.argsort(codes, kind="stable")
        value, code, there = self.values[order], codes[order], there[order]
        pair = there[1:] & there[:-1] & (code[1:] == code[:-1])
        if pair.sum() < 2:
            return float(count)
        centre = _means(value, code, there)
        left, right = (value - centre)[:-1][pair], (value - centre)[1:][pair]
        scale = float(np.sqrt((left**2).sum() * (right**2).sum()))
        r = float((left * right).sum()) / scale if scale > 0 else 1.0
        r = min(max(r, 0.0), 1 - 1 / count)
        return max(count * (1 - r) / (1 + r), 1.0)


def _means(value: Floats, code: NDArray[np.int64], there: NDArray[np.bool_]) -> Floats:
    """Per row the mean of its symbol."""
    _, place = np.unique(code, return_inverse=True)
    filled = np.where(there, value, 0.0)
    total, number = np.bincount(place, weights=filled), np.bincount(place, weights=there.astype(np.float64))
    return np.asarray((total / np.maximum(number, 1))[place], dtype=np.float64)


@dataclass(frozen=True)
class Drift:
    """One feature between two windows.

    Attributes
    ----------
    feature
        Which.
    verdict
        See :class:`Verdict`.
    psi
        The population stability index; NaN where there are too few values.
    noise
        What the index of samples of this size would stay below 19 times in 20 if nothing had changed.
    ks, p_value, q_value
        The Kolmogorov-Smirnov distance, 0 to 1; its p-value for as many independent rows as there seem to be; that
        value adjusted for the number of features that were tested together.
    reference_rows, current_rows
        Values in each window, nulls not counted.
    reference_independent, current_independent
        How many independent rows they are worth.
    reference_nulls, current_nulls
        The share of rows without a value in each window.
    reference_median, current_median
        In the unit of the feature.
    says
        The verdict in a sentence.
    """

    feature: str
    verdict: Verdict
    psi: float
    noise: float
    ks: float
    p_value: float
    q_value: float
    reference_rows: int
    current_rows: int
    reference_independent: float
    current_independent: float
    reference_nulls: float
    current_nulls: float
    reference_median: float
    current_median: float
    says: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "verdict": self.verdict.value}


def edges(reference: Floats, bins: int = BINS) -> Floats:
    """The inner edges of the bins: quantiles of the reference, each once.

    A reference with few distinct values has fewer quantiles. It then also gets the edges of its range, so that a value
    which it never had falls into a bin of its own.
    """
    inner = np.unique(np.quantile(reference, np.arange(1, bins) / bins, method="inverted_cdf"))
    if len(inner) == bins - 1:
        return np.asarray(inner, dtype=np.float64)
    return np.unique(np.concatenate([[np.nextafter(reference.min(), -np.inf)], inner, [reference.max()]]))


def psi(reference: Floats, current: Floats, bins: int = BINS) -> float:
    """The population stability index of two samples without nulls.

    Shares are counted with half a row added to each bin, so that an empty bin has a logarithm.

    Parameters
    ----------
    reference, current
        Shapes ``(n,)`` and ``(m,)``; finite.
    bins
        How many quantiles of the reference.

    Returns
    -------
    float
        0 or more; NaN where a sample is empty.
    """
    if not len(reference) or not len(current):
        return float("nan")
    inner = edges(reference, bins)
    expected, actual = _shares(reference, inner), _shares(current, inner)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def _shares(values: Floats, inner: Floats) -> Floats:
    count = np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(inner) + 1)
    return np.asarray((count + 0.5) / (len(values) + 0.5 * len(count)), dtype=np.float64)


def noise(reference: float, current: float, bins: int = BINS) -> float:
    """The 95 % point of the index between samples of these many independent rows out of one distribution."""
    from scipy.stats import chi2

    return float((1 / reference + 1 / current) * chi2.ppf(0.95, bins - 1))


def ks(reference: Floats, current: Floats, rows: tuple[float, float] | None = None) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov distance and its asymptotic p-value (two-sided).

    Parameters
    ----------
    reference, current
        Shapes ``(n,)`` and ``(m,)``; finite.
    rows
        How many independent rows they count as; all when left out.

    Returns
    -------
    distance, p_value
        NaN where a sample is empty.
    """
    from scipy.stats import kstwo

    if not len(reference) or not len(current):
        return float("nan"), float("nan")
    left, right = np.sort(reference), np.sort(current)
    every = np.concatenate([left, right])
    gap = np.searchsorted(left, every, side="right") / len(left) - np.searchsorted(right, every, side="right") / len(
        right
    )
    distance = float(np.abs(gap).max())
    n, m = rows or (float(len(left)), float(len(right)))
    return distance, float(np.clip(kstwo.sf(distance, max(round(n * m / (n + m)), 1)), 0.0, 1.0))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for being many, after Benjamini and Hochberg; NaN stays NaN and does not count."""
    given = np.asarray(p_values, dtype=np.float64)
    result = np.full(len(given), np.nan)
    there = np.flatnonzero(np.isfinite(given))
    order = there[np.argsort(given[there], kind="stable")]
    scaled = given[order] * len(order) / np.arange(1, len(order) + 1)
    result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(one) for one in result]


def drift(reference: Mapping[str, Sample], current: Mapping[str, Sample]) -> tuple[Drift, ...]:
    """Compare every feature of two windows.

    Raises
    ------
    BadInput
        The windows do not hold the same features.
    """
    if set(reference) != set(current):
        odd = sorted(set(reference) ^ set(current))
        raise BadInput(f"The windows hold different features: {odd[0]!r} is in one of them.", "Ask both for the same.")
    found = [_one(name, reference[name], current[name]) for name in reference]
    corrected = adjusted([one.p_value for one in found])
    return tuple(replace(one, q_value=value) for one, value in zip(found, corrected, strict=True))


def _one(name: str, before: Sample, after: Sample) -> Drift:
    nothing = float("nan")
    known: dict[str, Any] = {
        "feature": name,
        "reference_rows": len(before.finite),
        "current_rows": len(after.finite),
        "reference_independent": before.independent,
        "current_independent": after.independent,
        "reference_nulls": before.nulls,
        "current_nulls": after.nulls,
        "reference_median": float(np.median(before.finite)) if len(before.finite) else nothing,
        "current_median": float(np.median(after.finite)) if len(after.finite) else nothing,
        "q_value": nothing,
    }
    more = after.nulls - before.nulls
    if min(len(before.finite), len(after.finite)) < FEWEST:
        empty = max(len(before.finite), len(after.finite)) >= FEWEST and abs(more) >= SHIFTED
        verdict = Verdict.SHIFTED if empty else Verdict.TOO_FEW
        says = f"{len(before.finite)} and {len(after.finite)} values; {FEWEST} each are needed to compare them"
        if empty:
            says = f"the share of nulls went from {before.nulls:.0%} to {after.nulls:.0%}"
        return Drift(verdict=verdict, psi=nothing, noise=nothing, ks=nothing, p_value=nothing, says=says, **known)
    rows = before.independent, after.independent
    index, level = psi(before.finite, after.finite), noise(*rows)
    distance, p_value = ks(before.finite, after.finite, rows)
    verdict, says = _verdict(index, level, rows, (before.nulls, after.nulls))
    return Drift(verdict=verdict, psi=index, noise=level, ks=distance, p_value=p_value, says=says, **known)


def _verdict(index: float, level: float, rows: tuple[float, float], nulls: tuple[float, float]) -> tuple[Verdict, str]:
    said, more = f"index {index:.3f}", abs(nulls[1] - nulls[0])
    if more >= SHIFTED:
        return Verdict.SHIFTED, f"the share of nulls went from {nulls[0]:.0%} to {nulls[1]:.0%}; {said}"
    if index >= SHIFTED and index > level:
        return Verdict.SHIFTED, f"{said}, from {SHIFTED} on the distribution is another"
    if more >= MODERATE:
        return Verdict.MODERATE, f"the share of nulls went from {nulls[0]:.0%} to {nulls[1]:.0%}; {said}"
    if index >= MODERATE and index > level:
        return Verdict.MODERATE, f"{said}, from {MODERATE} on worth a look"
    if index >= MODERATE:
        worth = f"worth {rows[0]:,.0f} and {rows[1]:,.0f} independent rows"
        return Verdict.UNCLEAR, f"{said}; the windows are {worth}, which reach {level:.2f} by chance"
    return Verdict.STABLE, f"{said}, below {MODERATE}"
