"""From a shock to what it does: which assets move how far, and what happens to noise, quotes, bars and feeds. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.liquidity import Liquidity
from quantdesk.scenarios.shocks.credit import LEHMAN, regression, spread_deviation
from quantdesk.scenarios.shocks.names import sector_of
from quantdesk.scenarios.shocks.shock import Shock
from quantdesk.scenarios.shocks.world import Impulse, World

__all__ = ["DEPTH_POWER", "impulse_of"]

_LIQUIDITY = Liquidity()
DEPTH_POWER = _LIQUIDITY.depth_power / _LIQUIDITY.spread_power
"""Depth as a power of the multiple of the spread, as calibrated in :mod:`quantdesk.scenarios.liquidity`."""

_TENOR = re.compile(r"^UST(\d+)([MY])(@.*)?$")
_STOCKS = ("equity", "etf", "index")
_DECAY = 0.94
"""Of the exponential average of squared returns that stands in for VIX (RiskMetrics 1996)."""


def impulse_of(shock: Shock, world: World) -> Impulse:
    """What a shock does in a world.

    Raises
    ------
    BadInput, UnknownName, BadDates
        It names what is not there, or counts standard deviations that the era does not have.
    """
    return _MAKERS[shock.type](shock, world)


def _scaled(shock: Shock, world: World, symbol: str) -> float:
    """A magnitude in standard deviations as a move."""
    return shock.magnitude * world.cov.deviation(symbol) * math.sqrt(shock.duration_days)


def _falls(shock: Shock, world: World, symbols: Iterable[str]) -> dict[str, float]:
    if shock.unit == "absolute":
        return dict.fromkeys(symbols, math.log1p(-shock.magnitude))
    return {symbol: -_scaled(shock, world, symbol) for symbol in symbols}


def _market(shock: Shock, world: World) -> list[str]:
    """What stands for the market: what is named, else SPX, else all stocks."""
    named = world.affected(shock)
    stocks = world.of_kind(*_STOCKS)
    found = named or (["SPX"] if "SPX" in stocks else stocks)
    if not found:
        raise BadInput(f"There is nothing that {shock.type} could move.", "Give a path with stocks.")
    return found


def _drivers(world: World, symbols: Iterable[str]) -> tuple[str, ...]:
    return tuple(symbol for symbol in symbols if symbol in world.cov.symbols)


def _crash(shock: Shock, world: World) -> Impulse:
    fallen = _falls(shock, world, _market(shock, world))
    return Impulse(moves=fallen, drivers=_drivers(world, fallen))


def _closure(shock: Shock, world: World) -> Impulse:
    """Named markets, else all that is traded, have no bars; the market falls meanwhile, unseen."""
    crash = _crash(shock, world)
    closed = world.affected(shock) or world.of_kind(*_STOCKS)
    note = f"Closed for {shock.duration_days} sessions; what happened meanwhile shows at the reopening."
    return Impulse(moves=crash.moves, drivers=crash.drivers, closed=tuple(closed), notes=(note,))


def _outage(shock: Shock, world: World) -> Impulse:
    """The magnitude has no meaning here."""
    silent = world.affected(shock) or list(world.known)
    return Impulse(silent=tuple(silent), notes=("A feed is silent or it is not: its magnitude was not used.",))


def _volatility_log(shock: Shock, world: World, affected: list[str]) -> tuple[float, str]:
    """By how much volatility rises, in logs, and where its standard deviation was taken from."""
    if shock.unit == "absolute":
        return math.log1p(shock.magnitude), ""
    if "VIX" in world.cov.symbols:
        return _scaled(shock, world, "VIX"), "Volatility counts in standard deviations of log changes of VIX."
    era = world.cov.era
    names = [name for name in affected if name in world.cov.symbols] or list(world.cov.symbols)
    part = world.closes.loc[pd.Timestamp(era.first) : pd.Timestamp(era.last), names].dropna()
    squares = (pd.Series(np.log(part.to_numpy()).mean(axis=1)).diff().dropna()) ** 2
    logs = np.log(squares.ewm(alpha=1 - _DECAY).mean().iloc[20:]) / 2
    deviation = float(logs.diff().std())
    return shock.magnitude * deviation * math.sqrt(shock.duration_days), (
        "The era has no VIX: volatility counts in standard deviations of log changes of an exponential average "
        f"(decay {_DECAY:g}) of squared returns, {deviation:.4f} a day."
    )


def _spike(shock: Shock, world: World) -> Impulse:
    named = world.affected(shock)
    stocks = named or world.of_kind(*_STOCKS)
    rise, note = _volatility_log(shock, world, stocks)
    notes = [note] if note else []
    moved = {"VIX": rise} if "VIX" in world.cov.symbols or "VIX" in world.known else {}
    drivers = _drivers(world, moved)
    if not drivers:
        notes.append("The era has no VIX, so nothing says which way prices go: they only become wilder.")
    wilder = [symbol for symbol in stocks if symbol not in moved]
    notes.append(f"Noise of what is affected is {math.exp(rise):.2f} times as large.")
    return Impulse(moves=moved, drivers=drivers, noise=dict.fromkeys(wilder, rise), notes=tuple(notes))


def _drought(shock: Shock, world: World) -> Impulse:
    dry = world.affected(shock) or list(world.known)
    if shock.unit == "absolute":
        wider, note = math.log(shock.magnitude), ""
    else:
        rise, note = _volatility_log(shock, world, world.of_kind(*_STOCKS))
        wider = _LIQUIDITY.spread_power * rise
        note = f"Spreads are volatility's multiple to the power {_LIQUIDITY.spread_power:g}. {note}"
    return Impulse(
        quotes=dict.fromkeys(dry, wider),
        depth=dict.fromkeys(dry, DEPTH_POWER * wider),
        notes=tuple(one for one in (note, f"Depth is the spread's multiple to the power {DEPTH_POWER:.3g}.") if one),
    )


def _years(symbol: str) -> float | None:
    found = _TENOR.match(symbol)
    return None if found is None else float(found[1]) / (12 if found[2] == "M" else 1)


def _rates(shock: Shock, world: World) -> Impulse:
    """Two and ten years, or the nearest to them that the era has, drive the assets that are not shocked.

    The whole curve moves exactly; to let eleven yields that hardly differ drive would blow their noise up.
    """
    tenors = {symbol: years for symbol in (*world.known, *world.cov.symbols) if (years := _years(symbol)) is not None}
    if shock.symbols:
        tenors = {symbol: tenors[symbol] for symbol in world.affected(shock) if symbol in tenors}
    if not tenors:
        raise BadInput("There is no Treasury yield to shift.", "Give a path with UST2Y, UST10Y and others.")
    known = [symbol for symbol in tenors if symbol in world.cov.symbols]
    ends = []
    for years in (2.0, 10.0):
        near = sorted(known, key=lambda one: (abs(math.log(tenors[one] / years)), one))
        ends += near[:1]
    if shock.unit == "absolute":
        size = shock.magnitude / 100
    else:
        if not ends:
            raise BadInput(
                f"No yield has moves in {world.cov.era.describe()}.", "Name another era, or unit='absolute' (bp)."
            )
        size = _scaled(shock, world, ends[-1])
    moved = {symbol: size * _weight(shock, years) for symbol, years in tenors.items()}
    notes = (f"Rates move by {100 * size:+.1f} bp where they move in full.", *_slope(world, moved))
    return Impulse(moves=moved, drivers=tuple(dict.fromkeys(ends)), notes=notes)


def _weight(shock: Shock, years: float) -> float:
    if shock.style == "parallel":
        return 1.0
    part = min(max(math.log(years / 2) / math.log(5), 0.0), 1.0)
    return part if shock.style == "steepener" else 1 - part


def _slope(world: World, moved: Mapping[str, float]) -> list[str]:
    if not {"UST2Y", "UST10Y"} <= set(moved) or not {"UST2Y", "UST10Y"} <= set(world.closes.columns):
        return []
    before = world.closes[["UST2Y", "UST10Y"]].ffill(limit=10).iloc[-1]
    if before.isna().any():
        return []
    slope = float(before["UST10Y"] - before["UST2Y"])
    after = slope + moved["UST10Y"] - moved["UST2Y"]
    said = "inverted" if after < 0 else "not inverted"
    return [f"Ten years less two goes from {100 * slope:+.0f} to {100 * after:+.0f} bp: {said}."]


def _freeze(shock: Shock, world: World) -> Impulse:
    era = world.cov.era
    if shock.unit == "absolute":
        widening = shock.magnitude / 100
    else:
        deviation = spread_deviation(world.closes, era.first, era.last)
        widening = shock.magnitude * deviation * math.sqrt(shock.duration_days / 21)
    part = LEHMAN.part(widening)
    named = world.affected(shock)
    banks = named or [asset.symbol for asset in world.assets if sector_of(asset) == "Financials"]
    if not banks:
        raise BadInput("There are no financials to freeze.", "Give a path with some, or name symbols.")
    moved = dict.fromkeys(banks, part.financials)
    moved |= {name: change for name, change in (("BAA", widening), ("AAA", 0.0)) if name in world.known}
    notes = [
        f"BAA - AAA widens by {100 * widening:.1f} bp, {widening / LEHMAN.widening:.2f} of what it did in 2008; so do, "
        f"in logs, financials ({100 * math.expm1(part.financials):.1f} %) and quotes ({part.quotes:.2f} times, on top "
        "of what the moves themselves do to them)."
    ]
    if found := regression(world.closes, [name for name in banks if name in world.closes.columns]):
        notes.append(
            f"A regression on {found.months} months would give {100 * math.expm1(found.slope * widening):.1f} % "
            f"(R squared {found.explained:.2f}): it was not used."
        )
    traded = world.of_kind(*_STOCKS)
    wider = math.log(part.quotes)
    return Impulse(
        moves=moved,
        drivers=_drivers(world, banks),
        quotes=dict.fromkeys(traded, wider),
        depth=dict.fromkeys(traded, DEPTH_POWER * wider),
        notes=tuple(notes),
    )


def _devaluation(shock: Shock, world: World) -> Impulse:
    """``EURUSD`` is dollars for a euro: the first currency of a pair falls with it, the second rises."""
    pairs = world.of_kind("fx")
    moved: dict[str, float] = {}
    for name in shock.symbols or ("EUR",):
        found = {name: -1.0} if name in pairs else {}
        if len(name) == 3:
            found = {pair: -1.0 for pair in pairs if pair[:3] == name} | {
                pair: 1.0 for pair in pairs if pair[3:6] == name
            }
        if not found:
            currencies = {part for pair in pairs for part in (pair[:3], pair[3:6])}
            raise UnknownName("currency or pair of this scenario", name, [*pairs, *currencies])
        for pair, sign in found.items():
            lost = math.log1p(-shock.magnitude) if shock.unit == "absolute" else -_scaled(shock, world, pair)
            moved[pair] = moved.get(pair, 0.0) - sign * lost
    return Impulse(moves=moved, drivers=_drivers(world, moved))


def _commodity(shock: Shock, world: World) -> Impulse:
    commodities = world.of_kind("commodity")
    named = [name for name in (world.affected(shock) if shock.symbols else commodities) if name in commodities]
    if not named:
        raise BadInput("There is no commodity to shock.", "Give a path with one, for example WTI.")
    if shock.unit == "absolute":
        moved = dict.fromkeys(named, math.log1p(shock.magnitude))
    else:
        moved = {symbol: _scaled(shock, world, symbol) for symbol in named}
    return Impulse(moves=moved, drivers=_drivers(world, moved))


def _breakdown(shock: Shock, world: World) -> Impulse:
    named = world.affected(shock) or world.of_kind(*_STOCKS)
    among = tuple(symbol for symbol in named if symbol in world.cov.symbols)
    if len(among) < 2:
        raise BadInput(f"{len(among)} assets have no correlation to break.", "Affect at least two.")
    if shock.unit == "absolute":
        return Impulse(mean_correlation=(among, float(shock.magnitude)))
    from quantdesk.backtest.risk import mean_correlation

    era = world.cov.era
    part = world.closes.loc[pd.Timestamp(era.first) : pd.Timestamp(era.last), list(among)].dropna()
    if len(part) < 63 + 20:
        raise BadInput(
            f"{era.describe()} is too short for the deviation of a correlation over 63 days.",
            "Name a longer era, or the mean correlation with unit='absolute'.",
        )
    levels = np.arctanh(mean_correlation(part.pct_change().iloc[1:]).dropna().to_numpy())
    deviation = float(levels.std(ddof=1))
    places = world.cov.places(among)
    block = world.cov.correlation[np.ix_(places, places)]
    mean = (block.sum() - len(among)) / (len(among) * (len(among) - 1))
    target = float(np.tanh(np.arctanh(mean) + shock.magnitude * deviation))
    note = f"The mean correlation goes from {mean:.2f} to {target:.2f} ({deviation:.3f} a deviation, Fisher transform)."
    return Impulse(mean_correlation=(among, target), notes=(note,))


_MAKERS: dict[str, Callable[[Shock, World], Impulse]] = {
    "volatility_spike": _spike,
    "equity_crash": _crash,
    "sector_crash": _crash,
    "rate_shift": _rates,
    "credit_freeze": _freeze,
    "liquidity_drought": _drought,
    "fx_devaluation": _devaluation,
    "commodity_shock": _commodity,
    "correlation_breakdown": _breakdown,
    "market_closure": _closure,
    "feed_outage": _outage,
}
