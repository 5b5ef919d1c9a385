"""Several simulated exchanges under one clock: a gateway that a desk can trade with. Pure.

The clock stands still until somebody moves it (:meth:`SimulatedMarket.advance`). An order that is sent now arrives
after the latency of its venue, at the book of that moment; what comes of it is known at once to who asks, and bears the
time at which it happened.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.amounts import SECOND, moment, nanoseconds
from quantdesk.orders.executions import Execution, ExecutionMode
from quantdesk.orders.halts.hours import NEW_YORK, regular_hours
from quantdesk.orders.halts.status import Halts
from quantdesk.orders.order import Action, Child, TimeInForce
from quantdesk.orders.quotes import Nbbo, Quotes
from quantdesk.orders.routing.terms import Terms, directory
from quantdesk.orders.symbols import canonical
from quantdesk.orders.venues.impact import Impact, Pressure
from quantdesk.orders.venues.intake import Frames, sessions_of
from quantdesk.orders.venues.place import HaltPolicy
from quantdesk.orders.venues.reports import Reports
from quantdesk.orders.venues.shape import Shape
from quantdesk.orders.venues.simulated import Conditions, SimulatedVenue
from quantdesk.orders.venues.sources import BarSource, Books, Source, StillSource
from quantdesk.orders.venues.tape import Tape, nbbo_of, tape_of

__all__ = ["SimulatedMarket"]


class SimulatedMarket:
    """Simulated venues as a :class:`~quantdesk.orders.executions.Gateway`.

    Parameters
    ----------
    source
        The flow; its venues must be among `terms`.
    terms
        Of the venues.
    at
        Where the clock begins: nanoseconds since 1970 (UTC).
    seed
        Of what is left to chance in the books: which orders of the background are cancelled.
    halts
        What stops trading; None for nothing.
    policy
        What happens to orders that arrive in a halt.

    Raises
    ------
    UnknownName
        A venue of the source has no terms.
    """

    def __init__(
        self,
        source: Source,
        terms: Sequence[Terms],
        at: int,
        *,
        seed: int = 0,
        halts: Halts | None = None,
        policy: HaltPolicy = HaltPolicy.QUEUE,
    ) -> None:
        by_name = {one.venue: one for one in terms}
        for name in source.venues:
            if name not in by_name:
                raise UnknownName("venue", name, by_name)
        self._source = source
        self._now = at
        self._halts = halts
        self._pressures: dict[str, Pressure] = {}
        self.reports = Reports({name: by_name[name] for name in source.venues})
        conditions = Conditions(source, self.reports, self._pressure, halts, HaltPolicy(policy), seed)
        self.venues = {name: SimulatedVenue(by_name[name], conditions, at) for name in source.venues}

    @classmethod
    def of_bars(
        cls,
        bars: Frames,
        on: dt.date,
        seed: int,
        *,
        venues: Sequence[Terms] | None = None,
        halts: Halts | None = None,
        shape: Shape | None = None,
    ) -> SimulatedMarket:
        """A market whose quotes and trades are made from bars. The clock begins at the opening of a day.

        Parameters
        ----------
        bars
            Daily or intraday: see :func:`quantdesk.orders.venues.intake.sessions_of`. Those of later days follow when
            the clock gets there.
        on
            The day, in New York; it also decides on which terms the venues trade.
        seed
            A whole number of at least 0. The same one gives the same market, to the byte.
        venues
            Terms; those of the rulebook on that day when left out (of its oldest day, if the day is before it).
        halts
            What stops trading. What is known of it when a session is first looked at shapes its flow: nothing is quoted
            and nothing prints in a halt. What is added later stops fills all the same.
        shape
            Parameters of the flow.

        Raises
        ------
        BadInput, BadDates
            See :func:`quantdesk.orders.venues.intake.sessions_of`; no session on that day; a seed that is none.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise BadInput(f"The seed {seed!r}.", "Give a whole number of at least 0.")
        hours = regular_hours(on)
        if hours is None:
            raise BadDates(f"The exchanges were closed on {on}.", "Give the day of a session.")
        terms = directory(on, earliest=True) if venues is None else tuple(venues)
        sessions = sessions_of(bars)
        opens = nanoseconds(hours.opens)
        if not any(one.opens == opens for days in sessions.values() for one in days):
            raise BadDates(f"No bars are of {on}.", "Give a day that the bars have.")
        stopped = None if halts is None else _stopped(halts)
        source = BarSource(sessions, [one.venue for one in terms], seed, shape=shape, stopped=stopped)
        return cls(source, terms, opens, seed=seed, halts=halts)

    @classmethod
    def static(
        cls,
        books: Books,
        at: int | dt.datetime,
        *,
        venues: Sequence[Terms] | None = None,
        halts: Halts | None = None,
        later: Sequence[tuple[int, Books]] = (),
        impact: Mapping[str, Impact] | None = None,
    ) -> SimulatedMarket:
        """A market that stands still: what is displayed is what there is, and it stays so until somebody takes it.

        Parameters
        ----------
        books
            Symbol to venue to (bid, bid size, ask, ask size). Whole numbers as prices are micro-dollars; text, floats
            and Decimals are dollars.
        at
            The moment, aware or in nanoseconds.
        venues
            Terms; those of the rulebook on that day when left out.
        halts
            What stops trading.
        later
            Moments in nanoseconds, and the books that are replaced then: for latency races.
        impact
            By symbol: what lies behind the displayed books; nothing when left out.
        """
        began = at if isinstance(at, int) else nanoseconds(at)
        day = moment(began).astimezone(NEW_YORK).date()
        terms = directory(day, earliest=True) if venues is None else tuple(venues)
        return cls(StillSource(books, began, later=later, impact=impact), terms, began, halts=halts)

    # --------------------------------------------------------------------------------------------- as a gateway

    @property
    def mode(self) -> ExecutionMode:
        """Simulated."""
        return ExecutionMode.SIMULATED

    def now(self) -> int:
        """The simulated clock: nanoseconds since 1970 (UTC)."""
        return self._now

    def quotes(self, symbol: str) -> Quotes:
        """The displayed books now, best levels first; nothing where it is halted or closed.

        Raises
        ------
        UnknownName
            It is not traded here.
        """
        name = self._known(symbol)
        books = [venue.listing(name).depth(self._now) for venue in self.venues.values()]
        width = max(1, *(max(len(bids), len(offers)) for bids, offers, _ in books))
        table = np.zeros((2, len(books), width, 2), dtype=np.int64)
        for row, (bids, offers, _) in enumerate(books):
            table[0, row, : len(bids)] = np.array(bids, dtype=np.int64).reshape(-1, 2)
            table[1, row, : len(offers)] = np.array(offers, dtype=np.int64).reshape(-1, 2)
        (bid, bid_size), (ask, ask_size) = ((side[..., 0], side[..., 1]) for side in table)
        since = [min(book[2], self._now) for book in books]
        return Quotes(name, self._now, tuple(self.venues), bid, bid_size, ask, ask_size, since)

    def send(self, child: Child) -> Sequence[Execution]:
        """Send an order. One whose client id is known already is not taken again: what is known of it is told.

        Raises
        ------
        UnknownName
            No such venue or symbol; it was not sent.
        BadInput
            What stands in it is no order; it was not sent.
        """
        known = self.reports.of(child.client_id)
        if known is not None:
            return self.executions(child.client_id) or known
        if child.venue not in self.venues:
            raise UnknownName("venue", child.venue, self.venues)
        self._known(child.symbol)
        _check(child)
        return self.venues[child.venue].send(child, self._now)

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """Ask for the cancelling of what is left; what has happened by the time at which the request arrives.

        Nothing for an order that never arrived.
        """
        child = self.reports.children.get(client_id)
        return () if child is None else self.venues[child.venue].cancel(client_id, self._now)

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """Everything that happened to an order so far; None where it never arrived."""
        child = self.reports.children.get(client_id)
        if child is None:
            return None
        self.venues[child.venue].listing(child.symbol).advance(self._now)
        return self.reports.of(client_id)

    def open_children(self) -> Sequence[str]:
        """The client ids of what is open, in the order of arrival."""
        for venue in self.venues.values():
            venue.advance(self._now)
        return self.reports.open

    # ------------------------------------------------------------------------------------------------ as a world

    def advance(self, to: int | dt.datetime) -> tuple[Execution, ...]:
        """Move the clock; what happened to orders on the way, by time.

        Raises
        ------
        BadDates
            The moment is before the present one, or has no time zone.
        """
        until = to if isinstance(to, int) else nanoseconds(to)
        if until < self._now:
            raise BadDates(f"The clock stands at {moment(self._now)}, after {moment(until)}.", "It goes forwards only.")
        known = {name: len(self.reports.of(name) or ()) for name in self.reports.open}
        self._now = until
        if not known:
            return ()  # nobody needs to know yet what goes on
        for venue in self.venues.values():
            venue.advance(until)
        found = [report for name, number in known.items() for report in self.reports.since(name, number)]
        return tuple(sorted(found, key=lambda report: report.at))

    def ahead(self, client_id: str) -> int | None:
        """Shares that trade before a resting order, at its price and venue; None where it does not rest."""
        child = self.reports.children.get(client_id)
        return None if child is None else self.venues[child.venue].listing(child.symbol).ahead(client_id)

    def tape(self, symbol: str, at: int | None = None) -> Tape:
        """Quotes and trades until a moment (now, when left out), of its session, or of the last one before it.

        Raises
        ------
        BadDates
            The moment has not come yet, or lies before the first session.
        """
        when = self._now if at is None else at
        name = self._known(symbol)
        flow = self._source.begun(name, self._past(when))
        if flow is None:
            raise BadDates(f"No session of {name} had begun by {moment(when)}.", "Give a later moment.")
        return tape_of(flow, self._pressure(name), when)

    def nbbo_at(self, symbol: str, at: int) -> Nbbo:
        """The national best at a moment up to now; zeros where nobody quoted.

        Raises
        ------
        BadDates
            The moment has not come yet.
        """
        name = self._known(symbol)
        flow = self._source.begun(name, self._past(at))
        return Nbbo(0, 0, 0, 0) if flow is None else nbbo_of(flow, self._pressure(name), at)

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded."""
        return self._source.symbols

    def _past(self, at: int) -> int:
        if at > self._now:
            raise BadDates(
                f"{moment(at)} has not come yet: the clock stands at {moment(self._now)}.", "Advance it first."
            )
        return at

    def _known(self, symbol: str) -> str:
        name = canonical(symbol)
        if name not in self._source.symbols:
            raise UnknownName("symbol", name, self._source.symbols)
        return name

    def _pressure(self, symbol: str) -> Pressure:
        return self._pressures.setdefault(symbol, Pressure(int(self._source.shape.recovery_s * SECOND)))


def _check(child: Child) -> None:
    """Refuse what would be misread: "buy" as text is not ``Action.BUY``, and would sell."""
    right = isinstance(child.action, Action) and isinstance(child.time_in_force, TimeInForce)
    if not right or not isinstance(child.shares, int) or not isinstance(child.limit, int):
        raise BadInput(f"{child} is no order.", "Give an Action, a TimeInForce, whole shares and micro-dollars.")
    if child.shares <= 0 or child.limit < 0:
        raise BadInput(f"An order of {child.shares} shares at {child.limit}.", "Give shares above 0 and a price.")


def _stopped(halts: Halts) -> Callable[[str, int], bool]:
    def stopped(symbol: str, at: int) -> bool:
        return halts.market_halt(at) is not None or halts.status(symbol, at).is_halted

    return stopped
