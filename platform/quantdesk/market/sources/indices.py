"""Indices, oil and corporate yields out of the bundled files: arch, vega-datasets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from quantdesk.errors import DataError
from quantdesk.market.sources.protocol import RawSeries
from quantdesk.market.sources.vendored import VendoredFile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["arch", "vega"]

_STALE_OPEN = "until 2015 the open sits at the close before it, so it hides the opening gap"


def arch(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """S&P 500 and Nasdaq composite OHLCV, WTI spot, VIX close, and monthly AAA and BAA yields.

    A full stop in the FRED files says that there is no value; those days are left out.
    """
    for file in files:
        table = file.table("Date", parse_dates=["Date"], date_format="%m/%d/%Y", na_values=["."])
        if file.name == "sp500.csv.gz":
            yield _index(file, table, "SPX", "XNYS", _STALE_OPEN)
        elif file.name == "nasdaq.csv.gz":
            yield _index(file, table, "IXIC", "XNAS", "")
        elif file.name == "wti.csv.gz":
            yield file.raw(
                "WTI",
                table.rename(columns={"DCOILWTICO": "close"}),
                adjusted=False,
                survivors=False,
                publication="eia-spot",
                kind="commodity",
                unit="USD per barrel",
                calendar="OIL-US",
                note="spot at Cushing, not a future: nobody earned its returns without storing oil",
            )
        elif file.name == "vix.csv.gz":
            yield file.raw(
                "VIX",
                table.rename(columns={"vix": "close"}),
                adjusted=False,
                survivors=False,
                kind="volatility",
                unit="percent per year",
                calendar="XCBF",
                note="an index of option prices; it cannot be bought",
            )
        else:
            yield from _corporate_yields(file, table)


def _corporate_yields(file: VendoredFile, table: pd.DataFrame) -> Iterator[RawSeries]:
    """The file dates an average by the first of its month; it is known after the last, so that is its session."""
    import pandas as pd

    table = table.assign(session=table["session"] + pd.offsets.BMonthEnd(0))
    for symbol in ("AAA", "BAA"):
        yield file.raw(
            symbol,
            table[["session", symbol]].rename(columns={symbol: "close"}),
            adjusted=False,
            survivors=False,
            publication="monthly-average",
            kind="rate",
            unit="percent",
            calendar="MONTHLY-US",
            frequency="monthly",
            note="average over the month of the yield on seasoned corporate bonds with this rating; no fund's price",
        )


def _index(file: VendoredFile, table: pd.DataFrame, symbol: str, calendar: str, note: str) -> RawSeries:
    """An index with an adjusted close that repeats the close; it is dropped, after making sure that it does."""
    adjusted = next(name for name in table.columns if name.lower().replace(" ", "") == "adjclose")
    table.columns = [name if name in {"session", adjusted} else name.lower() for name in table.columns]
    if not table[adjusted].equals(table["close"]):
        raise DataError(f"{file.name} of {file.package}: {adjusted} differs from the close.", "An index pays nothing.")
    return file.raw(
        symbol,
        table.drop(columns=adjusted),
        adjusted=False,
        survivors=False,
        kind="index",
        unit="index points",
        calendar=calendar,
        note="; ".join(part for part in ("price index, dividends not included", note) if part),
    )


def vega(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """S&P 500 OHLCV, 2000 to April 2020."""
    import pandas as pd

    (file,) = files
    table = pd.read_csv(file.content, parse_dates=["date"], float_precision="round_trip").rename(
        columns={"date": "session"}
    )
    yield _index(file, table, "SPX", "XNYS", _STALE_OPEN)
