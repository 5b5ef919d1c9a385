"""The rules of the market as dated data: what was in force on a day, where that was read, and how sure it is.

>>> from quantdesk.orders.rulebook import bundled

``us.toml`` holds the entries, :mod:`~quantdesk.orders.rulebook.entries` says what each kind holds. A replay of any day
looks its rules up here; no rule is an ``if`` anywhere else.
"""

from __future__ import annotations

from quantdesk.orders.rulebook.book import Layer, Rulebook
from quantdesk.orders.rulebook.files import bundled, in_force, read
from quantdesk.orders.rulebook.text import parse

__all__ = ["Layer", "Rulebook", "bundled", "in_force", "parse", "read"]
