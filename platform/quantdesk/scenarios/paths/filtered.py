"""Filtered historical simulation: the shocks of the past, at the volatility of today. Pure.

Barone-Adesi, Giannopoulos and Vosper (1999): each asset's volatility is modelled, here by GJR-GARCH(1,1) with Student t
errors (Glosten, Jagannathan and Runkle 1993), and what is left of each day, the residuals of all assets together, is
drawn again. So the dependence of assets within a day is that of the history, and the path begins as wild as it ended.

Residuals are drawn around 0 and the paths drift by the mean of the moves: the location of a t distribution is not the
mean of skewed moves, and what is left of it would make paths drift by their volatility. Losses that are larger than
gains make variance last longer than the model's own numbers say: how much longer stands in the result.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantdesk.errors import BadInput
from quantdesk.scenarios.paths.bootstrap import _bits
from quantdesk.scenarios.paths.kernels import filtered, picked_days
from quantdesk.scenarios.paths.moves import Moves

__all__ = ["Filtered", "Gjr", "fit_gjr"]

Floats = NDArray[np.float64]

LEAST_DAYS = 500
"""Days below which the parameters of a volatility model mean little."""

_FAR = 2.0
"""How far the mean square of residuals may be from 1, as a factor: those of the bundled stocks are from 0.9 to 1.23."""


@dataclass(frozen=True, slots=True, eq=False)
class Gjr:
    """GJR-GARCH(1,1) of one asset: ``v' = omega + (alpha + gamma [e < 0]) e**2 + beta v``.

    Attributes
    ----------
    mean, omega, alpha, gamma, beta, nu
        In units of the moves; nu of the t distribution by which it was fitted.
    variance, surprise
        v and e of the last day.
    residuals
        ``e / sqrt(v)`` of each day, shape ``(T,)``.
    drift
        The mean of the moves, which paths keep; `mean` where it is None.
    """

    mean: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    variance: float
    surprise: float
    residuals: Floats
    drift: float | None = None

    @property
    def persistence(self) -> float:
        """What a day's variance leaves to the next on the mean, if falls and rises were alike; below 1."""
        return self.alpha + self.gamma / 2 + self.beta


def fit_gjr(values: Floats, symbol: str = "") -> Gjr:
    """Fit one asset by maximum likelihood, with `arch`.

    Parameters
    ----------
    values
        Moves, shape ``(T,)``.
    symbol
        For messages.

    Raises
    ------
    BadInput
        Too few days, or moves that the model does not describe: the search fails, or the residuals are no size 1.
    """
    from arch import arch_model

    if len(values) < LEAST_DAYS:
        raise BadInput(
            f"{symbol or 'The asset'} has {len(values)} days.", f"A volatility model needs at least {LEAST_DAYS}."
        )
    scale = 1 / float(np.std(values))  # the likelihood is searched best near 1
    model = arch_model(values * scale, mean="Constant", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it would say is in the flag
        fit = model.fit(disp="off", show_warning=False)
    found = fit.params
    spread = np.asarray(fit.conditional_volatility, dtype=np.float64)
    errors = np.asarray(fit.resid, dtype=np.float64)
    square = float(np.mean((errors / spread) ** 2))
    if fit.convergence_flag != 0 or not 1 / _FAR < square < _FAR:
        raise BadInput(
            f"The volatility of {symbol or 'the asset'} fits no GJR-GARCH: flag {fit.convergence_flag}, and what is "
            f"left of its moves has the mean square {square:.3g}, not 1.",
            "Look at its moves: a break or a pegged price has no such volatility; or draw by the bootstrap.",
        )
    return Gjr(
        mean=float(found["mu"]) / scale,
        omega=float(found["omega"]) / scale**2,
        alpha=float(found["alpha[1]"]),
        gamma=float(found["gamma[1]"]),
        beta=float(found["beta[1]"]),
        nu=float(found["nu"]),
        variance=float(spread[-1] / scale) ** 2,
        surprise=float(errors[-1] / scale),
        residuals=errors / spread,
        drift=float(np.mean(values)),
    )


@dataclass(frozen=True, eq=False)
class Filtered:
    """Volatility models of all assets, and the residuals that drive them.

    Attributes
    ----------
    symbols
        N.
    models
        One each, fitted to the same days.
    labels
        What must be said of all that comes of it.

    Raises
    ------
    BadInput
        The models are not one for each symbol, or of different days.
    """

    symbols: tuple[str, ...]
    models: tuple[Gjr, ...]
    labels: tuple[str, ...] = ()
    _residuals: Floats = field(init=False, repr=False)
    _parameters: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = {len(model.residuals) for model in self.models}
        if len(self.models) != len(self.symbols) or len(lengths) != 1:
            raise BadInput(
                f"{len(self.symbols)} symbols have {len(self.models)} models of {sorted(lengths)} days.",
                "Give one model each, all of the same days.",
            )
        rows = [[getattr(model, name) for model in self.models] for name in ("omega", "alpha", "gamma", "beta")]
        drifts = [model.mean if model.drift is None else model.drift for model in self.models]
        object.__setattr__(self, "_parameters", np.array([drifts, *rows]))
        residuals = np.column_stack([model.residuals for model in self.models])
        # Their mean is 0 and their mean square 1 but for the fit: so are those of what they drive.
        residuals = residuals - residuals.mean(axis=0)
        object.__setattr__(self, "_residuals", np.ascontiguousarray(residuals / np.sqrt((residuals**2).mean(axis=0))))
        endless = [f"variance_grows_without_end:{name}" for name in self._endless]
        object.__setattr__(self, "labels", tuple(dict.fromkeys((*self.labels, *endless))))

    @classmethod
    def of(cls, moves: Moves) -> Filtered:
        """Fit it: some hundredths of a second an asset."""
        models = tuple(fit_gjr(moves.values[:, place], symbol) for place, symbol in enumerate(moves.symbols))
        return cls(moves.symbols, models, moves.labels)

    @property
    def persistence(self) -> Floats:
        """What a day's variance leaves to the next on the mean with the residuals that are drawn, shape ``(N,)``.

        ``alpha + gamma mean(z**2 [z < 0]) + beta``. From 1 on it has no mean: paths become wilder without end, which
        hardly shows in some weeks and spoils a year.
        """
        falls = (self._residuals**2 * (self._residuals < 0)).mean(axis=0)
        _, _, alpha, gamma, beta = self._parameters
        found: Floats = alpha + gamma * falls + beta
        return found

    @property
    def _endless(self) -> list[str]:
        return [name for name, lasts in zip(self.symbols, self.persistence.tolist(), strict=True) if lasts >= 1]

    @property
    def said(self) -> str:
        """One sentence that names the method and its parameters."""
        endless = f"; the variance of {', '.join(self._endless)} grows without end" if self._endless else ""
        return (
            f"simulated: filtered historical simulation, GJR-GARCH(1,1)-t, residuals of {len(self._residuals)} days "
            f"drawn jointly{endless}"
        )

    def draw(self, random: np.random.Generator, out: Floats) -> None:
        """See :meth:`quantdesk.scenarios.paths.Method.draw`."""
        raw = _bits(random, out.shape[0], out.shape[1])
        days = np.empty(raw.shape, dtype=np.int64)
        picked_days(raw, len(self._residuals), days)
        variance = np.array([model.variance for model in self.models])
        surprise = np.array([model.surprise for model in self.models])
        filtered(days, self._residuals, self._parameters, variance, surprise, out)

    def weigh(self, random: np.random.Generator, days: int, values: Floats, out: Floats) -> None:
        """See :meth:`quantdesk.scenarios.paths.Method.weigh`."""
        moves = np.empty((len(out), days, len(self.symbols)))
        self.draw(random, moves)
        np.matmul(moves.sum(axis=1), values, out=out)
