"""Limit up / limit down: how far a single stock may move from its reference price.

Source: the National Market System Plan to Address Extraordinary Market Volatility, in force since 2013-04-08; its
numbers are dated entries of :mod:`quantdesk.orders.rulebook`.
"""

from __future__ import annotations

from quantdesk.orders.halts.luld.bands import Bands, bands
from quantdesk.orders.halts.luld.change import Change, Trading
from quantdesk.orders.halts.luld.monitor import Monitor, replay
from quantdesk.orders.halts.luld.stock import Events, Stock

__all__ = ["Bands", "Change", "Events", "Monitor", "Stock", "Trading", "bands", "replay"]
