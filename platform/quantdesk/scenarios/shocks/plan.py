"""Before a simulation: what is known on the day, the covariance, what each shock does, and which correlations. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput, BadParameter
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.shocks.correlation import Repair, repaired, towards
from quantdesk.scenarios.shocks.eras import Era, resolve_era
from quantdesk.scenarios.shocks.impulses import impulse_of
from quantdesk.scenarios.shocks.moves import Covariance, Estimator, by_session, closes_of, covariance
from quantdesk.scenarios.shocks.propagation import PropagationError, propagation_error
from quantdesk.scenarios.shocks.shock import Shocks
from quantdesk.scenarios.shocks.world import Impulse, World

__all__ = ["Method", "Plan"]

Floats = NDArray[np.float64]

_STALE = 10
"""Sessions after which a last value is no base any more."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Method:
    """How a shock becomes a path.

    Attributes
    ----------
    estimator
        Of the covariance.
    noise
        Times the residual deviation: 1 as in the era, 0 for the conditional mean alone.
    aftermath_days
        Sessions after the last shock, at least 1: a market that was closed opens in them.
    repair
        Of correlations that cannot be.
    correlations
        A user's own matrix for a correlation_breakdown, by symbol on both sides; the target mean is then not used.
    highest_volatility
        Points above which a volatility index does not go by itself, unless it was there before; one that is shocked
        goes as far as it is asked.
    """

    estimator: Estimator = "sample"
    noise: float = 1.0
    aftermath_days: int = 5
    repair: Literal["higham", "clip"] = "higham"
    correlations: pd.DataFrame | None = None
    highest_volatility: float = 100.0

    def __post_init__(self) -> None:
        if not self.highest_volatility > 0:
            raise BadParameter(
                f"highest_volatility is {self.highest_volatility!r}.", "Give points above 0; inf for no bound."
            )
        if not (math.isfinite(self.noise) and 0 <= self.noise <= 10):
            raise BadParameter(f"The noise is {self.noise!r}.", "Give 0 to 10; 1 is that of the era.")
        if not 1 <= self.aftermath_days <= 252:
            raise BadParameter(f"aftermath_days is {self.aftermath_days!r}.", "Give 1 to 252 sessions.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """All that a simulation needs.

    Attributes
    ----------
    shocks, base, method
        As given.
    cov
        Of the era of the whole simulation.
    impulses
        One a shock.
    horizon
        Bars after the base.
    names
        The path's symbols, then drivers that it does not have.
    levels
        Last values of the path's assets, NaN where there are none.
    rates
        Which names move by differences.
    stressed, repair
        The covariance while correlations are broken, and what it took.
    seen
        Logs of prices, and rates, by session up to the last known day: what moves there have been.
    labels, error, hashes
        For the result.
    """

    shocks: Shocks
    base: Path
    method: Method
    cov: Covariance
    impulses: tuple[Impulse, ...]
    horizon: int
    names: tuple[str, ...]
    levels: Floats
    rates: NDArray[np.bool_]
    stressed: Floats
    repair: Repair | None
    seen: pd.DataFrame
    labels: tuple[str, ...]
    error: PropagationError | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, shocks: Shocks, base: Path, era: Era | str, panel: pd.DataFrame | None, method: Method) -> Plan:
        """What :func:`~quantdesk.scenarios.shocks.generate.generate` is given, worked out."""
        closes = closes_of(base)
        today = closes.index[-1]
        levels = closes.ffill(limit=_STALE - 1).iloc[-1].to_numpy(dtype=np.float64)
        given = by_session(panel) if panel is not None else closes
        full = given.join(closes[[name for name in closes.columns if name not in given.columns]], how="outer")
        kinds = {asset.symbol: asset.kind for asset in base.assets}
        wanted = [*base.symbols, *(name for name in ("VIX",) if name in full.columns and name not in base.symbols)]

        def measured(of: Era | str) -> Covariance:
            return covariance(full[wanted], resolve_era(of, today.date()), kinds=kinds, estimator=method.estimator)

        cov = measured(era)
        impulses = tuple(
            impulse_of(one, World(base.assets, _visible(full, today, own.era), own))
            for one in shocks
            for own in [measured(one.era) if one.era else cov]
        )
        names = (*base.symbols, *(name for name in cov.symbols if name not in base.symbols))
        stressed, repair = _stressed(cov, impulses, method)
        rates = np.array([kinds.get(name) == "rate" for name in names], dtype=bool)
        late = sorted({own.name for own in [cov.era, *_own_eras(shocks, today)] if pd.Timestamp(own.last) > today})
        labels = [f"era_after_start:{name}" for name in late]
        seen = full.loc[:today, list(base.symbols)].copy()
        prices = [name for name in base.symbols if kinds[name] != "rate"]
        seen[prices] = np.log(seen[prices].where(seen[prices] > 0))
        return cls(
            shocks=shocks,
            base=base,
            method=method,
            cov=cov,
            impulses=impulses,
            horizon=shocks.extent + method.aftermath_days,
            names=names,
            levels=levels,
            rates=rates,
            stressed=stressed,
            repair=repair,
            seen=seen.ffill(limit=_STALE),
            labels=(*base.labels, "simulated_shock", f"covariance_of:{cov.era.name}", *labels),
            error=_error(full, base),
            hashes={**base.hashes, "base": base.sha256},
        )


def _own_eras(shocks: Shocks, today: pd.Timestamp) -> list[Era]:
    return [resolve_era(one.era, today.date()) for one in shocks if one.era]


def _visible(closes: pd.DataFrame, today: pd.Timestamp, era: Era) -> pd.DataFrame:
    """No later than the last known day, or the end of an era that a user named knowingly."""
    return closes.loc[: max(today, pd.Timestamp(era.last))]


def _error(closes: pd.DataFrame, base: Path) -> PropagationError | None:
    names = [asset.symbol for asset in base.assets if asset.kind == "equity" and closes[asset.symbol].notna().any()]
    if "SPX" not in closes.columns or not names:
        return None
    # The same stocks in every crisis: those with the longest history.
    since = closes[names].notna().to_numpy().argmax(axis=0)
    stocks = [name for name, place in zip(names, since, strict=True) if place == since.min()]
    try:
        return propagation_error(closes, stocks=stocks)
    except BadDates:
        return None


def _stressed(cov: Covariance, impulses: Sequence[Impulse], method: Method) -> tuple[Floats, Repair | None]:
    """The covariance while correlations are broken, and what it took."""
    targets = [one.mean_correlation for one in impulses if one.mean_correlation is not None]
    if not targets:
        if method.correlations is not None:
            raise BadInput("There is a matrix of correlations and no correlation_breakdown.", "Add that shock.")
        return cov.matrix, None
    among, mean = targets[0]
    asked = cov.correlation.copy()
    if method.correlations is not None:
        table = method.correlations
        if list(table.index) != list(table.columns):
            raise BadInput("The correlations have other rows than columns.", "Give the same symbols on both sides.")
        places = cov.places([str(name) for name in table.index])
        asked[np.ix_(places, places)] = table.to_numpy(dtype=np.float64)
    else:
        asked = towards(asked, cov.places(among), mean)
    repair = repaired(asked, method.repair)
    return repair.matrix * np.outer(cov.deviations, cov.deviations), repair
