"""The account is exact: cash to the micro-dollar, average cost against fractions, sums against sums made anew."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.portfolio import Portfolio, Position

CASH = 1_000_000_000_000
SYMBOLS = st.sampled_from(["AAPL", "MSFT", "SPY"])
SIDES = st.sampled_from([1, -1])
# Small numbers come back to zero often; odd ones leave remainders; large ones need more than 64 bits.
SHARES = st.one_of(st.integers(1, 7), st.sampled_from([13, 100, 997, 1_000_000_000]))
PRICES = st.one_of(st.integers(0, 9), st.integers(1, 500_000_000), st.just(700_000_000_000_000))
FEES = st.integers(-5_000, 50_000)
DAYS = st.dates(dt.date(2020, 3, 9), dt.date(2020, 3, 13))

STEPS = st.one_of(
    st.tuples(st.just("fill"), SYMBOLS, SIDES, SHARES, PRICES, FEES),
    st.tuples(st.just("open"), SYMBOLS, SIDES, SHARES, st.one_of(st.just(0), PRICES)),
    st.tuples(st.just("close"), SYMBOLS, SIDES, st.integers(1, 20)),
    st.tuples(st.just("mark"), SYMBOLS, PRICES),
    st.tuples(st.just("charge"), SYMBOLS, FEES),
    st.tuples(st.just("transfer"), SYMBOLS, SIDES, SHARES, PRICES),
    st.tuples(st.just("day"), DAYS),
)


class Plain:
    """Average-cost accounting of one symbol in fractions, without any rounding."""

    def __init__(self):
        self.shares, self.cost, self.realized, self.closings = 0, Fraction(0), Fraction(0), 0

    def trade(self, shares, price):
        if self.shares * shares >= 0:
            self.shares += shares
            self.cost += shares * price
            return
        closing = shares if abs(shares) <= abs(self.shares) else -self.shares
        average = self.cost / self.shares
        self.realized += -closing * (price - average)
        self.cost += closing * average
        self.shares += closing
        self.closings += 1
        if closing != shares:
            self.trade(shares - closing, price)


def take(portfolio, step):
    """A step on the account; a fill is that of an order opened just before."""
    what, *rest = step
    if what == "fill":
        symbol, side, shares, price, fee = rest
        portfolio.open(symbol, side, shares)
        portfolio.fill(symbol, side, shares, price, fee)
    elif what == "open":
        portfolio.open(*rest)
    elif what == "close":
        symbol, side, shares = rest
        held = portfolio.position(symbol)
        portfolio.close(symbol, side, min(shares, held.buying if side > 0 else held.selling))
    elif what == "mark":
        portfolio.mark(*rest)
    elif what == "charge":
        portfolio.charge(*rest)
    elif what == "transfer":
        symbol, side, shares, price = rest
        portfolio.transfer(symbol, side * shares, price)
    else:
        portfolio.start_day(*rest)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_the_account_against_plain_accounting(steps):
    portfolio, plain = Portfolio(CASH), {}
    cash, fees, brought = CASH, 0, 0
    for step in steps:
        take(portfolio, step)
        if step[0] == "fill":
            _, symbol, side, shares, price, fee = step
            plain.setdefault(symbol, Plain()).trade(side * shares, price)
            cash -= side * shares * price + fee
            fees += fee
        elif step[0] == "transfer":
            _, symbol, side, shares, price = step
            plain.setdefault(symbol, Plain()).trade(side * shares, price)
            brought += side * shares * price
        elif step[0] == "charge":
            cash -= step[2]
            fees += step[2]
        assert portfolio.cash == cash
        assert portfolio.fees == fees
        # What was paid is in the cost of what is held or in what was won; nothing is lost to rounding.
        cost = sum(held.cost for _, held in portfolio)
        assert portfolio.cash + cost - portfolio.realized + portfolio.fees == CASH + brought
        for symbol, one in plain.items():
            held = portfolio.position(symbol)
            assert held.shares == one.shares
            # Each closing rounds by less than a micro-dollar ...
            assert abs(held.cost - one.cost) <= one.closings
            assert abs(held.realized - one.realized) <= one.closings
            if one.shares == 0:  # ... and the last one takes it all back
                assert (held.cost, held.realized) == (0, one.realized)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_sums_that_are_kept_up_to_date_are_those_made_anew(steps):
    portfolio = Portfolio(CASH)
    for step in steps:
        take(portfolio, step)
        told = portfolio.to_dict()["positions"].values()
        assert portfolio.net == sum(held["shares"] * held["mark"] for held in told)
        assert portfolio.gross == sum(abs(held["shares"]) * held["mark"] for held in told)
        assert portfolio.gross_with_open_orders == sum(
            max(abs(held["shares"] + held["buying"]), abs(held["shares"] - held["selling"])) * held["mark"]
            for held in told
        )
        assert portfolio.equity == portfolio.cash + portfolio.net
        assert portfolio.day_pnl == portfolio.equity - portfolio.equity_at_start
        assert portfolio.positions == {symbol: held.shares for symbol, held in portfolio if held.shares}
        assert all(held.buying >= 0 and held.selling >= 0 for _, held in portfolio)


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(0, 50))
def test_no_way_of_filling_open_orders_is_worse_than_the_worst(shares, buying, selling):
    held = Position(shares, buying=buying, selling=selling)
    reached = [abs(shares + change) for change in range(-selling, buying + 1)]
    assert held.worst == max(reached)


@given(st.lists(STEPS, max_size=20), st.lists(STEPS, max_size=20))
@settings(max_examples=60, deadline=None)
def test_equal_accounts_are_equal(steps, more):
    one, other = Portfolio(CASH), Portfolio(CASH)
    for step in steps:
        take(one, step)
        take(other, step)
    assert one == other
    before = one.to_dict()
    for step in more:
        take(one, step)
    assert (one == other) is (one.to_dict() == before)
    assert one != before


def test_a_round_trip_by_hand():
    portfolio = Portfolio(1_000_000_000)
    take(portfolio, ("fill", "AAPL", 1, 3, 10_000_000, 9_000))
    take(portfolio, ("fill", "AAPL", 1, 4, 11_000_000, 12_000))
    held = portfolio.position("AAPL")
    assert (held.shares, held.cost, held.mark, held.value) == (7, 74_000_000, 11_000_000, 77_000_000)
    take(portfolio, ("fill", "AAPL", -1, 2, 12_000_000, 6_000))
    # Two sevenths of 74 dollars are 21.142857142...: rounded down to a micro-dollar.
    assert (held.shares, held.cost, held.realized) == (5, 74_000_000 - 21_142_857, 24_000_000 - 21_142_857)
    take(portfolio, ("fill", "AAPL", -1, 8, 12_000_000, 24_000))
    assert (held.shares, held.cost, held.realized) == (-3, -36_000_000, 7 * 12_000_000 - 74_000_000)
    assert portfolio.cash == 1_000_000_000 - 74_000_000 + 10 * 12_000_000 - 51_000
    assert (portfolio.net, portfolio.gross, portfolio.realized, portfolio.fees) == (
        -36_000_000, 36_000_000, 10_000_000, 51_000,
    )  # fmt: skip


def test_the_day():
    portfolio = Portfolio(1_000_000)
    take(portfolio, ("fill", "AAPL", 1, 10, 10_000, 0))
    portfolio.start_day(dt.date(2020, 3, 9))
    portfolio.mark("AAPL", 9_000)
    portfolio.charge("AAPL", 500)
    assert portfolio.day_pnl == -10_500
    portfolio.start_day(dt.date(2020, 3, 9))
    portfolio.start_day(dt.date(2020, 3, 6))
    assert portfolio.day_pnl == -10_500, "the same day, or an earlier one, begins nothing"
    portfolio.start_day(dt.date(2020, 3, 10))
    assert (portfolio.day_pnl, portfolio.equity) == (0, 989_500)


def test_what_is_brought_in_is_not_won():
    portfolio = Portfolio(0)
    portfolio.start_day(dt.date(2020, 3, 9))
    portfolio.transfer("AAPL", 10, 100)
    assert (portfolio.day_pnl, portfolio.equity, portfolio.cash) == (0, 1_000, 0)
    portfolio.transfer("AAPL", 5, 110)
    assert (portfolio.day_pnl, portfolio.equity) == (100, 1_650), "the shares that were there are marked anew"
    portfolio.transfer("TSLA", -5, 40)
    assert (portfolio.day_pnl, portfolio.equity) == (100, 1_450)


def test_open_orders_and_marks():
    portfolio = Portfolio(0)
    portfolio.mark("AAPL", 100)
    assert list(portfolio) == [], "nothing to do with it"
    portfolio.open("AAPL", 1, 10, mark=100)
    portfolio.open("AAPL", -1, 30)
    assert (portfolio.gross, portfolio.gross_with_open_orders) == (0, 3_000)
    before = portfolio.to_dict()
    for side, there in ((1, 10), (-1, 30)):
        for attempt in (portfolio.close, lambda *given: portfolio.fill(*given, price=100, fee=1)):
            with pytest.raises(BadInput, match=rf"{there + 1} shares of AAPL cannot be closed\. {there} are open"):
                attempt("AAPL", side, there + 1)
    assert portfolio.to_dict() == before
    portfolio.close("AAPL", -1, 30)
    assert portfolio.gross_with_open_orders == 1_000
    with pytest.raises(TypeError, match="unhashable"):
        hash(portfolio)
