"""Which market factors a series of returns follows: least squares with standard errors that survive daily data.

Daily returns are heteroscedastic and overlap a little, so the ordinary standard errors are too small; these are the
heteroscedasticity and autocorrelation consistent (HAC) ones of Newey and West (1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from quantdesk.backtest.linking import single_coefficients
from quantdesk.backtest.metrics import SESSIONS_PER_YEAR, checked_returns, total_return
from quantdesk.errors import BadInput, BadParameter

__all__ = ["FactorAttribution", "FactorModel", "factor_attribution", "factor_model", "newey_west_lags"]


def newey_west_lags(sessions: int) -> int:
    """The usual number of lags, ``floor(4 (n / 100) ** (2/9))`` (Newey and West 1994)."""
    return int(4 * (sessions / 100) ** (2 / 9))


@dataclass(frozen=True, slots=True, eq=False)
class FactorModel:
    """A regression of returns on factors: ``r = alpha + sum(beta * f) + residual``.

    Parameters
    ----------
    table
        One row for ``alpha`` and one per factor; columns ``beta`` (alpha per session), ``se`` (HAC), ``t``, ``p``
        (two-sided, normal), ``low``, ``high`` (95 % interval).
    r_squared
        Share of the variance that the factors explain.
    residuals
        Per session; their mean is 0 in the sample.
    sessions, lags
        How many sessions, and how many lags the HAC errors use.
    start, end
        First and last session.
    labels
        The labels of the data.
    """

    table: pd.DataFrame
    r_squared: float
    residuals: pd.Series
    sessions: int
    lags: int
    start: pd.Timestamp
    end: pd.Timestamp
    labels: tuple[str, ...] = ()

    @property
    def annual_alpha(self) -> float:
        """Alpha per session times 252: the mean return that the factors leave unexplained, per year."""
        return float(self.table["beta"]["alpha"]) * SESSIONS_PER_YEAR


def factor_model(
    returns: pd.Series, factors: pd.DataFrame, lags: int | None = None, labels: tuple[str, ...] = ()
) -> FactorModel:
    """Regress `returns` on `factors` over the sessions that both have.

    Parameters
    ----------
    returns
        Simple returns per session.
    factors
        Simple returns of factors per session, one column each. Sessions on which one is NaN are left out.
    lags
        Lags of the HAC errors (Bartlett weights, no small-sample correction); `newey_west_lags` when None.
    labels
        The labels of the data.

    Raises
    ------
    BadInput
        No factor, too few common sessions (fewer than ten per coefficient), or factors that are linear combinations of
        each other, so that their betas cannot be told apart.
    BadParameter
        A negative number of lags, or one that is not below the number of sessions.
    """
    if not len(factors.columns):
        raise BadInput("There is no factor.", "Give at least one column of factor returns.")
    joined = pd.concat([returns.rename("__returns__"), factors], axis=1, join="inner").dropna()
    sessions, width = len(joined), len(factors.columns) + 1
    if sessions < 10 * width:
        raise BadInput(
            f"Returns and factors share {sessions} sessions.", f"{width} coefficients need at least {10 * width}."
        )
    lags = newey_west_lags(sessions) if lags is None else lags
    if not 0 <= lags < sessions:
        raise BadParameter(f"lags is {lags!r}.", f"Give a whole number from 0 to {sessions - 1}.")
    y = checked_returns(joined["__returns__"])
    x = np.column_stack([np.ones(sessions), joined[factors.columns].to_numpy(dtype=float)])
    size = np.linalg.norm(x, axis=0)
    if not (size > 0).all() or not np.isfinite(size).all() or np.linalg.cond(x / size) > 1e8:
        raise BadInput(
            f"The factors {', '.join(map(str, factors.columns))} are linear combinations of each other.",
            "Leave one out, or use differences such as MTUM - SPX.",
        )
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    residual = y - x @ beta
    scores = x * residual[:, None]
    middle = scores.T @ scores
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (lags + 1)) * (cross + cross.T)
    error = np.sqrt(np.diag(inverse @ middle @ inverse))
    variance = float(((y - y.mean()) ** 2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        t = beta / error
    half = float(special.ndtri(0.975)) * error
    table = pd.DataFrame(
        {
            "beta": beta,
            "se": error,
            "t": t,
            "p": 2 * special.ndtr(-np.abs(t)),
            "low": beta - half,
            "high": beta + half,
        },
        index=pd.Index(["alpha", *map(str, factors.columns)], name="factor"),
    )
    return FactorModel(
        table=table,
        r_squared=1 - float(residual @ residual) / variance if variance > 0 else float("nan"),
        residuals=pd.Series(residual, joined.index, name="residual"),
        sessions=sessions,
        lags=lags,
        start=joined.index[0],
        end=joined.index[-1],
        labels=labels,
    )


@dataclass(frozen=True, slots=True, eq=False)
class FactorAttribution:
    """The total return of a period, split among factors. The parts sum to the total exactly.

    Parameters
    ----------
    contributions
        By ``alpha``, each factor and ``residual``: the part of the compounded return, as a fraction.
    cumulative
        The same parts per session, summed over time: the last row equals `contributions`.
    total
        The compounded return, as a fraction.
    labels
        The labels of the data.
    """

    contributions: pd.Series
    cumulative: pd.DataFrame
    total: float
    labels: tuple[str, ...] = ()


def factor_attribution(returns: pd.Series, factors: pd.DataFrame, model: FactorModel) -> FactorAttribution:
    """Split the compounded return of `returns` into what each factor brought, alpha and the residual.

    On each session ``r = alpha + sum(beta * f) + residual`` holds exactly. The parts of a session are scaled by
    ``(ln(1 + r) / r) / (ln(1 + R) / R)`` (Carino 1999, with nothing as the benchmark), so that they sum to the
    compounded return R.

    Parameters
    ----------
    returns, factors, model
        What `factor_model` took and gave. The betas are those of the whole period: this explains it, it could not
        have been traded.

    Raises
    ------
    BadInput
        A session lost everything (a return of -1 has no logarithm), or `model` was fitted on other sessions.
    """
    index = model.residuals.index
    if not index.isin(returns.index).all() or not index.isin(factors.index).all():
        raise BadInput("The model was fitted on sessions that are not here.", "Give it the data that it was fitted on.")
    used = returns.loc[index]
    names = [str(column) for column in factors.columns]
    beta = model.table["beta"]
    parts = pd.DataFrame({"alpha": float(beta["alpha"])}, index=index)
    for column, name in zip(factors.columns, names, strict=True):
        parts[name] = float(beta[name]) * factors.loc[index, column].to_numpy(dtype=float)
    parts["residual"] = model.residuals
    scale = single_coefficients(checked_returns(used))
    linked = parts.mul(scale, axis=0)
    return FactorAttribution(linked.sum().rename("contribution"), linked.cumsum(), total_return(used), model.labels)
