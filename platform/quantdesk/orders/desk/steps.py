"""How an order moves: by steps, each written down before the next one begins. An edge module.

What the next step is follows from what is written, and from nothing else: after a crash the same loop goes on where the
ledger ends (:meth:`Steps.advance`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from quantdesk.orders.desk import sending
from quantdesk.orders.desk.journal import Journal
from quantdesk.orders.desk.outcome import ending
from quantdesk.orders.desk.short_sales import restricted_through
from quantdesk.orders.desk.state import STOP_KEY, OrderState
from quantdesk.orders.desk.stops import reached, surplus
from quantdesk.orders.desk.world import World, day_of, last_day, working
from quantdesk.orders.executions import Execution, Kind
from quantdesk.orders.guardrails import Decision
from quantdesk.orders.ledger import Entry, EntryKind, child_payload
from quantdesk.orders.order import Action, OrderType, TimeInForce
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import OrderStatus

__all__ = ["Steps"]


class Steps:
    """Moves orders.

    Parameters
    ----------
    journal
        Where every step is written.
    world
        What it looks at.
    """

    def __init__(self, journal: Journal, world: World) -> None:
        self.journal = journal
        self.world = world

    def advance(self, state: OrderState, quotes: Quotes | None = None) -> None:
        """Do the next step, as long as there is one.

        Parameters
        ----------
        state
            The order.
        quotes
            As they were a moment ago, where somebody has just looked; they are good for one decision.
        """
        while state.status is None:
            if state.decision is None:
                quotes = quotes or self.world.quotes(state.order.symbol)
                self._decide(state, quotes)
            elif not state.decision["allowed"] and not state.children:
                self._finish(state, OrderStatus.REJECTED, "Guardrails blocked it.")
            elif state.unknown and not self.ask(state):
                return
            elif state.cancel_requested or self._is_over(state):
                self._withdraw(state)
                if state.open_children:
                    return
                self._finish(
                    state, ending(state), "It was cancelled." if state.cancel_requested else "Its day is over."
                )
            elif state.leaves == 0:
                if state.open_children:
                    return
                self._finish(state, ending(state), "")
            elif not state.triggered:
                quotes = self.world.quotes(state.order.symbol)
                if not self._trigger(state, quotes):
                    return
            elif self._is_spent(state):
                if state.open_children:
                    return
                self._finish(state, ending(state), "What was left was cancelled.")
            else:
                quotes = quotes or self.world.quotes(state.order.symbol)
                if not self._route(state, quotes):
                    return
                quotes = None

    def ask(self, state: OrderState) -> bool:
        """Ask the venues about what is open; whether every child has been heard of afterwards."""
        asked = [
            sending.ask(self.world.gateway, child.child, heard=child.kind is not None) for child in state.open_children
        ]
        self._record(state, [report for reports in asked for report in reports])
        return not state.unknown

    def trim(self, symbol: str) -> None:
        """Cancel protective stops that protect nothing any more."""
        held = self.journal.state.portfolio.position(symbol).shares
        for stop, kept in surplus(list(self.journal.state.standing(symbol)), held):
            parent = self.journal.find(stop.order_id)
            entries = [self._about(parent, EntryKind.STOP_CANCELLED, {"held": held}, stop.stop_id)]
            if kept:
                entries.append(self._stop(parent, kept))
            self.journal.write(*entries)

    def _decide(self, state: OrderState, quotes: Quotes | None) -> None:
        self.observe(state.order.symbol, quotes)
        protects = (state.order.idempotency_key or "").startswith(STOP_KEY)
        decision = self.world.check(state.order, quotes, self.journal.state, triggered=protects)
        self.journal.write(self._decided(state, decision))

    def observe(self, symbol: str, quotes: Quotes | None) -> None:
        """Write down what a decision rests on: the day, the mark, a restriction of short sales."""
        at, held = self.world.now(), self.journal.state
        day, mode, entries = day_of(at), {"mode": str(held.mode)}, []
        if held.portfolio.day is None or day > held.portfolio.day:
            entries.append(Entry(EntryKind.DAY_STARTED, at, payload={"day": day.isoformat(), **mode}))
        middle = quotes.nbbo.midpoint if quotes is not None else 0
        if middle and middle != held.portfolio.position(symbol).mark:
            entries.append(Entry(EntryKind.MARK, at, payload={"symbol": symbol, "price": middle, **mode}))
        close = self.world.facts(symbol).previous_close
        through = restricted_through(self.world.config.book, day, middle, close)
        if through is not None and held.short_sale_restrictions.get(symbol, dt.date.min) < through:
            note = {"what": "short_sale_restriction", "symbol": symbol, "through": through.isoformat(), **mode}
            entries.append(Entry(EntryKind.NOTE, at, payload=note))
        self.journal.write(*entries)

    def _trigger(self, state: OrderState, quotes: Quotes | None) -> bool:
        """Whether the stop price is reached; then guardrails are asked again, because the world is another one."""
        order = state.order
        if quotes is None or not self.world.sets_off(order.symbol) or not reached(order.side, order.stop, quotes.nbbo):
            return False
        self.observe(order.symbol, quotes)
        decision = self.world.check(working(order, order.shares), quotes, self.journal.state, triggered=True)
        if not decision.allowed:
            return False  # it stands, and is asked about again: a stop is not lost to a passing limit
        self.journal.write(
            self._about(state, EntryKind.STOP_TRIGGERED, {"bid": quotes.nbbo.bid, "ask": quotes.nbbo.ask}),
            self._decided(state, decision),
        )
        return True

    def _is_over(self, state: OrderState) -> bool:
        """Whether the day of an order is over."""
        today = day_of(self.world.now())
        return day_of(state.received_at) < today and last_day(state.received_at) < today

    def _is_spent(self, state: OrderState) -> bool:
        """Whether no further round of routing is due."""
        if state.receipts and state.order.time_in_force is TimeInForce.IOC:
            return True
        rested = [child for child in state.children.values() if child.child.time_in_force is not TimeInForce.IOC]
        if any(child.kind is Kind.CANCELLED for child in rested):
            return True  # the venue ended what rested there: the day is over
        if self.world.config.broker and any(
            child.kind is Kind.REJECTED and sending.unsent(child.child) not in state.executions for child in rested
        ):
            return True  # what a broker refused, it would refuse again; what never reached it is another matter
        return len(state.receipts) >= self.world.config.rounds

    def _route(self, state: OrderState, quotes: Quotes | None) -> bool:
        """One round of routing and sending; False where the order waits."""
        order = state.order
        waits = order.order_type not in (OrderType.MARKET, OrderType.STOP) and order.time_in_force is TimeInForce.DAY
        waits = waits or bool(state.open_children)
        stopped = self.world.stopped(order.symbol) or ("" if quotes is not None else f"{order.symbol} has no quotes.")
        receipt = None if stopped or quotes is None else self.world.route(state, quotes)
        if receipt is not None and receipt.children:
            self.journal.write(
                self._about(state, EntryKind.RECEIPT, receipt.to_dict()),
                *(
                    self._about(state, EntryKind.SENT, child_payload(child), child.client_id)
                    for child in receipt.children
                ),
            )
            sends = (sending.send(self.world.gateway, child) for child in receipt.children)
            self._record(state, [report for reports in sends for report in reports])
        elif waits:
            return False
        else:
            if receipt is not None:
                self.journal.write(self._about(state, EntryKind.RECEIPT, receipt.to_dict()))
            self._finish(state, ending(state), stopped)
        return True

    def _record(self, state: OrderState, reports: Iterable[Execution]) -> None:
        """Write down what venues said; shares that were filled get their protective stop in the same breath."""
        fresh: dict[str, Execution] = {}
        leaves = {name: child.leaves for name, child in state.children.items()}
        entries, filled = [], 0
        for report in reports:
            if report.execution_id in state.executions or report.execution_id in fresh:
                continue
            fresh[report.execution_id] = report
            if _is_sound(report, leaves):
                entries.append(self._about(state, EntryKind.EXECUTION, report.to_dict(), report.client_id))
                if report.kind is Kind.FILL:
                    leaves[report.client_id] -= report.shares
                    filled += report.shares
            else:
                entries.append(self._about(state, EntryKind.NOTE, {"what": "refused_report", **report.to_dict()}))
        if filled and state.order.stop_loss:
            entries.append(self._stop(state, filled))
        self.journal.write(*entries)
        if filled:
            self.trim(state.order.symbol)

    def _withdraw(self, state: OrderState) -> None:
        asked = [sending.withdraw(self.world.gateway, child.child) for child in state.open_children]
        self._record(state, [report for reports in asked for report in reports])

    def _finish(self, state: OrderState, status: OrderStatus, reason: str) -> None:
        if status is OrderStatus.FILLED:
            reason = ""  # whatever was asked for meanwhile, there was nothing left to end
        entries = [self._about(state, EntryKind.RESULT, {"status": str(status), "reason": reason})]
        key = state.order.idempotency_key or ""
        left = state.order.shares - state.filled if key.startswith(STOP_KEY) else 0
        if left:
            # What a protective stop could not trade is still unprotected: a stop stands for it again.
            stop = self.journal.state.stops[key.removeprefix(STOP_KEY)]
            entries.append(self._stop(self.journal.find(stop.order_id), left))
        self.journal.write(*entries)
        if left:
            self.trim(state.order.symbol)  # if its shares are still there

    def _stop(self, state: OrderState, shares: int) -> Entry:
        """The entry that places a protective stop for shares of an order."""
        order = state.order
        action = Action.SELL if order.is_buy else Action.BUY
        payload = {"symbol": order.symbol, "action": str(action), "shares": shares, "price": order.stop_loss}
        name = f"{state.order_id}-S{self.journal.state.stops_placed.get(state.order_id, 0) + 1}"
        return self._about(state, EntryKind.STOP_PLACED, payload, name)

    def _decided(self, state: OrderState, decision: Decision) -> Entry:
        label = self.world.facts(state.order.symbol).label
        return self._about(state, EntryKind.DECISION, {**decision.to_dict(), "label": label})

    def _about(
        self, state: OrderState, kind: EntryKind, payload: Mapping[str, object] | None = None, client_id: str = ""
    ) -> Entry:
        mode = self.journal.mode
        return Entry(kind, self.world.now(), state.order_id, client_id, state.order.user_id, payload or {}, mode)


def _is_sound(report: Execution, leaves: Mapping[str, int]) -> bool:
    """Whether a report can be true: of a child that was sent, and not of more shares than it has left."""
    if report.client_id not in leaves:
        return False
    return report.kind is not Kind.FILL or (0 < report.shares <= leaves[report.client_id] and report.price > 0)
