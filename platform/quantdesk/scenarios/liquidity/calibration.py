"""The powers of liquidity, from measured multiples and the volatility that the bundled data show. Pure.

Each measured multiple ``m`` of an episode has a stress ``s``, computed here from the S&P 500 (or EURUSD); the power of
a quantity is the least-squares slope of ``log m`` on ``log s`` through the origin, since calm is 1 and 1. What is left
over is stated: one power does not fit all. The spread of COVID was 1.9 times what the fitted power gives, and
those of Lehman and of the flash crash three quarters of it.

Of the SPY spreads one must know that they are Abdi-Ranaldo estimates from daily closes, highs and lows. Applied to the
S&P 500 index itself, which has no spread, the estimator gives much the same multiples: part of what it measures is
volatility.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput
from quantdesk.scenarios.liquidity.conditions import Liquidity
from quantdesk.scenarios.liquidity.stress import NIGHT, ewma

__all__ = ["MEASURED", "Calibration", "Multiple", "calibrate"]

Span = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Multiple:
    """A measured multiple of calm times.

    Attributes
    ----------
    what
        ``spread``, ``depth``, ``volume``, ``impact``, or ``fx_spread``.
    episode, of
        When, and of which market.
    multiple
        What was measured.
    now, calm
        First and last day of the two windows that are compared, both included.
    measure
        What its stress is: ``range``, the root mean square of daily ranges (Parkinson 1980) of the S&P 500 in the one
        window over the other; ``range_day``, the range of one day over the median of the 60 sessions before it, as
        the volume is counted; ``fixings``, of daily moves of EURUSD; ``minutes``, what the memory of
        :func:`~quantdesk.scenarios.liquidity.stress_of` makes of five minutes at 1.11 % each.
    fitted
        Whether it goes into the fit; otherwise it is only held against it.
    source
        Where the multiple comes from.
    """

    what: Literal["spread", "depth", "volume", "impact", "fx_spread"]
    episode: str
    of: str
    multiple: float
    now: Span
    calm: Span
    measure: Literal["range", "range_day", "fixings", "minutes"]
    source: str
    fitted: bool = True


_AUTUMN, _SUMMER = ("2008-10-01", "2008-11-30"), ("2008-06-01", "2008-08-31")
_FLASH, _SPRING = ("2010-05-06", "2010-05-06"), ("2010-02-06", "2010-05-05")
_COVID, _BEFORE = ("2020-02-19", "2020-03-23"), ("2019-08-19", "2020-02-18")
_ESTIMATE = "Abdi-Ranaldo estimate of SPY"
_AMIHUD = "Amihud ratio of SPY, 2 to 2.5 times; the geometric mean of the two"
_VOLUME = "largest volume of the S&P 500 against its 60-day median"

MEASURED: tuple[Multiple, ...] = (
    Multiple("spread", "lehman_2008", "SPY", 2.9, _AUTUMN, _SUMMER, "range", _ESTIMATE),
    Multiple("spread", "flash_crash_2010", "SPY", 6.2, _FLASH, _SPRING, "range", _ESTIMATE),
    Multiple("spread", "covid_2020", "SPY", 12.0, _COVID, _BEFORE, "range", _ESTIMATE),
    Multiple("fx_spread", "lehman_2008", "EURUSD", 2.7, _AUTUMN, _SUMMER, "fixings", "quoted spreads, medians"),
    Multiple(
        "spread", "lehman_2008", "gold", 2.4, _AUTUMN, _SUMMER, "range",
        "quoted spreads, medians; the bundle has no daily gold, so the stress is that of the S&P 500", fitted=False,
    ),
    Multiple(
        "depth", "flash_crash_2010", "E-mini", 0.01, _FLASH, _SPRING, "minutes",
        "CFTC and SEC (2010): below 1 % of the morning's at 14:45, when more than 5 % had been lost in 4.5 minutes",
    ),
    Multiple("volume", "lehman_2008", "SPX", 2.3, ("2008-10-10",) * 2, _SUMMER, "range_day", _VOLUME),
    Multiple("volume", "flash_crash_2010", "SPX", 2.4, _FLASH, _SPRING, "range_day", _VOLUME),
    Multiple("volume", "covid_2020", "SPX", 2.5, ("2020-03-20",) * 2, _BEFORE, "range_day", _VOLUME),
    Multiple("impact", "lehman_2008", "SPY", math.sqrt(5.0), _AUTUMN, _SUMMER, "range", _AMIHUD),
    Multiple("impact", "covid_2020", "SPY", math.sqrt(5.0), _COVID, _BEFORE, "range", _AMIHUD),
)  # fmt: skip
"""What was measured, and what the windows are. Those of the spreads are the ones in which the same estimator, applied
to the S&P 500, comes nearest to the figures, which were handed down without them."""

_MINUTES, _FALL = 5, 0.05 / 4.5


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What came of it.

    Attributes
    ----------
    liquidity
        With the fitted powers.
    fx_spread_power
        Of EURUSD.
    table
        One row a multiple: ``what``, ``episode``, ``of``, ``stress``, ``multiple``, ``modelled``, ``residual`` (log of
        measured over modelled), ``fitted``.
    """

    liquidity: Liquidity
    fx_spread_power: float
    table: pd.DataFrame

    def of(self, episode: str) -> Liquidity:
        """With the power of the spread that fits one episode exactly, where one was measured; else the common ones.

        Raises
        ------
        BadInput
            Nothing was measured in it.
        """
        rows = self.table[(self.table["episode"] == episode) & self.table["fitted"]]
        if rows.empty:
            known = ", ".join(sorted(set(self.table["episode"])))
            raise BadInput(f"Nothing was measured in {episode!r}.", f"There is {known}.")
        powers = np.log(rows["multiple"].to_numpy(dtype=float)) / np.log(rows["stress"].to_numpy(dtype=float))
        own = dict(zip(rows["what"].astype(str), powers.tolist(), strict=True))
        common = self.liquidity
        return common.scaled(
            spread=own.get("spread", common.spread_power) / common.spread_power,
            depth=own.get("depth", common.depth_power) / common.depth_power,
            volume=own.get("volume", common.volume_power) / common.volume_power,
            impact=own.get("impact", common.impact_power) / common.impact_power,
        )


def calibrate(
    index: pd.DataFrame, eurusd: pd.Series, measured: Sequence[Multiple] = MEASURED, half_spread_bps: float = 1.0
) -> Calibration:
    """Fit the powers.

    Parameters
    ----------
    index
        Daily bars of the S&P 500 with ``high`` and ``low``; index of sessions without a zone, ascending. The bundled
        series is ``SPX@vega-datasets``.
    eurusd
        Daily fixings, indexed alike.
    measured
        The multiples.
    half_spread_bps
        Of calm times; passed on.

    Raises
    ------
    BadInput
        The data do not reach over the windows, or a quantity has no multiple.
    """
    widths = np.log((index["high"] / index["low"]).to_numpy(dtype=float))
    ranges = pd.Series(widths / (2 * math.sqrt(math.log(2))), index.index)
    fixings = pd.Series(np.log(eurusd.to_numpy(dtype=float)), eurusd.index).diff().iloc[1:]
    stresses = [_stress(one, ranges, fixings) for one in measured]
    table = pd.DataFrame(
        {
            "what": [one.what for one in measured],
            "episode": [one.episode for one in measured],
            "of": [one.of for one in measured],
            "stress": stresses,
            "multiple": [one.multiple for one in measured],
            "fitted": [one.fitted for one in measured],
        }
    )
    powers = {}
    for what in ("spread", "depth", "volume", "impact", "fx_spread"):
        rows = table[(table["what"] == what) & table["fitted"]]
        if rows.empty:
            raise BadInput(f"No multiple of the {what} was measured.", "Give at least one of each quantity.")
        x, y = np.log(rows["stress"].to_numpy()), np.log(rows["multiple"].to_numpy())
        powers[what] = float(x @ y / (x @ x))
    table["modelled"] = table["stress"] ** table["what"].map(powers)
    table["residual"] = np.log(table["multiple"] / table["modelled"])
    fitted = Liquidity(half_spread_bps, powers["spread"], powers["depth"], powers["volume"], powers["impact"])
    return Calibration(fitted, powers["fx_spread"], table)


def _stress(one: Multiple, ranges: pd.Series, fixings: pd.Series) -> float:
    """Volatility in the window of a multiple over that of its calm one."""
    series = fixings if one.measure == "fixings" else ranges
    calm = _rms(series, one.calm)
    if one.measure == "minutes":
        of_a_minute = (1 - NIGHT) / 390
        squares = np.full((_MINUTES, 1), _FALL**2 / of_a_minute)
        found = ewma(squares, np.ones((_MINUTES, 1), dtype=np.int64), np.array([calm**2]))
        return float(np.sqrt(found[-1, 0])) / calm
    if one.measure == "range_day":
        before = series.loc[: one.now[0]].iloc[-61:]
        return _rms(series, one.now) / float(before.iloc[:-1].median())
    return _rms(series, one.now) / calm


def _rms(series: pd.Series, window: Span) -> float:
    part = series.loc[window[0] : window[1]]
    if part.empty or bool(part.isna().any()):
        raise BadInput(f"The data do not reach over {window[0]} to {window[1]}.", "Give whole series of those days.")
    return float(np.sqrt((part**2).mean()))
