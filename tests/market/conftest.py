"""A store with everything that ships, loaded once; small sources of our own making."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.market import Description, Flags, MarketStore, RawSeries

BUNDLED = Path(__file__).resolve().parents[2] / "platform" / "quantdesk" / "market" / "bundled"


@pytest.fixture(scope="session")
def root(prepared: Any) -> Path:
    """The folder of a store that holds every bundled series. Read only, please."""
    return Path(prepared.market())


@pytest.fixture(scope="session")
def store(root: Path) -> MarketStore:
    return MarketStore(root)


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The files as they ship."""
    return BUNDLED


def describe(symbol: str = "TEST", source: str = "made", **changes: Any) -> Description:
    """A description of an equity with a close, changed where a test wants it."""
    plain = Description(
        symbol=symbol,
        source=source,
        kind="equity",
        unit="USD",
        calendar="XNYS",
        fields=("close",),
        package=source,
        version="1",
        licence="none",
        sha256="0" * 64,
        flags=Flags(real=False, adjusted_with_hindsight=False, survivors_only=False),
        publication="close",
        publication_lag=dt.timedelta(minutes=15),
    )
    return dataclasses.replace(plain, **changes)


class Made:
    """A source whose series are given."""

    def __init__(self, name: str, series: Iterable[RawSeries], fingerprint: str = "1") -> None:
        self.name = name
        self._series = list(series)
        self._fingerprint = fingerprint
        self.reads = 0

    def fingerprint(self) -> str:
        return self._fingerprint

    def series(self) -> Iterator[RawSeries]:
        self.reads += 1
        yield from self._series


def days(first: str, periods: int) -> pd.DatetimeIndex:
    return pd.bdate_range(first, periods=periods, unit="ns")


def closes(
    symbol: str = "TEST", source: str = "made", *, rows: int = 10, start: str = "2020-01-02", at: float = 100.0
) -> RawSeries:
    """`rows` weekdays of closes at, at + 1, …"""
    frame = pd.DataFrame({"session": days(start, rows), "close": at + np.arange(rows, dtype="float64")})
    return RawSeries(describe(symbol, source), frame)


@pytest.fixture(name="describe", scope="session")
def _describe() -> Callable[..., Description]:
    return describe


@pytest.fixture(name="closes", scope="session")
def _closes() -> Callable[..., RawSeries]:
    return closes


@pytest.fixture(name="made", scope="session")
def _made() -> type[Made]:
    return Made


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, tuple[int, int]]]:
    """From a folder to every file's identity: a file that was written again has another inode."""

    def taken(root: Path) -> dict[str, tuple[int, int]]:
        return {
            str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in root.rglob("*")
            if path.is_file()
        }

    return taken
