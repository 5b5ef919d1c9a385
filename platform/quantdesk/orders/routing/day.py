"""What holds on one day, prepared for the loops once. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.config import RoutingConfig
from quantdesk.orders.routing.terms import Terms
from quantdesk.orders.rulebook import Rulebook

__all__ = ["Day"]

SESSION = 23_400.0 * SECOND
"""Nanoseconds from 9:30 to 16:00: a day's volume is spread over them."""
_KEPT = 256


class Day:
    """The terms of the venues, the steps of prices, and whether better quotes are protected.

    Parameters
    ----------
    terms
        One for each venue that may be sent to.
    ticks
        Pairs of a price and the step that holds from there on, micro-dollars.
    protection
        Whether a better protected quote may not be traded through.
    config
        What the desk has set.

    Raises
    ------
    BadInput
        Two terms of one venue.
    """

    __slots__ = ("_rules", "_text", "_told", "config", "protection", "terms", "ticks")

    def __init__(
        self, terms: Sequence[Terms], ticks: Sequence[tuple[int, int]], protection: bool, config: RoutingConfig
    ) -> None:
        self.terms = {one.venue: one for one in terms}
        if len(self.terms) != len(terms):
            raise BadInput(f"A venue has two terms: {', '.join(one.venue for one in terms)}.", "Give each venue once.")
        self.ticks = tuple(ticks)
        self.protection = protection
        self.config = config
        self._rules: dict[tuple[str, ...], at.Rules] = {}
        self._text = ""
        self._told: dict[str, Any] | None = None

    @classmethod
    def of(cls, on: dt.date, book: Rulebook, terms: Sequence[Terms], config: RoutingConfig) -> Day:
        """Steps and protection as the rulebook has them for a day in New York."""
        tick = book.tick(on)
        steps = () if tick is None else tick.steps
        ticks = [(int(one.at_least * MICRO), int(one.step * MICRO)) for one in steps]
        return cls(terms, ticks, book.order_protection(on), config)

    def rules(self, venues: tuple[str, ...]) -> at.Rules:
        """Terms and parameters as the loops read them, for venues in this order; made once for each such order."""
        found = self._rules.get(venues)
        if found is None:
            if len(self._rules) >= _KEPT:
                self._rules.clear()
            found = self._rules[venues] = self._arrange(venues)
        return found

    def _arrange(self, venues: tuple[str, ...]) -> at.Rules:
        rows = np.zeros((len(venues), at.VENUE_SIZE), dtype=np.int64)
        hidden = np.zeros(len(venues))
        for place, name in enumerate(venues):
            one = self.terms.get(name)
            if one is not None:
                rows[place] = (
                    1,
                    one.add_fee,
                    one.remove_fee,
                    one.remove_below_dollar_ppm,
                    one.latency_ns,
                    one.protected,
                )
                hidden[place] = one.hidden_share
        ticks = np.array(self.ticks, dtype=np.int64).reshape(-1, 2)
        return at.Rules(rows, hidden, _parameters(self.config), ticks, self.config.trade_shares)

    def to_dict(self) -> dict[str, Any]:
        """Text, numbers and lists; :meth:`from_dict` takes it back."""
        # It stands on every receipt of the day: put together once, and each time a copy that its owner may change.
        if self._told is None:
            self._told = {
                "terms": [{name: getattr(one, name) for name in Terms.__slots__} for one in self.terms.values()],
                "ticks": [list(pair) for pair in self.ticks],
                "protection": self.protection,
                "config": self.config.to_dict(),
            }
        told: dict[str, Any] = _copied(self._told)
        return told

    @property
    def text(self) -> str:
        """The same as canonical JSON."""
        self._text = self._text or json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return self._text

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Day:
        """From what :meth:`to_dict` gave."""
        terms = [Terms(**one) for one in given["terms"]]
        ticks = [(int(least), int(step)) for least, step in given["ticks"]]
        return cls(terms, ticks, bool(given["protection"]), RoutingConfig.from_dict(given["config"]))


def _copied(given: Any) -> Any:
    """A copy of lists and dicts of what does not change; tuples become lists, as they do in JSON."""
    if isinstance(given, dict):
        return {name: one if type(one) in _PLAIN else _copied(one) for name, one in given.items()}
    return [_copied(one) for one in given] if isinstance(given, list | tuple) else given


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _parameters(config: RoutingConfig) -> np.ndarray[Any, np.dtype[np.float64]]:
    params = np.zeros(at.PARAM_SIZE)
    params[at.P_HALF_LIFE] = config.quote_half_life_ms * 1e6
    params[at.P_CERTAINTY] = config.hidden_certainty
    params[at.P_ADVERSE] = config.adverse_spreads
    params[at.P_IMPACT] = config.impact_y
    params[at.P_SESSION] = SESSION
    params[at.P_COLLAR] = config.collar
    params[at.P_REST] = config.rest_s * SECOND
    params[at.P_PENALTY : at.P_PENALTY + 3] = config.penalty_spreads
    params[at.P_HORIZON : at.P_HORIZON + 3] = [one * SECOND for one in config.horizon_s]
    return params
