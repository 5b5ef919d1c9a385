"""What the router decided and why: the receipt of one decision. Pure.

A receipt holds everything that the decision was made from, so that it can be made again
(:func:`quantdesk.orders.routing.replay`). Scores and sentences are worked out when they are asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from quantdesk.errors import DataError
from quantdesk.orders.order import Child, Order
from quantdesk.orders.quotes import Nbbo, Quotes
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing import reasons
from quantdesk.orders.routing.children import children_of
from quantdesk.orders.routing.config import Conditions, Weights
from quantdesk.orders.routing.day import Day
from quantdesk.orders.routing.scores import VenueScore, scores_of

__all__ = ["Alternative", "Inputs", "Receipt"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a decision is made from.

    Attributes
    ----------
    order, quotes
        What was to be traded, and what the venues showed.
    day
        Terms, steps of prices and settings.
    conditions
        What was known of the stock.
    protection
        Whether better protected quotes were protected, as the caller or the rulebook said.
    seed
        Decides between venues that are worth the same.
    """

    order: Order
    quotes: Quotes
    day: Day
    conditions: Conditions
    protection: bool
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Text and numbers; :meth:`from_dict` takes it back."""
        return {
            "order": self.order.to_dict(),
            "quotes": self.quotes.to_dict(),
            "day": self.day.to_dict(),
            "conditions": _flat(self.conditions),
            "protection": self.protection,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Inputs:
        """From what :meth:`to_dict` gave."""
        return cls(
            Order.from_dict(given["order"]),
            Quotes.from_dict(given["quotes"]),
            Day.from_dict(given["day"]),
            Conditions(**given["conditions"]),
            bool(given["protection"]),
            int(given["seed"]),
        )

    @property
    def hash(self) -> str:
        """SHA-256 of the inputs in canonical JSON."""
        return _hash(self.to_dict(), self.day)


@dataclass(frozen=True, slots=True)
class Alternative:
    """The best venue for the whole order, had it gone to one alone.

    Attributes
    ----------
    venue
        Which.
    expected_cost
        Micro-dollars for the whole order against the midpoint at arrival; what the venue could not fill at the price
        of a shortfall.
    """

    venue: str
    expected_cost: float


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """One routing decision. Two receipts are equal where everything but the time taken is.

    Attributes
    ----------
    order_id
        The parent's.
    children
        What is to be sent, in that order; empty where nothing can be, and :attr:`reasoning` says why.
    inputs
        What the decision was made from.
    found
        The answer of the loops, by :mod:`quantdesk.orders.routing.layout`.
    routing_time_ns
        What the decision took, by the router's clock. It is measured, and differs from run to run.
    """

    order_id: str
    children: tuple[Child, ...]
    inputs: Inputs
    found: at.Found
    routing_time_ns: int

    @property
    def at(self) -> int:
        """When: the time of the quotes, nanoseconds since 1970 (UTC)."""
        return self.inputs.quotes.at

    @property
    def status(self) -> str:
        """``routed`` or ``auction``, or why nothing is sent: ``no_quotes``, ``crossed`` ..."""
        return reasons.STATUS[int(self.found.whole[at.W_STATUS])]

    @property
    def nbbo(self) -> Nbbo:
        """The national best bid and offer at arrival."""
        return self.inputs.quotes.nbbo

    @property
    def shares(self) -> int:
        """Shares of all children."""
        return sum(child.shares for child in self.children)

    @property
    def unsent(self) -> int:
        """Shares of the order that no child has."""
        return self.inputs.order.shares - self.shares

    @property
    def weights(self) -> Weights:
        """How much each part counts in the scores, by the order's urgency."""
        return self.inputs.day.config.weights[reasons.URGENCIES.index(self.inputs.order.urgency)]

    @property
    def venues(self) -> tuple[VenueScore, ...]:
        """Each venue with terms, and how it scores: the best first."""
        return scores_of(self.inputs, self.found, self.weights)

    @property
    def scores(self) -> dict[str, float]:
        """Venue and score, the best first."""
        return {one.venue: one.score for one in self.venues}

    @property
    def rejected(self) -> dict[str, str]:
        """Venues that get nothing, and why."""
        why = zip(self.inputs.quotes.venues, self.found.rows[:, at.F_WHY].tolist(), strict=True)
        if not self.children or self.status == "auction":
            return {}
        return {venue: reasons.WHY[code] for venue, code in why if code != at.USED}

    @property
    def expected_cost(self) -> float:
        """Micro-dollars for the whole order against the midpoint at arrival, fees and shortfall included."""
        return float(self.found.money[at.C_EXPECTED])

    @property
    def expected_filled(self) -> float:
        """Shares that fill on average."""
        return float(self.found.money[at.C_FILLED])

    @property
    def shortfall(self) -> float:
        """Micro-dollars against the midpoint that a share costs which does not fill, as the decision assumed."""
        return float(self.found.money[at.C_SHORTFALL])

    @property
    def alternative(self) -> Alternative | None:
        """The best single venue; None where none is worth anything."""
        place = int(self.found.whole[at.W_SINGLE])
        if place < 0:
            return None
        return Alternative(self.inputs.quotes.venues[place], float(self.found.money[at.C_SINGLE]))

    @property
    def reasoning(self) -> tuple[str, ...]:
        """Sentences: what was sent where, why, what was rejected, what was assumed."""
        return reasons.sentences(self)

    def to_dict(self, *, measured: bool = True) -> dict[str, Any]:
        """Text and numbers; :meth:`from_dict` and :func:`~quantdesk.orders.routing.replay` take it back.

        Parameters
        ----------
        measured
            Without it the time taken is left out: what is left is the same for the same inputs.
        """
        alternative, inputs = self.alternative, self.inputs.to_dict()
        found = {
            "order_id": self.order_id,
            "at": self.at,
            "status": self.status,
            "children": [_plain(child) for child in self.children],
            "unsent": self.unsent,
            "venues": [_flat(one) for one in self.venues],
            "weights": _flat(self.weights),
            "rejected": self.rejected,
            "expected_cost": self.expected_cost,
            "alternative": None if alternative is None else _flat(alternative),
            "nbbo": _flat(self.nbbo),
            "reasoning": list(self.reasoning),
            "inputs": inputs,
            "inputs_hash": _hash(inputs, self.inputs.day),
            "found": {name: getattr(self.found, name).tolist() for name in self.found._fields},
        }
        if measured:
            found["routing_time_ns"] = self.routing_time_ns
        return found

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Receipt:
        """A receipt from what :meth:`to_dict` gave, JSON in between or not.

        Raises
        ------
        DataError
            Its inputs are not those of its hash, or its children not those of its split: it was changed.
        """
        inputs = Inputs.from_dict(given["inputs"])
        if inputs.hash != given["inputs_hash"]:
            raise DataError(f"The receipt of {given['order_id']} has other inputs than its hash.", "It was changed.")
        whole = partial(np.array, dtype=np.int64)
        split = given["found"]
        count = len(inputs.quotes.venues)
        found = at.Found(
            whole(split["rows"]).reshape(count, at.ROW_SIZE), np.array(split["marks"]).reshape(count, at.MARK_SIZE),
            whole(split["whole"]), np.array(split["money"], dtype=np.float64),
        )  # fmt: skip
        children = children_of(inputs.order, given["order_id"], inputs.quotes.venues, found, inputs.conditions.listing)
        if [_plain(child) for child in children] != given["children"]:
            raise DataError(f"The receipt of {given['order_id']} has children of another split.", "It was changed.")
        return cls(given["order_id"], children, inputs, found, int(given.get("routing_time_ns", 0)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Receipt) and self.to_dict(measured=False) == other.to_dict(measured=False)

    def __hash__(self) -> int:
        return hash((self.order_id, self.at, self.children))


def _hash(inputs: dict[str, Any], day: Day) -> str:
    """Over canonical JSON, of which the day's part, the longest by far, is put together once a day."""
    parts = (f'"{name}":{day.text if name == "day" else _canonical(inputs[name])}' for name in sorted(inputs))
    return hashlib.sha256(f"{{{','.join(parts)}}}".encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _flat(one: Any) -> dict[str, Any]:
    """The fields of a dataclass that holds no other: :func:`dataclasses.asdict` looks into each, and takes its time."""
    return {name: getattr(one, name) for name in one.__slots__}


def _plain(child: Child) -> dict[str, Any]:
    return {**_flat(child), "action": str(child.action), "time_in_force": str(child.time_in_force)}
