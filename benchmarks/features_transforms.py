"""How long the formulas take on 500 symbols x 2,520 sessions, against TA-Lib called once per symbol.

    python benchmarks/features_transforms.py [--json] [--times 9]

Ours get the whole table and use all cores; TA-Lib takes one history a call, as anyone would write it, and its results
are kept, as ours are. Both run in one warm process, turn by turn, so that what else the machine does hits each; the
figure is the fastest turn. Values are compared first. Where TA-Lib lacks a formula, its nearest building blocks are
put together with numpy; where it has none (momentum with a skipped month), its rate of change over the same distance.

The last row is every formula of a symbol that the platform has, some of them with several windows: 20 tables.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import talib
from numpy.typing import NDArray

from quantdesk.features import transforms as tf
from quantdesk.features.rolling import rolling_std

Table = NDArray[np.float64]
SYMBOLS, SESSIONS = 500, 2520


@dataclass(frozen=True)
class Market:
    """Prices that could be: geometric random walks, 2 % a day."""

    close: Table
    high: Table
    low: Table
    volume: Table
    index: Table

    @classmethod
    def made(cls) -> Market:
        """From one seed."""
        rng = np.random.default_rng(0)
        close = 40 * np.exp(np.cumsum(rng.normal(0, 0.02, (SYMBOLS, SESSIONS)), axis=1))
        reach = rng.uniform(0, 0.02, close.shape)
        index = 2000 * np.exp(np.cumsum(rng.normal(0, 0.01, SESSIONS)))
        return cls(close, close * (1 + reach), close * (1 - reach), rng.uniform(1e6, 2e6, close.shape), index)


Ours = Callable[[], Table]
Theirs = Callable[[int], Table]


def cases(m: Market) -> Mapping[str, tuple[Ours, Theirs, str]]:
    """Per feature: ours on the table, TA-Lib's on one row, and what of TA-Lib it is."""
    p = m.close

    def volatility(i: int, window: int) -> Table:
        return np.asarray(talib.STDDEV(talib.ROCP(p[i], 1), window)) * math.sqrt(252 * window / (window - 1))

    def amihud(i: int) -> Table:
        share = np.abs(talib.ROCP(p[i], 1)) / (p[i] * m.volume[i])
        return np.concatenate([[np.nan], np.asarray(talib.SMA(share[1:], 21))]) * 1e6

    found: dict[str, tuple[Ours, Theirs, str]] = {}
    for n in (20, 50, 200):
        found[f"sma_{n}"] = lambda n=n: tf.sma(p, n), lambda i, n=n: talib.SMA(p[i], n), "SMA"
    for n in (12, 26):
        found[f"ema_{n}"] = lambda n=n: tf.ema(p, n), lambda i, n=n: talib.EMA(p[i], n), "EMA"
    found["macd"] = lambda: tf.macd(p), lambda i: talib.EMA(p[i], 12) - talib.EMA(p[i], 26), "EMA - EMA"
    found["rsi_14"] = lambda: tf.rsi(p), lambda i: talib.RSI(p[i], 14), "RSI"
    found["atr_14"] = lambda: tf.atr(m.high, m.low, p), lambda i: talib.ATR(m.high[i], m.low[i], p[i], 14), "ATR"
    found["bollinger_z_20"] = (
        lambda: tf.bollinger_z(p),
        lambda i: (p[i] - talib.SMA(p[i], 20)) / talib.STDDEV(p[i], 20),
        "SMA, STDDEV",
    )
    for n in (1, 5, 21):
        found[f"ret_{n}d"] = lambda n=n: tf.returns(p, n), lambda i, n=n: talib.ROCP(p[i], n), "ROCP"
    found["mom_12_1"] = lambda: tf.momentum(p), lambda i: talib.ROCP(p[i], 231), "ROCP"
    for n in (21, 63):
        found[f"vol_{n}d"] = lambda n=n: tf.volatility(p, n), lambda i, n=n: volatility(i, n), "ROCP, STDDEV"
    found["beta_252d"] = lambda: tf.beta(p, m.index), lambda i: talib.BETA(m.index, p[i], 252), "BETA"
    found["drawdown_252d"] = lambda: tf.drawdown(p), lambda i: p[i] / talib.MAX(p[i], 252) - 1, "MAX"
    found["dollar_volume_21d"] = (
        lambda: tf.dollar_volume(p, m.volume),
        lambda i: talib.SMA(p[i] * m.volume[i], 21),
        "SMA",
    )
    found["amihud_21d"] = lambda: tf.amihud(p, p, m.volume), amihud, "ROCP, SMA"
    found["std_20"] = (
        lambda: rolling_std(p, 20, ddof=0),
        lambda i: talib.STDDEV(p[i], 20),
        "STDDEV",
    )
    return found


def check(name: str, ours: Ours, theirs: Theirs) -> None:
    """The same values, but for momentum, where TA-Lib's distance is another one."""
    table = ours()
    for row in (0, SYMBOLS - 1):
        other = np.asarray(theirs(row))
        both = np.isfinite(other) & np.isfinite(table[row])
        if name != "mom_12_1" and not (
            both.sum() > SESSIONS - 260 and np.allclose(table[row][both], other[both], rtol=1e-6, atol=1e-9)
        ):
            sys.exit(f"{name} is not TA-Lib's")


def measure(times: int) -> list[dict[str, str | float]]:
    """Rows for benchmarks/run.py."""
    compared = cases(Market.made())
    for name, (ours, theirs, _) in compared.items():
        check(name, ours, theirs)
    best = {name: [math.inf, math.inf] for name in compared}
    for _ in range(times):
        for name, (ours, theirs, _) in compared.items():
            began = time.perf_counter()
            table = ours()
            middle = time.perf_counter()
            kept = [theirs(row) for row in range(SYMBOLS)]
            ended = time.perf_counter()
            best[name] = [min(best[name][0], middle - began), min(best[name][1], ended - middle)]
            del table, kept
    rows: list[dict[str, str | float]] = [
        {"what": name, "seconds": best[name][0], "alternative": f"TA-Lib {made}, symbol by symbol",
         "alternative_seconds": best[name][1]}
        for name, (_, _, made) in compared.items()
    ]  # fmt: skip
    total = [sum(pair[side] for pair in best.values()) for side in (0, 1)]
    rows.append({"what": f"{len(compared)} features, {SYMBOLS} symbols x {SESSIONS:,} sessions", "seconds": total[0],
                 "alternative": "TA-Lib, symbol by symbol", "alternative_seconds": total[1]})  # fmt: skip
    return rows


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=9, help="turns")
    given = options.parse_args()
    rows = measure(given.times)
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        ours, other = float(row["seconds"]), float(row["alternative_seconds"])
        print(
            f"{row['what']:<45} {ours * 1e3:8.2f} ms  {other * 1e3:8.2f} ms  {ours / other:5.2f}  {row['alternative']}"
        )


if __name__ == "__main__":
    main()
