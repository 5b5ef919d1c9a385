"""The machine over many events, and over one. Pure.

Nearly every event of a day changes nothing but the best quotes or the mean. :func:`feed` takes runs of such events with
all that it needs in local variables, and hands every other event to :func:`~quantdesk.orders.halts.luld.machine.step`,
which is the only place that knows the rules. A run stops before an event of which it is not sure, so that it can be
wrong about speed alone.
"""

from __future__ import annotations

import numpy as np

from quantdesk.orders.halts.luld import machine
from quantdesk.orders.halts.luld.machine import compiled, step

__all__ = ["ROOM", "feed", "one", "size_of"]

ROOM = 128
"""Changes for which one event has room: time alone makes 78 extensions in the longest session."""

RULE, STATE, CHANGE = machine.RULE_SIZE, machine.STATE_SIZE, machine.CHANGE_SIZE
NORMAL, TRADE, QUOTE, CLOCK = machine.NORMAL, machine.TRADE, machine.QUOTE, machine.CLOCK
SECOND = machine.SECOND
S_STATE, S_LAST, S_REFERENCE, S_SINCE, S_LOWER, S_UPPER, S_DOUBLED = machine.S_STATE, machine.S_LAST, \
    machine.S_REFERENCE, machine.S_SINCE, machine.S_LOWER, machine.S_UPPER, machine.S_DOUBLED  # fmt: skip
S_BID, S_ASK, S_BID_SIZE, S_ASK_SIZE = machine.S_BID, machine.S_ASK, machine.S_BID_SIZE, machine.S_ASK_SIZE
S_COUNT, S_SUM, S_SECOND = machine.S_COUNT, machine.S_SUM, machine.S_SECOND
R_CLOSES, R_DOUBLE_UNTIL, R_DOUBLE_FROM, R_WINDOW, R_CHANGE, R_AGE = machine.R_CLOSES, machine.R_DOUBLE_UNTIL, \
    machine.R_DOUBLE_FROM, machine.R_WINDOW, machine.R_CHANGE, machine.R_AGE  # fmt: skip


def size_of(window: int) -> int:
    """Numbers in the memory of one stock: rules, state, the mean's seconds, and room for changes."""
    return RULE + STATE + 2 * window + ROOM * CHANGE


@compiled
def one(memory, what, now, price, size, other, other_size):  # type: ignore[no-untyped-def]
    """Take one event in.

    Parameters
    ----------
    memory
        Everything of one stock, of shape ``(size_of(window),)``: one array, because each costs time to hand over.
    what, now, price, size, other, other_size
        The event; see :func:`~quantdesk.orders.halts.luld.machine.step`.

    Returns
    -------
    int
        The number of changes, which stand at the end of `memory`; -1 where the event is earlier than the last one:
        everything is as it was then.
    """
    rule = memory[:RULE]
    state = memory[RULE : RULE + STATE]
    if now < state[S_LAST]:
        return np.int64(-1)
    window = rule[R_WINDOW]
    begin = RULE + STATE
    sums = memory[begin : begin + window]
    counts = memory[begin + window : begin + 2 * window]
    changes = memory[begin + 2 * window :].reshape(ROOM, CHANGE)
    return step(rule, state, sums, counts, changes, np.int64(0), 0, what, now, price, size, other, other_size)


@compiled
def _quiet_until(rule, state):  # type: ignore[no-untyped-def]
    """The moment up to which time alone changes nothing in the normal state."""
    last = state[S_LAST]
    until = rule[R_CLOSES] + 1
    doubled = 1 if last < rule[R_DOUBLE_UNTIL] or last >= rule[R_DOUBLE_FROM] else 0
    if doubled != state[S_DOUBLED]:
        return last
    if last < rule[R_DOUBLE_UNTIL]:
        until = min(until, rule[R_DOUBLE_UNTIL])
    if last < rule[R_DOUBLE_FROM]:
        until = min(until, rule[R_DOUBLE_FROM])
    return until


@compiled
def _run(rule, state, sums, counts, kind, at, price, size, other, other_size, begin):  # type: ignore[no-untyped-def]
    """Take in, from event `begin` on, what leaves the normal state as it is; the first event that may not."""
    last = state[S_LAST]
    until = _quiet_until(rule, state)
    reference, lower, upper = state[S_REFERENCE], state[S_LOWER], state[S_UPPER]
    old = state[S_SINCE] + rule[R_AGE]
    least = rule[R_CHANGE] * reference
    bid, bid_size, ask, ask_size = state[S_BID], state[S_BID_SIZE], state[S_ASK], state[S_ASK_SIZE]
    total, count, second = state[S_SUM], state[S_COUNT], state[S_SECOND]
    window = len(sums)
    place = second % window
    tick = (second + 1) * SECOND
    far = count > 0 and abs(total - reference * count) * 1_000_000 >= least * count
    event = begin
    while event < len(kind):
        now = at[event]
        if now < last or now >= until:
            break
        if now >= tick:
            gone = now // SECOND - second
            if gone >= window:
                sums[:] = 0
                counts[:] = 0
                total = np.int64(0)
                count = np.int64(0)
                place = (second + gone) % window
            else:
                for _ in range(gone):
                    place += 1
                    if place == window:
                        place = 0
                    total -= sums[place]
                    count -= counts[place]
                    sums[place] = 0
                    counts[place] = 0
            second += gone
            tick = (second + 1) * SECOND
            far = count > 0 and abs(total - reference * count) * 1_000_000 >= least * count
        what = kind[event]
        if what == QUOTE:
            b, a = price[event], other[event]
            if far and now >= old:
                break
            if not ((lower <= b < upper or b == 0) and (lower < a <= upper or a == 0)):
                break
            bid, bid_size, ask, ask_size = b, size[event], a, other_size[event]
        elif what == TRADE and size[event] == 1:
            more, many = total + price[event], count + 1
            moved = abs(more - reference * many) * 1_000_000 >= least * many
            if moved and now >= old:
                break
            sums[place] += price[event]
            counts[place] += 1
            total, count, far = more, many, moved
        elif what in (TRADE, CLOCK):
            if far and now >= old:
                break
        else:
            break
        last = now
        event += 1
    state[S_LAST] = last
    state[S_BID], state[S_BID_SIZE], state[S_ASK], state[S_ASK_SIZE] = bid, bid_size, ask, ask_size
    state[S_SUM], state[S_COUNT], state[S_SECOND] = total, count, second
    return event


@compiled
def feed(rule, state, sums, counts, kind, at, price, size, other, other_size, changes):  # type: ignore[no-untyped-def]
    """Take events in, in the order of time.

    Parameters
    ----------
    rule, state, sums, counts
        The arrays of one stock; `state`, `sums` and `counts` are changed.
    kind, at, price, size, other, other_size
        The events, shape ``(n,)`` each; see :func:`~quantdesk.orders.halts.luld.machine.step`.
    changes
        Shape ``(m, 9)``: receives the changes as far as there is room.

    Returns
    -------
    int
        The number of changes; more than ``m`` where there was no room for all.
    """
    number = np.int64(0)
    event = 0
    while event < len(kind):
        number = step(rule, state, sums, counts, changes, number, event, kind[event], at[event],
                      price[event], size[event], other[event], other_size[event])  # fmt: skip
        event += 1
        if state[S_STATE] == NORMAL:
            event = _run(rule, state, sums, counts, kind, at, price, size, other, other_size, event)
    return number
