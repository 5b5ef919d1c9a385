"""What a limit is measured in: how it is written in TOML, how it is counted, how it is shown. Pure.

Inside, every limit is a whole number: shares, micro-dollars, parts in a million, nanoseconds. In TOML, dollars and
fractions are text, because a tenth that is a binary fraction is no tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import dollars
from quantdesk.orders.symbols import canonical

__all__ = [
    "COUNT",
    "DOLLARS",
    "FRACTION",
    "NAMES",
    "SECONDS",
    "SHARES",
    "SYMBOLS",
    "USES",
    "Limit",
    "Unit",
    "money",
    "number",
    "percent",
    "percent_of",
    "seconds",
]

MILLION = 1_000_000
_MOST = Decimal(10) ** 15


def money(amount: int) -> str:
    """Micro-dollars as text: ``$1,234.50``, with as many decimals as it needs, two at least.

    From a thousand dollars on it is a sum and no price: it is rounded up to the cent, so that what exceeds a limit
    looks it.
    """
    size = abs(amount)
    size = size if size < 1_000_000_000 else -(-size // 10_000) * 10_000
    whole, _, part = f"{dollars(size):,.6f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{part.rstrip('0'):0<2}"


def number(shares: int) -> str:
    """Shares as text: ``1,000 shares``."""
    return f"{shares:,} share{'' if abs(shares) == 1 else 's'}"


def percent(millionths: int) -> str:
    """Parts in a million as text: ``12.5 %``."""
    whole, _, part = f"{Decimal(millionths) / 10_000:,.4f}".partition(".")
    part = part.rstrip("0")
    return f"{whole}{'.' if part else ''}{part} %"


def percent_of(part: int, whole: int) -> str:
    """A share of a whole above 0, as text, rounded up to a hundredth of a percent: what exceeds a limit looks it."""
    return percent(-(-part * 10_000 // whole) * 100)


def seconds(nanoseconds: int) -> str:
    """A span of time as text: ``0.5 s``."""
    text = f"{Decimal(nanoseconds).scaleb(-9):,f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} s"


def _exact(digits: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f'it is no text: write "{value}", so that it stays exact')
        try:
            exact = Decimal(value)
        except InvalidOperation:
            raise ValueError("it is no number") from None
        if not exact.is_finite() or not 0 <= exact <= _MOST:
            raise ValueError(f"it is not between 0 and {_MOST:,f}")
        whole = exact.scaleb(digits)
        if whole != int(whole):
            raise ValueError(f"it is finer than {digits} decimals")
        return int(whole)

    return read


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError("it is no whole number of at least 0")
    return value


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(one, str) and one for one in value):
        raise ValueError("it is no list of names")
    return frozenset(value)


def _symbols(value: Any) -> frozenset[str]:
    try:
        return frozenset(canonical(one) for one in _names(value))
    except BadInput as error:
        raise ValueError(str(error)) from None


def _uses(value: Any) -> frozenset[str]:
    names = _names(value)
    if not names <= {"research", "live"}:
        raise ValueError('it is no list of uses: give "research", "live", both, or none')
    return names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


@dataclass(frozen=True, slots=True)
class Unit:
    """What something is measured in.

    Attributes
    ----------
    name
        As people say it.
    read
        From TOML to a whole number, or to names; raises ValueError.
    show
        From there to text.
    """

    name: str
    read: Callable[[Any], Any]
    show: Callable[[Any], str]


SHARES = Unit("shares", _whole, number)
DOLLARS = Unit("dollars", _exact(6), lambda amount: money(amount).removesuffix(".00"))
FRACTION = Unit("fraction", _exact(6), percent)
SECONDS = Unit("seconds", _exact(9), seconds)
COUNT = Unit("count", _whole, lambda count: f"{count:,}")
SYMBOLS = Unit("symbols", _symbols, _listed)
NAMES = Unit("names", _names, lambda names: "any name" if "*" in names else _listed(names))
USES = Unit("uses", _uses, _listed)

Stricter = Literal["lower", "higher", "more", "fewer"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a check.

    Attributes
    ----------
    unit
        What it is measured in.
    stricter
        Which of two values is the stricter: of numbers the ``lower`` or the ``higher`` one; of lists what is in either
        (``more``), or only what is in both (``fewer``).
    most
        The highest number that can be kept, or None.
    """

    unit: Unit
    stricter: Stricter = "lower"
    most: int | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is a number, and not a list."""
        return self.stricter in ("lower", "higher")

    def read(self, value: Any) -> Any:
        """From TOML.

        Raises
        ------
        ValueError
            Says what is wrong with it.
        """
        found = self.unit.read(value)
        if self.most is not None and found > self.most:
            raise ValueError(f"it is more than {self.unit.show(self.most)}")
        return found

    def is_beyond(self, value: int, bound: int) -> bool:
        """Whether a number is looser than a bound."""
        return value > bound if self.stricter == "lower" else value < bound

    def laid_over(self, base: Any, over: Any) -> Any:
        """What holds where an override meets the policy's own: the override, or both lists together."""
        return base | over if self.stricter == "more" else over

    def strictest(self, one: Any, other: Any) -> Any:
        """The stricter of two overrides."""
        if self.is_number:
            return min(one, other) if self.stricter == "lower" else max(one, other)
        return one | other if self.stricter == "more" else one & other
