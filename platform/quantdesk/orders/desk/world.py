"""What a desk looks at: clock, quotes, halts, facts, rules. An edge module: the gateway is one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

from quantdesk.errors import UnknownName
from quantdesk.orders.amounts import moment
from quantdesk.orders.desk.direct import direct
from quantdesk.orders.desk.facts import FactsOf
from quantdesk.orders.desk.state import DeskState, OrderState
from quantdesk.orders.executions import Gateway, GatewayDown
from quantdesk.orders.guardrails import Decision, Guardrails, Situation, day_rules
from quantdesk.orders.halts import Halts
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours
from quantdesk.orders.halts.status import Status
from quantdesk.orders.order import Order, OrderType
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing.config import Conditions, RoutingConfig
from quantdesk.orders.routing.router import SmartOrderRouter
from quantdesk.orders.rulebook import Rulebook, bundled

__all__ = ["DeskConfig", "World", "day_of", "last_day", "working"]

_UNSTOPPED = {OrderType.STOP: OrderType.MARKET, OrderType.STOP_LIMIT: OrderType.LIMIT}


@dataclass(frozen=True, slots=True)
class DeskConfig:
    """How a desk works.

    Attributes
    ----------
    use
        ``research``: what cannot be known warns. ``live``: it blocks.
    cash
        Micro-dollars with which the account begins.
    rounds
        How often the rest of an order is routed again after quotes that were gone on arrival.
    seed
        Of the router.
    book
        The rules.
    routing
        How the router weighs.
    broker
        Name of the broker that takes whole orders, or empty: then they are routed over venues.
    """

    use: Literal["research", "live"] = "research"
    cash: int = 0
    rounds: int = 8
    seed: int = 0
    book: Rulebook = field(default_factory=bundled)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    broker: str = ""


@dataclass(slots=True)
class World:
    """Everything that is not the desk's own.

    Attributes
    ----------
    gateway, halts, guardrails, facts, config
        See :class:`~quantdesk.orders.desk.Desk`.
    """

    gateway: Gateway
    halts: Halts
    guardrails: Guardrails
    facts: FactsOf
    config: DeskConfig
    router: SmartOrderRouter = field(init=False)

    def __post_init__(self) -> None:
        self.router = SmartOrderRouter(config=self.config.routing, book=self.config.book)

    def now(self) -> int:
        """The gateway's clock."""
        return self.gateway.now()

    def shown(self, symbol: str) -> Quotes | None:
        """The books now; None where the gateway cannot be reached.

        Raises
        ------
        UnknownName
            The gateway has no such symbol.
        """
        try:
            return self.gateway.quotes(symbol)
        except GatewayDown:
            return None

    def quotes(self, symbol: str) -> Quotes | None:
        """The books now; None where the gateway cannot be reached or has no such symbol."""
        try:
            return self.shown(symbol)
        except UnknownName:
            return None

    def stopped(self, symbol: str) -> str:
        """Why nothing can trade now; empty where it can."""
        at = self.now()
        market, own = self.halts.market_halt(at), self.halts.status(symbol, at)
        if market is not None and market.is_halted:
            return f"The market is halted: {market.message}"
        if own.is_halted or (own.status is Status.UNKNOWN and self.config.use == "live"):
            return f"{symbol} is {own.status.lower()}: {own.message}"
        return ""

    def sets_off(self, symbol: str) -> bool:
        """Whether stops may go off now: in the regular session alone, and not in a halt."""
        return self.halts.phase(symbol, self.now()).trades and not self.stopped(symbol)

    def situation(self, symbol: str, quotes: Quotes | None, state: DeskState, *, triggered: bool = False) -> Situation:
        """What guardrails are shown: the account of the ledger, the quotes, what is halted; whether a stop went off."""
        at = self.now()
        facts, restricted = self.facts(symbol), state.short_sale_restrictions.get(symbol)
        return Situation(
            at=at,
            use=self.config.use,
            portfolio=state.portfolio,
            quotes=quotes,
            halt=self.halts.status(symbol, at),
            market_halt=self.halts.market_halt(at),
            bands=self.halts.bands(symbol, at),
            phase=str(self.halts.phase(symbol, at)),
            short_sale_restricted=restricted is not None and day_of(at) <= restricted,
            previous_close=facts.previous_close,
            average_daily_volume=facts.average_daily_volume,
            recent=state.recent,
            rules=day_rules(self.config.book, day_of(at)),
            kill=state.kills,
            resting=state.resting(symbol),
            triggered=triggered,
        )

    def check(self, order: Order, quotes: Quotes | None, state: DeskState, *, triggered: bool = False) -> Decision:
        """Ask the guardrails. A stop that went off is no new message of its user."""
        return self.guardrails.check(order, self.situation(order.symbol, quotes, state, triggered=triggered))

    def route(self, state: OrderState, quotes: Quotes) -> Any:
        """Decide on the next round of an order: a receipt with children."""
        order = state.order
        prefix = f"{state.order_id}.{len(state.receipts) + 1}"
        if self.config.broker:
            return direct(order, quotes, prefix, state.leaves, self.config.broker)
        facts = self.facts(order.symbol)
        known = Conditions(facts.average_daily_volume, facts.daily_volatility or None, facts.listing)
        return self.router.route(
            working(order, state.leaves), quotes, order_id=prefix, seed=self.config.seed, conditions=known
        )


def working(order: Order, shares: int) -> Order:
    """What of an order goes to the market: some of its shares, without the stop price that was reached."""
    return Order(
        order.symbol,
        order.action,
        shares,
        order_type=_UNSTOPPED.get(order.order_type, order.order_type),
        limit_price=order.limit_price,
        time_in_force=order.time_in_force,
        urgency=order.urgency,
        user_id=order.user_id,
    )


def day_of(at: int) -> dt.date:
    """The day in New York of a moment in nanoseconds."""
    return moment(at).astimezone(NEW_YORK).date()


def last_day(at: int) -> dt.date:
    """The day on which an order ends that came at a moment in nanoseconds: that of the session then, or of the next."""
    day = day_of(at)
    while (hours := regular_hours(day)) is None or hours.closes <= moment(at):
        day += dt.timedelta(days=1)
    return day
