"""What may be changed, and to what: levers of a run with their candidate values, as data. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from quantdesk.errors import BadInput
from quantdesk.scenarios.run.config import RunConfig

__all__ = ["LEVERS", "Change", "HedgeChoice", "SearchSpace"]

LEVERS = ("cash_buffer", "stop_distance", "position_limit", "sector_limit")
"""The levers that are numbers; each hedge is one more."""

_NAMES = {
    "cash_buffer": "the cash buffer",
    "stop_distance": "the stop distance",
    "position_limit": "the position limit",
    "sector_limit": "the sector limit",
}
_NONE = {"stop_distance": "no stops", "position_limit": "no limit", "sector_limit": "no limit"}


@dataclass(frozen=True, slots=True, order=True)
class HedgeChoice:
    """A hedge and its size, as a part of what there is to hedge: the quantity differs from scenario to scenario.

    Attributes
    ----------
    kind
        ``index`` (sold short) and ``volatility`` (puts, bought): the part of the beta dollars that is hedged.
        ``rates``: the part of the account's starting value that a Treasury is bought for, below 0: sold short.
    instrument
        A text of :mod:`quantdesk.scenarios.instruments.specs`: ``SPX``, ``OPT:SPX:P:90%:6M``, ``UST:10Y``.
    share
        The part: above 0 and at most 1; of rates also below 0, to -1.
    """

    kind: Literal["index", "rates", "volatility"]
    instrument: str
    share: float

    def __post_init__(self) -> None:
        least = -1.0 if self.kind == "rates" else 0.0
        if not (least <= self.share <= 1.0 and self.share):
            raise BadInput(f"The hedge {self.instrument} has the share {self.share!r}.", f"Give one in {least:g}..1.")

    @property
    def lever(self) -> str:
        """Which lever it is a value of."""
        return f"hedge {self.instrument}"

    def words(self, quantity: float) -> str:
        """What to do, with the quantity of one scenario: ``sell 80 SPX short (25 % of the beta)``."""
        many, part = f"{abs(quantity):,.0f}", f"{abs(self.share):.0%}".replace("%", " %")
        if self.kind == "index":
            return f"sell {many} {self.instrument} short ({part} of the beta)"
        if self.kind == "volatility":
            return f"buy {many} contracts of {self.instrument} ({part} of the beta)"
        verb = "buy" if quantity > 0 else "sell short"
        return f"{verb} ${many} of {self.instrument} ({part} of the starting value)"


@dataclass(frozen=True, slots=True)
class Change:
    """New values of one lever or two.

    Attributes
    ----------
    settings
        Lever of :data:`LEVERS` and value, in the order of the levers.
    hedges
        In the order of their levers.
    """

    settings: tuple[tuple[str, float], ...] = ()
    hedges: tuple[HedgeChoice, ...] = ()

    @property
    def levers(self) -> tuple[str, ...]:
        """Which levers it moves."""
        return (*(name for name, _ in self.settings), *(hedge.lever for hedge in self.hedges))

    def plus(self, other: Change) -> Change:
        """Both at once; they move different levers."""
        settings = sorted((*self.settings, *other.settings), key=lambda one: LEVERS.index(one[0]))
        return Change(tuple(settings), tuple(sorted((*self.hedges, *other.hedges))))

    def apply(self, config: RunConfig, quantities: Mapping[str, float]) -> RunConfig:
        """The settings with the change; hedges come on top of those that are there.

        Parameters
        ----------
        config
            To be changed; it stays as it is.
        quantities
            Of each hedge, by instrument.
        """
        new: dict[str, Any] = dict(self.settings)
        if self.hedges:
            hedges = dict(config.hedges)
            for hedge in self.hedges:
                hedges[hedge.instrument] = hedges.get(hedge.instrument, 0.0) + quantities[hedge.instrument]
            new["hedges"] = hedges
        return dataclasses.replace(config, **new)

    def words(self, base: RunConfig, quantities: Mapping[str, float]) -> str:
        """What to do: ``raise the cash buffer from 2 % to 20 % and buy 3 contracts of ...``."""
        said = []
        for name, value in self.settings:
            old = getattr(base, name)
            verb = "set" if old is None else "raise" if value > old else "lower"
            said.append(f"{verb} {_NAMES[name]} from {_NONE[name] if old is None else _part(old)} to {_part(value)}")
        said += [hedge.words(quantities[hedge.instrument]) for hedge in self.hedges]
        return " and ".join(said)


def _part(value: float) -> str:
    return f"{value * 100:.4g} %"


_HEDGES = (
    *(HedgeChoice("index", "SPX", share) for share in (0.25, 0.5, 1.0)),
    *(HedgeChoice("volatility", "OPT:SPX:P:90%:6M", share) for share in (0.25, 0.5, 1.0)),
    *(HedgeChoice("rates", "UST:10Y", share) for share in (0.25, 0.5, -0.25)),
)


@dataclass(frozen=True)
class SearchSpace:
    """The values that are tried of each lever. An empty tuple leaves a lever alone.

    Attributes
    ----------
    cash_buffer, stop_distance, position_limit, sector_limit
        Values as in :class:`~quantdesk.scenarios.run.config.RunConfig`; the one that is set already is no candidate.
    hedges
        Hedges with their sizes. Puts run for six months, so that they live through the calm windows that price them.
    """

    cash_buffer: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5)
    stop_distance: tuple[float, ...] = (0.05, 0.08, 0.1, 0.15)
    position_limit: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2)
    sector_limit: tuple[float, ...] = (0.2, 0.3, 0.4)
    hedges: tuple[HedgeChoice, ...] = _HEDGES

    def __post_init__(self) -> None:
        for name in LEVERS:
            for value in getattr(self, name):
                RunConfig(**{name: value})  # says what is wrong with it

    def singles(self, base: RunConfig) -> tuple[Change, ...]:
        """Every change of one lever, each once: the first value of all levers, then the second, and so on."""
        levers: list[list[Change]] = [
            [Change(((name, value),)) for value in dict.fromkeys(getattr(self, name)) if value != getattr(base, name)]
            for name in LEVERS
        ]
        by_lever: dict[str, list[Change]] = {}
        for hedge in dict.fromkeys(self.hedges):
            by_lever.setdefault(hedge.lever, []).append(Change((), (hedge,)))
        rounds = zip_longest(*levers, *by_lever.values())
        return tuple(change for turn in rounds for change in turn if change is not None)
