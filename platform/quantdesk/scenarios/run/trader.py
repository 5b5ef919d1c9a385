"""Wishes become orders of a desk: sent when they can be, valued, and counted where they are not filled. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk import Desk, DeskConfig
from quantdesk.orders.guardrails import Guardrails
from quantdesk.orders.ledger import MemoryLedger
from quantdesk.orders.order import Action, Order
from quantdesk.orders.result import OrderStatus
from quantdesk.orders.routing.config import RoutingConfig
from quantdesk.orders.routing.router import SmartOrderRouter
from quantdesk.scenarios.path import GRADES, Grade
from quantdesk.scenarios.result import Event
from quantdesk.scenarios.run.journal import Journal
from quantdesk.scenarios.run.stage import Stage

__all__ = ["Trader"]

_CLOSED = ("SYMBOL_HALTED", "CIRCUIT_BREAKER", "NO_QUOTE", "STALE_PRICE")
"""Refusals after which a wish waits: there is no market now."""


class Trader:
    """One account: its exchanges, its desk, and what it wants.

    Parameters
    ----------
    stage
        See :class:`Stage`.
    cash
        Dollars.
    shares
        That are there before the first order.

    Attributes
    ----------
    exchange, desk, journal
        The market with its clock, who trades there, and what its ledger tells.
    marks
        The last price of each traded symbol, dollars.
    unfilled
        Dollars lost (below 0) or spared because wishes were not filled, by symbol.
    stale
        Marks of held symbols that were not of their bar.
    events
        What kept wishes from becoming orders.
    """

    def __init__(self, stage: Stage, cash: float, shares: Mapping[str, int]) -> None:
        self.stage, self.path, self.config = stage, stage.path, stage.config
        self.traded = self.path.traded
        self.columns = [self.path.column(symbol) for symbol in self.traded]
        self.exchange = stage.market.market(self.config.seed, stage.halts)
        self.marks = self._first_marks()
        self.desk = Desk(
            self.exchange,
            MemoryLedger(),
            stage.halts,
            guardrails=Guardrails(self.config.policy_for(self.path.labels)),
            facts=lambda symbol: stage.market.facts(symbol, self.exchange.now(), stage.label),
            config=DeskConfig(
                cash=round(cash * MICRO), seed=self.config.seed, routing=RoutingConfig(earliest_terms=True)
            ),
        )
        world = self.desk.world
        # The time that this machine takes is no part of a simulation, whose ledger is the same from run to run.
        world.router = SmartOrderRouter(config=world.config.routing, book=world.config.book, clock=lambda: 0)
        self.desk.transfer({symbol: (many, self._mark(symbol)) for symbol, many in shares.items()})
        self.journal = Journal(self._middle)
        self.unfilled: dict[str, float] = {}
        self.stale = 0
        self.events: list[Event] = []
        self._wants: dict[str, int] = {}
        self._waiting: dict[str, None] = {}
        self._lack: dict[str, float] = {}

    def poll(self) -> None:
        """Let the desk take in what happened."""
        if self.journal.orders:
            self.desk.poll()
            self._read()

    def _read(self) -> None:
        self.journal.take(self.desk.ledger.entries(after=self.journal.seen))
        for symbol in self.journal.stopped:
            # A stop is a wish too: what it sold is not lacking.
            self._wants.pop(symbol, None)
            self._waiting.pop(symbol, None)
            self._lack.pop(symbol, None)

    def send(self, at: int) -> None:
        """Send what waits, sales first, as far as its symbol is quoted now."""
        if not self._waiting:
            return
        ready = {symbol: self._wish(symbol) for symbol in self._waiting if self._is_quoted(symbol, at)}
        for symbol, shares in sorted(ready.items(), key=lambda one: (one[1] * self._mark(one[0]), one[0])):
            del self._waiting[symbol]
            for action, part in self._parts(symbol, shares):
                self._order(symbol, action, part)
            self._read()
            lacks = self._wish(symbol)
            if lacks:
                self._lack[symbol] = self._middle(symbol)
            else:
                self._lack.pop(symbol, None)

    def _order(self, symbol: str, action: Action, shares: int) -> None:
        stop: Decimal | None = None
        if self.config.stop_distance is not None and action in (Action.BUY, Action.SELL_SHORT):
            away = -1 if action is Action.BUY else 1
            price = self._middle(symbol) * (1 + away * self.config.stop_distance)
            stop = Decimal(str(max(round(price, 2), 0.01)))
        try:
            order = Order(symbol, action, shares, stop_loss_price=stop, user_id="scenario")
        except BadInput as error:  # more shares than an order can have, a stop at a price that is none
            side = 1 if action is Action.BUY else -1
            numbers = {"shares": side * shares, "filled_shares": 0, "unfilled_dollars": shares * self._middle(symbol)}
            told = Event(self.exchange.now(), "execution_failure", "NO_ORDER", symbol, str(error), numbers)
            self.events.append(told)
            return
        result = self.desk.execute(order)
        closed = [one.code for one in result.violations if one.code in _CLOSED]
        if result.status is OrderStatus.REJECTED and closed:
            self._waiting[symbol] = None

    def _parts(self, symbol: str, shares: int) -> list[tuple[Action, int]]:
        """A wish as orders: what crosses zero is a sale and a short sale, or a cover and a purchase."""
        held = self.desk.portfolio.position(symbol).shares
        if shares > 0:
            return [(Action.BUY, shares)]
        parts = ((Action.SELL, min(-shares, max(held, 0))), (Action.SELL_SHORT, -shares - min(-shares, max(held, 0))))
        return [part for part in parts if part[1]]

    def _wish(self, symbol: str) -> int:
        """Shares that are still to be bought (below 0: sold)."""
        if symbol not in self._wants:
            return 0
        return self._wants[symbol] - self.desk.portfolio.position(symbol).shares

    def _is_quoted(self, symbol: str, at: int) -> bool:
        if self.stage.market.dark_since(symbol, at) is not None:
            return False  # what no feed shows is no quote to send an order at
        flow = self.stage.market.begun(symbol, at)
        if flow is None or at >= flow.closes:
            return False
        step = flow.step(at)
        return step >= 0 and int(flow.at[step]) == at

    def _middle(self, symbol: str) -> float:
        nbbo = self.exchange.nbbo_at(symbol, self.exchange.now())
        return nbbo.midpoint / MICRO if nbbo.midpoint else self.marks[symbol]

    def over_closure(self, bar: int) -> None:
        """Cancel what waits for a market that is shut, where that is wished."""
        if self.config.over_closure == "queue":
            return
        for symbol in list(self._waiting):
            if self.path.grades[bar, self.path.column(symbol)] == GRADES.index(Grade.CLOSED):
                del self._waiting[symbol]
                shares, told = self._wish(symbol), f"{symbol} was shut before its order was filled."
                self._wants.pop(symbol)
                event = Event(
                    self.exchange.now(), "execution_failure", "MARKET_CLOSED", symbol, told, {"shares": shares}
                )
                self.events.append(event)

    def _first_marks(self) -> dict[str, float]:
        row = self.path.close[0]
        if self.path.is_intraday and self.path.open is not None:
            row = np.where(np.isfinite(self.path.open[0]), self.path.open[0], row)
        return {symbol: float(row[column]) for symbol, column in zip(self.traded, self.columns, strict=True)}

    def _mark(self, symbol: str) -> int:
        return round(self.marks[symbol] * MICRO)

    def value_at(self, bar: int) -> None:
        """Value the account at the end of a bar; what is lacking has gained or lost with the price."""
        row = self.path.close[bar, self.columns]
        held = self.desk.portfolio.positions
        for symbol, price in zip(self.traded, row.tolist(), strict=True):
            if price == price:
                self.marks[symbol] = price
            elif symbol in held:
                self.stale += 1
        for symbol, before in list(self._lack.items()):
            lacks = self._wish(symbol)
            self.unfilled[symbol] = self.unfilled.get(symbol, 0.0) - lacks * (self.marks[symbol] - before)
            self._lack[symbol] = self.marks[symbol]
            if not lacks:
                del self._lack[symbol]
        self.desk.mark({symbol: self._mark(symbol) for symbol in held})
        self._read()

    def equity(self) -> float:
        """Dollars of the desk's account at its marks."""
        return self.desk.portfolio.equity / MICRO

    def kept(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Weights of what is held, or ordered and still to be sent, and that a wish does not name."""
        value = self.equity()
        shares = {**self.desk.portfolio.positions, **{symbol: self._wants[symbol] for symbol in self._waiting}}
        left = {symbol: many for symbol, many in shares.items() if symbol not in weights and many and value > 0}
        return {symbol: many * self.marks[symbol] / value for symbol, many in left.items()}

    def want(self, weights: Mapping[str, float]) -> None:
        """Wish for parts of the account's value: shares of the last marks, to be sent at the next quotes."""
        value = self.equity()
        for symbol, weight in weights.items():
            price = self.marks[symbol]
            if not price > 0:  # it has no price yet
                self._has_no_price(symbol, weight)
                continue
            shares = int(weight * value / price)
            self._lack.pop(symbol, None)
            self._wants[symbol] = shares
            self._waiting.pop(symbol, None)
            if self._wish(symbol):
                self._waiting[symbol] = None

    def _has_no_price(self, symbol: str, weight: float) -> None:
        """Say once of a symbol that nobody could trade it when it was wished for."""
        if not weight or any((one.cause, one.symbol) == ("NO_PRICE", symbol) for one in self.events):
            return
        told = f"{symbol} was wished for before it had a price."
        self.events.append(
            Event(self.exchange.now(), "execution_failure", "NO_PRICE", symbol, told, {"weight": weight})
        )

    def sale(self) -> dict[str, float]:
        """What it would take to sell everything now."""
        found = self.stage.market.liquidation(self.desk.portfolio.positions, self.marks, len(self.path.ends) - 1)
        return {"days": found.days_of_book, **found.by_cause}
