"""A book along a path: what it holds, what is stale, what it may not know, and how it adds up."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.instruments import ASSET_CLASSES, Book, Smile, Tape, bind, state_of

NAN = math.nan
MIXED = {
    "AAPL": 100, "SPX": -5, "FX:EURUSD": 1e5, "FX:USDJPY": -2e5, "FXFWD:EURUSD:3M": 1e5, "FXFWD:USDJPY:1M:1%": 1e5,
    "UST:10Y": 1e6, "UST:3M": 5e5, "ZERO:10Y": 1e6, "UST_LADDER:2Y,5Y,10Y,30Y": 1e6, "FUT:WTI": 2, "FUT:WTI:1M:8%": 1,
    "OPT:SPX:P:90%:3M": 3, "OPT:SPX:C:100%:1M": -1, "OPT:AAPL:P:90%:3M": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(lehman):
    return bind(Book(MIXED), state_of(lehman, 0)).values(lehman)


def test_along_the_path_is_bar_by_bar(lehman, found):
    bound = bind(Book(MIXED), state_of(lehman, 0))
    for bar in (0, 1, 20, len(lehman.ends) - 1):
        state = state_of(lehman, bar)
        for place, one in enumerate(bound.positions):
            if one.instrument.ends is None or state.on <= one.instrument.ends:
                assert found.values[bar, place] == pytest.approx(one.quantity * one.instrument.value(state), rel=1e-12)


def test_classes_and_sectors_add_up_to_the_total(found):
    assert found.total == pytest.approx(found.values.sum(axis=1))
    assert sum(found.by_class.values()) == pytest.approx(found.total, rel=1e-12)
    assert sum(found.by_sector.values()) == pytest.approx(found.total, rel=1e-12)
    assert set(found.by_class) == set(ASSET_CLASSES)


def test_real_moves_of_lehman(found):
    change = dict(zip(MIXED, found.values[-1] - found.values[0], strict=True))
    assert change["SPX"] == pytest.approx(-5 * (752.44 - 1251.70), abs=0.1)
    assert change["FX:EURUSD"] == pytest.approx(1e5 * (1.2542 - 1.4066), abs=1)
    assert change["FUT:WTI"] == pytest.approx(2000 * (48.855 - 101.19), abs=500)
    assert change["OPT:SPX:P:90%:3M"] > 3 * 100 * 300
    assert change["FX:USDJPY"] > 0  # short dollars against yen


def test_bonds_are_stale_on_the_two_days_when_only_stocks_traded(found):
    # 2008-10-13 (Columbus Day) and 2008-11-11 (Veterans Day): New York's stock market was open, bonds were not.
    assert found.stale["UST:10Y"] == found.stale["OPT:SPX:P:90%:3M"] == 2
    assert found.stale["OPT:SPX:C:100%:1M"] == 0  # expired on 10-12
    assert found.stale["AAPL"] == found.stale["FX:EURUSD"] == 0


def test_a_closed_bar_has_the_last_known_value_and_is_counted(make_path):
    path = make_path({"AAPL": [10, NAN, NAN, 13], "SPX": [100, 101, NAN, 103]})
    found = bind(Book({"AAPL": 2, "SPX": 1}), state_of(path, 0)).values(path)
    assert found.values[:, 0].tolist() == [20, 20, 20, 26]
    assert found.stale == {"AAPL": 2, "SPX": 1}
    assert state_of(path, 2).stale == {"AAPL", "SPX"}


def test_before_the_first_bar_the_history_is_known(make_path):
    history = make_path({"AAPL": [7, 8, NAN]}, "2008-09-01")
    path = make_path({"AAPL": [NAN, 9]}, history=history)
    found = bind(Book({"AAPL": 1}), state_of(path, 0)).values(path)
    assert found.values[:, 0].tolist() == [8, 9]
    assert found.stale == {"AAPL": 1}


def test_what_never_had_a_value_names_symbol_and_bar(make_path):
    path = make_path({"AAPL": [NAN, NAN, 13], "SPX": [1, 2, 3]})
    with pytest.raises(BadInput, match=r"AAPL has no value at or before bar 0 \(2008-09-12\)"):
        bind(Book({"AAPL": 1}), state_of(path, 0))
    late = bind(Book({"AAPL": 1}), state_of(path, 2))
    with pytest.raises(BadInput, match=r"AAPL has no value at or before bar 1 \(2008-09-15\)"):
        late.values(path)
    with pytest.raises(UnknownName, match="'MSFT'"):
        bind(Book({"MSFT": 1}), state_of(path, 0))
    other = make_path({"SPX": [1, 2, 3]})
    with pytest.raises(UnknownName, match="'AAPL'"):
        late.values(other)
    for bar in (-1, 3):
        with pytest.raises(BadInput, match="from 0 to 2"):
            state_of(path, bar)


def test_a_yield_older_than_a_month_is_no_part_of_the_curve(make_path):
    history = make_path({"UST30Y": [5.0, 5.0], "UST10Y": [4.0, 4.0]}, "2008-06-02")
    path = make_path({"UST30Y": [NAN, NAN], "UST10Y": [3.7, NAN], "UST2Y": [2.0, 2.1]}, history=history)
    assert state_of(path, 0).yields == ("UST10Y", "UST2Y")
    found = bind(Book({"UST:10Y": 1.0}), state_of(path, 0)).values(path)
    assert found.stale == {"UST:10Y": 1}  # the missing 30-year yield is not counted: it prices nothing


@settings(max_examples=15, deadline=None)
@given(bar=st.integers(0, 8), seed=st.integers(0, 5))
def test_the_future_does_not_matter(make_path, bar, seed):
    rng = np.random.default_rng([seed, 5])
    names = ["AAPL", "SPX", "EURUSD", "VIX", "UST3M", "UST10Y"]
    base = np.array([10, 100, 1.4, 25, 2, 4])
    table = base * np.exp(rng.normal(0, 0.02, (10, 6)))
    table[rng.random((10, 6)) < 0.2] = NAN
    table[0] = base
    other = table.copy()
    other[bar + 1 :] = base * 3
    paths = [make_path({name: one[:, place].tolist() for place, name in enumerate(names)}) for one in (table, other)]
    book = Book({"AAPL": 3, "FX:EURUSD": 1000, "UST:10Y": 1000, "OPT:SPX:P:90%:1M": 1})
    first, second = (bind(book, state_of(path, 0)).values(path) for path in paths)
    assert (first.values[: bar + 1] == second.values[: bar + 1]).all()
    assert (first.is_stale[: bar + 1] == second.is_stale[: bar + 1]).all()


@settings(max_examples=10, deadline=None)
@given(a=st.floats(-1e6, 1e6), b=st.floats(-1e6, 1e6))
def test_values_are_proportional_to_quantities(lehman, found, a, b):
    short = lehman.cut(0, 3)
    bound = bind(Book({"SPX": a, "UST:10Y": b}), state_of(short, 0)).values(short)
    unit = bind(Book({"SPX": 1, "UST:10Y": 1}), state_of(short, 0)).values(short)
    assert bound.values == pytest.approx(unit.values * [a, b])


def test_labels_say_what_is_taken_for_granted(found):
    for label in ("index_stands_for_its_fund", "bonds_priced_off_par_yields", "future_moves_as_spot",
                  "foreign_rate_as_dollar", "skew_and_term_structure_assumed", "implied_volatility_from_realised",
                  "dividends_left_out", "currency_without_interest", "index_without_dividends"):  # fmt: skip
        assert label in found.labels
    assert len(set(found.labels)) == len(found.labels)


def test_the_smile_of_the_start_is_that_of_the_path(lehman):
    short = lehman.cut(0, 3)
    book = Book({"OPT:SPX:P:80%:3M": 1})
    flat = bind(book, state_of(short, 0, Smile(rho=0.0, eta=0.1))).values(short).total
    skewed = bind(book, state_of(short, 0)).values(short).total
    assert (skewed > 1.5 * flat).all()


def test_a_table_has_a_column_for_each_position(lehman, found):
    table = found.table()
    assert list(table) == list(MIXED)
    assert (table.index == lehman.closes().index).all()


def test_a_bound_book_travels_to_another_process(lehman):
    bound = bind(Book(MIXED), state_of(lehman, 0))
    again = pickle.loads(pickle.dumps(bound))
    assert (again.values(lehman).values == bound.values(lehman).values).all()
    assert pickle.loads(pickle.dumps(Book(MIXED))) == Book(MIXED)


def test_a_tape_serves_many_books(lehman):
    tape = Tape(lehman)
    bound = bind(Book({"UST:10Y": 1.0}), tape.state(0))
    assert (bound.values(tape).values == bound.values(lehman).values).all()


@pytest.mark.parametrize("wrong", [{}, None, [], {"AAPL": NAN}, {"AAPL": math.inf}, {"AAPL": "5"}, {"AAPL": True},
                                   {"AAPL": None}, {"AAPL": 1e16}, {"AAPL": 5j}, {5: 5}, {"UST:": 5}])  # fmt: skip
def test_a_book_that_is_none_is_refused(wrong):
    with pytest.raises(BadInput):
        Book(wrong)


def test_a_book_is_not_changed_from_outside():
    given_ = {"AAPL": 5}
    book = Book(given_)
    given_["AAPL"] = 7
    assert book.quantities == {"AAPL": 5.0}
