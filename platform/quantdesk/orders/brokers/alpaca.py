"""Orders to Alpaca, through ``alpaca-py``. An edge module: the network and the clock.

Every child carries its client id as Alpaca's ``client_order_id``, and Alpaca takes each of those once. So an order
whose answer was lost is asked for by it, never sent under another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import dollars, moment
from quantdesk.orders.brokers.config import AlpacaConfig
from quantdesk.orders.brokers.latest import book
from quantdesk.orders.brokers.reconcile import Statement
from quantdesk.orders.brokers.reports import (
    VENUE,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    is_of,
    leaves,
    read,
    reports,
    shares_by_symbol,
    traded,
)
from quantdesk.orders.brokers.sdk import (
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderSide,
    QueryOrderStatus,
    Sort,
    StockHistoricalDataClient,
    TradingClient,
)
from quantdesk.orders.brokers.sdk import TimeInForce as AlpacaTime
from quantdesk.orders.brokers.transport import Refusal, call, prepare
from quantdesk.orders.executions import Execution, ExecutionMode, GatewayDown, Kind
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.symbols import canonical

__all__ = ["AlpacaGateway"]

_TIMES = {
    TimeInForce.DAY: AlpacaTime.DAY,
    TimeInForce.IOC: AlpacaTime.IOC,
    TimeInForce.OPENING: AlpacaTime.OPG,
    TimeInForce.CLOSING: AlpacaTime.CLS,
}
_LONGEST_ID = 128
_PAGE = 500
_ACTIVITIES = 100
_PAUSE = 0.1
_DAY = timedelta(days=1)
_MARGIN = timedelta(seconds=5)
"""Fills are looked for from this long before an order was taken: the clocks of the two lists may differ."""


class AlpacaGateway:
    """A :class:`~quantdesk.orders.executions.Gateway` to an account at Alpaca.

    It is the paper account, unless real money is asked for twice.

    Parameters
    ----------
    config
        Keys, addresses, timeouts; from the environment when left out.
    mode
        ``paper``, or ``live`` together with ``QUANTDESK_ALPACA_LIVE``.
    clock
        Nanoseconds since 1970 (UTC).

    Raises
    ------
    BadInput
        The keys are missing, or mode and settings do not fit.
    """

    def __init__(
        self,
        config: AlpacaConfig | None = None,
        mode: ExecutionMode = ExecutionMode.PAPER,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._config = (AlpacaConfig.from_env() if config is None else config).checked(mode)
        self._mode = mode
        self._clock = clock
        key, secret = self._config.key, self._config.secret
        keys: dict[str, Any] = {
            "api_key": key.get_secret_value() if key else None,
            "secret_key": secret.get_secret_value() if secret else None,
            "raw_data": True,
        }
        paper = mode is ExecutionMode.PAPER
        self._trading = TradingClient(**keys, paper=paper, url_override=_base(self._config.url))
        self._data = StockHistoricalDataClient(**keys, url_override=_base(self._config.data_url))
        for client in (self._trading, self._data):
            prepare(client, self._config.connect_timeout, self._config.timeout)
        # Until then, a request that was sent and never answered may still arrive: one of this process, or one of a
        # process that ended just before this one began.
        self._certain_from = time.monotonic() + self._config.settle
        self._doubtful: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"AlpacaGateway(mode={str(self._mode)!r})"

    @property
    def mode(self) -> ExecutionMode:
        """Paper or live."""
        return self._mode

    def now(self) -> int:
        """The clock of this machine: nanoseconds since 1970 (UTC)."""
        return self._clock()

    def quotes(self, symbol: str) -> Quotes:
        """The latest quote of the market data API, as the book of one venue ``ALPACA``.

        Raises
        ------
        GatewayDown
            It cannot be asked, or the answer is no quote.
        UnknownName
            It has no quote of that symbol.
        """
        name = canonical(symbol)
        wanted = {"symbols": name, **({"feed": self._config.feed} if self._config.feed else {})}
        try:
            answer = call(lambda: self._data.get("/stocks/quotes/latest", wanted))
        except Refusal as refusal:
            if refusal.status in (400, 404, 422):
                raise UnknownName("symbol", name, ()) from refusal
            raise GatewayDown(str(refusal), sent=True) from refusal
        found = call(lambda: book(name, answer, self._config.quote_lot, self.now()))
        if found is None:
            raise UnknownName("symbol", name, ())
        quotes: Quotes = found
        return quotes

    def send(self, child: Child) -> Sequence[Execution]:
        """Send a child; what happened so far. Orders that trade at once are waited for, for a moment.

        A client id that Alpaca knows is not taken a second time: what came of the first is told instead.

        Raises
        ------
        GatewayDown
            It may or may not have arrived, as `sent` says.
        BadInput
            The client id is too long for Alpaca.
        """
        if not 0 < len(child.client_id) <= _LONGEST_ID:
            raise BadInput(
                f"The client id {child.client_id!r:.50} cannot be sent.", "Alpaca takes 1 to 128 characters."
            )
        if child.peg:
            return [self._rejected(child, "Alpaca takes no midpoint pegs")]
        request = _request(child)
        try:
            order = _one(call(lambda: self._trading.submit_order(request)))
        except Refusal as refusal:
            known = self._after_refusal(child, refusal)
            if known is None:
                return [self._rejected(child, refusal.message)]
            order = known
        except GatewayDown as down:
            if down.sent:
                self._doubtful[child.client_id] = time.monotonic() + self._config.settle
            raise
        if not is_of(order, child):
            raise GatewayDown(f"Alpaca has another order under the client id {child.client_id}.", sent=True)
        at_once = child.time_in_force is TimeInForce.IOC or (not child.limit and child.time_in_force is TimeInForce.DAY)
        try:
            return self._settled(order, wait=at_once)
        except GatewayDown:
            # It was taken; what became of it is asked for later.
            return reports(order, ())[:1]

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """Ask for the cancelling of what is left; everything that happened to the child so far.

        Raises
        ------
        GatewayDown
            It cannot be asked.
        """
        order = self._find(client_id)
        if order is None:
            return ()
        if order.is_open:
            try:
                call(lambda: self._trading.cancel_order_by_id(order.id))
            except Refusal as refusal:
                # 422: it is filled or cancelled already, which the reports say.
                if refusal.status not in (404, 422):
                    raise GatewayDown(str(refusal), sent=True) from refusal
        return self._settled(self._find(client_id) or order, wait=True)

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """Everything that happened to a child so far; None where it never arrived.

        "No such order" counts only when a request that was lost can be under way no longer: until then this waits.

        Raises
        ------
        GatewayDown
            It cannot be asked.
        """
        until = max(self._certain_from, self._doubtful.get(client_id, 0.0))
        while (order := self._find(client_id)) is None:
            left = until - time.monotonic()
            if left <= 0:
                break
            # The last look comes after the end, not just before it.
            time.sleep(min(_PAUSE, left) + 0.001)
        self._doubtful.pop(client_id, None)
        return None if order is None else self._reports(order)

    def open_children(self) -> Sequence[str]:
        """The client ids of all open orders of the account, whoever sent them."""
        return [order.client_order_id for order in self._orders(QueryOrderStatus.OPEN, None)]

    def statement(self, since: int) -> Statement:
        """The account's own list: open orders, positions, and the fills from a moment on.

        Parameters
        ----------
        since
            Nanoseconds since 1970 (UTC).

        Raises
        ------
        GatewayDown
            It cannot be asked.
        """
        start = moment(since)
        positions, fills = self._ask(self._trading.get_all_positions), self._fills(start)
        # An order is older than its fills, by a day at most: none of ours lives longer.
        owners = {order.id: order.client_order_id for order in self._orders(QueryOrderStatus.ALL, start - _DAY)}
        still_open = self._orders(QueryOrderStatus.OPEN, None)
        statement: Statement = call(
            lambda: Statement(
                open_orders={order.client_order_id: leaves(order) for order in still_open},
                positions=shares_by_symbol(read(BrokerPosition, positions)),
                fills={fill.id: (owners.get(fill.order_id, fill.order_id), *traded(fill)) for fill in fills},
            )
        )
        return statement

    # ------------------------------------------------------------------------------------------------------ inside

    def _after_refusal(self, child: Child, refusal: Refusal) -> BrokerOrder | None:
        """The order, if Alpaca has it for all its refusing; None where the refusal stands.

        Raises
        ------
        GatewayDown
            Neither is certain.
        """
        if refusal.status == 401 or (refusal.status == 403 and not refusal.code):
            raise GatewayDown(f"Alpaca does not accept the keys: {refusal.message}", sent=False) from refusal
        if refusal.status not in (400, 403, 404, 422):
            self._doubtful[child.client_id] = time.monotonic() + self._config.settle
            raise GatewayDown(str(refusal), sent=True) from refusal
        try:
            order = self._find(child.client_id)
        except GatewayDown as down:
            raise GatewayDown(f"{refusal}; then: {down}", sent=True) from down
        if order is None and "unique" in refusal.message:
            raise GatewayDown(f"{refusal}, and does not know it when asked.", sent=True) from refusal
        return order

    def _rejected(self, child: Child, why: str) -> Execution:
        at, name = self.now(), f"{child.client_id}:rejected"
        return Execution(name, child.client_id, Kind.REJECTED, at, VENUE, text=why or "Alpaca gave no reason")

    def _settled(self, order: BrokerOrder, *, wait: bool) -> Sequence[Execution]:
        """The reports of an order, once it has ended and all its fills are listed, or patience has."""
        until = time.monotonic() + (self._config.patience if wait else 0)
        while True:
            told = self._reports(order)
            if _is_complete(order, told) or time.monotonic() >= until:
                return told
            time.sleep(_PAUSE)
            order = self._find(order.client_order_id) or order

    def _reports(self, order: BrokerOrder) -> Sequence[Execution]:
        fills = self._fills(order.submitted_at - _MARGIN) if order.filled_qty else []
        told: Sequence[Execution] = call(lambda: reports(order, fills))
        return told

    def _ask(self, request: Callable[[], Any]) -> Any:
        try:
            return call(request)
        except Refusal as refusal:
            raise GatewayDown(str(refusal), sent=True) from refusal

    def _find(self, client_id: str) -> BrokerOrder | None:
        try:
            order = _one(call(lambda: self._trading.get_order_by_client_id(client_id)))
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise GatewayDown(str(refusal), sent=True) from refusal
        if order.client_order_id != client_id:
            raise GatewayDown("Alpaca answered with another order.", sent=True)
        return order

    def _fills(self, since: datetime) -> list[BrokerFill]:
        """Fills of the account from a moment on."""
        found: list[BrokerFill] = []
        wanted = {
            "after": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "direction": "asc",
            "page_size": str(_ACTIVITIES),
        }
        while True:
            page = self._ask(partial(self._trading.get, "/account/activities/FILL", dict(wanted)))
            rows: list[BrokerFill] = call(partial(read, BrokerFill, page))
            found += rows
            if len(rows) < _ACTIVITIES or rows[-1].id == wanted.get("page_token"):
                return found
            wanted["page_token"] = rows[-1].id

    def _orders(self, status: QueryOrderStatus, since: datetime | None) -> list[BrokerOrder]:
        """Orders of the account, the oldest first."""
        found: dict[str, BrokerOrder] = {}
        while True:
            wanted = GetOrdersRequest(status=status, limit=_PAGE, direction=Sort.ASC, after=since)
            page = self._ask(partial(self._trading.get_orders, wanted))
            rows: list[BrokerOrder] = call(partial(read, BrokerOrder, page))
            fresh = [order for order in rows if order.id not in found]
            found |= {order.id: order for order in fresh}
            if len(rows) < _PAGE or not fresh:
                return list(found.values())
            # A microsecond before the last one: others may have been taken in the same.
            since = rows[-1].submitted_at - timedelta(microseconds=1)


def _base(url: str | None) -> str | None:
    return None if url is None else url.rstrip("/")


def _one(given: Any) -> BrokerOrder:
    order: BrokerOrder = call(lambda: read(BrokerOrder, [given]))[0]
    return order


def _request(child: Child) -> MarketOrderRequest | LimitOrderRequest:
    # Alpaca knows two sides: a sale of what the account does not hold is a short one.
    asked: dict[str, Any] = {
        "symbol": child.symbol,
        "qty": child.shares,
        "side": OrderSide.BUY if child.action is Action.BUY else OrderSide.SELL,
        "time_in_force": _TIMES[child.time_in_force],
        "client_order_id": child.client_id,
    }
    if not child.limit:
        return MarketOrderRequest(**asked)
    return LimitOrderRequest(**asked, limit_price=float(dollars(child.limit)))


def _is_complete(order: BrokerOrder, told: Sequence[Execution]) -> bool:
    if order.status == "filled":
        return sum(report.shares for report in told if report.kind is Kind.FILL) == order.qty
    return told[-1].kind.is_final
