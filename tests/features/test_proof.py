"""The proof finds every way in which an answer can be wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from quantdesk.errors import BadInput
from quantdesk.features.asof import NOT_A_TIME, Outcome
from quantdesk.features.proof import Matched, Recount, examine

TIME = np.array([10, 20, 30, 40])
EVENT = np.array([9, 15, NOT_A_TIME, 40])
CREATED = np.array([10, 18, NOT_A_TIME, 40])
ROW = np.array([0, 3, -1, 7])
PRICE = np.array([1.0, np.nan, np.nan, 4.0])
LABEL = pa.chunked_array([["a", "b"], [None, "d"]])


def right() -> Matched:
    return Matched(
        view="prices",
        columns={"price": PRICE, "label": LABEL},
        event=EVENT,
        created=CREATED,
        belongs=np.array([True, True, False, True]),
        outcome=np.array([Outcome.FOUND, Outcome.FOUND, Outcome.EXPIRED, Outcome.FOUND], dtype=np.int8),
        recount=lambda rows: Recount(
            EVENT[rows], CREATED[rows], ROW[rows], {"price": PRICE[rows], "label": LABEL.take(rows).to_pylist()}
        ),
        reasons=lambda name: np.array([None] * 4, dtype=object),
        row=ROW,
    )


def examined(matched, known_by=None, ttl=None):
    return examine(matched, TIME, known_by=known_by, ttl=ttl, seed=1)


def test_a_right_answer_has_nothing_against_it():
    found = examined(right(), known_by=40, ttl=5)
    assert (found.view, found.rows, found.found, found.oracle_rows) == ("prices", 4, 3, 4)
    assert (found.violations, found.oracle_mismatches, found.kinds) == (0, 0, {})


def changed(name, place, value):
    array = getattr(right(), name).copy()
    array[place] = value
    return dataclasses.replace(right(), **{name: array})


@pytest.mark.parametrize(
    ("wrong", "limits", "kind"),
    [
        (changed("belongs", 1, False), {}, "another_key"),
        (changed("event", 1, 21), {}, "not_happened"),
        (changed("created", 0, 11), {}, "not_known"),
        (right(), {"known_by": 39}, "known_after_as_of"),
        (right(), {"ttl": 4}, "expired"),
        (changed("event", 2, 5), {}, "value_without_answer"),
        (
            dataclasses.replace(right(), columns={"price": np.array([1.0, np.nan, 0.0, 4.0])}),
            {},
            "value_without_answer",
        ),
    ],
)
def test_each_way_of_breaking_the_rule_is_named(wrong, limits, kind):
    exact = dataclasses.replace(wrong, recount=lambda rows: Recount(wrong.event[rows], wrong.created[rows]))
    found = examined(exact, **limits)
    assert found.kinds == {kind: 1}
    assert found.violations == 1
    assert found.oracle_mismatches == 0


@pytest.mark.parametrize(
    "other",
    [
        {"event": EVENT - [0, 1, 0, 0]},
        {"created": CREATED - [0, 0, 0, 1]},
        {"row": np.array([0, 4, -1, 7])},
        {"values": {"price": [1.0, None, float("nan"), 4.5]}},
        {"values": {"price": [1.0, 2.0, None, 4.0]}},
        {"values": {"label": ["a", "b", None, "e"]}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_brute_force_disagrees(other):
    answer = dataclasses.replace(Recount(EVENT, CREATED, ROW), **other)
    found = examined(dataclasses.replace(right(), recount=lambda rows: answer))
    assert (found.violations, found.oracle_mismatches) == (0, 1)


def test_the_sample_is_seeded_and_bounded():
    asked = []

    def recount(rows):
        asked.append(rows.tolist())
        return Recount(EVENT[rows], CREATED[rows])

    matched = dataclasses.replace(right(), recount=recount)
    for seed in (1, 1, 2, 3, 4):
        examine(matched, TIME, known_by=None, ttl=None, seed=seed, sample=2)
    assert asked[0] == asked[1]
    assert len({tuple(rows) for rows in asked}) > 1
    assert all(len(rows) == 2 and rows == sorted(rows) for rows in asked)


def test_times_at_the_edge_of_the_range_do_not_overflow():
    first = np.iinfo(np.int64).min + 1
    matched = Matched(
        "old", {}, np.array([first]), np.array([first]), np.array([True]), np.array([0], dtype=np.int8),
        lambda rows: Recount(np.array([first]), np.array([first])), lambda name: np.array([None], dtype=object),
    )  # fmt: skip
    late = np.array([np.iinfo(np.int64).max])
    assert examine(matched, late, known_by=None, ttl=10**9, seed=0).kinds == {"expired": 1}
    soon = np.array([first + 5])
    assert examine(matched, soon, known_by=None, ttl=2**62, seed=0).kinds == {}


def test_nobody_asked():
    none = np.array([], dtype=np.int64)
    matched = Matched("v", {}, none, none, none.astype(bool), none.astype(np.int8), None, None)
    assert examine(matched, none, known_by=None, ttl=None, seed=0).rows == 0


def test_misfits_are_refused():
    with pytest.raises(BadInput, match="'price' has 1 entries for 4 rows"):
        dataclasses.replace(right(), columns={"price": np.array([1.0])})
    with pytest.raises(BadInput, match="3 row times do not fit 4 answers"):
        examine(right(), TIME[:3], known_by=None, ttl=None, seed=0)
