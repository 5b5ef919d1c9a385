"""One symbol at one venue: its book, the flow around it, and one's own orders in it. Pure.

Time moves in the steps of the flow. While no order of one's own rests here, nobody needs to know what happened between
two looks, and the book is made afresh for the step that holds. From the arrival of an order on, every step and every
trade is played, so that its place in the queue is its own history. Both ways depend only on the flow and on the
orders that were sent, never on who looked when.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from quantdesk.orders.amounts import dollars, moment
from quantdesk.orders.executions import Kind
from quantdesk.orders.halts.hours import local_date
from quantdesk.orders.order import Child, TimeInForce
from quantdesk.orders.venues.background import Targets
from quantdesk.orders.venues.book import Book, Fill, Priority, Side
from quantdesk.orders.venues.flow import Flow
from quantdesk.orders.venues.matching import HIGHEST
from quantdesk.orders.venues.place import HaltPolicy, Place
from quantdesk.orders.venues.replay import GOLDEN, Run
from quantdesk.orders.venues.screen import Screen, halt_code

__all__ = ["Listing"]

_CLOSED = "the market is closed"
_ROOM = 160
"""Orders for which a book has room at first: more than a usual background has."""
_PART = 512
"""Steps that are looked through at a time for halts and bands."""


@dataclass(slots=True)
class _Own:
    """One's own order; a handle of 0 waits: for the open, for the end of a halt, or for bands that hold its price."""

    child: Child
    left: int
    handle: int = 0
    price: int = 0


class Listing:
    """The book of one symbol at one venue, as time goes on.

    Parameters
    ----------
    place
        See :class:`Place`.
    at
        The moment at which it begins: nanoseconds since 1970 (UTC).
    """

    def __init__(self, place: Place, at: int) -> None:
        self.place = place
        self.clock = at
        self._own: dict[int, _Own] = {}
        self._numbers: dict[str, int] = {}
        self._next = 1
        self._start(place.source.flow(place.symbol, at))

    def _start(self, flow: Flow | None) -> None:
        """A session begins, or waits to begin; None after the last one."""
        self._flow = flow
        self._done = 0
        self._auctioned = False
        self._fresh: Targets | None = None
        self._book: Book | None = None
        if flow is None:
            return
        place = self.place
        hidden = place.reports.terms[place.venue].hidden_share
        self._screen = Screen(flow, place.venue, place.pressure, place.halts, hidden)
        name = f"{place.seed}/{place.symbol}/{place.venue}/{flow.opens}"
        self._seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big")

    @property
    def book(self) -> Book:
        """The orders that are there; made when somebody looks."""
        if self._book is None:
            self._book = Book(_ROOM)
        return self._book

    # ------------------------------------------------------------------------------------------------- time

    def advance(self, to: int) -> None:
        """Play everything up to a moment, which is included. A moment that is past changes nothing."""
        while self._flow is not None and self.clock <= to:
            until = min(to, self._flow.closes - 1)
            if self._own:
                self._walk(self._flow, until)
            else:
                self._jump(self._flow, until)
            if to < self._flow.closes:
                break
            self._close(self._flow)
            # No order of one's own outlives a session: those in between had nothing to see.
            self._start(self.place.source.flow(self.place.symbol, to))
        self.clock = max(self.clock, to)

    def _walk(self, flow: Flow, to: int) -> None:
        """Play every step while orders of one's own are here: the history of the queue is that of an order in it."""
        screen, steps = self._screen, len(flow.at)
        while self._own:
            part = min(to, int(flow.at[min(screen.step + _PART, steps - 1)])) if screen.step + _PART < steps else to
            if self._is_quiet() and screen.is_free(screen.step, part, self._done):
                self._play(flow, part)
            else:
                self._play_slowly(flow, part)
            if part == to:
                break
        if not self._own:
            self._jump(flow, to)
        elif screen.step == steps - 1 and not screen.code_at(to):
            if not screen.holds(to):
                self._show(screen.step, to, 1.0)
            self._retry(to)  # no step follows that would do it

    def _is_quiet(self) -> bool:
        """Whether every order of one's own rests, or waits for the close."""
        return all(own.handle or own.child.time_in_force is TimeInForce.CLOSING for own in self._own.values())

    def _play(self, flow: Flow, to: int) -> None:
        screen = self._screen
        last = flow.step(to)
        while self._own:
            offsets = self.place.pressure.offsets(flow.at[screen.step + 1 : last + 1], flow.impact)
            run = Run(screen.plan, screen.tape, screen.deeper, offsets, flow.tick, flow.shape.levels, screen.step)
            cursor = np.array([screen.step, self._done, screen.offset])
            stopped, fills = self.book.play(run, cursor, to, self._seed, flow.survives)
            step, self._done, offset = cursor.tolist()
            if step > screen.step:
                screen.go(step, int(flow.at[step]), offset)
                self._auctioned = True
            self._settle(fills, stopped)
            if not fills:
                break

    def _play_slowly(self, flow: Flow, to: int) -> None:
        """The same with halts, bands and orders that wait."""
        last = flow.step(to)
        while self._own and self._screen.step < last:
            step = self._screen.step + 1
            at = int(flow.at[step])
            self._trade(at - 1)
            self._show(step, at, flow.survives)
            self._retry(at)
        self._trade(to)

    def _jump(self, flow: Flow, to: int) -> None:
        """Go to the step that holds: nothing of one's own was there to see the others."""
        last = flow.step(to)
        if last > self._screen.step:
            self._fresh = self._screen.show(last, int(flow.at[last]))
            self._auctioned = self._auctioned or not self._screen.code
        self._done = int(np.searchsorted(self._screen.tape[:, 0], to, side="right"))

    def _build(self, at: int) -> None:
        """Make the book of a step to which one jumped: it is needed now."""
        if self._fresh is not None:
            self._book = None
            self._renew(self._fresh, at, 1.0)

    def _show(self, step: int, at: int, survives: float) -> None:
        """The background shows what the flow says of a step; one's own orders outside of new bands come off."""
        targets = self._screen.show(step, at)
        for own in self._own.values():
            if own.handle and not own.child.peg and not self._screen.allows(own.price):
                self.book.cancel(own.handle)
                own.handle = 0
        self._renew(targets, at, survives)

    def _renew(self, targets: Targets, at: int, survives: float) -> None:
        self._fresh = None
        seed = (self._seed + self._screen.step * GOLDEN) & 0x7FFFFFFFFFFFFFFF
        self.book.peg(0)  # pegs move together with the quotes: none is hit at the midpoint that was
        fills = self.book.renew(targets, survives, seed)
        self._settle(fills + self.book.peg(self._screen.midpoint()), at)

    def _trade(self, to: int) -> None:
        """Market orders of the background until a moment."""
        tape, screen = self._screen.tape, self._screen
        while self._own and self._done < len(tape) and tape[self._done, 0] <= to:
            at, side, price, shares = tape[self._done].tolist()
            self._done += 1
            if screen.step < 0:
                continue
            if not screen.holds(at):
                self._show(screen.step, at, 1.0)
            limit = price + screen.offset
            if not screen.code and screen.allows(limit):
                self._settle(self.book.trade(Side(side), shares, limit), at)

    def _close(self, flow: Flow) -> None:
        """The session is over: closing orders get the close, day orders end."""
        at = flow.closes
        for number in list(self._own):
            own = self._own[number]
            if own.child.time_in_force is TimeInForce.CLOSING and not self._screen.code_at(at - 1):
                self._at_auction(number, int(flow.mid[-1]), at)
            if number in self._own:
                self._end(number, at, "the session is over")

    # ---------------------------------------------------------------------------------------- one's own orders

    def arrive(self, child: Child, at: int) -> None:
        """An order arrives: what happens to it at once is reported."""
        self.advance(at)
        self._build(at)
        reports, flow, kind = self.place.reports, self._flow, child.time_in_force
        reports.arrived(child)
        code = halt_code(self.place.halts, self.place.symbol, at)
        refusal = self._refusal(flow, child, at, code)
        if flow is None or refusal:
            reports.tell(child.client_id, Kind.REJECTED, at, text=refusal or _CLOSED)
            return
        reports.tell(child.client_id, Kind.ACCEPTED, at, shares=child.shares)
        number, self._next = self._next, self._next + 1
        self._own[number] = _Own(child, child.shares)
        self._numbers[child.client_id] = number
        if self._screen.step < 0 or code:
            if kind is TimeInForce.IOC:
                self._end(number, at, code or _CLOSED)
            return  # it waits
        if not self._screen.holds(at):
            self._show(self._screen.step, at, 1.0)
        self._retry(at)  # what waited comes first

    def _refusal(self, flow: Flow | None, child: Child, at: int, code: str) -> str:
        """Why an order is not taken; empty where it is."""
        if flow is None or (at < flow.opens and local_date(moment(at)) != local_date(moment(flow.opens))):
            return _CLOSED
        if child.time_in_force is TimeInForce.OPENING and self._auctioned:
            return "the opening auction is over"
        if child.limit % flow.tick:
            return f"the limit price is off the tick of {dollars(flow.tick)}"
        return code if self.place.policy is HaltPolicy.REJECT else ""

    def cancel(self, client_id: str, at: int) -> None:
        """A request to cancel arrives: what is left ends, if there is anything left by then."""
        self.advance(at)
        number = self._numbers.get(client_id)
        if number is not None:
            self._end(number, at, "")

    def ahead(self, client_id: str) -> int | None:
        """Shares that trade before an order at its price; None where it does not rest."""
        own = self._own.get(self._numbers.get(client_id, 0))
        return None if own is None or not own.handle else self.book.ahead(own.handle)

    @property
    def has_own(self) -> bool:
        """Whether an order of one's own is open here."""
        return bool(self._own)

    def depth(self, at: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
        """What is displayed: bids, offers, and since when. Nothing while it is halted or closed."""
        self.advance(at)
        flow = self._flow
        if flow is None or self._screen.step < 0 or self._screen.code_at(at):
            return [], [], at
        levels = flow.shape.levels
        since = min(at, int(flow.at[self._screen.step]))
        if self._fresh is not None:
            bids, offers = ([(price, size) for price, size in side if size] for side in self._fresh.shown.tolist())
            return bids, offers, since
        return self.book.depth(Side.BUY, levels), self.book.depth(Side.SELL, levels), since

    def _retry(self, at: int) -> None:
        """Orders that wait are tried at each step, and before an order that arrives."""
        flow = self._flow
        if flow is None or self._screen.code:
            return
        first, self._auctioned = not self._auctioned, True
        for number in list(self._own):
            own = self._own.get(number)
            if own is None or own.handle or own.child.time_in_force is TimeInForce.CLOSING:
                continue
            if own.child.time_in_force is TimeInForce.OPENING:
                if first:
                    self._at_auction(number, int(flow.mid[self._screen.step]), at)
                if number in self._own:
                    self._end(number, at, "not executed in the opening auction")
                continue
            self._enter(number, at)

    def _at_auction(self, number: int, price: int, at: int) -> None:
        """An auction executes at the price of the bar, if the limit allows it. There is no limit of size."""
        own = self._own[number]
        child = own.child
        if child.limit == 0 or (child.limit - price) * child.side >= 0:
            self._fill(number, own.left, price, "remove", at)

    def _enter(self, number: int, at: int) -> None:
        """Trade with the displayed, then with what lies behind; then rest, or end."""
        own, screen = self._own[number], self._screen
        child, bands = own.child, screen.bands
        side, other = (Side.BUY, Side.SELL) if child.side > 0 else (Side.SELL, Side.BUY)
        bound = child.limit or (HIGHEST if side is Side.BUY else 1)
        if bands is not None:
            bound = min(bound, bands[1]) if side is Side.BUY else max(bound, bands[0])
        rests = (child.limit > 0 or child.peg) and child.time_in_force is not TimeInForce.IOC
        if child.peg:
            # A peg takes its midpoint where somebody stands there; what is left of it rests.
            entered = self.book.add(side, child.limit and bound, own.left, priority=Priority.PEG, owner=number)
            own.handle = entered.handle
            self._settle(entered.fills, at)
        else:
            self._settle(self.book.take(side, own.left, bound, owner=number).fills, at)
            self._sweep(number, other, bound, at)
            if number in self._own and rests and screen.allows(bound):
                own.handle, own.price = self.book.add(side, bound, own.left, owner=number).handle, bound
        if number in self._own and not rests:
            self._end(number, at, "")

    def _sweep(self, number: int, other: Side, bound: int, at: int) -> None:
        """Trade with what lies behind the displayed, level by level."""
        own = self._own.get(number)
        if own is None:
            return
        if len(self._own) == 1:
            # Nothing of one's own is there to meet what comes up: each level trades as soon as it is there.
            levels = self._screen.behind(other, bound, own.left)
            for price, shares in self.book.take_one_by_one(other, levels, own.left):
                self._fill(number, shares, price, "remove", at)
            return
        while number in self._own and (levels := self._screen.behind(other, bound, 1)):
            self.book.add(other, *levels[0], priority=Priority.HIDDEN)
            self._settle(self.book.take(Side(1 - other), own.left, bound, owner=number).fills, at)

    def _settle(self, fills: tuple[Fill, ...], at: int) -> None:
        """Report fills; those of one order at one price, from orders that arrived one after the other, as one."""
        sums: dict[tuple[int, int, str], int] = {}
        for fill in fills:
            for owner, liquidity in ((fill.maker_owner, "add"), (fill.taker_owner, "remove")):
                if owner:
                    key = owner, fill.price, liquidity
                    sums[key] = sums.get(key, 0) + fill.shares
        for (owner, price, liquidity), shares in sums.items():
            self._fill(owner, shares, price, liquidity, at)

    def _fill(self, number: int, shares: int, price: int, liquidity: str, at: int) -> None:
        own = self._own[number]
        own.left -= shares
        if liquidity == "remove":
            weight = 1.0 if self._flow is None else self._flow.weight(self._screen.step)
            self.place.pressure.add(at, own.child.side * shares * weight)
        self.place.reports.tell(own.child.client_id, Kind.FILL, at, shares=shares, price=price, liquidity=liquidity)
        if own.left == 0:
            self._forget(number)

    def _end(self, number: int, at: int, why: str) -> None:
        own = self._own[number]
        if own.handle:
            self.book.cancel(own.handle)
        self.place.reports.tell(own.child.client_id, Kind.CANCELLED, at, shares=own.left, text=why)
        self._forget(number)

    def _forget(self, number: int) -> None:
        del self._numbers[self._own.pop(number).child.client_id]
