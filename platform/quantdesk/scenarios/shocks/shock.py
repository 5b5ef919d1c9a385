"""What is invented: a type, how large, for how long, of what, and in which shape. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from quantdesk.errors import BadInput, BadParameter, UnknownName
from quantdesk.scenarios.shocks.names import resolve_sectors

__all__ = ["SHAPES", "TYPES", "Shape", "Shock", "ShockType", "Shocks", "Style", "as_shocks", "synthetic_shock"]

ShockType = Literal[
    "volatility_spike", "equity_crash", "sector_crash", "rate_shift", "credit_freeze", "liquidity_drought",
    "fx_devaluation", "commodity_shock", "correlation_breakdown", "market_closure", "feed_outage",
]  # fmt: skip
TYPES: tuple[str, ...] = get_args(ShockType)

Shape = Literal["jump", "ramp", "V", "L"]
SHAPES: tuple[str, ...] = get_args(Shape)

Style = Literal["parallel", "steepener", "inversion"]

_LARGEST_SD, _LONGEST = 20.0, 252
_ONE_WAY = ("volatility_spike", "equity_crash", "sector_crash", "credit_freeze", "liquidity_drought")
# Absolute magnitudes: what the number is, the least and the most that is taken.
_ABSOLUTE: dict[str, tuple[str, float, float]] = {
    "volatility_spike": ("the relative rise of volatility, 0.5 for half as much again", 0.0, 20.0),
    "equity_crash": ("the part of the price that is lost, 0.2 for a fall of 20 %", 0.0, 0.99),
    "sector_crash": ("the part of the price that is lost, 0.2 for a fall of 20 %", 0.0, 0.99),
    "rate_shift": ("basis points", -2000.0, 2000.0),
    "credit_freeze": ("basis points by which BAA - AAA widens", 0.0, 1000.0),
    "liquidity_drought": ("the multiple of the spread, 3 for three times as wide", 1.0, 1000.0),
    "fx_devaluation": ("the part of its value that the currency loses, 0.1 for 10 %", -0.99, 0.99),
    "commodity_shock": ("the relative change of the price, -0.3 for a fall of 30 %", -0.99, 10.0),
    "correlation_breakdown": ("the mean correlation that is aimed at", -1.0, 1.0),
    "market_closure": ("the part of the price that is lost at the reopening", -10.0, 0.99),
    "feed_outage": ("without a meaning", -_LARGEST_SD, _LARGEST_SD),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """One shock. Shocks add up: ``Shock(...) + Shock(...)`` happen together.

    Attributes
    ----------
    type
        ``volatility_spike``: VIX rises where the era has it, and what is affected becomes as much wilder.
        ``equity_crash``: SPX falls (or the sectors or symbols given, or all stocks where there is no SPX).
        ``sector_crash``: every stock of the sectors falls. ``rate_shift``: Treasury yields move. ``credit_freeze``: BAA
        - AAA widens, financials fall, quotes widen, depth goes: see :mod:`quantdesk.scenarios.shocks.credit`.
        ``liquidity_drought``: quotes widen and depth goes, prices are left alone. ``fx_devaluation``: a currency
        loses (``symbols`` names it, ``"EUR"`` or ``"TRY"``, or a pair, whose first currency loses; EUR if left out).
        ``commodity_shock``: ``symbols``, or every commodity, rises, or falls if negative. ``correlation_breakdown``:
        correlations of what is affected go to a target. ``market_closure``: there are no bars, and what would have
        happened shows at the reopening. ``feed_outage``: the bars are there and nobody sees them.
    magnitude
        In standard deviations of one day in the era, times the root of ``duration_days``; or absolute. For prices, a
        standard deviation is one of log returns; for rates of changes; for ``credit_freeze`` of monthly changes of
        BAA - AAA, times the root of ``duration_days / 21``; for ``volatility_spike`` and ``liquidity_drought`` of log
        changes of volatility; for ``correlation_breakdown`` of the Fisher transform of the mean correlation over 63
        days (not scaled with time: it is a level). A crash is a positive number.
    unit
        ``sd`` or ``absolute``; what an absolute number is, the error of a wrong one says.
    duration_days
        Sessions that the move takes.
    affected_sectors
        GICS names or short forms (``TECH``); kept as GICS names, sorted. Without a meaning for rates, currencies and
        commodities.
    symbols
        Particular assets, beside the sectors.
    shape
        Of the move: ``jump`` (all on the first bar), ``ramp`` (evenly), ``V`` (evenly, and evenly back over as many
        bars after it), ``L`` (within the first third, and stays). Prices never come back by themselves but in a ``V``.
        What is no price (volatility, spreads, depth, correlations) is back to normal after the duration, but in an
        ``L``, where it stays.
    style
        Of ``rate_shift``: ``parallel``; ``steepener`` (ten years and longer rise, two years and shorter stay);
        ``inversion`` (two years and shorter rise, ten years and longer stay); between them linear in log maturity.
    era
        Whose standard deviations the magnitude counts; that of the whole simulation when left out.
    delay_days
        Sessions before it begins.
    """

    type: ShockType
    magnitude: float = 3.0
    unit: Literal["sd", "absolute"] = "sd"
    duration_days: int = 5
    affected_sectors: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    shape: Shape = "ramp"
    style: Style = "parallel"
    era: str = ""
    delay_days: int = 0

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise UnknownName("type of shock", str(self.type)[:80], TYPES)
        for name, known in (("shape", SHAPES), ("unit", ("sd", "absolute")), ("style", get_args(Style))):
            if getattr(self, name) not in known:
                raise UnknownName(f"{name} of a shock", str(getattr(self, name))[:80], known)
        for name, least in (("duration_days", 1), ("delay_days", 0)):
            days = getattr(self, name)
            if isinstance(days, bool) or not isinstance(days, int) or not least <= days <= _LONGEST:
                raise BadParameter(f"{name} is {days!r}.", f"Give a whole number of sessions, {least} to {_LONGEST}.")
        object.__setattr__(self, "affected_sectors", resolve_sectors(self.affected_sectors))
        given = (self.symbols,) if isinstance(self.symbols, str) else self.symbols
        object.__setattr__(self, "symbols", tuple(sorted({str(one) for one in given})))
        if self.type == "sector_crash" and not (self.affected_sectors or self.symbols):
            raise BadInput("A sector_crash names no sector.", "Give affected_sectors, for example ('TECH',).")
        self._check_magnitude()

    def _check_magnitude(self) -> None:
        size = self.magnitude
        if isinstance(size, bool) or not isinstance(size, (int, float)) or not math.isfinite(size):
            raise BadParameter(f"The magnitude of {self.type} is {size!r}.", "Give a finite number.")
        if size == 0 and not (self.type == "correlation_breakdown" and self.unit == "absolute"):
            raise BadInput(f"The magnitude of {self.type} is 0: nothing would happen.", "Give another number.")
        if self.type in _ONE_WAY and size < 0:
            raise BadInput(
                f"The magnitude of {self.type} is {size:g}.", "Give it as a positive number: the type says which way."
            )
        if self.unit == "sd":
            if abs(size) > _LARGEST_SD:
                raise BadInput(
                    f"{self.type} of {size:g} standard deviations is absurd.",
                    f"Give at most {_LARGEST_SD:g}, or unit='absolute'.",
                )
            return
        meaning, least, most = _ABSOLUTE[self.type]
        if not least <= size <= most or (self.type == "liquidity_drought" and size == 1):
            raise BadInput(
                f"The absolute magnitude of {self.type} is {size:g}.",
                f"It is {meaning}: give {least:g} to {most:g}.",
            )

    def __add__(self, other: Shock | Shocks) -> Shocks:
        """Both together."""
        if not isinstance(other, (Shock, Shocks)):
            return NotImplemented
        return Shocks((self,)) + other

    @property
    def extent(self) -> int:
        """Bars from the start of the simulation until its moves are over."""
        return self.delay_days + self.duration_days * (2 if self.shape == "V" else 1)

    def describe(self) -> str:
        """In a few words: ``equity_crash 3 sd over 5 days (ramp)``."""
        of = ", ".join((*self.affected_sectors, *self.symbols))
        size = f"{self.magnitude:g} {self.unit}"
        kind = f" {self.style}" if self.type == "rate_shift" else ""
        after = f", after {self.delay_days} days" if self.delay_days else ""
        return (
            f"{self.type}{kind} {size} over {self.duration_days} days ({self.shape}{after}){f' of {of}' if of else ''}"
        )


@dataclass(frozen=True, slots=True)
class Shocks:
    """Several at once. Their order does not matter: they are kept sorted.

    Raises
    ------
    BadInput
        None, or more than one ``correlation_breakdown``: two targets for one correlation do not add up.
    """

    parts: tuple[Shock, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise BadInput("There is no shock.", "Give at least one.")
        if sum(one.type == "correlation_breakdown" for one in self.parts) > 1:
            raise BadInput("There are two correlation_breakdowns.", "Give one target for the correlations.")
        object.__setattr__(self, "parts", tuple(sorted(self.parts, key=repr)))

    def __add__(self, other: Shock | Shocks) -> Shocks:
        """All together."""
        if isinstance(other, Shock):
            return Shocks((*self.parts, other))
        if isinstance(other, Shocks):
            return Shocks((*self.parts, *other.parts))
        return NotImplemented

    def __iter__(self) -> Iterator[Shock]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def extent(self) -> int:
        """Bars until the last one's moves are over."""
        return max(one.extent for one in self.parts)

    def describe(self) -> str:
        """In a few words."""
        return " + ".join(one.describe() for one in self.parts)


def as_shocks(given: Shock | Shocks | Sequence[Shock]) -> Shocks:
    """One, several or a sequence as :class:`Shocks`.

    Raises
    ------
    BadInput
        Something in it is no shock.
    """
    if isinstance(given, Shocks):
        return given
    parts: Iterable[Shock] = (given,) if isinstance(given, Shock) else given
    found = tuple(parts)
    for one in found:
        if not isinstance(one, Shock):
            raise BadInput(f"{one!r} is no shock.", "Give Shock(type=...).")
    return Shocks(found)


def synthetic_shock(
    shock_type: ShockType = "volatility_spike",
    magnitude: float = 3.0,
    duration_days: int = 5,
    affected_sectors: Sequence[str] = ("TECH", "FINANCE"),
    **more: Any,
) -> Shock:
    """A shock in the words of ``ScenarioEngine.generate_synthetic_shock``.

    Parameters
    ----------
    shock_type, magnitude, duration_days, affected_sectors
        See :class:`Shock`.
    **more
        Its other fields: ``unit``, ``symbols``, ``shape``, ``style``, ``era``, ``delay_days``.

    Raises
    ------
    BadInput, BadParameter, UnknownName
        See :class:`Shock`; or it has no such field.
    """
    known = ("unit", "symbols", "shape", "style", "era", "delay_days")
    for name in more:
        if name not in known:
            raise UnknownName("field of a shock", name, known)
    return Shock(
        type=shock_type,
        magnitude=magnitude,
        duration_days=duration_days,
        affected_sectors=tuple([affected_sectors] if isinstance(affected_sectors, str) else affected_sectors),
        **more,
    )
