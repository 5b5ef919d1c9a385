"""What the owner of an account does with it: kill switches, limits, transfers, borrowing. An edge module: it writes."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from quantdesk.errors import BadInput
from quantdesk.orders.desk.journal import Journal
from quantdesk.orders.desk.state import OrderState
from quantdesk.orders.desk.steps import Steps
from quantdesk.orders.desk.world import World, day_of
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.guardrails import Guardrails, Kill, LimitChange
from quantdesk.orders.ledger import Entry, EntryKind, OrderLedger
from quantdesk.orders.portfolio import Portfolio
from quantdesk.orders.result import OrderResult
from quantdesk.orders.symbols import canonical

__all__ = ["Controls", "in_turn"]

Scope = Literal["all", "user", "symbol"]
Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Owner = TypeVar("Owner", bound="Controls")


def in_turn(method: Callable[Concatenate[Owner, Given], Answer]) -> Callable[Concatenate[Owner, Given], Answer]:
    """One caller after another: a desk may be shared between threads."""

    @functools.wraps(method)
    def alone(desk: Owner, /, *given: Given.args, **named: Given.kwargs) -> Answer:
        with desk._turn:
            desk._journal.look()
            return method(desk, *given, **named)

    return alone


class Controls(ABC):
    """The account of a desk and its switches; see :class:`~quantdesk.orders.desk.Desk`."""

    def __init__(self, world: World, ledger: OrderLedger) -> None:
        self._turn = threading.RLock()
        self.mode = ExecutionMode(world.gateway.mode)
        self.world = world
        self._journal = Journal(ledger, self.mode, world.config.cash)
        self._steps = Steps(self._journal, world)
        self._state = self._journal.state
        changes = [LimitChange(**one) for one in self._state.limit_changes]
        if changes:
            policy = world.guardrails.policy.with_changes(changes, world.now())
            world.guardrails = Guardrails(policy)

    def alone(self) -> AbstractContextManager[Any]:
        """Keep other callers waiting: what is read of the desk meanwhile belongs together."""
        return self._turn

    @property
    def ledger(self) -> OrderLedger:
        """Where everything is written."""
        return self._journal.ledger

    @property
    def portfolio(self) -> Portfolio:
        """The account as it runs."""
        return self._state.portfolio

    @abstractmethod
    def cancel(self, order_id: str) -> OrderResult:
        """End an order."""

    @in_turn
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

    @in_turn
    def unkill(self, scope: Scope, name: str = "", *, by: str, why: str) -> None:
        """Let orders through again; who and why are kept."""
        self._state.kills.lifted(scope, name)  # refuses what is not thrown, before anything is written
        self._journal.write(self._entry(EntryKind.UNKILL, {"scope": scope, "name": name, "why": why}, by=by))

    @in_turn
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

    @in_turn
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

    @in_turn
    def mark(self, prices: Mapping[str, int]) -> None:
        """Value what is held at prices from elsewhere, in micro-dollars a share; a new day begins with its first mark.

        A symbol that the account has nothing to do with, or that is valued so already, is passed over.

        Raises
        ------
        BadInput
            A price that is no whole number above 0. Nothing is written then.
        """
        at, held = self.world.now(), self._state.portfolio
        entries = []
        if held.day is None or day_of(at) > held.day:
            entries.append(self._entry(EntryKind.DAY_STARTED, {"day": day_of(at).isoformat()}))
        known = dict(held)
        for symbol, price in sorted(prices.items()):
            if type(price) is not int or price <= 0:
                raise BadInput(f"{symbol} at {price!r}.", "Give whole micro-dollars above 0.")
            if symbol in known and known[symbol].mark != price:
                entries.append(self._entry(EntryKind.MARK, {"symbol": symbol, "price": price}))
        self._journal.write(*entries)

    @in_turn
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
