"""Sectors as people call them: the GICS names of :mod:`quantdesk.backtest.sectors` and short forms. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from quantdesk.backtest.sectors import SECTORS
from quantdesk.errors import UnknownName
from quantdesk.scenarios.path import Asset

__all__ = ["GICS", "SHORT", "resolve_sector", "resolve_sectors", "sector_of"]

GICS: tuple[str, ...] = (
    "Communication services", "Consumer discretionary", "Consumer staples", "Energy", "Financials", "Health care",
    "Industrials", "Materials", "Real estate", "Technology", "Utilities",
)  # fmt: skip
"""The eleven sectors."""

SHORT = MappingProxyType(
    {
        "COMM": "Communication services",
        "COMMS": "Communication services",
        "COMMUNICATION": "Communication services",
        "DISCRETIONARY": "Consumer discretionary",
        "ENERGY": "Energy",
        "FINANCE": "Financials",
        "FINANCIAL": "Financials",
        "BANKS": "Financials",
        "HEALTH": "Health care",
        "HEALTHCARE": "Health care",
        "INDUSTRIAL": "Industrials",
        "INFORMATION TECHNOLOGY": "Technology",
        "STAPLES": "Consumer staples",
        "TECH": "Technology",
        "REALESTATE": "Real estate",
    }
)
"""Short forms, in capitals."""

_BY_NAME = {name.upper(): name for name in GICS} | dict(SHORT)


def resolve_sector(name: str) -> str:
    """The GICS name of a sector.

    Raises
    ------
    UnknownName
        It is neither a GICS sector nor a short form; the nearest are named.
    """
    key = str(name).strip().upper().replace("_", " ")
    if key not in _BY_NAME:
        raise UnknownName("sector", key[:40], _BY_NAME)
    return _BY_NAME[key]


def resolve_sectors(names: Iterable[str]) -> tuple[str, ...]:
    """GICS names, sorted, each once."""
    given = [names] if isinstance(names, str) else names
    return tuple(sorted({resolve_sector(name) for name in given}))


def sector_of(asset: Asset) -> str:
    """The sector of an asset: its own, else that of the bundled data; empty for none."""
    return asset.sector or SECTORS.get(asset.symbol.partition("@")[0], "")
