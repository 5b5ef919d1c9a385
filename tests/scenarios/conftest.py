"""One store for all scenarios, with everything that ships; and small paths of our own making."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from quantdesk.backtest.sectors import SECTORS
from quantdesk.market import MarketStore
from quantdesk.market.sessions import event_times, open_times, sessions_between
from quantdesk.scenarios import Asset, Grade, Path
from quantdesk.scenarios.path import GRADES

PathOf = Callable[..., Path]


@pytest.fixture(scope="session")
def store(prepared: Any) -> MarketStore:
    """Every bundled series. Read only, please."""
    return MarketStore(prepared.market())


def days_of(
    closes: Mapping[str, Sequence[float]], first: dt.date = dt.date(2008, 9, 12), *, history: Path | None = None
) -> Path:
    """Daily bars of the sessions in New York from a day on; NaN is a closed market."""
    table = np.column_stack([np.asarray(column, dtype=float) for column in closes.values()])
    days = sessions_between("XNYS", first, first + dt.timedelta(days=2 * len(table) + 15))[: len(table)]
    begins, ends = (times("XNYS", days).as_unit("ns").asi8.copy() for times in (open_times, event_times))
    grades = np.where(np.isnan(table), GRADES.index(Grade.CLOSED), GRADES.index(Grade.REAL)).astype(np.int8)
    assets = tuple(Asset(name, "index" if name == "SPX" else "equity", sector=SECTORS.get(name, "")) for name in closes)
    return Path("made", assets, begins, ends, table, grades, history=history)


def walk(
    seed: int, sessions: int, symbols: Sequence[str], *, drift: float = 0.0, sd: float = 0.02
) -> dict[str, list[float]]:
    """Prices that begin at 50, 60, 70 ... and go as they like."""
    rng = np.random.default_rng(seed)
    moves = drift + sd * rng.standard_normal((sessions, len(symbols)))
    prices = (50.0 + 10 * np.arange(len(symbols))) * np.exp(np.cumsum(moves, axis=0))
    return {symbol: prices[:, place].tolist() for place, symbol in enumerate(symbols)}


@pytest.fixture(scope="session")
def path_of() -> PathOf:
    """Two years of history and a window that falls: ``path_of(seed=0, bars=20, symbols=..., drift=-0.01)``."""

    def made(
        seed: int = 0, bars: int = 20, symbols: Sequence[str] = ("AAPL", "JPM", "XOM", "KO"), *, drift: float = -0.01
    ) -> Path:
        past = walk(seed, 300, symbols)
        history = days_of(past, dt.date(2007, 6, 1))
        factor = np.array([past[symbol][-1] for symbol in symbols]) / (50.0 + 10 * np.arange(len(symbols)))
        ahead = walk(seed + 1, bars, symbols, drift=drift)
        scaled = {s: (np.array(ahead[s]) * factor[place]).tolist() for place, s in enumerate(symbols)}
        return days_of(scaled, dt.date(2008, 9, 12), history=history)

    return made
