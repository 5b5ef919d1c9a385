"""How likely a Sharpe ratio is luck: the probabilistic and the deflated Sharpe ratio.

A Sharpe ratio is an estimate. Its standard error grows with fat tails and negative skewness and shrinks with the
length of the record (Lo 2002; Mertens 2002). And the best of many trials looks good even when none has any skill: the
deflated ratio asks whether the best one beats what the luckiest of N useless strategies would have shown (Bailey and
Lopez de Prado 2014, "The Deflated Sharpe Ratio").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from quantdesk.backtest.metrics import SESSIONS_PER_YEAR, checked_returns, kurtosis, skewness
from quantdesk.errors import BadInput, BadParameter

__all__ = ["DeflatedSharpe", "deflated_sharpe", "expected_best_sharpe", "probabilistic_sharpe"]


def probabilistic_sharpe(sharpe: float, benchmark: float, sessions: int, skew: float, excess_kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`, given the one that was measured.

    It is ``N((SR - benchmark) sqrt(n - 1) / sqrt(1 - S SR + (K + 2)/4 SR^2))`` with N the normal distribution,
    skewness S and excess kurtosis K (equation 9 of the paper writes the kurtosis without subtracting 3).

    Parameters
    ----------
    sharpe, benchmark
        Sharpe ratios **per session**, not per year.
    sessions
        How many returns `sharpe` was measured on.
    skew, excess_kurtosis
        Of those returns; 0 and 0 for normal ones.

    Raises
    ------
    BadParameter
        Fewer than 2 sessions, a number that is not finite, or moments that no distribution has (the variance of the
        estimate would not be positive).
    """
    numbers = (sharpe, benchmark, skew, excess_kurtosis)
    if sessions < 2 or not all(math.isfinite(number) for number in numbers):
        raise BadParameter(
            f"The ratio {sharpe:g} on {sessions} sessions (skewness {skew:g}, excess kurtosis {excess_kurtosis:g}).",
            "Give finite numbers and at least 2 sessions.",
        )
    variance = 1 - skew * sharpe + (excess_kurtosis + 2) / 4 * sharpe**2
    if variance <= 0:
        raise BadParameter(
            f"Skewness {skew:g} and excess kurtosis {excess_kurtosis:g} do not go with a ratio of {sharpe:g}.",
            "Check that the ratio is per session and the kurtosis is in excess of 3.",
        )
    return float(special.ndtr((sharpe - benchmark) * math.sqrt(sessions - 1) / math.sqrt(variance)))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """The Sharpe ratio that the best of `trials` independent strategies without skill is expected to show.

    It is ``sqrt(V) ((1 - g) q(1 - 1/N) + g q(1 - 1/(N e)))`` with variance V, N trials, Euler's constant ``g =
    0.5772...`` and the normal quantile function ``q`` (equation 1 of the appendix). One trial leaves nothing to choose
    from: 0.

    Parameters
    ----------
    trials
        How many strategies were tried, the ones that were thrown away included.
    variance
        Variance of their Sharpe ratios, in the same unit squared as the result (per session or per year).
    """
    if isinstance(trials, bool) or trials < 1 or not 0 <= variance < math.inf:
        raise BadParameter(f"{trials} trials with variance {variance:g}.", "Give at least 1 trial and a variance >= 0.")
    if trials == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    far = (1 - gamma) * special.ndtri(1 - 1 / trials) + gamma * special.ndtri(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * float(far)


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """Whether the best of several trials is better than luck. Sharpe ratios are annual (times sqrt(252)).

    Parameters
    ----------
    sharpe
        Of the best trial.
    hurdle
        What the luckiest of as many useless trials is expected to show.
    probability
        The deflated Sharpe ratio: probability that the true ratio is above `hurdle`.
    probability_above_zero
        The probabilistic Sharpe ratio against 0: what one would believe if this had been the only trial.
    trials, sessions
        How many were tried, on how many sessions.
    skewness, kurtosis
        Of the best trial's returns; kurtosis in excess of 3.
    labels
        The labels of the data.
    """

    sharpe: float
    hurdle: float
    probability: float
    probability_above_zero: float
    trials: int
    sessions: int
    skewness: float
    kurtosis: float
    labels: tuple[str, ...] = ()

    def verdict(self, level: float = 0.95) -> str:
        """What may be said about the best trial, in one sentence computed from the numbers."""
        said = f"Sharpe {self.sharpe:.2f} against a hurdle of {self.hurdle:.2f} for the best of {self.trials} trials"
        said += f": probability {self.probability:.1%}"
        if self.probability >= level:
            return f"{said}. Above {level:.0%}: better than the number of trials explains, on this data."
        return f"{said}. Below {level:.0%}: not distinguishable from luck."


def deflated_sharpe(
    best: pd.Series, trial_sharpes: Sequence[float], trials: int | None = None, labels: tuple[str, ...] = ()
) -> DeflatedSharpe:
    """Deflate the Sharpe ratio of the best trial.

    Parameters
    ----------
    best
        Returns per session of the trial that was chosen, out of sample and after costs.
    trial_sharpes
        **Annual** Sharpe ratios of every trial, the best included.
    trials
        How many independent trials they count for; their number when None. Trials that resemble each other count for
        less: taking all of them is the strict choice.
    labels
        The labels of the data.

    Raises
    ------
    BadInput
        No trial, a ratio that is NaN, or returns without variation.
    """
    ratios = np.asarray(list(trial_sharpes), dtype=float)
    if not len(ratios) or not np.isfinite(ratios).all():
        raise BadInput(f"The trials' Sharpe ratios are {ratios.tolist()}.", "Give a finite one for every trial.")
    values = checked_returns(best, at_least=20)
    spread = float(values.std(ddof=1))
    if not spread > 0:
        raise BadInput("The returns of the best trial do not vary.", "A Sharpe ratio needs some variation.")
    count = len(ratios) if trials is None else trials
    per_session = float(values.mean()) / spread
    year = math.sqrt(SESSIONS_PER_YEAR)
    variance = float(ratios.var(ddof=1)) / SESSIONS_PER_YEAR if len(ratios) > 1 else 0.0
    hurdle = expected_best_sharpe(count, variance)
    moments = skewness(best), kurtosis(best)
    return DeflatedSharpe(
        sharpe=per_session * year,
        hurdle=hurdle * year,
        probability=probabilistic_sharpe(per_session, hurdle, len(values), *moments),
        probability_above_zero=probabilistic_sharpe(per_session, 0.0, len(values), *moments),
        trials=count,
        sessions=len(values),
        skewness=moments[0],
        kurtosis=moments[1],
        labels=labels,
    )
