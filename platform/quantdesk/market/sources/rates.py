"""The US Treasury curve out of the bundled files: zipline-reloaded."""

from __future__ import annotations

from collections.abc import Iterator

from quantdesk.market.sources.protocol import RawSeries
from quantdesk.market.sources.vendored import VendoredFile

__all__ = ["TENORS", "treasury_curve"]

TENORS = {
    "1month": "UST1M",
    "3month": "UST3M",
    "6month": "UST6M",
    "1year": "UST1Y",
    "2year": "UST2Y",
    "3year": "UST3Y",
    "5year": "UST5Y",
    "7year": "UST7Y",
    "10year": "UST10Y",
    "20year": "UST20Y",
    "30year": "UST30Y",
}

_NOTES = {
    "UST1M": "published from 2001-07-31",
    "UST20Y": "published from 1993-10-01",
    "UST30Y": "not published from 2002-02-19 to 2006-02-08: no 30-year bond was issued in those years",
}


def treasury_curve(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """Par yields for eleven maturities, in percent. The file holds fractions with four decimals: 0.0783 is 7.83."""
    import pandas as pd

    (file,) = files
    table = file.table("Time Period")
    days = pd.to_datetime(table["session"], utc=True).dt.tz_localize(None)
    for column, symbol in TENORS.items():
        percent = (table[column] * 100).round(2)  # exact again: the file has two decimals of a percent
        yield file.raw(
            symbol,
            pd.DataFrame({"session": days, "close": percent}),
            adjusted=False,
            survivors=False,
            publication="treasury-curve",
            kind="rate",
            unit="percent",
            calendar="UST",
            note="; ".join(part for part in ("par yield at constant maturity", _NOTES.get(symbol, "")) if part),
        )
