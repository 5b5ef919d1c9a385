"""Making parts of many sessions sum to the compounded whole (Carino 1999, "Combining Attribution Effects Over Time").

Returns compound, so the effects of single sessions do not add up to the effect of the whole period. Each session's
effects are scaled by how much that session's difference in returns weighs in the logarithm of the whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantdesk.errors import BadInput

__all__ = ["active_coefficients", "single_coefficients"]

Floats = npt.NDArray[np.float64]


def _slope(high: Floats, low: Floats) -> Floats:
    """``(ln(1 + high) - ln(1 + low)) / (high - low)``, and its limit ``1 / (1 + high)`` where both are equal."""
    apart = (high - low) / (1 + low)
    # log1p(x) / x keeps its digits for small x, where the difference of two logarithms loses them.
    safe = np.where(apart == 0.0, 1.0, apart)
    return np.asarray(np.where(apart == 0.0, 1.0, np.log1p(safe) / safe) / (1 + low))


def active_coefficients(portfolio: Floats, benchmark: Floats) -> Floats:
    """Factor per session by which its effects are multiplied, so that they sum to the difference of the whole period.

    Parameters
    ----------
    portfolio, benchmark
        Simple returns per session, shape (sessions,), each above -1.

    Returns
    -------
    ndarray, shape (sessions,)
        ``k_t / k`` with ``k_t = (ln(1 + p_t) - ln(1 + b_t)) / (p_t - b_t)`` and `k` the same for the compounded
        returns.

    Raises
    ------
    BadInput
        A return of -1 or less: everything was lost, and a logarithm does not exist.
    """
    for name, values in (("portfolio", portfolio), ("benchmark", benchmark)):
        if not (values > -1).all():
            raise BadInput(
                f"The {name} lost {-float(values.min()):.0%} in one session.", "Linking needs returns above -100 %."
            )
    whole = [np.array([np.expm1(np.log1p(values).sum())]) for values in (portfolio, benchmark)]
    return np.asarray(_slope(portfolio, benchmark) / _slope(*whole)[0])


def single_coefficients(returns: Floats) -> Floats:
    """The same for parts of one series: they then sum to its compounded return."""
    return active_coefficients(returns, np.zeros_like(returns))
