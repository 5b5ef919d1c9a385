"""Simulated exchanges: books with queues, latency, fees, halts and impact, and the order flow around them.

::

    market        several venues under one clock, as a gateway; the tape
    faults        a gateway that fails as it is told to
    simulated     one venue
    listing       one symbol at one venue, as time goes on; place is what holds there, screen what everybody else shows
    sources       where the background comes from: bars, or books that stand still
    intake        bars as people have them
    flow, prints  quotes and trades of a session, made from its bars
    shape         the bars of a session, and the parameters of the model
    path          a path of prices between the corners of a bar
    impact        what an order does to the price
    book          the limit order book; matching, background and replay are its compiled loops
    reports       what was said of each order
    tape          what was to be seen

>>> from quantdesk.orders.venues import SimulatedMarket
"""

from __future__ import annotations

from quantdesk.orders.venues.book import Book, Priority, Side
from quantdesk.orders.venues.faults import Fault, FaultyGateway, random_faults
from quantdesk.orders.venues.flow import Flow, flow_of
from quantdesk.orders.venues.impact import Impact
from quantdesk.orders.venues.market import SimulatedMarket
from quantdesk.orders.venues.place import HaltPolicy
from quantdesk.orders.venues.prints import Trades
from quantdesk.orders.venues.shape import SessionBars, Shape
from quantdesk.orders.venues.simulated import SimulatedVenue
from quantdesk.orders.venues.tape import Tape

__all__ = [
    "Book",
    "Fault",
    "FaultyGateway",
    "Flow",
    "HaltPolicy",
    "Impact",
    "Priority",
    "SessionBars",
    "Shape",
    "Side",
    "SimulatedMarket",
    "SimulatedVenue",
    "Tape",
    "Trades",
    "flow_of",
    "random_faults",
]
