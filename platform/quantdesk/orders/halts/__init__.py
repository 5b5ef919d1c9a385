"""What stops trading: single stocks at their bands, the whole market at its levels, the hours of the day."""

from __future__ import annotations

from quantdesk.orders.halts import breakers, luld

__all__ = ["breakers", "luld"]
