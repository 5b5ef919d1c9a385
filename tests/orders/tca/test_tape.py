"""Quotes as they were known: never from the future, never from across a halt or a close, and a reason where none is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.tca import Prints, Quote, Tape
from quantdesk.orders.tca.tape import Why

SESSIONS = [(100, 200), (300, 400)]


def looked(tape, *when):
    found = tape.look(list(when))
    return [
        (int(bid), int(ask)) if why == Why.THERE else Why(int(why))
        for bid, ask, why in zip(found.bid, found.ask, found.why, strict=True)
    ]


def test_the_last_quote_known_by_then():
    tape = Tape("AAA", [100, 110, 110, 120], [1, 2, 3, 4], [5, 6, 7, 8], SESSIONS)
    assert looked(tape, 100, 109, 110, 119, 120, 200) == [(1, 5), (1, 5), (3, 7), (3, 7), (4, 8), (4, 8)]
    assert tape.quote(115) == Quote(115, 3, 7)
    assert len(tape) == 4


def test_nothing_outside_a_session_and_nothing_of_yesterday():
    tape = Tape("AAA", [90, 150, 350], [1, 2, 3], [5, 6, 7], SESSIONS)
    assert looked(tape, 0, 99, 201, 299, 401) == [Why.CLOSED] * 5
    assert looked(tape, 100, 149) == [Why.NOT_YET] * 2  # the quote of 90 is of before the opening
    assert looked(tape, 300, 349, 350) == [Why.NOT_YET, Why.NOT_YET, (3, 7)]
    assert tape.quote(250) == Quote(250, 0, 0)


def test_nothing_is_carried_over_a_halt():
    tape = Tape("AAA", [100, 130, 160], [1, 2, 3], [5, 6, 7], SESSIONS, halts=[(120, 150)])
    assert looked(tape, 119, 120, 149, 150, 159, 160) == [
        (1, 5), Why.HALTED, Why.HALTED, Why.NOT_YET, Why.NOT_YET, (3, 7),
    ]  # fmt: skip


def test_halts_at_the_edges():
    """From before the opening; to the close; over night; over a whole session."""
    rows = [100, 150, 300, 350], [1, 2, 3, 4], [5, 6, 7, 8]
    assert looked(Tape("AAA", *rows, SESSIONS, [(50, 120)]), 100, 119, 150) == [Why.HALTED, Why.HALTED, (2, 6)]
    to_close = Tape("AAA", *rows, SESSIONS, [(180, 0), (380, 0)])
    assert looked(to_close, 179, 180, 200, 201, 379, 380) == [
        (2, 6), Why.HALTED, Why.HALTED, Why.CLOSED, (4, 8), Why.HALTED,
    ]  # fmt: skip
    over_night = Tape("AAA", *rows, SESSIONS, [(180, 340)])
    assert looked(over_night, 190, 250, 310, 345, 350) == [Why.HALTED, Why.CLOSED, Why.HALTED, Why.NOT_YET, (4, 8)]
    whole = Tape("AAA", *rows, SESSIONS, [(300, 0)])
    assert looked(whole, 150, 300, 400) == [(2, 6), Why.HALTED, Why.HALTED]
    assert looked(Tape("AAA", *rows, SESSIONS, [(500, 0)]), 150) == [(2, 6)]


def test_one_sided_and_crossed_quotes_have_no_middle_and_locked_ones_have():
    tape = Tape("AAA", [100, 110, 120, 130], [0, 5, 7, 6], [5, 0, 6, 6], SESSIONS)
    assert looked(tape, 100, 110, 120, 130) == [Why.ONE_SIDED, Why.ONE_SIDED, Why.CROSSED, (6, 6)]


def test_a_tape_without_sessions_ends_with_its_last_quote():
    tape = Tape("AAA", [100, 200], [1, 2], [5, 6])
    assert looked(tape, 99, 150, 200, 201) == [Why.CLOSED, (1, 5), (2, 6), Why.CLOSED]


def test_an_empty_tape_knows_nothing():
    assert looked(Tape("AAA", [], [], []), 0, 100) == [Why.CLOSED] * 2
    empty = Tape("AAA", [], [], [], SESSIONS)
    assert looked(empty, 0, 150) == [Why.CLOSED, Why.NOT_YET]
    assert [Why(int(why)) for why in empty.last_of_session([150]).why] == [Why.CLOSED]


def test_only_the_later_quotes_look_ahead():
    tape = Tape("AAA", [100, 150], [1, 2], [5, 6], SESSIONS)
    assert looked(tape, 149) == [(1, 5)]
    assert int(tape.after([149], 1).bid[0]) == 2
    assert Why(int(tape.after([149], 52).why[0])) is Why.CLOSED


def test_the_last_quote_of_a_session():
    tape = Tape("AAA", [100, 150, 160, 350], [1, 2, 0, 3], [5, 6, 6, 7], [*SESSIONS, (500, 600)])
    found = tape.last_of_session([100, 155, 300, 250, 550])
    assert found.bid.tolist() == [2, 2, 3, 0, 0]
    assert [Why(int(why)) for why in found.why] == [Why.THERE] * 3 + [Why.CLOSED] * 2


def test_reasons_are_words():
    assert Why.HALTED.words == "trading halted"
    assert Why.THERE.words == ""
    assert all(why.words for why in Why if why)


def test_arrays_cannot_be_changed():
    tape = Tape("AAA", [1], [1], [2])
    with pytest.raises(ValueError, match="read-only"):
        tape.bid[0] = 5


@pytest.mark.parametrize(
    ("rows", "spans", "said"),
    [
        (([2, 1], [1, 1], [2, 2]), {}, "goes back in time at row 1"),
        (([1, 2], [1], [2, 2]), {}, "columns of"),
        (([1], [1.5], [2]), {}, "float64 values"),
        (([1], [float("nan")], [2]), {}, "float64 values"),
        (([1], [-1], [2]), {}, "holds -1"),
        (([1], [1], [2]), {"sessions": [(5, 4)]}, "sessions of AAA overlap"),
        (([1], [1], [2]), {"sessions": [(0, 9)], "halts": [(3, 5), (4, 6)]}, "halts of AAA overlap"),
    ],
)
def test_tapes_that_cannot_be_are_refused(rows, spans, said):
    with pytest.raises(BadInput, match=said):
        Tape("AAA", *rows, **spans)


def plain(rows, sessions, halts, when):
    """The same question, asked slowly: walk through everything that was known at the moment."""
    session = next((one for one in sessions if one[0] <= when <= one[1]), None)
    if session is None:
        return Why.CLOSED
    if any(halt <= when < resumed for halt, resumed in halts):
        return Why.HALTED
    since = max([session[0], *(resumed for _, resumed in halts if resumed <= when)])
    known = [row for row in rows if since <= row[0] <= when]
    if not known:
        return Why.NOT_YET
    _, bid, ask = known[-1]
    if not bid or not ask:
        return Why.ONE_SIDED
    return Why.CROSSED if bid > ask else (bid, ask)


TIMES = st.integers(0, 60)
SPANS = st.lists(TIMES, min_size=0, max_size=6, unique=True).map(
    lambda edges: list(zip(*[iter(sorted(edges))] * 2, strict=False))
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(TIMES, st.integers(0, 4), st.integers(0, 4)), max_size=12).map(
        lambda rows: sorted(rows, key=lambda row: row[0])
    ),
    sessions=SPANS.filter(bool),
    halts=SPANS,
)
def test_look_ups_agree_with_a_plain_walk(rows, sessions, halts):
    at, bid, ask = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    tape = Tape("AAA", at, bid, ask, sessions, halts)
    assert looked(tape, *range(62)) == [plain(rows, sessions, halts, when) for when in range(62)]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(TIMES, st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12), cut=TIMES)
def test_what_comes_later_changes_nothing(rows, cut):
    rows.sort(key=lambda row: row[0])
    before = [row for row in rows if row[0] <= cut]
    tapes = []
    for some in (rows, before):
        at, bid, ask = (list(column) for column in zip(*some, strict=True)) if some else ([], [], [])
        tapes.append(looked(Tape("AAA", at, bid, ask, [(0, 60)]), *range(cut + 1)))
    assert tapes[0] == tapes[1]


def test_the_average_price_of_the_market(prints):
    tape = Prints("AAA", [10, 20, 20, 30], [100, 110, 130, 200], [1, 2, 2, 5])
    found = tape.vwap([0, 11, 20, 31], [15, 25, 30, 40])
    assert found[:3].tolist() == [100, 120, (220 + 260 + 1000) / 9]
    assert np.isnan(found[3])
    with pytest.raises(BadInput, match="prints of AAA"):
        Prints("AAA", [2, 1], [1, 1], [1, 1])
    assert np.isnan(Prints("AAA", [], [], []).vwap([0], [9])[0])
