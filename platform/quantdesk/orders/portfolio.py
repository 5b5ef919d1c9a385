"""An account as it runs: cash, positions, open orders, profit and loss, to the micro-dollar. Pure.

It is a fold over what the ledger holds. Rebuilt from the first entry it equals the one that was kept running, because
everything in it is a whole number. What guardrails ask of it is kept up to date with each change, so that a question
costs the same with one position and with a thousand.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quantdesk.errors import BadInput

__all__ = ["Portfolio", "Position"]


@dataclass(slots=True)
class Position:
    """Shares of one symbol.

    Attributes
    ----------
    shares
        Below 0 is a short position.
    cost
        Micro-dollars that the shares cost (below 0: brought in), fees left out; 0 where there are none.
    realized
        Micro-dollars won by closing, fees left out.
    fees
        Micro-dollars paid to venues and brokers and for borrowing, rebates taken off.
    mark
        Micro-dollars a share at which it is valued; 0 before there is a price.
    buying, selling
        Shares in open orders.
    """

    shares: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0
    mark: int = 0
    buying: int = 0
    selling: int = 0

    @property
    def value(self) -> int:
        """Micro-dollars at the mark."""
        return self.shares * self.mark

    @property
    def worst(self) -> int:
        """The shares, in absolute number, if the worse side of the open orders filled."""
        return max(abs(self.shares + self.buying), abs(self.shares - self.selling))

    def fill(self, shares: int, price: int, fee: int) -> None:
        """Take in a fill: signed shares at micro-dollars a share.

        Average cost: closing takes its part of the cost with it, rounded to a micro-dollar towards zero, and the last
        share takes all that is left, so that nothing is lost by rounding.
        """
        self.fees += fee
        if self.shares == 0 or (self.shares > 0) == (shares > 0):
            self.shares += shares
            self.cost += shares * price
            return
        closing = min(abs(shares), abs(self.shares)) * (1 if shares > 0 else -1)
        left = self.shares + closing
        part = self.cost if left == 0 else _towards_zero(self.cost * -closing, self.shares)
        self.realized += -closing * price - part
        self.cost -= part
        self.shares = left
        opening = shares - closing
        if opening:
            self.shares = opening
            self.cost = opening * price


def _towards_zero(numerator: int, denominator: int) -> int:
    whole = abs(numerator) // abs(denominator)
    return whole if (numerator < 0) == (denominator < 0) else -whole


class Portfolio:
    """The account of a desk.

    Parameters
    ----------
    cash
        Micro-dollars to begin with.

    Attributes
    ----------
    leaves
        Shares that are open of each child order, by its client id. Kept by whoever takes the entries of a ledger in.
    """

    def __init__(self, cash: int = 0) -> None:
        self.cash = cash
        self.leaves: dict[str, int] = {}
        self.day: dt.date | None = None
        self.equity_at_start = cash
        self._positions: dict[str, Position] = {}
        self._net = 0
        self._gross = 0
        self._gross_worst = 0
        self._buying = 0
        self._selling = 0
        self._unpriced = 0

    def position(self, symbol: str) -> Position:
        """The position in a symbol; an empty one where there is none. To be read: changes go through the methods."""
        return self._positions.get(symbol) or Position()

    def __iter__(self) -> Iterator[tuple[str, Position]]:
        yield from sorted(self._positions.items())

    @property
    def positions(self) -> dict[str, int]:
        """Shares by symbol, without those that are flat."""
        return {symbol: held.shares for symbol, held in self if held.shares}

    @property
    def net(self) -> int:
        """Value of all positions in micro-dollars, shorts below 0."""
        return self._net

    @property
    def gross(self) -> int:
        """Value of all positions in micro-dollars, without signs."""
        return self._gross

    @property
    def gross_with_open_orders(self) -> int:
        """The same if of each symbol the worse side of its open orders filled."""
        return self._gross_worst

    @property
    def open_buying(self) -> int:
        """Value of all shares in open orders to buy, in micro-dollars."""
        return self._buying

    @property
    def open_selling(self) -> int:
        """Value of all shares in open orders to sell, in micro-dollars."""
        return self._selling

    @property
    def unpriced(self) -> int:
        """Symbols with shares or open orders that no price values yet: every value leaves them out."""
        return self._unpriced

    @property
    def equity(self) -> int:
        """Cash and positions at their marks."""
        return self.cash + self._net

    @property
    def day_pnl(self) -> int:
        """What has been won since the day began, fees and marks included."""
        return self.equity - self.equity_at_start

    @property
    def realized(self) -> int:
        """Micro-dollars won by closing, fees left out."""
        return sum(held.realized for held in self._positions.values())

    @property
    def fees(self) -> int:
        """Micro-dollars paid in fees, rebates taken off."""
        return sum(held.fees for held in self._positions.values())

    def start_day(self, day: dt.date) -> None:
        """A session begins: the loss of the day counts from here."""
        if self.day is None or day > self.day:
            self.day = day
            self.equity_at_start = self.equity

    def mark(self, symbol: str, price: int) -> None:
        """Value a symbol at micro-dollars a share. Symbols that the account has nothing to do with are passed over."""
        held = self._positions.get(symbol)
        if held is not None and held.mark != price:
            self._change(symbol, mark=price)

    def open(self, symbol: str, side: int, shares: int, mark: int = 0) -> None:
        """Shares of an order are open: `side` 1 to buy, -1 to sell; `mark`, unless 0, values the symbol from now on."""
        held = self.position(symbol)
        mark = mark or held.mark
        if side > 0:
            self._change(symbol, buying=held.buying + shares, mark=mark)
        else:
            self._change(symbol, selling=held.selling + shares, mark=mark)

    def close(self, symbol: str, side: int, shares: int) -> None:
        """Shares of an order are open no longer: filled, cancelled or refused.

        Raises
        ------
        BadInput
            More than are open.
        """
        held = self.position(symbol)
        left = (held.buying if side > 0 else held.selling) - shares
        if left < 0:
            raise BadInput(f"{shares} shares of {symbol} cannot be closed.", f"{left + shares} are open.")
        if side > 0:
            self._change(symbol, buying=left)
        else:
            self._change(symbol, selling=left)

    def fill(self, symbol: str, side: int, shares: int, price: int, fee: int) -> None:
        """Shares of an open order were traded: they are open no longer, and the account has them. Marks it there."""
        held = self._positions.get(symbol)
        left = 0 if held is None else (held.buying if side > 0 else held.selling) - shares
        if held is None or left < 0:
            self.close(symbol, side, shares)  # refuses it, or there is nothing to close
            held = self._positions[symbol]
            left = held.buying if side > 0 else held.selling
        self._take_off(symbol)
        if side > 0:
            held.buying = left
        else:
            held.selling = left
        held.fill(side * shares, price, fee)
        held.mark = price
        self.cash -= side * shares * price + fee
        self._add_up(symbol)

    def charge(self, symbol: str, fee: int) -> None:
        """A cost without a trade, such as the borrowing of a short position."""
        self._positions.setdefault(symbol, Position()).fees += fee
        self.cash -= fee

    def transfer(self, symbol: str, shares: int, price: int) -> None:
        """Positions that were there before the desk: signed shares at a cost, which does not touch the cash.

        Whenever they come, their value is neither won nor lost on that day.
        """
        self.equity_at_start += shares * price
        self._take_off(symbol)
        held = self._positions.setdefault(symbol, Position())
        held.fill(shares, price, 0)
        held.mark = price
        self._add_up(symbol)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as whole numbers and text: equal for equal accounts."""
        positions: Mapping[str, Position] = self._positions
        names = Position.__slots__
        return {
            "cash": self.cash,
            "day": None if self.day is None else self.day.isoformat(),
            "equity_at_start": self.equity_at_start,
            "leaves": dict(sorted(self.leaves.items())),
            "positions": {
                symbol: {name: getattr(held, name) for name in names} for symbol, held in sorted(positions.items())
            },
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Portfolio) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _change(self, symbol: str, **fields: int) -> None:
        self._take_off(symbol)
        held = self._positions.setdefault(symbol, Position())
        for name, value in fields.items():
            setattr(held, name, value)
        self._add_up(symbol)

    def _take_off(self, symbol: str) -> None:
        held = self._positions.get(symbol)
        if held is not None:
            self._net -= held.value
            self._gross -= abs(held.value)
            self._gross_worst -= held.worst * held.mark
            self._buying -= held.buying * held.mark
            self._selling -= held.selling * held.mark
            self._unpriced -= held.mark == 0 and held.worst > 0

    def _add_up(self, symbol: str) -> None:
        held = self._positions[symbol]
        self._net += held.value
        self._gross += abs(held.value)
        self._gross_worst += held.worst * held.mark
        self._buying += held.buying * held.mark
        self._selling += held.selling * held.mark
        self._unpriced += held.mark == 0 and held.worst > 0
