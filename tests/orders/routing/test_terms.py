"""Terms of venues from the rulebook, chances of a fill, impact: looked up, published, or worked out by scipy."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.orders.routing import Terms, directory
from quantdesk.orders.routing.fills import at_least, mass, survival
from quantdesk.orders.routing.impact import almgren, square_root
from quantdesk.orders.rulebook import Rulebook, bundled, parse

DAY = dt.date(2026, 11, 23)
CAP = """
[[access_fee]]
starts = 2026-11-02
source = "a lower cap"
grade = "user"
cap = "0.0010"
below = "1.00"
fraction_below = "0.001"
"""


def test_sixteen_exchanges_trade_and_their_fees_are_those_of_the_rulebook() -> None:
    terms = {one.venue: one for one in directory(DAY)}
    assert len(terms) == 16
    assert all(one.protected and not one.note for one in terms.values())
    assert (terms["NYSE"].add_fee, terms["NYSE"].remove_fee) == (-1200, 3000)
    assert (terms["Nasdaq BX"].add_fee, terms["Nasdaq BX"].remove_fee) == (3000, -1800)
    assert (terms["NYSE"].remove_below_dollar_ppm, terms["Nasdaq BX"].remove_below_dollar_ppm) == (3000, 0)
    assert terms["Cboe EDGA"].remove_below_dollar_ppm == 1500
    assert list(terms) == sorted(terms)


def test_the_way_is_as_long_as_the_fibre_and_a_speed_bump() -> None:
    ways = {place: {one.venue: one.latency_ns for one in directory(DAY, desk_at=place)}
            for place in ("Secaucus", "Mahwah", "Carteret")}  # fmt: skip
    assert (ways["Secaucus"]["NYSE"], ways["Secaucus"]["Nasdaq"], ways["Secaucus"]["MEMX"]) == (170_000, 130_000, 5_000)
    assert (ways["Mahwah"]["Nasdaq"], ways["Carteret"]["NYSE"]) == (280_000, 280_000)
    assert ways["Secaucus"]["IEX"] == 355_000
    with pytest.raises(UnknownName, match="Secaucus"):
        directory(DAY, desk_at="Secaucas")


def test_the_day_decides_which_exchanges_there_are() -> None:
    before, after = ({one.venue for one in directory(dt.date(2025, 3, day))} for day in (30, 31))
    assert before - after == {"NYSE Chicago"}
    assert after - before == {"NYSE Texas"}
    edga = [
        next(one for one in directory(dt.date(2024, *day)) if one.venue == "Cboe EDGA") for day in ((10, 31), (11, 1))
    ]
    assert [one.remove_fee for one in edga] == [-1800, 3000]


def test_a_cap_on_fees_holds() -> None:
    capped = {one.venue: one for one in directory(DAY, bundled().over(parse(CAP, "own")))}
    assert capped["NYSE"].remove_fee == 1000
    assert capped["Nasdaq BX"].remove_fee == -1800
    assert (capped["NYSE"].remove_below_dollar_ppm, capped["Cboe EDGA"].remove_below_dollar_ppm) == (1000, 1000)


def test_a_day_before_the_oldest_entries_is_refused_or_labelled() -> None:
    with pytest.raises(BadDates, match=r"fees of Cboe BYX from 2024-01-01 on, not on 2020-03-09"):
        directory(dt.date(2020, 3, 9))
    crash = {one.venue: one for one in directory(dt.date(2020, 3, 9), earliest=True)}
    assert crash["NYSE"].note == "fees of NYSE as of 2024-01-01"
    assert "MEMX" not in crash
    with pytest.raises(BadDates, match="venues from 2007-07-09"):
        directory(dt.date(1987, 10, 19))
    long_ago = {one.venue: one for one in directory(dt.datetime(1987, 10, 19, tzinfo=dt.UTC), earliest=True)}
    assert set(long_ago) == {"NYSE", "NYSE American", "NYSE Arca", "NYSE Chicago", "Nasdaq"}
    assert all(one.note.startswith("open from 2007-07-09; fees of") for one in long_ago.values())


def test_a_venue_without_fees_and_a_book_without_venues_are_refused() -> None:
    own = parse('[[venue]]\nstarts = 2026-01-01\nsource = "s"\ngrade = "user"\nvenue = "Dark"\nmic = "DARK"\n'
                'place = "Secaucus"\nprotected = false\nhidden_share = "5"', "own")  # fmt: skip
    with pytest.raises(BadInput, match="no fees of Dark on 2026-11-23"):
        directory(DAY, bundled().over(own))
    with pytest.raises(BadInput, match="no venues"):
        directory(DAY, Rulebook(parse('[[latency]]\nstarts = 2020-01-01\nsource = "s"\ngrade = "user"\n'
                                      'between = ["Secaucus"]\nmicroseconds = 1', "own")))  # fmt: skip
    with pytest.raises(BadInput, match="hidden share nan"):
        Terms("X", 0, 0, 0, 0, True, math.nan)
    with pytest.raises(BadInput, match="hold -5"):
        Terms("X", 0, 0, 0, -5, True, 0.0)


@given(st.integers(1, 10**6), st.integers(1, 3_000_000))
def test_fees_are_whole_and_half_up_below_a_dollar(shares: int, price: int) -> None:
    one = Terms("X", -2000, 3000, 3000, 0, True, 0.0)
    fee = one.remove_fee_for(shares, price)
    if price >= 1_000_000:
        assert (fee, one.add_fee_for(shares, price)) == (3000 * shares, -2000 * shares)
    else:
        assert abs(fee - shares * price * 0.003) <= 0.5 + 1e-3
        assert one.add_fee_for(shares, price) == 0


@settings(deadline=None)
@given(st.integers(0, 400), st.floats(0, 300))
def test_the_chance_of_a_queue_is_the_poisson_tail(count: int, mean: float) -> None:
    assert at_least(count, mean) == pytest.approx(poisson.sf(count - 1, mean), rel=1e-9, abs=1e-300)
    assert mass(count, mean) == pytest.approx(poisson.pmf(count, mean), rel=1e-9, abs=1e-300)


def test_a_quote_stands_the_surer_the_older_it_is_and_the_nearer_its_venue() -> None:
    half = 50e6
    assert survival(0.0, half, half) == 0.5
    assert survival(0.0, 0.0, half) == 1.0
    assert survival(1e9, 1e6, half) > survival(0.0, 1e6, half) > survival(0.0, 2e6, half)


@pytest.mark.parametrize(
    ("volume", "turnover", "volatility", "days", "permanent", "temporary", "realised"),
    [  # Almgren et al. (2005), table of their example: 10 % of the day's volume of IBM and of DRI, basis points
        (6_561_000, 6_561_000 / 1_728_000_000, 0.0157, 0.1, 20, 22, 32),
        (6_561_000, 6_561_000 / 1_728_000_000, 0.0157, 0.2, 20, 15, 25),
        (6_561_000, 6_561_000 / 1_728_000_000, 0.0157, 0.5, 20, 8, 18),
        (1_929_000, 1_929_000 / 168_000_000, 0.0226, 0.1, 22, 32, 43),
        (1_929_000, 1_929_000 / 168_000_000, 0.0226, 0.2, 22, 21, 32),
        (1_929_000, 1_929_000 / 168_000_000, 0.0226, 0.5, 22, 12, 23),
    ],
)
def test_impact_is_that_of_the_published_example(
    volume: int, turnover: float, volatility: float, days: float, permanent: int, temporary: int, realised: int
) -> None:
    found = almgren(volume / 10, volume, volatility, days, turnover=turnover)
    assert found.permanent * 1e4 == pytest.approx(permanent, abs=0.6)
    assert found.temporary * 1e4 == pytest.approx(temporary, abs=0.6)
    assert found.realised * 1e4 == pytest.approx(realised, abs=0.6)


def test_the_square_root_law() -> None:
    assert square_root(10_000, 1_000_000, 0.02) == pytest.approx(0.002)
    assert square_root(40_000, 1_000_000, 0.02) == pytest.approx(0.004)
    assert square_root(0, 1, 0.02, y=0.5) == 0


@pytest.mark.parametrize("wrong", [(-1, 1, 0.1), (1, 0, 0.1), (1, 1, -0.1), (math.nan, 1, 0.1), (1, math.inf, 0.1)])
def test_impact_of_what_is_no_number_is_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(BadInput):
        square_root(*wrong)
    with pytest.raises(BadInput):
        almgren(*wrong, days=1)
    with pytest.raises(BadInput):
        almgren(1, 1, 0.1, days=0)
