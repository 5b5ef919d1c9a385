"""How an order, the books and the answer lie in arrays, for the compiled loops. Pure.

numba reads arrays and named tuples of them; these names say what stands where.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

__all__ = ["Book", "Found", "Rules", "Streams"]

Book = namedtuple("Book", ["far", "far_size", "near", "near_size", "quoted_at"])
"""Prices and sizes of the far side (what a purchase takes) and of the near side, shape ``(venues, levels)``; times."""
Rules = namedtuple("Rules", ["venues", "hidden", "params", "ticks", "trade"])
"""Per venue whole numbers (``V_...``) and the hidden share; parameters (``P_...``); ticks as rows of a price and the
step from there on; shares of a typical trade."""
Found = namedtuple("Found", ["rows", "marks", "whole", "money"])
"""Per venue whole numbers (``F_...``) and chances (``M_...``); of the whole order ``W_...`` and ``C_...``."""
Streams = namedtuple("Streams", ["levels", "worth", "whole", "real", "units"])
"""What flows from each venue, and room to work in: y and shares of displayed levels, shape ``(venues, levels, 2)``, and
what a share of each is worth; per venue whole numbers (``S_...``) and others (``R_...``); shares of a unit and of a
typical trade. Few arrays, because each call of a loop counts the references of each."""

MARKET, RESTING, PEG, PEG_IOC = range(4)
"""Styles: takes alone; takes and rests; rests at the midpoint; takes at the midpoint."""

O_SIDE, O_SHARES, O_LIMIT, O_STYLE, O_URGENCY, O_AT, O_PROTECT, O_SEED, O_VOLUME, ORDER_SIZE = range(10)
V_KNOWN, V_ADD, V_REMOVE, V_BELOW, V_LATENCY, V_PROTECTED, VENUE_SIZE = range(7)
P_HALF_LIFE, P_CERTAINTY, P_ADVERSE, P_IMPACT, P_SESSION, P_COLLAR, P_REST, P_PENALTY = range(8)
"""The last is the first of three, by urgency, and so are the horizons behind it."""
P_HORIZON = P_PENALTY + 3
PARAM_SIZE = P_HORIZON + 3

S_TOP, S_HIDDEN, S_HIDDEN_Y, S_PROTECTED, S_KEY, S_QUEUE, S_FIRST, S_PLACE, S_NUMBER, S_EXTRA, S_USED = range(11)
"""Best y; shares hidden, and their y; protected or not; which comes first of equals; shares ahead in the queue; trades
that fill the first unit; where a loop stands: level, trades for the next unit; shares spread out; the first of four
columns of what is used: of each stream, and the worst y of that; and behind them as many of a trial."""
S_TRIAL = S_USED + 4
STREAM_WHOLE = S_TRIAL + 4
R_HIDDEN_WORTH, R_CERTAIN, R_CERTAIN_HIDDEN, R_GAIN, R_MEAN, R_FIRST_TAIL, R_FIRST_MASS, R_TAIL, R_MASS, R_WEIGHT, \
    STREAM_REAL = range(11)  # fmt: skip
"""Worth of a hidden share; chances of a displayed and of a hidden one; what a fill of a queued share gains; trades to
come; P(N >= first), P(N = first); the same where a loop stands; a weight."""

F_TAKE, F_TAKE_LIMIT, F_ISO, F_JOIN, F_REST, F_WHY, ROW_SIZE = range(7)
M_TAKE, M_REST, M_SINGLE, MARK_SIZE = range(4)
W_STATUS, W_BID, W_ASK, W_BOUND, W_JOIN_PRICE, W_REST_PRICE, W_SINGLE, W_UNSENT, W_TRIED, WHOLE_SIZE = range(10)
C_EXPECTED, C_SINGLE, C_SHORTFALL, C_FILLED, MONEY_SIZE = range(5)

ROUTED, NO_QUOTES, NO_BID, NO_OFFER, CROSSED, NOT_MARKETABLE, NO_VENUE, BLOCKED, NO_LISTING, AUCTION = range(10)
"""What came of the order as a whole; the last two are decided outside of the loops."""

USED, NO_TERMS, NO_QUOTE, BEYOND, DEARER, SHOWS_ALL, BEHIND = range(7)
"""Why a venue got nothing: no terms; quotes nothing there; beyond the limit; others were cheaper; hides nothing; a
better protected quote elsewhere could not be taken in full."""

DOLLAR = 1_000_000
FAR_AWAY = np.int64(np.iinfo(np.int64).max)
"""Typed, not a literal: one compiled form of a loop serves all who call it with this."""
LEAST_CHANCE = 0.01
"""A place in a queue that is less likely to fill is worth nothing."""
UNITS = 16
"""An order that rests is spread in about this many units at most, of whole typical trades."""
