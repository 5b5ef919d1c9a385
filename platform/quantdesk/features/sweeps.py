"""The loops of the point-in-time join, compiled. Pure: numbers in, numbers out.

Compiled once per machine and account (numba keeps the machine code beside this file, or in the user's cache). They
hold no lock while they run, so callers may split rows over threads of their own; none of them starts threads, which
would not survive a fork. Kernels of notebooks are forked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

__all__ = ["by_key", "climb", "gather", "ladders", "number", "pairs", "pick", "scan"]

_LAST = np.iinfo(np.int64).max

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop when it is first used, and keep it where this account may write; else for this process."""
    try:
        kept: Callable[..., Any] = njit(cache=True, nogil=True)(loop)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        kept = njit(nogil=True)(loop)
    return kept


@compiled
def by_key(key, codes):  # type: ignore[no-untyped-def]
    """Where the rows of each key stand: shape ``(codes + 1,)``, and the rows by key in the order of writing.

    One counting sort: rows that are already grouped stay as they are.
    """
    start = np.zeros(codes + 1, dtype=np.int64)
    for row in range(len(key)):
        start[key[row] + 1] += 1
    for code in range(codes):
        start[code + 1] += start[code]
    place = start[:codes].copy()
    order = np.empty(len(key), dtype=np.int64)
    for row in range(len(key)):
        order[place[key[row]]] = row
        place[key[row]] += 1
    return start, order


@compiled
def _before(one, other, event, created):  # type: ignore[no-untyped-def]
    """Whether row `one` must stand before row `other`, by (event, created)."""
    if event[one] != event[other]:
        return event[one] < event[other]
    return created[one] < created[other]


@compiled
def _in_order(order, first, last, event, created):  # type: ignore[no-untyped-def]
    """Sort ``order[first:last]`` by (event, created), equal rows as they stand: a natural merge sort.

    Files are mostly in order, or in a few runs (rows that were appended later): one pass per doubling of the runs.
    """
    size = last - first
    ends = np.empty(size + 1, dtype=np.int64)  # where each run ends, relative to `first`
    runs = 0
    for place in range(1, size):
        if _before(order[first + place], order[first + place - 1], event, created):
            ends[runs] = place
            runs += 1
    ends[runs] = size
    runs += 1
    if runs == 1:
        return
    spare = np.empty(size, dtype=np.int64)
    while runs > 1:
        begin = 0
        merged = 0
        for pair in range(0, runs, 2):
            middle = ends[pair]
            end = ends[pair + 1] if pair + 1 < runs else middle
            left, right = begin, middle
            for place in range(begin, end):
                take_right = right < end and (
                    left >= middle or _before(order[first + right], order[first + left], event, created)
                )
                if take_right:
                    spare[place] = order[first + right]
                    right += 1
                else:
                    spare[place] = order[first + left]
                    left += 1
            ends[merged] = end
            merged += 1
            begin = end
        order[first:last] = spare
        runs = merged


@compiled
def ladders(start, order, event, created, known_by, codes_from, codes_to, first, row, available):  # type: ignore[no-untyped-def]
    """Per key the rows that can be an answer, rising in event and in availability.

    In the order of (event, created, writing) a row can answer only if no later one was available as early: it must be
    available before the earliest of all that follow. So one sweep from the end finds them, without sorting by
    availability.

    Writes for the keys from `codes_from` to `codes_to`: the ladder of key ``k`` stands in ``row`` and ``available``
    from ``first[k]`` to ``start[k + 1]``. `order` is brought into order on the way.
    """
    for code in range(codes_from, codes_to):
        _in_order(order, start[code], start[code + 1], event, created)
        top = start[code + 1]
        earliest = _LAST
        none_yet = True
        for place in range(start[code + 1] - 1, start[code] - 1, -1):
            this = order[place]
            if created[this] > known_by:
                continue
            known = max(event[this], created[this])
            if none_yet or known < earliest:
                top -= 1
                row[top] = this
                available[top] = known
                earliest = known
                none_yet = False
        first[code] = top


@compiled
def climb(start, first, row, available, event, asked, time, ttl, position, outcome, begin, end):  # type: ignore[no-untyped-def]
    """Answer the asking rows from `begin` to `end`: writes their position (-1 for none) and outcome.

    Each key remembers where its last row was answered, and the search starts there, doubling its stride: rows that come
    in the order of time, key by key or all keys together, cost one or two steps each; any other order costs a binary
    search.
    """
    codes = len(start) - 1
    last = first.copy()  # per key one above its last answer
    for this in range(begin, end):
        code = asked[this]
        if code < 0 or code >= codes or start[code] == start[code + 1]:
            position[this] = -1
            outcome[this] = 1
            continue
        when = time[this]
        low, high = first[code], start[code + 1]
        at = last[code]
        stride = 1
        # Afterwards available[low - 1] <= when < available[high], as far as there are such places.
        if at > low and available[at - 1] > when:
            high = at - 1
            while high - stride >= low and available[high - stride] > when:
                high -= stride
                stride *= 2
            low = max(low, high - stride)
        else:
            low = at
            while low + stride <= high and available[low + stride - 1] <= when:
                low += stride
                stride *= 2
            if low + stride <= high:
                high = low + stride - 1
        while low < high:
            middle = (low + high) // 2
            if available[middle] <= when:
                low = middle + 1
            else:
                high = middle
        last[code] = low
        if low == first[code]:
            position[this] = -1
            outcome[this] = 2
            continue
        found = row[low - 1]
        if ttl >= 0 and when >= event[found] and _older(when, event[found], ttl):
            position[this] = -1
            outcome[this] = 3
        else:
            position[this] = found
            outcome[this] = 0


@compiled
def _older(when, event, ttl):  # type: ignore[no-untyped-def]
    """Whether ``when - event > ttl``, for times whose difference may not fit into 64 bits. Needs ``when >= event``."""
    return np.uint64(when) - np.uint64(event) > np.uint64(ttl)


@compiled
def gather(values, position, out, begin, end):  # type: ignore[no-untyped-def]
    """Write ``values[position]`` into `out`, NaN where there is no position."""
    for this in range(begin, end):
        place = position[this]
        out[this] = values[place] if place >= 0 else np.nan


@compiled
def pick(times, position, nothing, out, begin, end):  # type: ignore[no-untyped-def]
    """Write ``times[position]`` into `out`, `nothing` where there is no position."""
    for this in range(begin, end):
        place = position[this]
        out[this] = times[place] if place >= 0 else nothing


@compiled
def pairs(asked, known, position, first, state):  # type: ignore[no-untyped-def]
    """Which codes of two codings meet: of each row, and of the feature row at its position.

    Parameters
    ----------
    asked, known
        The codes of the asking and of the feature rows; -1 for null.
    first
        Per asked code, filled with -1: receives the first code that it meets.
    state
        Per row: 0 where nothing meets, 1 where its code meets what it met first, 2 where it meets another.
    """
    for this in range(len(asked)):
        place = position[this]
        state[this] = 0
        if place < 0 or asked[this] < 0 or known[place] < 0:
            continue
        if first[asked[this]] < 0:
            first[asked[this]] = known[place]
        state[this] = 1 if first[asked[this]] == known[place] else 2


@compiled
def scan(codes, wanted, event, created, time, known_by, best):  # type: ignore[no-untyped-def]
    """Answer some rows by looking at every feature row, one by one, and keeping the best so far: brute force.

    Shares nothing with the join: no order, no ladder, no search.

    Parameters
    ----------
    codes
        Shape ``(keys, n)``: per key column the code of each feature row.
    wanted
        Shape ``(k, keys)``: the codes that each asking row needs; -1 for a value that no feature row has.
    best
        Shape ``(k,)``, filled with -1: receives the feature row that answers, whatever its age.
    """
    highest = -1
    for one in range(len(wanted)):
        highest = max(highest, wanted[one, 0])
    # Who asks for a value of the first key: the last such row, and before each row the one before it.
    asker = np.full(highest + 1, -1, dtype=np.int64)
    before = np.full(len(wanted), -1, dtype=np.int64)
    for one in range(len(wanted)):
        if wanted[one, 0] >= 0:
            before[one] = asker[wanted[one, 0]]
            asker[wanted[one, 0]] = one
    for this in range(codes.shape[1]):
        code = codes[0, this]
        one = asker[code] if 0 <= code <= highest else -1
        while one >= 0:
            may = event[this] <= time[one] and created[this] <= time[one] and created[this] <= known_by
            for column in range(1, codes.shape[0]):
                may = may and codes[column, this] == wanted[one, column]
            if may:
                held = best[one]
                if (
                    held < 0
                    or event[this] > event[held]
                    or (event[this] == event[held] and created[this] >= created[held])
                ):
                    best[one] = this
            one = before[one]


@compiled
def number(names, code, distinct):  # type: ignore[no-untyped-def]
    """Number the distinct integers of `names` in the order in which they come, into `code`; they go into `distinct`.

    Returns how many there are, or -1 as soon as they are more than fit into `distinct`, whose length is a power of two.
    """
    size = 4 * len(distinct)
    table = np.full(size, -1, dtype=np.int64)
    found = 0
    for this in range(len(names)):
        name = names[this]
        if this > 0 and name == names[this - 1]:
            code[this] = code[this - 1]
            continue
        # Fibonacci hashing: the upper bits of a product with the golden ratio.
        place = np.int64((np.uint64(name) * np.uint64(11400714819323198485)) >> np.uint64(40)) & (size - 1)
        while table[place] >= 0 and distinct[table[place]] != name:
            place = (place + 1) & (size - 1)
        if table[place] < 0:
            if found == len(distinct):
                return -1
            distinct[found] = name
            table[place] = found
            found += 1
        code[this] = table[place]
    return found
