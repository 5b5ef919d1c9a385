"""A limit order book as slow and plain as can be: one list, sorted anew for every share that trades.

The oracle of test_book.py. It shares nothing with the one that ships.
"""

from __future__ import annotations

from dataclasses import dataclass

BUY, SELL = 0, 1
SHOWN, HIDDEN, PEG = 0, 1, 2


@dataclass
class Order:
    number: int
    side: int
    price: int
    shares: int
    kind: int
    owner: int
    arrived: int


class PlainBook:
    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.midpoint = 0
        self.arrivals = 0
        self.trades: list[tuple[int, int, int, int]] = []
        """Number of the maker, owner of the taker, shares, price."""

    def price_of(self, order: Order) -> int | None:
        if order.kind != PEG:
            return order.price
        if not self.midpoint:
            return None
        if not order.price:
            return self.midpoint
        return min(self.midpoint, order.price) if order.side == BUY else max(self.midpoint, order.price)

    def queue(self, side: int) -> list[Order]:
        """Everything of a side that can trade, in the order of its priority."""
        there = [one for one in self.orders if one.side == side and self.price_of(one) is not None]
        sign = 1 if side == SELL else -1
        return sorted(there, key=lambda one: (self.price_of(one) * sign, one.kind != SHOWN, one.arrived))  # type: ignore[operator]

    def take(self, side: int, shares: int, limit: int | None, owner: int) -> int:
        while shares:
            queue = self.queue(1 - side)
            if not queue:
                break
            maker = queue[0]
            price = self.price_of(maker)
            assert price is not None
            if limit is not None and (price > limit if side == BUY else price < limit):
                break
            quantity = min(shares, maker.shares)
            self.trades.append((maker.number, owner, quantity, price))
            maker.shares -= quantity
            shares -= quantity
            if not maker.shares:
                self.orders.remove(maker)
        return shares

    def add(self, number: int, side: int, price: int, shares: int, kind: int, owner: int) -> int:
        self.arrivals += 1
        order = Order(number, side, price, shares, kind, owner, self.arrivals)
        bound = self.price_of(order)
        left = shares if bound is None else self.take(side, shares, bound, owner)
        if left:
            order.shares = left
            self.orders.append(order)
        return left

    def find(self, number: int) -> Order | None:
        return next((one for one in self.orders if one.number == number), None)

    def cancel(self, number: int) -> int:
        order = self.find(number)
        if order is None:
            return 0
        self.orders.remove(order)
        return order.shares

    def replace(self, number: int, shares: int, price: int) -> None:
        order = self.find(number)
        assert order is not None
        if price == order.price and shares <= order.shares:
            order.shares = shares
            return
        self.orders.remove(order)
        self.add(number, order.side, price, shares, order.kind, order.owner)

    def peg(self, midpoint: int) -> None:
        if midpoint == self.midpoint:
            return
        self.midpoint = midpoint
        if not midpoint:
            return
        for side in (BUY, SELL):
            for order in [one for one in self.orders if one.side == side and one.kind == PEG]:
                bound = self.price_of(order)
                order.shares = self.take(side, order.shares, bound, order.owner)
                if not order.shares:
                    self.orders.remove(order)

    def ahead(self, number: int) -> int:
        order = self.find(number)
        assert order is not None
        price = self.price_of(order)
        if price is None:
            pegs = [one for one in self.orders if one.kind == PEG and one.side == order.side]
            return sum(one.shares for one in pegs if one.arrived < order.arrived)
        total = 0
        for other in self.queue(order.side):
            if other is order:
                return total
            total += other.shares if self.price_of(other) == price else 0
        raise AssertionError(number)

    def depth(self, side: int) -> list[tuple[int, int]]:
        sums: dict[int, int] = {}
        for one in self.orders:
            if one.side == side and one.kind == SHOWN:
                sums[one.price] = sums.get(one.price, 0) + one.shares
        return sorted(sums.items(), reverse=side == BUY)
