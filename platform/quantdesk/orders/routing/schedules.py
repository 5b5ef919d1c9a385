"""When to send how much of a large order: TWAP, VWAP, POV, Almgren-Chriss. Pure.

Each schedule is a tuple of :class:`Slice`, in order of time, whose shares are whole and sum exactly to the order's.
Times are nanoseconds since 1970 (UTC). Nothing is scheduled outside of a regular session.

>>> import datetime as dt
>>> window = Window.of(dt.date(2026, 11, 23), dt.time(10), dt.time(11))
>>> [one.shares for one in twap(1000, window, 3)]
[333, 334, 333]
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.amounts import SECOND, moment, nanoseconds
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours
from quantdesk.orders.order import MAX_SHARES

__all__ = ["RiskTerms", "Slice", "Window", "almgren_chriss", "pov", "twap", "vwap"]

LEAST_NS = SECOND
"""A window shorter than a second is a slip."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of an order and its time.

    Attributes
    ----------
    at
        When to send it: nanoseconds since 1970 (UTC).
    shares
        How many; never 0.
    """

    at: int
    shares: int


@dataclass(frozen=True, slots=True)
class Window:
    """When an order may trade: a part of one regular session.

    Attributes
    ----------
    begins, ends
        Nanoseconds since 1970 (UTC); what is sent at `ends` would come too late, so that nothing is.

    Raises
    ------
    BadDates
        It is shorter than a second, ends before it begins, or reaches out of the session.
    """

    begins: int
    ends: int

    def __post_init__(self) -> None:
        if self.ends - self.begins < LEAST_NS:
            raise BadDates(
                f"The window from {moment(self.begins)} to {moment(self.ends)} is too short.",
                "Give one of a second or more, its end after its beginning.",
            )
        on = moment(self.begins).astimezone(NEW_YORK).date()
        hours = regular_hours(on)
        if hours is None:
            raise BadDates(f"The exchanges are closed on {on}.", "Give a window within a session.")
        opens, closes = nanoseconds(hours.opens), nanoseconds(hours.closes)
        if self.begins < opens or self.ends > closes:
            raise BadDates(
                f"The window from {moment(self.begins)} to {moment(self.ends)} reaches out of the session.",
                f"It is open from {hours.opens} to {hours.closes}.",
            )

    @classmethod
    def of(cls, on: dt.date, begins: dt.time, ends: dt.time) -> Window:
        """From times of day in New York."""
        first, last = (nanoseconds(dt.datetime.combine(on, at, NEW_YORK)) for at in (begins, ends))
        return cls(first, last)

    def edges(self, slices: int) -> NDArray[np.int64]:
        """The beginnings of equal parts and the end of the last, shape ``(slices + 1,)``."""
        length = self.ends - self.begins
        return np.array([self.begins + length * place // slices for place in range(slices + 1)], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class RiskTerms:
    """What Almgren and Chriss (2000) ask about a stock and its owner. Prices in dollars, time in days.

    Attributes
    ----------
    volatility
        Dollars a share and square root of a day (`sigma`).
    eta
        Temporary impact: dollars a share, for each share a day of the trading rate.
    gamma
        Permanent impact: dollars a share, for each share traded.
    risk_aversion
        Per dollar (`lambda`); 0 asks for an even rate.

    Raises
    ------
    BadInput
        A value that is negative, no number, or 0 for eta.
    """

    volatility: float
    eta: float
    gamma: float = 0.0
    risk_aversion: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("volatility", "eta", "gamma", "risk_aversion"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name == "eta" and value == 0):
                raise BadInput(f"{name} is {value!r}.", "Give a number of at least 0, and eta above 0.")

    def eta_tilde(self, step: float) -> float:
        """Temporary impact less what is permanent within a step of so many days."""
        value = self.eta - self.gamma * step / 2
        if value <= 0:
            raise BadInput(
                f"With gamma {self.gamma!r} a slice of {step:g} days leaves no temporary impact.", "Give more slices."
            )
        return value

    def kappa(self, step: float) -> float:
        """The urgency per day: ``2/step^2 (cosh(kappa step) - 1) = lambda sigma^2 / eta_tilde``."""
        square = self.risk_aversion * self.volatility**2 / self.eta_tilde(step)
        return math.acosh(1 + square * step**2 / 2) / step


def twap(shares: int, window: Window, slices: int, *, seed: int | None = None) -> tuple[Slice, ...]:
    """Even parts at even times.

    Parameters
    ----------
    shares
        Of the whole order.
    window
        When it may trade.
    slices
        How many parts; those of no share are left out.
    seed
        Where given, each part is sent at a random moment of its interval, so that nobody sets a clock by it.

    Raises
    ------
    BadInput
        No whole numbers above 0.
    """
    return _schedule(shares, window, np.full(_count(slices), 1.0), seed)


def vwap(shares: int, window: Window, profile: ArrayLike, *, seed: int | None = None) -> tuple[Slice, ...]:
    """Parts in proportion to the volume that is expected.

    Parameters
    ----------
    shares, window, seed
        As in :func:`twap`.
    profile
        Expected volume in equal parts of the window, shape ``(slices,)``, in any unit; not all 0, no NaN.

    Raises
    ------
    BadInput
        A profile that is empty, negative, all 0 or holds NaN.
    """
    volume = np.asarray(profile, dtype=np.float64)
    if volume.ndim != 1 or not volume.size or not np.isfinite(volume).all() or (volume < 0).any() or not volume.sum():
        raise BadInput(f"The volume profile {profile!r:.80} cannot be followed.", "Give volumes, not all of them 0.")
    return _schedule(shares, window, volume, seed)


def pov(
    shares: int, window: Window, volume: Sequence[int], rate: float, *, seed: int | None = None
) -> tuple[Slice, ...]:
    """A fixed part of the volume: of each interval `rate` of all that trades, the order's own shares among it.

    With the volume ``V`` of others in an interval the order trades ``V rate / (1 - rate)``, until it is done.

    Parameters
    ----------
    shares, window, seed
        As in :func:`twap`.
    volume
        Shares that others are expected to trade in equal parts of the window.
    rate
        Above 0 and below 1.

    Raises
    ------
    BadInput
        A rate out of its range, negative volumes, or volumes that are too small for the order: the message says at what
        rate they would do.
    """
    if not (isinstance(rate, float | int) and 0 < rate < 1):
        raise BadInput(f"The participation rate is {rate!r}.", "Give a fraction above 0 and below 1.")
    others = np.asarray(volume)
    if others.ndim != 1 or not others.size or others.dtype.kind not in "iu" or (others < 0).any():
        raise BadInput(f"The volumes {volume!r:.80} cannot be followed.", "Give whole numbers of at least 0.")
    whole = _shares(shares)
    most = np.cumsum(others) * (rate / (1 - rate))
    done = np.minimum(np.floor(most + 1e-9), whole).astype(np.int64)
    if done[-1] < whole:
        total = int(others.sum())
        needed = whole / (whole + total)
        raise BadInput(
            f"At {rate:.1%} of {total:,} shares only {int(done[-1]):,} of {whole:,} would trade.",
            f"Give more time, or a rate of at least {needed:.1%}.",
        )
    return _at_times(np.diff(done, prepend=0), window, seed)


def almgren_chriss(
    shares: int, window: Window, slices: int, terms: RiskTerms, *, seed: int | None = None
) -> tuple[Slice, ...]:
    """The trajectory that minimises expected cost plus risk aversion times variance, in closed form.

    With ``N`` steps of ``tau`` days, ``T = N tau``, the holdings after step ``j`` are ``X sinh(kappa (T - j tau)) /
    sinh(kappa T)``: Almgren and Chriss, *Optimal execution of portfolio transactions*, Journal of Risk 3 (2000).

    Parameters
    ----------
    shares, window, slices, seed
        As in :func:`twap`.
    terms
        Volatility, impact and risk aversion; a day is a session of 6.5 hours.

    Raises
    ------
    BadInput
        Values out of their range.
    """
    count = _count(slices)
    step = (window.ends - window.begins) / (23_400 * SECOND) / count
    held = trajectory(count, terms.kappa(step) * step)
    return _schedule(shares, window, -np.diff(held), seed)


def trajectory(slices: int, kappa_step: float) -> NDArray[np.float64]:
    """Fraction held before each slice and after the last, shape ``(slices + 1,)``, from 1 to 0.

    `kappa_step` is kappa times the length of a step.

    As exponentials of negative numbers, so that a very urgent order does not overflow.
    """
    left = np.arange(slices, -1, -1, dtype=np.float64)
    if kappa_step * slices < 1e-6:  # the limit of no risk aversion
        return left / slices
    total = kappa_step * slices
    held: NDArray[np.float64] = (
        np.exp(kappa_step * left - total) * -np.expm1(-2 * kappa_step * left) / -np.expm1(-2 * total)
    )
    return held


def _schedule(shares: int, window: Window, weight: NDArray[np.float64], seed: int | None) -> tuple[Slice, ...]:
    """Whole shares in proportion to weights: rounded along the running sum, so that no error adds up."""
    whole = _shares(shares)
    part = np.cumsum(weight) / weight.sum()
    part[-1] = 1.0
    done = np.floor(part * whole + 0.5).astype(np.int64)
    return _at_times(np.diff(done, prepend=0), window, seed)


def _at_times(parts: NDArray[np.int64], window: Window, seed: int | None) -> tuple[Slice, ...]:
    edges = window.edges(len(parts))
    times = edges[:-1].copy()
    if seed is not None:
        times += np.random.default_rng(seed).integers(0, np.maximum(1, np.diff(edges)))
    return tuple(Slice(int(at), int(size)) for at, size in zip(times, parts, strict=True) if size)


def _shares(shares: int) -> int:
    if isinstance(shares, bool) or not isinstance(shares, int | np.integer) or not 0 < shares <= MAX_SHARES:
        raise BadInput(f"A schedule of {shares!r} shares.", f"Give a whole number from 1 to {MAX_SHARES:,}.")
    return int(shares)


def _count(slices: int) -> int:
    if isinstance(slices, bool) or not isinstance(slices, int | np.integer) or not 0 < slices <= 100_000:
        raise BadInput(f"A schedule of {slices!r} slices.", "Give a whole number from 1 to 100,000.")
    return int(slices)
