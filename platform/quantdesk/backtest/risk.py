"""What could be lost: value at risk and expected shortfall, three ways, and a test of whether they held.

Losses are positive fractions of the account over one session: a 95 % VaR of 0.02 says that on one session in twenty the
loss is expected to be 2 % or more; the expected shortfall (ES) is the mean loss on those sessions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from quantdesk.backtest.metrics import checked_returns, kurtosis, skewness
from quantdesk.errors import BadInput, BadParameter, UnknownName

__all__ = [
    "METHODS",
    "Exceedances",
    "Method",
    "TailRisk",
    "exceedances",
    "mean_correlation",
    "risk_table",
    "rolling_var",
    "tail_risk",
]

Method = Literal["historical", "normal", "cornish_fisher"]
METHODS: tuple[Method, ...] = ("historical", "normal", "cornish_fisher")


@dataclass(frozen=True, slots=True)
class TailRisk:
    """VaR and ES of one method.

    Parameters
    ----------
    method
        ``"historical"``, ``"normal"`` or ``"cornish_fisher"``.
    confidence
        For example 0.95; the tail is the rest.
    var, es
        Loss over one session as a fraction, positive for a loss; `es` is never below `var` when `valid`.
    valid
        False for a Cornish-Fisher estimate whose skewness and kurtosis lie where the expansion is not increasing: then
        it is no quantile, and neither number should be used (Maillard 2012). Daily returns are often that wild.
    sessions
        How many returns went in.
    labels
        The labels of the data.
    """

    method: Method
    confidence: float
    var: float
    es: float
    valid: bool
    sessions: int
    labels: tuple[str, ...] = ()


def tail_risk(
    returns: pd.Series, method: Method = "historical", confidence: float = 0.95, labels: tuple[str, ...] = ()
) -> TailRisk:
    """VaR and ES of one session.

    Parameters
    ----------
    returns
        Simple returns per session, no NaN; at least 20, and at least ``1 / (1 - confidence)`` for ``"historical"``.
    method
        With ``a = 1 - confidence``, mean ``m``, sample deviation ``d``, skewness ``S``, excess kurtosis ``K``, and
        ``z`` and ``f`` the quantile at ``a`` and the density there of the standard normal distribution:

        - ``"historical"``: VaR is minus the empirical quantile at ``a``, interpolated linearly (type 7 of Hyndman and
        Fan
          1996); ES is minus the mean of the returns at or below it.
        - ``"normal"``: VaR is ``-m - d z``, ES is ``-m + d f / a``.
        - ``"cornish_fisher"``: in VaR, ``z`` becomes ``z + (z^2 - 1) S/6 + (z^3 - 3z) K/24 - (2z^3 - 5z) S^2/36``
          (Cornish and Fisher 1937; Zangari 1996); in ES, ``f / a`` becomes its mean over the tail,
          ``f / a (1 + z S/6 + (z^2 - 1) K/24 - (2z^2 - 1) S^2/36)`` (Maillard 2012).
    confidence
        Between 0.5 and 1, both excluded.
    labels
        The labels of the data.

    Raises
    ------
    BadParameter, UnknownName, BadInput
        A confidence out of range, another method, too few or unusable returns.
    """
    if not 0.5 < confidence < 1:
        raise BadParameter(f"The confidence is {confidence!r}.", "Give a number between 0.5 and 1, for example 0.95.")
    if method not in METHODS:
        raise UnknownName("method", str(method), METHODS)
    tail = 1 - confidence
    values = checked_returns(returns, at_least=max(20, math.ceil(1 / tail - 1e-9) if method == "historical" else 0))
    if method == "historical":
        quantile = float(np.quantile(values, tail))
        loss = -quantile, -float(values[values <= quantile].mean())
        return TailRisk(method, confidence, *loss, valid=True, sessions=len(values), labels=labels)

    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    z = float(special.ndtri(tail))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / tail
    valid = True
    if method == "cornish_fisher" and deviation > 0:
        s, k = skewness(returns), kurtosis(returns)
        density *= 1 + z * s / 6 + (z * z - 1) * k / 24 - (2 * z * z - 1) * s * s / 36
        valid = _increasing(s, k)
        z = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    var, es = -mean - deviation * z, -mean + deviation * density
    return TailRisk(method, confidence, var, es, valid=valid, sessions=len(values), labels=labels)


def _increasing(skew: float, kurt: float) -> bool:
    """Whether the Cornish-Fisher quantile rises everywhere: its slope is a parabola in z that must stay above 0."""
    square, linear, constant = kurt / 8 - skew**2 / 6, skew / 3, 1 - kurt / 8 + 5 * skew**2 / 36
    if square == 0 and linear == 0:
        return constant > 0
    return square > 0 and linear**2 < 4 * square * constant


def risk_table(returns: pd.Series, confidences: Sequence[float] = (0.95, 0.99)) -> pd.DataFrame:
    """VaR and ES in percent of the account by every method, for people.

    Returns
    -------
    DataFrame
        Texts; index ``(confidence, method)``, columns ``VaR, %``, ``ES, %``, ``usable``; an en dash for numbers that
        must not be used (see `TailRisk.valid`).
    """
    found = [tail_risk(returns, method, level) for level in confidences for method in METHODS]
    dash = "\N{EN DASH}"
    return pd.DataFrame(
        {
            "VaR, %": [f"{100 * one.var:.2f}" if one.valid else dash for one in found],
            "ES, %": [f"{100 * one.es:.2f}" if one.valid else dash for one in found],
            "usable": ["yes" if one.valid else "no: returns too wild" for one in found],
        },
        index=pd.MultiIndex.from_tuples(
            [(f"{one.confidence:.0%}", one.method.replace("_", "-")) for one in found], names=["confidence", "method"]
        ),
    )


def rolling_var(returns: pd.Series, confidence: float = 0.95, window: int = 500) -> pd.Series:
    """The historical VaR that was known before each session: from the `window` returns that ended the session before.

    Returns
    -------
    Series
        Positive loss as a fraction; starts at the session after the first full window.
    """
    checked_returns(returns)
    if not 0.5 < confidence < 1:
        raise BadParameter(f"The confidence is {confidence!r}.", "Give a number between 0.5 and 1, for example 0.95.")
    if not math.ceil(1 / (1 - confidence) - 1e-9) <= window < len(returns):
        raise BadInput(
            f"A window of {window} sessions does not fit {len(returns)} returns at {confidence:.1%}.",
            "Take a window longer than 1 / (1 - confidence) and shorter than the history.",
        )
    quantile = returns.rolling(window).quantile(1 - confidence, interpolation="linear")
    return (-quantile.shift(1)).dropna().rename("VaR")


@dataclass(frozen=True, slots=True)
class Exceedances:
    """How often losses went beyond a VaR, against how often they should have.

    Parameters
    ----------
    sessions, expected, observed
        Sessions compared; exceedances that the confidence promises; exceedances that there were.
    statistic, p_value
        Kupiec's likelihood ratio (chi-squared with one degree of freedom) and its probability if the promise holds.
    """

    sessions: int
    expected: float
    observed: int
    statistic: float
    p_value: float


def exceedances(returns: pd.Series, var: pd.Series, confidence: float = 0.95) -> Exceedances:
    """Test a VaR that was known in advance by counting the losses beyond it (Kupiec 1995, proportion of failures).

    Parameters
    ----------
    returns
        Simple returns per session.
    var
        The VaR known before each session, as `rolling_var` gives it; its sessions are a subset of the returns'.
    confidence
        That of `var`.
    """
    if not len(var) or not var.index.isin(returns.index).all():
        raise BadInput("The VaR has sessions that the returns do not have.", "Compute it from the same returns.")
    losses = -returns.loc[var.index].to_numpy(dtype=float)
    count, hits, promise = len(var), int((losses > var.to_numpy(dtype=float)).sum()), 1 - confidence
    rate = hits / count

    def likelihood(probability: float) -> float:
        return float(special.xlogy(hits, probability) + special.xlogy(count - hits, 1 - probability))

    statistic = max(0.0, -2 * (likelihood(promise) - likelihood(rate)))
    return Exceedances(count, count * promise, hits, statistic, float(special.chdtrc(1, statistic)))


def mean_correlation(returns: pd.DataFrame, window: int = 63, every: int = 5) -> pd.Series:
    """How much everything moves together: the mean correlation of all pairs over the last `window` sessions.

    Parameters
    ----------
    returns
        Simple returns, shape (sessions, symbols). A symbol with a gap in a window is left out of that window.
    window
        Sessions per window, at least 20.
    every
        Only every n-th session is computed.

    Returns
    -------
    Series
        At each window's last session; NaN where fewer than two symbols are complete.

    Raises
    ------
    BadInput
        Fewer than two symbols, a window below 20, or less history than a window.
    """
    if returns.shape[1] < 2 or not 20 <= window <= len(returns):
        raise BadInput(
            f"{returns.shape[1]} symbols and {len(returns)} sessions hold no correlation over {window} sessions.",
            "Give at least two symbols, and a window from 20 sessions to the whole history.",
        )
    values = returns.to_numpy(dtype=float)
    ends = range(window, len(returns) + 1, every)
    found = []
    for end in ends:
        part = values[end - window : end]
        part = part[:, ~np.isnan(part).any(axis=0) & (np.ptp(np.nan_to_num(part), axis=0) > 0)]
        count = part.shape[1]
        table = np.corrcoef(part, rowvar=False) if count > 1 else np.full((1, 1), np.nan)
        found.append((float(table.sum()) - count) / (count * (count - 1)) if count > 1 else math.nan)
    return pd.Series(found, returns.index[[end - 1 for end in ends]], name="mean correlation")
