"""The desk: guardrails -> halts -> routing -> venue, one pipeline for every face. An edge module: it keeps a ledger."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.brokers.reconcile import Difference, compare
from quantdesk.orders.desk.controls import Controls, in_turn
from quantdesk.orders.desk.facts import Facts, FactsOf
from quantdesk.orders.desk.outcome import outcome
from quantdesk.orders.desk.reconciliation import here, there
from quantdesk.orders.desk.state import REPLACE_KEY, REPLACED, STOP_KEY, OrderState, Stop
from quantdesk.orders.desk.stops import reached
from quantdesk.orders.desk.world import DeskConfig, World, day_of, last_day
from quantdesk.orders.executions import Gateway
from quantdesk.orders.guardrails import Guardrails
from quantdesk.orders.halts import Halts
from quantdesk.orders.ledger import EntryKind, OrderLedger
from quantdesk.orders.order import Action, Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import OrderResult

__all__ = ["Desk"]

_DAY = 86_400 * SECOND


class Desk(Controls):
    """Takes orders, one at a time, and answers what came of each.

    What was open when the ledger was last written is taken up again: children are asked for by their client ids,
    protective stops stand, and orders that were never sent go on if their day is not over.

    Parameters
    ----------
    gateway
        Where children go. Its mode is that of every result.
    ledger
        Where everything is written, before and after.
    halts
        Who knows what is halted.
    guardrails
        What is allowed; the bundled policy when None.
    facts
        Figures of the day before, by symbol.
    config
        See :class:`DeskConfig`.
    """

    def __init__(
        self,
        gateway: Gateway,
        ledger: OrderLedger,
        halts: Halts,
        *,
        guardrails: Guardrails | None = None,
        facts: FactsOf = lambda symbol: Facts(),
        config: DeskConfig | None = None,
    ) -> None:
        super().__init__(World(gateway, halts, guardrails or Guardrails(), facts, config or DeskConfig()), ledger)
        self.recover()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the ledger."""
        self._journal.ledger.close()

    @property
    def stops(self) -> tuple[Stop, ...]:
        """The protective stops that stand."""
        with self._turn:
            return tuple(self._state.standing())

    @in_turn
    def execute(self, order: Order) -> OrderResult:
        """Take an order as far as it goes now.

        Parameters
        ----------
        order
            With an idempotency key, a repeated request is answered with what was done at the first one.

        Returns
        -------
        OrderResult
            A refusal is a result too: ``rejected``, with the violations.

        Raises
        ------
        BadInput
            The key belongs to another order, or is one of the desk's own.
        UnknownName
            The symbol is not traded where the desk trades; nothing is written then.
        """
        if order.idempotency_key and order.idempotency_key.startswith((STOP_KEY, REPLACE_KEY)):
            raise BadInput(
                f"The idempotency key {order.idempotency_key!r} is one of the desk's own.",
                f"Begin it with something else than {STOP_KEY} and {REPLACE_KEY}",
            )
        return self._submit(order, self.world.shown(order.symbol))

    @in_turn
    def result(self, order_id: str) -> OrderResult:
        """How an order stands, finished ones included.

        Raises
        ------
        UnknownName
            There is no such order.
        """
        return self._outcome(self._journal.find(order_id))

    @in_turn
    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        """How the order of a user and key stands; None where there is none."""
        order_id = self.ledger.find(user_id, idempotency_key)
        return None if order_id is None else self.result(order_id)

    @in_turn
    def cancel(self, order_id: str) -> OrderResult:
        """End an order; what was filled stays filled, and its protective stops stand. A finished one stays as it is.

        Raises
        ------
        UnknownName
            There is no such order.
        """
        state = self._journal.find(order_id)
        if state.status is None:
            if not state.cancel_requested or order_id in self._state.replacing:
                self._end(state, "cancelled by request")
            self._steps.advance(state)
        return self._outcome(state)

    @in_turn
    def replace(
        self, order_id: str, *, shares: int | None = None, limit_price: Any = None, stop_price: Any = None
    ) -> OrderResult:
        """Cancel what is left of an order, and send it anew with other terms.

        Parameters
        ----------
        order_id
            Which.
        shares
            The new number in all, what is filled included; unchanged when left out.
        limit_price, stop_price
            Dollars; unchanged when left out.

        Returns
        -------
        OrderResult
            Of the new order; that of the old one where it was finished first.

        Raises
        ------
        BadInput
            Not more shares than are filled, or terms that do not fit the order.
        UnknownName
            There is no such order.
        """
        state = self._journal.find(order_id)
        if state.status is not None:
            return self._outcome(state)
        wanted = state.order.shares if shares is None else shares
        if not isinstance(wanted, int) or wanted <= state.filled:
            raise BadInput(
                f"{order_id} has {state.filled} shares filled and cannot become one of {wanted!r}.",
                "Give a whole number of more shares than are filled, or cancel it.",
            )
        given = {
            **state.order.to_dict(),
            "shares": wanted - state.filled,
            "idempotency_key": f"{REPLACE_KEY}{order_id}",
        }
        given |= {} if limit_price is None else {"limit_price": limit_price}
        given |= {} if stop_price is None else {"stop_price": stop_price}
        anew = {"order": Order.from_dict(given).to_dict(), "in_all": wanted}
        self._journal.write(self._entry(EntryKind.REPLACED, anew, state))
        self._end(state, REPLACED)
        return self._replace(state)

    @in_turn
    def poll(self) -> tuple[str, ...]:
        """Take in what happened at the venues, let stops go off, and go on with what waited.

        Returns
        -------
        tuple of str
            The orders to which something happened.
        """
        before = self._journal.seen
        for state in self._state.unfinished():
            self._steps.ask(state)
        self._go_on()
        for symbol in sorted({stop.symbol for stop in self._state.standing()}):
            self._set_off(symbol)
        for state in self._state.unfinished():
            self._steps.advance(state)
        self._tidy()
        return tuple(dict.fromkeys(stored.order_id for stored in self.ledger.entries(after=before) if stored.order_id))

    @in_turn
    def reconcile(self, since: int | None = None) -> tuple[Difference, ...]:
        """Hold the ledger against the gateway's own list, once everything that happened is taken in.

        Parameters
        ----------
        since
            Fills from this moment on (nanoseconds); those of the last day when None.

        Returns
        -------
        tuple of Difference
            Every difference; each is written down. A gateway that keeps no list is held against its open orders alone.

        Raises
        ------
        GatewayDown
            It cannot be asked.
        """
        self.poll()
        start = self.world.now() - _DAY if since is None else since
        ours = here(self._state, self.ledger.entries(kinds=[EntryKind.EXECUTION]), start)
        found = compare(ours, there(self.world.gateway, ours, start))
        told = {"since": start, "differences": [one.to_dict() for one in found]}
        self._journal.write(self._entry(EntryKind.RECONCILED, told))
        return found

    @in_turn
    def recover(self) -> None:
        """Go on where the ledger ends. Called when a desk is made; harmless at any other time."""
        for state in self._state.unfinished():
            self._steps.ask(state)
            self._steps.advance(state)
        self._go_on()
        for symbol in sorted({stop.symbol for stop in self._state.standing()}):
            self._steps.trim(symbol)
        self._tidy()

    def _go_on(self) -> None:
        """Finish what was begun: replacements, and protective stops that went off."""
        for order_id in list(self._state.replacing):
            self._replace(self._journal.find(order_id))
        for stop in list(self._state.stops.values()):
            if stop.triggered:
                self._sell_out(stop)

    def _submit(self, order: Order, quotes: Quotes | None = None) -> OrderResult:
        received = self._journal.receive(order, self.world.now())
        state = self._journal.find(received.order_id)
        self._steps.advance(state, quotes)
        found = self._outcome(state, was_known=not received.is_new)
        self._tidy()
        return found

    def _end(self, state: OrderState, why: str) -> None:
        self._journal.write(self._entry(EntryKind.CANCEL_REQUESTED, {"why": why}, state))

    def _replace(self, old: OrderState) -> OrderResult:
        """Finish a replacement: the old order ends, and what is left of it is sent anew."""
        self._steps.advance(old)
        wanted = self._state.replacing.get(old.order_id)
        if old.status is None or wanted is None:
            return self._outcome(old)  # a venue has not answered yet: recovery goes on
        left = int(wanted["in_all"]) - old.filled
        if left <= 0 or last_day(old.received_at) < day_of(self.world.now()):
            self._end(old, "nothing is left to be sent in its place" if left <= 0 else "its day is over")
            return self._outcome(old)
        return self._submit(Order.from_dict({**wanted["order"], "shares": left}))

    def _set_off(self, symbol: str) -> None:
        """Let the protective stops of a symbol go off whose price is reached; not while it is halted or closed."""
        quotes = self.world.quotes(symbol)
        if quotes is None or not self.world.sets_off(symbol):
            return
        for stop in list(self._state.standing(symbol)):
            if reached(stop.side, stop.price, quotes.nbbo) and self._makes_way(stop, stop.shares):
                parent = self._journal.find(stop.order_id)
                seen = {"bid": quotes.nbbo.bid, "ask": quotes.nbbo.ask}
                self._journal.write(self._entry(EntryKind.STOP_TRIGGERED, seen, parent, stop.stop_id))
                self._sell_out(stop)

    def _makes_way(self, stop: Stop, shares: int) -> bool:
        """Whether nothing else that is open takes the shares of a protective stop; what rests for them is cancelled.

        Both could trade. An order whose cancel is not confirmed may have: then the stop stands until that is known.
        """

        def free() -> int:
            held = self.portfolio.position(stop.symbol)
            return held.shares - held.selling if stop.side < 0 else -held.shares - held.buying

        for state in self._state.unfinished() if free() < shares else ():
            same = (state.order.symbol, state.order.side) == (stop.symbol, stop.side) and state.open_children
            if same and not (state.order.idempotency_key or "").startswith(STOP_KEY):
                self.cancel(state.order_id)
        return stop.stop_id in self._state.stops and free() >= shares

    def _sell_out(self, stop: Stop) -> None:
        """Trade what a protective stop stands for, as far as it is still held; once, however often this is called."""
        parent = self._journal.find(stop.order_id)
        key, user = f"{STOP_KEY}{stop.stop_id}", parent.order.user_id
        if self.ledger.find(user, key) is not None:
            return
        held = self.portfolio.position(stop.symbol).shares
        shares = min(stop.shares, max(-stop.side * held, 0))
        if not shares:
            self._journal.write(self._entry(EntryKind.STOP_CANCELLED, {"held": held}, parent, stop.stop_id))
        elif self._makes_way(stop, shares):
            self._submit(Order(stop.symbol, Action(stop.action), shares, user_id=user, idempotency_key=key))

    def _outcome(self, state: OrderState, *, was_known: bool = False) -> OrderResult:
        stops = tuple(stop for stop in self._state.standing() if stop.order_id == state.order_id)
        return outcome(state, self.mode, stops, was_known=was_known)
