"""The smart order router: a parent order and the books in, child orders and a receipt out. Pure but for its clock.

>>> from quantdesk.orders.order import Action, Order
>>> from quantdesk.orders.quotes import Quotes
>>> at = 1_795_446_000_000_000_000  # 2026-11-23 15:00 UTC
>>> books = {"Nasdaq": (99_990_000, 300, 100_000_000, 200), "IEX": (99_990_000, 100, 100_000_000, 100)}
>>> quotes = Quotes.of("AAPL", at, books)
>>> receipt = SmartOrderRouter().route(Order("AAPL", "buy", 250), quotes, order_id="A1")
>>> [(child.venue, child.shares, child.limit) for child in receipt.children]
[('IEX', 100, 100000000), ('Nasdaq', 150, 100000000)]
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import SECOND, moment
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.orders.order import Action, Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing import layout as at
from quantdesk.orders.routing.batch import Books, Parents, Splits, split_many
from quantdesk.orders.routing.children import children_of
from quantdesk.orders.routing.config import Conditions, RoutingConfig
from quantdesk.orders.routing.day import Day
from quantdesk.orders.routing.decide import decide
from quantdesk.orders.routing.receipt import Inputs, Receipt
from quantdesk.orders.routing.terms import Terms, directory
from quantdesk.orders.rulebook import Rulebook, bundled

__all__ = ["SmartOrderRouter"]

_HOUR = 3600 * SECOND
_KEPT = 1024
_NOTHING = Conditions()


class SmartOrderRouter:
    """Splits parent orders over venues at the least expected cost.

    It keeps nothing between two orders but what it has prepared of terms, so that one router serves many threads.

    Parameters
    ----------
    terms
        Of the venues that it may send to. When left out, those of the rulebook on the day of the quotes.
    config
        See :class:`~quantdesk.orders.routing.RoutingConfig`.
    book
        The rulebook; the bundled one when left out.
    desk_at
        The data centre from which the desk sends, for terms from the rulebook.
    clock
        Nanoseconds, for `routing_time_ns` alone: nothing is decided by it.

    Raises
    ------
    BadInput
        Two terms of one venue.
    """

    def __init__(
        self,
        terms: Sequence[Terms] | None = None,
        config: RoutingConfig | None = None,
        *,
        book: Rulebook | None = None,
        desk_at: str = "Secaucus",
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.config = config or RoutingConfig()
        self._book = book or bundled()
        self._terms = None if terms is None else tuple(terms)
        if self._terms is not None:
            Day(self._terms, (), True, self.config)  # so that a venue that is given twice is refused now
        self._desk_at = desk_at
        self._clock = clock
        self._days: dict[int, Day] = {}

    def day(self, moment_ns: int) -> Day:
        """What holds at a moment (nanoseconds since 1970, UTC); looked up once an hour of market time.

        Raises
        ------
        BadDates
            No terms were given, and the rulebook does not reach back to that day.
        """
        hour = moment_ns // _HOUR  # New York's days begin on the hour
        found = self._days.get(hour)
        if found is None:
            on = _new_york(moment_ns)
            terms = self._terms
            if terms is None:
                terms = directory(on, self._book, desk_at=self._desk_at, earliest=self.config.earliest_terms)
            if len(self._days) >= _KEPT:
                self._days.clear()
            found = self._days[hour] = Day.of(on, self._book, terms, self.config)
        return found

    def warm_up(self) -> None:
        """Compile the loop now, or load what was compiled before, so that the first order does not wait for it.

        It takes some ten seconds, once for each machine and version; after that a fraction of a second.
        """
        terms = Terms("warm-up", 0, 0, 0, 0, True, 0.0)
        quotes = Quotes("A", 0, [terms.venue], [1_000_000], [1], [2_000_000], [1])
        decide(Inputs(Order("A", Action.BUY, 1), quotes, Day((terms,), (), True, self.config), _NOTHING, True, 0))

    def route(
        self,
        order: Order,
        quotes: Quotes,
        *,
        order_id: str,
        protection: bool | None = None,
        seed: int = 0,
        conditions: Conditions = _NOTHING,
    ) -> Receipt:
        """Decide where the parts of an order go.

        Parameters
        ----------
        order
            A market, limit or midpoint order. A stop order is the desk's until its price has traded.
        quotes
            Books as of the decision; its time is that of the receipt.
        order_id
            The children are called ``{order_id}-1``, ``-2`` ...
        protection
            Whether better protected quotes may not be traded through; when left out, as the rulebook says for that day.
        seed
            Decides between venues that are worth exactly the same.
        conditions
            What is known of the stock.

        Returns
        -------
        Receipt
            With no children, and the reason, where the market is empty, one-sided or crossed, or nothing can be sent.

        Raises
        ------
        BadInput
            A stop order, or quotes of another symbol.
        BadDates
            See :meth:`day`.
        """
        began = self._clock()
        if order.symbol != quotes.symbol:
            raise BadInput(
                f"The order is for {order.symbol}, the quotes are of {quotes.symbol}.", "Give its own quotes."
            )
        day = self.day(quotes.at)
        protect = day.protection if protection is None else bool(protection)
        inputs = Inputs(order, quotes, day, conditions, protect, seed)
        found = decide(inputs)
        children = children_of(order, order_id, quotes.venues, found, conditions.listing)
        return Receipt(order_id, children, inputs, found, self._clock() - began)

    def route_many(self, parents: Parents, books: Books) -> Splits:
        """Decide many orders of one day: the same splits as one by one, without receipts.

        Parameters
        ----------
        parents
            The orders, their seeds and what is known of each stock.
        books
            One for each order.

        Raises
        ------
        BadInput
            Shapes that do not fit, or orders of several days.
        BadDates
            See :meth:`day`.
        """
        times = parents.numbers[:, at.O_AT]
        first, last = (int(times.min()), int(times.max())) if len(parents) else (0, 0)
        if _new_york(first) != _new_york(last):
            raise BadInput(f"Orders from {_new_york(first)} to {_new_york(last)}.", "Give those of one day at a time.")
        return split_many(parents, books, self.day(first))


def _new_york(when: int) -> dt.date:
    return moment(when).astimezone(NEW_YORK).date()
