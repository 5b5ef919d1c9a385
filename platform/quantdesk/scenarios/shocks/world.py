"""What a shock meets, and what it does there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.path import Asset
from quantdesk.scenarios.shocks.moves import Covariance
from quantdesk.scenarios.shocks.names import sector_of
from quantdesk.scenarios.shocks.shock import Shock

__all__ = ["Impulse", "World"]


@dataclass(frozen=True, eq=False)
class World:
    """What a shock meets.

    Attributes
    ----------
    assets
        Of the path.
    closes
        Values by session up to the last day that is known.
    cov
        Of the shock's era.
    """

    assets: tuple[Asset, ...]
    closes: pd.DataFrame
    cov: Covariance

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Symbols of the path."""
        return tuple(asset.symbol for asset in self.assets)

    def of_kind(self, *kinds: str) -> list[str]:
        """Symbols of the path of some kinds."""
        return [asset.symbol for asset in self.assets if asset.kind in kinds]

    def affected(self, shock: Shock) -> list[str]:
        """Assets that the shock names by sector or symbol, in the order of the path; empty where it names none.

        Raises
        ------
        BadInput, UnknownName
            A sector without an asset; a symbol that the path does not have.
        """
        by_sector = {sector_of(asset) for asset in self.assets} - {""}
        for sector in shock.affected_sectors:
            if sector not in by_sector:
                raise BadInput(f"No asset of this scenario is of {sector}.", f"Its sectors: {sorted(by_sector)}.")
        for symbol in shock.symbols:
            if symbol not in self.known:
                raise UnknownName("symbol of this scenario", symbol, self.known)
        return [
            asset.symbol
            for asset in self.assets
            if asset.symbol in shock.symbols or sector_of(asset) in shock.affected_sectors
        ]


@dataclass(frozen=True, kw_only=True)
class Impulse:
    """What one shock does, at its full extent.

    Attributes
    ----------
    moves
        By symbol: log return, or percent points of a rate. These assets move so, and not otherwise.
    drivers
        Those of them that say something of the assets that are not shocked.
    noise
        By symbol: log of the multiple of its noise.
    quotes
        By symbol: log of the multiple of its spread.
    depth
        By symbol: log of the multiple of its depth.
    closed, silent
        Symbols without bars; symbols whose bars no feed shows.
    mean_correlation
        Of which symbols, and what it goes to.
    notes
        How numbers came about that are not in the shock itself.
    """

    moves: Mapping[str, float] = field(default_factory=dict)
    drivers: tuple[str, ...] = ()
    noise: Mapping[str, float] = field(default_factory=dict)
    quotes: Mapping[str, float] = field(default_factory=dict)
    depth: Mapping[str, float] = field(default_factory=dict)
    closed: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    mean_correlation: tuple[tuple[str, ...], float] | None = None
    notes: tuple[str, ...] = ()
