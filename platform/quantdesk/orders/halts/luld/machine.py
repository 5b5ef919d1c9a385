"""The state machine of limit up / limit down on integers, compiled: what one event does. Pure.

:mod:`~quantdesk.orders.halts.luld.loop` runs it over many. Times are nanoseconds since 1970 (UTC), prices
ten-thousandths of a dollar, percentages millionths. Everything that a stock has is in a few small arrays, whatever the
number of its trades.

The mean of five minutes is kept in buckets of one second (sum and count of the eligible trades), because a window of
single trades has no bound. It therefore slides in steps of a second: at a time within second ``s`` it holds the trades
of the seconds ``s - 299`` to ``s``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quantdesk.compute.machine_code import Compiler

__all__ = [
    "CLOSED",
    "CLOSE_ONLY",
    "LIMIT",
    "NORMAL",
    "PAUSED",
    "REOPENING",
    "STRADDLE",
    "WAITING",
    "step",
]

compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = Compiler(Path(__file__).parent)

WAITING, NORMAL, LIMIT, STRADDLE, PAUSED, REOPENING, CLOSE_ONLY, CLOSED = range(8)
"""States: before the first reference; free; at a band; a quote beyond a band; paused; paused and due to reopen, in an
extension; paused until the closing auction; after the close."""

CLOCK, TRADE, QUOTE, OPEN, REOPEN, PAUSE = range(6)
"""Kinds of events. OPEN and REOPEN are the primary's, with the price of the trade or, on a quote, 0 or its midpoint."""

OPENED, MEAN_FALLBACK, MEAN_MOVED, DOUBLED, AT_LOWER, AT_UPPER, CLEARED, BEYOND, WITHIN, TIMED_OUT, PRIMARY, EXTENDED, \
    NOT_REOPENING, REOPENED, TOO_EARLY, SESSION_OVER = range(16)  # fmt: skip
"""Why something changed."""

# Places in `state`.
S_STATE, S_LAST, S_REFERENCE, S_SINCE, S_LOWER, S_UPPER, S_DOUBLED, S_BID, S_ASK, S_BID_SIZE, S_ASK_SIZE, S_LIMIT, \
    S_UNTIL, S_COUNT, S_SUM, S_TRADES, S_SECOND, S_SIDE, S_COLLAR_LOW, S_COLLAR_HIGH, S_SKIPPED = range(21)  # fmt: skip
STATE_SIZE = 21

# Places in `rule`.
R_PPM, R_DOLLARS, R_CLOSE, R_OPENS, R_CLOSES, R_DOUBLE_UNTIL, R_DOUBLE_FROM, R_WINDOW, R_CHANGE, R_AGE, R_LIMIT, \
    R_PAUSE, R_LAST_PART, R_FALLBACK, R_COLLAR, R_COLLAR_LEAST, R_COLLAR_UP_TO = range(17)  # fmt: skip
RULE_SIZE = 17

CHANGE_SIZE = 9
"""A change: event, time, state before, state after, why, reference, lower, upper, detail."""

SECOND = 1_000_000_000


@compiled
def _half_up(numerator, denominator):  # type: ignore[no-untyped-def]
    return (2 * numerator + denominator) // (2 * denominator)


@compiled
def _doubled(rule, at):  # type: ignore[no-untyped-def]
    return 1 if at < rule[R_DOUBLE_UNTIL] or at >= rule[R_DOUBLE_FROM] else 0


@compiled
def _bands(rule, state):  # type: ignore[no-untyped-def]
    """Set the bands from the reference; to the cent, half up, never below 0."""
    times = 2 if state[S_DOUBLED] == 1 else 1
    reference = state[S_REFERENCE]
    move = reference * rule[R_PPM] * times  # ten-thousandths of a dollar, in millionths
    if rule[R_DOLLARS] > 0:
        move = min(move, rule[R_DOLLARS] * times * 1_000_000)
    cent = 100 * 1_000_000
    state[S_LOWER] = max(np.int64(0), _half_up(reference * 1_000_000 - move, cent) * 100)
    state[S_UPPER] = _half_up(reference * 1_000_000 + move, cent) * 100


@compiled
def _slide(state, sums, counts, at):  # type: ignore[no-untyped-def]
    """Let the seconds that are too old leave the mean."""
    second = at // SECOND
    size = len(sums)
    gone = min(second - state[S_SECOND], size)
    for step in range(1, gone + 1):
        place = (state[S_SECOND] + step) % size
        state[S_SUM] -= sums[place]
        state[S_COUNT] -= counts[place]
        sums[place] = 0
        counts[place] = 0
    state[S_SECOND] = max(second, state[S_SECOND])


@compiled
def _forget(state, sums, counts):  # type: ignore[no-untyped-def]
    sums[:] = 0
    counts[:] = 0
    state[S_SUM] = 0
    state[S_COUNT] = 0


@compiled
def _note(changes, number, event, at, before, state, why, detail):  # type: ignore[no-untyped-def]
    """Write down a change; without room for it, count it all the same."""
    if number < len(changes):
        row = changes[number]
        row[0] = event
        row[1] = at
        row[2] = before
        row[3] = state[S_STATE]
        row[4] = why
        row[5] = state[S_REFERENCE]
        row[6] = state[S_LOWER]
        row[7] = state[S_UPPER]
        row[8] = detail
    return number + 1


@compiled
def _widen(rule, state):  # type: ignore[no-untyped-def]
    """Move the collar of a reopening outwards, by a part of the band on each side that set off the pause."""
    for side in (-1, 1):
        if state[S_SIDE] == -side:
            continue
        band = state[S_LOWER] if side < 0 else state[S_UPPER]
        small = band <= rule[R_COLLAR_UP_TO]
        step = rule[R_COLLAR_LEAST] if small else _half_up(band * rule[R_COLLAR], 1_000_000)
        if side < 0:
            state[S_COLLAR_LOW] = max(np.int64(0), state[S_COLLAR_LOW] - step)
        else:
            state[S_COLLAR_HIGH] += step


@compiled
def _pause(rule, state, at):  # type: ignore[no-untyped-def]
    """Stop trading: until a reopening, or in the last part of the session until the closing auction."""
    state[S_COLLAR_LOW] = state[S_LOWER]
    state[S_COLLAR_HIGH] = state[S_UPPER]
    _widen(rule, state)
    state[S_UNTIL] = at + rule[R_PAUSE]
    state[S_STATE] = CLOSE_ONLY if rule[R_CLOSES] - at <= rule[R_LAST_PART] else PAUSED


@compiled
def _advance(rule, state, changes, number, event, at):  # type: ignore[no-untyped-def]
    """What time alone does until `at`, in the order in which it happens."""
    # A limit state that lasts becomes a pause, at the moment at which its time is over.
    if state[S_STATE] == LIMIT:
        over = state[S_LIMIT] + rule[R_LIMIT]
        if at >= over and over < rule[R_CLOSES]:
            _pause(rule, state, over)
            number = _note(changes, number, event, over, LIMIT, state, TIMED_OUT, state[S_SIDE])
    # A pause that nobody ended goes on, segment by segment, until the last part of the session.
    while (state[S_STATE] == PAUSED or state[S_STATE] == REOPENING) and at > state[S_UNTIL] \
            and state[S_UNTIL] < rule[R_CLOSES]:  # fmt: skip
        before = state[S_STATE]
        due = state[S_UNTIL]
        if rule[R_CLOSES] - due <= rule[R_LAST_PART]:
            state[S_STATE] = CLOSE_ONLY
            number = _note(changes, number, event, due, before, state, NOT_REOPENING, 0)
        else:
            _widen(rule, state)
            state[S_UNTIL] += rule[R_PAUSE]
            state[S_STATE] = REOPENING
            number = _note(changes, number, event, due, before, state, EXTENDED, state[S_UNTIL])
    if state[S_STATE] != CLOSED and at > rule[R_CLOSES]:
        before = state[S_STATE]
        state[S_STATE] = CLOSED
        number = _note(changes, number, event, rule[R_CLOSES], before, state, SESSION_OVER, 0)
    return number


@compiled
def _reference(rule, state, changes, number, event, at):  # type: ignore[no-untyped-def]
    """The mean as a candidate for the reference, and the doubling of the parameters."""
    if state[S_STATE] == WAITING:
        if at >= rule[R_OPENS] + rule[R_FALLBACK] and state[S_COUNT] > 0:
            state[S_REFERENCE] = _half_up(state[S_SUM], state[S_COUNT])
            state[S_SINCE] = at
            state[S_DOUBLED] = _doubled(rule, at)
            _bands(rule, state)
            state[S_STATE] = NORMAL
            number = _note(changes, number, event, at, WAITING, state, MEAN_FALLBACK, state[S_COUNT])
        return number
    if state[S_STATE] != NORMAL and state[S_STATE] != STRADDLE:
        return number  # the bands are frozen in a limit state, and there are none in a pause
    doubled = _doubled(rule, at)
    if doubled != state[S_DOUBLED]:
        state[S_DOUBLED] = doubled
        _bands(rule, state)
        number = _note(changes, number, event, at, state[S_STATE], state, DOUBLED, doubled)
    if state[S_COUNT] > 0 and at - state[S_SINCE] >= rule[R_AGE]:
        # Compared as integers: |mean - reference| >= change * reference.
        apart = abs(state[S_SUM] - state[S_REFERENCE] * state[S_COUNT])
        if apart * 1_000_000 >= rule[R_CHANGE] * state[S_REFERENCE] * state[S_COUNT]:
            moved_from = state[S_REFERENCE]
            state[S_REFERENCE] = _half_up(state[S_SUM], state[S_COUNT])
            state[S_SINCE] = at
            _bands(rule, state)
            number = _note(changes, number, event, at, state[S_STATE], state, MEAN_MOVED, moved_from)
    return number


@compiled
def _look(state, changes, number, event, at):  # type: ignore[no-untyped-def]
    """Where the best quotes stand against the bands."""
    before = state[S_STATE]
    if before != NORMAL and before != LIMIT and before != STRADDLE:
        return number
    bid, ask = state[S_BID], state[S_ASK]
    crossed = bid > 0 and ask > 0 and bid > ask
    low = ask > 0 and ask == state[S_LOWER] and state[S_ASK_SIZE] > 0 and not crossed
    high = bid > 0 and bid == state[S_UPPER] and state[S_BID_SIZE] > 0 and not crossed
    beyond = (bid > 0 and bid < state[S_LOWER]) or (ask > 0 and ask > state[S_UPPER])
    if before == LIMIT:
        if (state[S_SIDE] < 0 and low) or (state[S_SIDE] > 0 and high):
            return number
        state[S_STATE] = STRADDLE if beyond else NORMAL
        number = _note(changes, number, event, at, LIMIT, state, CLEARED, at - state[S_LIMIT])
        if state[S_STATE] == STRADDLE:
            return number
        before = NORMAL
    if low or high:
        state[S_SIDE] = -1 if low else 1
        state[S_LIMIT] = at
        state[S_STATE] = LIMIT
        size = state[S_ASK_SIZE] if low else state[S_BID_SIZE]
        return _note(changes, number, event, at, before, state, AT_LOWER if low else AT_UPPER, size)
    if beyond and before == NORMAL:
        state[S_STATE] = STRADDLE
        return _note(changes, number, event, at, before, state, BEYOND, bid if bid < state[S_LOWER] else ask)
    if not beyond and before == STRADDLE:
        state[S_STATE] = NORMAL
        return _note(changes, number, event, at, before, state, WITHIN, 0)
    return number


@compiled
def _first(rule, state, at, price):  # type: ignore[no-untyped-def]
    state[S_REFERENCE] = price
    state[S_SINCE] = at
    state[S_DOUBLED] = _doubled(rule, at)
    _bands(rule, state)
    state[S_STATE] = NORMAL


@compiled
def step(rule, state, sums, counts, changes, number, event, what, now, price, size, other, other_size):  # type: ignore[no-untyped-def]
    """Take one event in.

    Parameters
    ----------
    rule, state, sums, counts
        The arrays of one stock; `state`, `sums` and `counts` are changed.
    changes, number, event
        Where changes are written, how many there are so far, and the number of this event.
    what, now
        Kind and time. An event that is earlier than the last one is counted and passed over.
    price, size, other, other_size
        Of a trade: price and 1 where it is eligible, else 0. Of a quote: bid, its size, ask, its size; 0 for none. Of
        an opening or reopening: the price.

    Returns
    -------
    int
        The number of changes so far; more than there is room for where there was none for all.
    """
    if now < state[S_LAST]:
        state[S_SKIPPED] += 1
        return number
    state[S_LAST] = now
    number = _advance(rule, state, changes, number, event, now)
    if state[S_STATE] == CLOSED:
        return number
    _slide(state, sums, counts, now)
    stopped = state[S_STATE] >= PAUSED
    if what == TRADE and size == 1 and not stopped:
        place = (now // SECOND) % len(sums)
        sums[place] += price
        counts[place] += 1
        state[S_SUM] += price
        state[S_COUNT] += 1
    elif what == QUOTE:
        state[S_BID] = price
        state[S_BID_SIZE] = size
        state[S_ASK] = other
        state[S_ASK_SIZE] = other_size
    elif what == OPEN and state[S_STATE] == WAITING:
        _first(rule, state, now, price if price > 0 else rule[R_CLOSE])
        number = _note(changes, number, event, now, WAITING, state, OPENED, price)
    elif what == REOPEN and (state[S_STATE] == PAUSED or state[S_STATE] == REOPENING):
        before = state[S_STATE]
        segment_began = state[S_UNTIL] - rule[R_PAUSE]
        if before == PAUSED and now < state[S_UNTIL]:
            number = _note(changes, number, event, now, before, state, TOO_EARLY, state[S_UNTIL])
        else:
            _forget(state, sums, counts)
            _first(rule, state, now, price if price > 0 else state[S_REFERENCE])
            number = _note(changes, number, event, now, before, state, REOPENED, segment_began)
    elif what == PAUSE and not stopped and state[S_STATE] != WAITING:
        before = state[S_STATE]
        state[S_SIDE] = 0 if before != LIMIT else state[S_SIDE]
        _pause(rule, state, now)
        number = _note(changes, number, event, now, before, state, PRIMARY, 0)
    number = _reference(rule, state, changes, number, event, now)
    return _look(state, changes, number, event, now)
