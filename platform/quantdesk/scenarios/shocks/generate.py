"""From a shock to a path: what is shocked moves as asked, the rest moves as the era says it would. Pure.

For normal moves with covariance ``S``, given those of the drivers ``d``, the others have the mean
``S[u, d] S[d, d]^-1 x_d`` and the covariance ``S[u, u] - S[u, d] S[d, d]^-1 S[d, u]`` (the regression formula; Kupiec
1998 for stress tests). Both are used: the mean, and noise of that covariance, from one draw a bar and asset that
depends on the seed alone, so that a larger shock meets the same noise. There is no drift. In bars without a shock,
everything moves by noise.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadDates, BadInput, BadParameter
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.shocks.correlation import Repair, repaired, towards
from quantdesk.scenarios.shocks.eras import Era, resolve_era
from quantdesk.scenarios.shocks.history import before
from quantdesk.scenarios.shocks.impulses import Impulse, World, impulse_of
from quantdesk.scenarios.shocks.moves import Covariance, Estimator, betas, by_session, closes_of, covariance, root
from quantdesk.scenarios.shocks.propagation import PropagationError, propagation_error
from quantdesk.scenarios.shocks.shapes import active, lasting, moved
from quantdesk.scenarios.shocks.shock import Shock, Shocks, as_shocks
from quantdesk.scenarios.shocks.shocked import Outage, Shocked

__all__ = ["Method", "generate"]

Floats = NDArray[np.float64]

_SIMULATED, _MISSING, _CLOSED = (GRADES.index(one) for one in (Grade.SIMULATED, Grade.MISSING, Grade.CLOSED))
_STALE = 10
"""Sessions after which a last value is no base any more."""
_DECIMALS = 8
"""Prices are rounded, so that the last bits of a linear algebra library do not show."""


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
    """

    estimator: Estimator = "sample"
    noise: float = 1.0
    aftermath_days: int = 5
    repair: Literal["higham", "clip"] = "higham"
    correlations: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise) and 0 <= self.noise <= 10):
            raise BadParameter(f"The noise is {self.noise!r}.", "Give 0 to 10; 1 is that of the era.")
        if not 1 <= self.aftermath_days <= 252:
            raise BadParameter(f"aftermath_days is {self.aftermath_days!r}.", "Give 1 to 252 sessions.")


def generate(
    shocks: Shock | Shocks | Sequence[Shock],
    base: Path,
    *,
    seed: int = 0,
    era: Era | str = "2y_before",
    panel: pd.DataFrame | None = None,
    method: Method | None = None,
) -> Shocked:
    """A path of what was invented, from the last bar of a real one.

    Parameters
    ----------
    shocks
        One or several; they happen together, and their order does not matter.
    base
        Daily bars up to the day of the shock; with its history it becomes the history of the result. An asset without
        a value in its last ten sessions is missing in the result, and so is one that the era does not know, unless it
        is shocked by an absolute magnitude.
    seed
        Of the noise, at least 0.
    era
        By whose covariance the others move; the standard deviations of a shock are its own era's, if it names one.
    panel
        Values by instant or session for the covariance and the error of the method (SPX and stocks through the crises;
        BAA and AAA for credit_freeze): its columns are taken in place of the base's. Only the error looks at days after
        the base ends, unless the era itself does, which the labels then say.
    method
        See :class:`Method`.

    Returns
    -------
    Shocked
        Its path has one real bar and one for each session in New York after it, for all assets: other calendars'
        holidays are not simulated. Only closes are simulated.

    Raises
    ------
    BadInput, BadDates, UnknownName, BadParameter
        An intraday base, a seed that is none, an era without data, a shock of what is not there.
    """
    method = method or Method()
    shocks = as_shocks(shocks)
    if base.is_intraday:
        raise BadInput(f"The base {base.name!r} is intraday.", "Give daily bars.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BadParameter(f"The seed is {seed!r}.", "Give a whole number of at least 0.")
    plan = _Plan.of(shocks, base, era, panel, method)
    steps, noise = _simulate(plan, seed)
    return _shocked(plan, steps, noise, seed)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    """All that a simulation needs. `names` are the path's symbols, then drivers that it does not have."""

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
    labels: tuple[str, ...]
    error: PropagationError | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, shocks: Shocks, base: Path, era: Era | str, panel: pd.DataFrame | None, method: Method) -> _Plan:
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
    stocks = [asset.symbol for asset in base.assets if asset.kind == "equity"]
    if "SPX" not in closes.columns or not stocks:
        return None
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


def _simulate(plan: _Plan, seed: int) -> tuple[Floats, Floats]:
    """Mean moves and noise of each bar, both ``(horizon + 1, names)``; NaN means for what nothing is known of."""
    horizon, cov = plan.horizon, plan.cov
    place = {name: number for number, name in enumerate(plan.names)}
    inside = np.array([place[name] for name in cov.symbols])
    draws = np.random.default_rng([seed, 0x5130C]).standard_normal((horizon + 1, len(cov.symbols)))
    steps, noise = np.full((horizon + 1, len(plan.names)), np.nan), np.zeros((horizon + 1, len(plan.names)))
    steps[:, inside] = 0.0
    parts = [np.diff(moved(one, horizon), prepend=0.0) for one in plan.shocks]
    on = [active(one, horizon) for one in plan.shocks]
    wild = _multiples(plan, "noise", plan.names)
    broken = _broken(plan)
    roots = {False: root(cov.matrix), True: root(plan.stressed) if plan.repair else cov.matrix}
    slopes: dict[tuple[bool, tuple[int, ...]], Floats] = {}
    for bar in range(1, horizon + 1):
        given: dict[str, float] = {}
        drivers: set[str] = set()
        for impulse, part, is_on in zip(plan.impulses, parts, on, strict=True):
            if is_on[bar]:
                for name, move in impulse.moves.items():
                    given[name] = given.get(name, 0.0) + move * part[bar]
                drivers.update(name for name in impulse.drivers if name in cov.symbols)
        state = bool(broken[bar])
        drawn = roots[state] @ draws[bar]
        among = tuple(int(one) for one in cov.places(sorted(drivers))) if drivers else ()
        if among:
            key = (state, among)
            if key not in slopes:
                slopes[key] = betas(plan.stressed if state else cov.matrix, np.array(among))
            steps[bar, inside] = slopes[key] @ np.array([given[cov.symbols[one]] for one in among])
            drawn = drawn - slopes[key] @ drawn[list(among)]
        noise[bar, inside] = drawn * wild[bar, inside] * plan.method.noise
        for name, move in given.items():
            steps[bar, place[name]], noise[bar, place[name]] = move, 0.0
    return _carried(steps, plan), noise


def _carried(steps: Floats, plan: _Plan) -> Floats:
    """What is shocked and unknown to the era stays where it was put when it is not shocked."""
    shocked = {name for one in plan.impulses for name in one.moves}
    for column, name in enumerate(plan.names):
        if name in shocked:
            steps[:, column] = np.nan_to_num(steps[:, column])
    return steps


def _multiples(plan: _Plan, what: Literal["noise", "quotes", "depth"], names: Sequence[str]) -> Floats:
    """Multiples by bar and name: logs of all shocks add up."""
    logs = np.zeros((plan.horizon + 1, len(names)))
    place = {name: number for number, name in enumerate(names)}
    for shock, impulse in zip(plan.shocks, plan.impulses, strict=True):
        part = lasting(shock, plan.horizon)
        for name, log in getattr(impulse, what).items():
            logs[:, place[name]] += part * log
    found: Floats = np.exp(logs)
    return found


def _broken(plan: _Plan) -> NDArray[np.bool_]:
    """In which bars correlations are broken."""
    found = np.zeros(plan.horizon + 1, dtype=bool)
    for shock, impulse in zip(plan.shocks, plan.impulses, strict=True):
        if impulse.mean_correlation is not None:
            found |= active(shock, plan.horizon)
            if shock.shape == "L":
                found[shock.delay_days + 1 :] = True
    return found


def _shocked(plan: _Plan, steps: Floats, noise: Floats, seed: int) -> Shocked:
    base, horizon, width = plan.base, plan.horizon, len(plan.base.assets)
    total = np.cumsum(np.vstack([np.zeros((1, width)), (steps + noise)[1:, :width]]), axis=0)
    rates = plan.rates[:width]
    close = np.where(rates, plan.levels + total, plan.levels * np.exp(np.where(rates, 0.0, total)))
    close = np.round(close, _DECIMALS)
    grades = np.where(np.isnan(close), _MISSING, _SIMULATED).astype(np.int8)
    close[0], grades[0] = base.close[-1], base.grades[-1]
    begins, ends = _sessions(base, horizon)
    outages = []
    for shock, impulse in zip(plan.shocks, plan.impulses, strict=True):
        first, last = shock.delay_days + 1, shock.delay_days + shock.duration_days
        for name in impulse.closed:
            column = base.column(name)
            close[first : last + 1, column], grades[first : last + 1, column] = np.nan, _CLOSED
        if impulse.silent:
            outages.append(Outage(impulse.silent, int(begins[first]), int(ends[last])))
    path = Path(
        name=f"{base.name}+{'+'.join(one.type for one in plan.shocks)}"[:120],
        assets=base.assets,
        begins=begins,
        ends=ends,
        close=close,
        grades=grades,
        history=before(base),
        methods=_methods(plan),
        hashes=plan.hashes,
        labels=tuple(dict.fromkeys(plan.labels)),
    )
    notes = tuple(note for impulse in plan.impulses for note in impulse.notes)
    if plan.cov.absent:
        notes = (*notes, f"The era does not know: {', '.join(plan.cov.absent)}.")
    return Shocked(
        path=path,
        shocks=plan.shocks,
        cov=plan.cov,
        moves=_table(plan, steps, noise, close),
        spread=_multiples(plan, "quotes", base.symbols),
        depth=_multiples(plan, "depth", base.symbols),
        outages=tuple(outages),
        correlation=plan.repair,
        error=plan.error,
        notes=notes,
        seed=seed,
    )


def _sessions(base: Path, horizon: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The base's last bar, and the sessions in New York after it."""
    last = base.sessions[-1]
    until = (last + pd.Timedelta(days=2 * horizon + 14)).date()
    days = sessions_between("XNYS", (last + dt.timedelta(days=1)).date(), until)[:horizon]
    begins, ends = (times("XNYS", days).as_unit("ns").asi8 for times in (open_times, event_times))
    return np.concatenate([base.begins[-1:], begins]), np.concatenate([base.ends[-1:], ends])


def _methods(plan: _Plan) -> dict[str, str]:
    shocked = {name: shock.type for shock, one in zip(plan.shocks, plan.impulses, strict=True) for name in one.moves}
    known = f"normal noise and conditional mean of {plan.cov.era.describe()}"
    found = dict(plan.base.methods)
    for name in plan.base.symbols:
        if name in shocked:
            found[name] = f"simulated: moved by {shocked[name]}; otherwise {known}"
        elif name in plan.cov.symbols:
            found[name] = f"simulated: {known}"
        else:
            found[name] = f"missing: {plan.cov.era.describe()} does not know it"
    return found


def _table(plan: _Plan, steps: Floats, noise: Floats, close: Floats) -> pd.DataFrame:
    peak = max(one.delay_days + one.duration_days for one in plan.shocks)
    width = len(plan.base.assets)
    mean = steps[1 : peak + 1, :width].sum(axis=0)
    shocked = {name for one in plan.impulses for name in one.moves}
    rows = {}
    for column, name in enumerate(plan.base.symbols):
        rate = bool(plan.rates[column])
        known = name in plan.cov.symbols
        ratio = close[peak, column] - plan.levels[column] if rate else close[peak, column] / plan.levels[column] - 1
        rows[name] = {
            "role": "shocked" if name in shocked else "conditional" if known else "missing",
            "unit": "bp" if rate else "%",
            "mean": 100 * (mean[column] if rate else math.expm1(mean[column])),
            "simulated": 100 * ratio,
            "deviation": 100 * plan.cov.deviation(name) if known else math.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
