"""The desk: guardrails -> halts -> routing -> venue, one pipeline for every face. An edge module: it keeps a ledger."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.brokers.reconcile import Difference, compare
from quantdesk.orders.desk.facts import Facts, FactsOf
from quantdesk.orders.desk.journal import Journal
from quantdesk.orders.desk.outcome import outcome
from quantdesk.orders.desk.reconciliation import here, there
from quantdesk.orders.desk.state import REPLACE_KEY, REPLACED, STOP_KEY, OrderState, Stop
from quantdesk.orders.desk.steps import Steps
from quantdesk.orders.desk.stops import reached
from quantdesk.orders.desk.world import DeskConfig, World, day_of, last_day
from quantdesk.orders.executions import ExecutionMode, Gateway
from quantdesk.orders.guardrails import Guardrails, Kill, LimitChange
from quantdesk.orders.halts import Halts
from quantdesk.orders.ledger import Entry, EntryKind, Ledger
from quantdesk.orders.order import Action, Order
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import OrderResult
from quantdesk.orders.symbols import canonical

__all__ = ["Desk"]

_DAY = 86_400 * SECOND
Scope = Literal["all", "user", "symbol"]
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _in_turn(method: Callable[Concatenate[Desk, Given], Answer]) -> Callable[Concatenate[Desk, Given], Answer]:
    """One caller after another: a desk may be shared between threads."""

    @functools.wraps(method)
    def alone(desk: Desk, /, *given: Given.args, **named: Given.kwargs) -> Answer:
        with desk._turn:
            desk._journal.look()
            return method(desk, *given, **named)

    return alone


class Desk:
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
        ledger: Ledger,
        halts: Halts,
        *,
        guardrails: Guardrails | None = None,
        facts: FactsOf = lambda symbol: Facts(),
        config: DeskConfig | None = None,
    ) -> None:
        config = config or DeskConfig()
        self._turn = threading.RLock()
        self.mode = ExecutionMode(gateway.mode)
        self.world = World(gateway, halts, guardrails or Guardrails(), facts, config)
        self._journal = Journal(ledger, self.mode, config.cash)
        self._steps = Steps(self._journal, self.world)
        self._state = self._journal.state
        changes = [LimitChange(**one) for one in self._state.limit_changes]
        if changes:
            policy = self.world.guardrails.policy.with_changes(changes, self.world.now())
            self.world.guardrails = Guardrails(policy)
        self.recover()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the ledger."""
        self._journal.ledger.close()

    @property
    def ledger(self) -> Ledger:
        """Where everything is written."""
        return self._journal.ledger

    @property
    def portfolio(self) -> Portfolio:
        """The account as it runs."""
        return self._state.portfolio

    @property
    def stops(self) -> tuple[Stop, ...]:
        """The protective stops that stand."""
        with self._turn:
            return tuple(self._state.standing())

    @_in_turn
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

    @_in_turn
    def result(self, order_id: str) -> OrderResult:
        """How an order stands, finished ones included.

        Raises
        ------
        UnknownName
            There is no such order.
        """
        return self._outcome(self._journal.find(order_id))

    @_in_turn
    def find(self, user_id: str | None, idempotency_key: str) -> OrderResult | None:
        """How the order of a user and key stands; None where there is none."""
        order_id = self.ledger.find(user_id, idempotency_key)
        return None if order_id is None else self.result(order_id)

    @_in_turn
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

    @_in_turn
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

    @_in_turn
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

    @_in_turn
    def kill(self, scope: Scope, name: str = "", *, by: str, why: str) -> None:
        """Stop new orders, but for those that reduce risk; open ones are cancelled.

        Parameters
        ----------
        scope, name
            All, one user or one symbol, and which.
        by, why
            Who stops it and for what; both are kept.

        Raises
        ------
        BadInput
            See :class:`~quantdesk.orders.guardrails.Kill`. Nothing is written then.
        """
        name = Kill(scope, name, by, why, self.world.now()).name
        self._journal.write(self._entry(EntryKind.KILL, {"scope": scope, "name": name, "why": why}, by=by))
        for state in self._state.unfinished():
            if scope == "all" or name == (state.order.user_id if scope == "user" else state.order.symbol):
                self.cancel(state.order_id)
        self._tidy()

    @_in_turn
    def unkill(self, scope: Scope, name: str = "", *, by: str, why: str) -> None:
        """Let orders through again; who and why are kept."""
        self._state.kills.lifted(scope, name)  # refuses what is not thrown, before anything is written
        self._journal.write(self._entry(EntryKind.UNKILL, {"scope": scope, "name": name, "why": why}, by=by))

    @_in_turn
    def change_limit(self, change: LimitChange) -> None:
        """Let a limit be another one for a while. It is written down, holds from its moment on, and reverts by itself.

        Raises
        ------
        BadInput
            There is no such limit, the value is beyond the hard bound of the policy, or it would hold for too long.
            Nothing is written then.
        """
        policy = self.world.guardrails.policy.with_change(change)
        self._journal.write(self._entry(EntryKind.LIMIT_CHANGE, change.to_dict(), by=change.by))
        self.world.guardrails = Guardrails(policy)

    @_in_turn
    def transfer(self, positions: Mapping[str, tuple[int, int]]) -> None:
        """Take over positions from elsewhere: shares (below 0: short) and their cost in micro-dollars a share.

        Raises
        ------
        BadInput
            No symbol, shares or cost that are not whole, or a cost below 0. Nothing is written then.
        """
        entries = []
        for symbol, (shares, price) in sorted(positions.items()):
            if type(shares) is not int or type(price) is not int or price < 0:
                raise BadInput(f"{shares!r} shares of {symbol} at {price!r}.", "Give whole shares and micro-dollars.")
            payload = {"symbol": canonical(symbol), "shares": shares, "price": price}
            entries.append(self._entry(EntryKind.TRANSFER, payload))
        self._journal.write(*entries)
        for entry in entries:
            self._steps.trim(str(entry.payload["symbol"]))

    @_in_turn
    def charge_borrowing(self, rates: Mapping[str, float], days: int = 1) -> int:
        """Charge what the borrowing of short positions costs, once for each day and symbol.

        Parameters
        ----------
        rates
            Fee a year as a fraction of the value, by symbol. A short position without a rate is refused.
        days
            Calendar days until the next charge.

        Returns
        -------
        int
            Micro-dollars charged in all.

        Raises
        ------
        BadInput
            A short position has no rate, a rate is negative or no number, or there are no days.
        """
        if days < 1:
            raise BadInput(f"Borrowing for {days!r} days.", "Give at least 1.")
        day = day_of(self.world.now()).isoformat()
        charges = []
        for symbol, held in self.portfolio:
            if held.shares >= 0 or (day, symbol) in self._state.borrowed:
                continue
            rate = rates.get(symbol)
            if rate is None or not 0 <= rate < float("inf"):
                raise BadInput(
                    f"Borrowing {symbol} costs {rate!r} a year.", "Give a rate of at least 0 for each short."
                )
            # Lenders count 360 days a year, as the US money market does.
            fee = round(-held.shares * held.mark * rate * days / 360)
            charges.append(self._entry(EntryKind.CHARGE, {"day": day, "symbol": symbol, "fee": fee, "rate": rate}))
        self._journal.write(*charges)
        return sum(int(entry.payload["fee"]) for entry in charges)

    @_in_turn
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

    @_in_turn
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

    def _tidy(self) -> None:
        """Forget what is finished; it stays in the ledger."""
        for order_id in [order_id for order_id, state in self._state.orders.items() if state.status is not None]:
            self._state.forget(order_id)

    def _entry(
        self,
        kind: EntryKind,
        payload: Mapping[str, Any],
        state: OrderState | None = None,
        client_id: str = "",
        *,
        by: str | None = None,
    ) -> Entry:
        about = ("", None) if state is None else (state.order_id, state.order.user_id)
        return Entry(kind, self.world.now(), about[0], client_id, by or about[1], payload, self.mode)

    def _outcome(self, state: OrderState, *, was_known: bool = False) -> OrderResult:
        stops = tuple(stop for stop in self._state.standing() if stop.order_id == state.order_id)
        return outcome(state, self.mode, stops, was_known=was_known)
