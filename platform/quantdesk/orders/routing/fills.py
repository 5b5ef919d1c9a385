"""How likely a fill is: a displayed quote on arrival, a resting order in its queue. Compiled, pure.

**Displayed.** What the desk sees is one latency old, and its order needs one more. Lives of quotes have heavy tails:
one that has stood for long is likely to stand on, so that with a half-life ``h`` of fresh quotes, an age ``a`` and an
exposure ``t`` of two latencies the chance is ``(h + a) / (h + a + t)``. That is the survival of a Lomax law of shape 1,
whose median is ``h``; many limit orders are fleeting (Hasbrouck and Saar, *Technology and liquidity provision*, 2009).

**Resting.** Trades of a typical size come as a Poisson process. An order of L behind a queue of Q fills within T when
``N(mu T) >= Q + L``, in units of that size (market rules, section 6; Cont and Kukanov, *Optimal order placement in
limit order markets*, 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["at_least", "compiled", "kept", "mass", "survival"]


def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Compile when first used, for this process: what is kept on the disk are the entries that call it (`kept`)."""
    inner: Callable[..., Any] = njit(nogil=True)(loop)
    return inner


def kept(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Compile when first used, and keep it where this account may write; else for this process.

    numba takes it from there as long as the file of this loop and what the loop closes over are the same. It does not
    look at the loops that are called, so that an entry closes over a stamp of all of them.
    """
    try:
        entry: Callable[..., Any] = njit(cache=True, nogil=True)(loop)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        entry = njit(nogil=True)(loop)
    return entry


@compiled
def survival(age, exposure, half_life):  # type: ignore[no-untyped-def]
    """Chance that a quote of this age still stands after the exposure; all in nanoseconds."""
    return (half_life + age) / (half_life + age + exposure)


@compiled
def mass(count, mean):  # type: ignore[no-untyped-def]
    """P(N = count) of a Poisson variable."""
    if mean <= 0.0:
        return 1.0 if count == 0 else 0.0
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1.0))


@compiled
def at_least(count, mean):  # type: ignore[no-untyped-def]
    """P(N >= count) of a Poisson variable: summed on the side of the smaller tail, so that no digits are lost."""
    if count <= 0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    if count > mean:
        term = mass(count, mean)
        total = 0.0
        number = count
        while term > 1e-17 * total and term > 0.0:
            total += term
            number += 1
            term *= mean / number
        return min(1.0, total)
    term = mass(count - 1, mean)
    total = 0.0
    number = count - 1
    while term > 1e-17 * total and term > 0.0:
        total += term
        term *= number / mean
        number -= 1
        if number < 0:
            break
    return max(0.0, 1.0 - total)
