"""The rulebook: what is in it, that days decide, that a desk's own come first, that a bad one is refused."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.rulebook import Layer, Rulebook, bundled, in_force, parse, read
from quantdesk.orders.rulebook.entries import KINDS, OrderProtection

TICK = """
[[tick]]
starts = 2026-01-05
source = "a pilot of the desk"
grade = "user"
steps = [{ at_least = "0", step = "0.05" }]
"""


def test_every_entry_names_its_source_and_every_kind_has_entries() -> None:
    entries = list(bundled().layers[0])
    assert all(entry.source and entry.grade in ("primary", "secondary", "memory") for _, entry in entries)
    assert {kind for kind, _ in entries} == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "key", "day", "there"),
    [
        ("luld", "", "2013-04-07", False),
        ("luld", "", "2013-04-08", True),
        ("single_stock_pause", "", "2010-06-09", False),
        ("single_stock_pause", "", "2010-06-10", True),
        ("single_stock_pause", "", "2013-04-08", False),
        ("market_wide", "", "1988-10-18", False),
        ("market_wide", "", "1988-10-19", True),
        ("order_protection", "", "2007-07-08", False),
        ("short_sale", "financial", "2008-09-19", True),
        ("short_sale", "financial", "2008-10-09", False),
        ("short_sale", "all", "2011-02-27", False),
        ("short_sale", "all", "2011-02-28", True),
    ],
)
def test_the_day_decides(kind: str, key: str, day: str, there: bool) -> None:
    assert (bundled().find(kind, dt.date.fromisoformat(day), key) is not None) is there


def test_each_day_since_1988_has_one_era_of_market_wide_breakers() -> None:
    eras = [entry for kind, entry in bundled().layers[0] if kind == "market_wide"]
    assert [entry.starts for entry in eras] == sorted(entry.starts for entry in eras)
    for before, after in itertools.pairwise(eras):
        assert before.ends is not None
        assert after.starts - before.ends == dt.timedelta(days=1)
    assert eras[-1].ends is None


def test_doubling_at_the_open_ended_in_2020() -> None:
    before, after = (bundled().luld(dt.date(2020, 2, day)) for day in (23, 24))
    assert before is not None
    assert after is not None
    assert [window.anchor for window in before.doubling] == ["open", "close"]
    assert [(window.anchor, window.tier_2_up_to) for window in after.doubling] == [("close", Decimal("3.00"))]


def test_protection_holds_until_an_entry_ends_it() -> None:
    book = bundled()
    assert book.order_protection(dt.date(2026, 11, 23))
    off = parse('[[order_protection]]\nstarts = 2027-06-01\nsource = "rescission"\ngrade = "user"\non = false', "own")
    after = book.over(off)
    assert after.order_protection(dt.date(2027, 5, 31))
    assert not after.order_protection(dt.date(2027, 6, 1))
    assert book.order_protection(dt.date(2027, 6, 1)), "the bundled book is not changed"


def test_a_file_of_the_desk_lies_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.toml"
    path.write_text(TICK)
    monkeypatch.setenv("QUANTDESK_RULEBOOK", str(path))
    book = in_force()
    for day, step in (("2026-01-04", "0.01"), ("2026-01-05", "0.05")):
        tick = book.tick(dt.date.fromisoformat(day))
        assert tick is not None
        assert tick.steps[0].step == Decimal(step)
    monkeypatch.delenv("QUANTDESK_RULEBOOK")
    assert in_force() is bundled()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[tick]\n", ["own.toml is not TOML", "line 1"]),
        (TICK.replace("[[tick]]", "[[tik]]"), ["'tik'", "line 2", "Did you mean tick"]),
        (TICK.replace("[[tick]]", "[tick]"), ["line 2", "[[tick]]"]),
        (TICK.replace('"0.05"', "0.05"), ["line 6", "steps.0.step", '"0.05"']),
        (TICK.replace('"0.05"', '"-1"'), ["line 6", "greater than 0"]),
        (TICK.replace('"0.05"', '"NaN"'), ["line 6", "finite"]),
        (TICK.replace("2026-01-05", '"soon"'), ["line 3", "starts", "soon"]),
        (TICK.replace('grade = "user"', 'grade = "sure"'), ["line 5", "grade", "sure"]),
        (TICK + "colour = 3\n", ["line 7", "colour"]),
        (TICK.replace('source = "a pilot of the desk"\n', ""), ["line 2", "source"]),
        (TICK + "ends = 2026-01-01\n", ["ends on 2026-01-01", "line 2"]),
        (TICK + TICK, ["two entries of tick", "2026-01-05"]),
        (TICK + TICK.replace("2026-01-05", "2027-01-05").replace('"0.05"', "7"), ["own.toml, line 12"]),
    ],
)
def test_a_bad_entry_is_refused_with_its_line(text: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        parse(text, "own.toml")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.toml cannot be read"):
        read(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="not UTF-8"):
        read(tmp_path / "bytes.toml")


def test_an_unknown_kind_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="luld"):
        bundled().find("lulds", dt.date(2020, 1, 1))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8),
    st.integers(-5, 90),
)
def test_a_look_up_is_the_entry_that_holds_the_day(spans: list[tuple[int, int]], asked: int) -> None:
    first = dt.date(2020, 1, 1)
    entries, free = [], 0
    for gap, length in spans:
        start = free + gap
        entries.append((start, start + length))
        free = start + length + 1
    made = [
        OrderProtection(
            starts=first + dt.timedelta(a), ends=first + dt.timedelta(b), source=str(n), grade="user", on=True
        )
        for n, (a, b) in enumerate(entries)
    ]
    book = Rulebook(Layer("given", {"order_protection": made[::-1]}))
    expected = next((str(n) for n, (a, b) in enumerate(entries) if a <= asked <= b), None)
    found = book.find("order_protection", first + dt.timedelta(asked))
    assert (None if found is None else found.source) == expected
