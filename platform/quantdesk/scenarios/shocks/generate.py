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
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput, BadParameter
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.shocks.eras import Era
from quantdesk.scenarios.shocks.history import before
from quantdesk.scenarios.shocks.plan import Method, Plan
from quantdesk.scenarios.shocks.shock import Shock, Shocks, as_shocks
from quantdesk.scenarios.shocks.shocked import Outage, Shocked
from quantdesk.scenarios.shocks.steps import multiples, simulate

__all__ = ["generate"]

Floats = NDArray[np.float64]

_SIMULATED, _MISSING, _CLOSED = (GRADES.index(one) for one in (Grade.SIMULATED, Grade.MISSING, Grade.CLOSED))
_DECIMALS = 8
"""Prices are rounded, so that the last bits of a linear algebra library do not show."""


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
    plan = Plan.of(shocks, base, era, panel, method)
    steps, noise = simulate(plan, seed)
    return _shocked(plan, steps, noise, seed)


def _shocked(plan: Plan, steps: Floats, noise: Floats, seed: int) -> Shocked:
    base, horizon, width = plan.base, plan.horizon, len(plan.base.assets)
    total = np.cumsum(np.vstack([np.zeros((1, width)), (steps + noise)[1:, :width]]), axis=0)
    rates = plan.rates[:width]
    close: Floats = plan.levels + total
    close[:, ~rates] = (plan.levels * np.exp(total))[:, ~rates]
    close, held = _held(plan, np.round(close, _DECIMALS))
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
    notes = (*notes, *_beyond(plan, steps), *held)
    if plan.cov.absent:
        notes = (*notes, f"The era does not know: {', '.join(plan.cov.absent)}.")
    return Shocked(
        path=path,
        shocks=plan.shocks,
        cov=plan.cov,
        moves=_table(plan, steps, close),
        spread=multiples(plan, "quotes", base.symbols),
        depth=multiples(plan, "depth", base.symbols),
        outages=tuple(outages),
        correlation=plan.repair,
        error=plan.error,
        notes=notes,
        seed=seed,
    )


def _highest(base: Path, symbol: str) -> float:
    """The highest value that a path and its history show; 0 for none."""
    values = [part.close[:, part.column(symbol)] for part in (base, base.history) if part is not None]
    return float(np.nanmax(np.nan_to_num(np.concatenate(values))))


def _held(plan: Plan, close: Floats) -> tuple[Floats, list[str]]:
    """Volatility that nobody asked for, held below a stated bound: the law has none, and it prices every option."""
    asked = {name for impulse in plan.impulses for name in impulse.moves}
    notes = []
    for place, asset in enumerate(plan.base.assets):
        if asset.kind != "volatility" or asset.symbol in asked:
            continue
        most = max(plan.method.highest_volatility, _highest(plan.base, asset.symbol))
        if (close[:, place] > most).any():
            highest = float(np.nanmax(close[:, place]))
            close[:, place] = np.minimum(close[:, place], most)
            notes.append(
                f"{asset.symbol} would go to {highest:,.0f} and is held at {most:g}: VIX never closed above 82.69"
                " (2020-03-16)."
            )
    return close, notes


def _sessions(base: Path, horizon: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The base's last bar, and the sessions in New York after it."""
    last = base.sessions[-1]
    until = (last + pd.Timedelta(days=2 * horizon + 14)).date()
    days = sessions_between("XNYS", (last + dt.timedelta(days=1)).date(), until)[:horizon]
    begins, ends = (
        times("XNYS", days).as_unit("ns").tz_localize(None).to_numpy().astype(np.int64)
        for times in (open_times, event_times)
    )
    return np.concatenate([base.begins[-1:], begins]), np.concatenate([base.ends[-1:], ends])


def _methods(plan: Plan) -> dict[str, str]:
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


def _peak(plan: Plan) -> int:
    """The bar at which the last shock has its full extent."""
    return max(one.delay_days + one.duration_days for one in plan.shocks)


def _beyond(plan: Plan, steps: Floats) -> list[str]:
    """Conditional moves larger than any that was seen over as many sessions: there the method only extrapolates.

    Those that go furthest beyond come first, and before them volatility: it prices every option.
    """
    peak, seen = _peak(plan), plan.seen
    shocked = {name for one in plan.impulses for name in one.moves}
    far: dict[str, tuple[bool, float]] = {}
    for column, name in enumerate(plan.base.symbols):
        if name in shocked or name not in plan.cov.symbols:
            continue
        largest = float(seen[name].diff(peak).abs().max())
        mean = float(steps[1 : peak + 1, column].sum())
        if abs(mean) > largest:
            said = (
                100 * one if plan.rates[column] else 100 * math.expm1(one)
                for one in (mean, math.copysign(largest, mean))
            )
            unit = "bp" if plan.rates[column] else "%"
            words = "{} {:+.0f} {unit} (most ever: {:+.0f} {unit})".format(name, *said, unit=unit)
            ratio = abs(mean) / largest if largest > 0 else math.inf
            far[words] = (plan.base.assets[column].kind != "volatility", -ratio)
    found = sorted(far, key=lambda words: far[words])
    if not found:
        return []
    few = ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
    return [f"Beyond all that the data show over {peak} sessions, an extrapolation: {few}."]


def _table(plan: Plan, steps: Floats, close: Floats) -> pd.DataFrame:
    peak = _peak(plan)
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
    return pd.DataFrame.from_dict(rows, orient="index").round(_DECIMALS)
