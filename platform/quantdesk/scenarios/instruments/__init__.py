"""What a book can hold beside shares, and what it is worth along a path: bonds, currencies, futures, options. Pure.

A text names an instrument (:mod:`~quantdesk.scenarios.instruments.specs`); :func:`bind` fixes its strike, maturity or
coupon at the start; :meth:`BoundBook.values` revalues it fully at every bar: a bond off the whole curve, an option with
its skew and the time that is left. Prices come from QuantLib.
"""

from __future__ import annotations

from quantdesk.scenarios.instruments.book import Book, BoundBook, Position, Valuation, bind
from quantdesk.scenarios.instruments.curve import Curve, curve_of
from quantdesk.scenarios.instruments.hedges import Hedge, betas_of, calm_cost, duration_hedge, index_hedge, put_hedge
from quantdesk.scenarios.instruments.instrument import ASSET_CLASSES, AssetClass, Instrument
from quantdesk.scenarios.instruments.sensitivities import Sensitivities, sensitivities
from quantdesk.scenarios.instruments.smile import Smile
from quantdesk.scenarios.instruments.specs import FORMS, Spec, parse
from quantdesk.scenarios.instruments.state import State
from quantdesk.scenarios.instruments.tape import Tape, state_of

__all__ = [
    "ASSET_CLASSES",
    "FORMS",
    "AssetClass",
    "Book",
    "BoundBook",
    "Curve",
    "Hedge",
    "Instrument",
    "Position",
    "Sensitivities",
    "Smile",
    "Spec",
    "State",
    "Tape",
    "Valuation",
    "betas_of",
    "bind",
    "calm_cost",
    "curve_of",
    "duration_hedge",
    "index_hedge",
    "parse",
    "put_hedge",
    "sensitivities",
    "state_of",
]
