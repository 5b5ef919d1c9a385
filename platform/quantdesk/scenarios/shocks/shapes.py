"""How much of a shock has happened, bar by bar. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantdesk.scenarios.shocks.shock import Shock

__all__ = ["active", "lasting", "moved"]

Floats = NDArray[np.float64]


def moved(shock: Shock, horizon: int) -> Floats:
    """The part of the move that has happened after each bar, shape ``(horizon + 1,)``; place 0 is before the first."""
    bar = np.arange(horizon + 1) - shock.delay_days
    days = shock.duration_days
    if shock.shape == "jump":
        return (bar >= 1).astype(np.float64)
    if shock.shape == "L":
        return np.clip(bar / -(-days // 3), 0.0, 1.0)
    down = np.clip(bar / days, 0.0, 1.0)
    return down - np.clip((bar - days) / days, 0.0, 1.0) if shock.shape == "V" else down


def active(shock: Shock, horizon: int) -> NDArray[np.bool_]:
    """In which bars the shock says where its assets go, shape ``(horizon + 1,)``."""
    bar = np.arange(horizon + 1)
    return (bar > shock.delay_days) & (bar <= shock.extent)


def lasting(shock: Shock, horizon: int) -> Floats:
    """The part in force of what is no price, shape ``(horizon + 1,)``: nothing after the duration, but in an L."""
    part = moved(shock, horizon)
    return part if shock.shape in ("L", "V") else part * active(shock, horizon)
