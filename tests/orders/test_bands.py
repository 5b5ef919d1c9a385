"""The bands of limit up / limit down against the published examples, and what must hold for any price."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.halts.luld import bands

NY = ZoneInfo("America/New_York")


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NY)


NOON, LATE = at("2026-03-02 12:00"), at("2026-03-02 15:35")


@pytest.mark.parametrize(
    ("reference", "close", "tier", "when", "lower", "upper"),
    [
        (100, 100, 1, NOON, 95.00, 105.00),
        (100, 100, 1, LATE, 90.00, 110.00),
        (100, 100, 2, NOON, 90.00, 110.00),
        (100, 100, 2, LATE, 90.00, 110.00),
        (3.00, 3.00, 2, NOON, 2.40, 3.60),
        (3.00, 3.00, 2, LATE, 1.80, 4.20),
        (4.00, 2.90, 2, NOON, 3.20, 4.80),
    ],
)
def test_published_examples(
    reference: float, close: float, tier: int, when: dt.datetime, lower: float, upper: float
) -> None:
    found = bands(reference, close, tier, when)
    assert (found.lower, found.upper) == (lower, upper)


def test_below_75_cents_it_is_the_lesser_of_15_cents_and_75_percent() -> None:
    assert (bands("0.50", "0.70", 1, NOON).lower, bands("0.50", "0.70", 1, NOON).upper) == (0.35, 0.65)
    cheap = bands("0.10", "0.70", 2, NOON)
    assert (cheap.lower, cheap.upper) == (0.03, 0.18), "0.025 and 0.175, half up"


def test_the_bucket_follows_the_previous_close_not_the_price() -> None:
    assert bands(2.50, 3.01, 1, NOON).parameter == 0.05
    assert bands(5.00, 0.75, 1, NOON).parameter == 0.20
    assert bands(5.00, 3.00, 1, NOON).parameter == 0.20


@pytest.mark.parametrize(
    ("when", "tier", "close", "doubled"),
    [
        ("2019-06-03 09:30", 1, 50, True),
        ("2019-06-03 09:44:59.999", 2, 50, True),
        ("2019-06-03 09:45", 1, 50, False),
        ("2019-06-03 15:34:59", 1, 50, False),
        ("2019-06-03 15:35", 2, 50, True),
        ("2020-02-21 09:30", 1, 50, True),
        ("2020-02-24 09:30", 1, 50, False),
        ("2020-02-24 15:35", 1, 50, True),
        ("2020-02-24 15:35", 2, 50, False),
        ("2020-02-24 15:35", 2, 3, True),
        ("2020-11-27 12:34:59", 1, 50, False),  # a Friday that closes at 13:00
        ("2020-11-27 12:35", 1, 50, True),
        ("2020-11-27 13:00", 1, 50, True),
    ],
)
def test_when_parameters_double(when: str, tier: int, close: float, doubled: bool) -> None:
    assert bands(close, close, tier, at(when)).doubled is doubled


def test_a_leveraged_product_has_a_multiple_of_the_parameter() -> None:
    assert bands(100, 100, 1, NOON, 3).lower == 85.0
    assert bands(100, 100, 1, NOON, -2).upper == 110.0
    assert bands(100, 100, 2, NOON, 12).lower == 0.0, "never below 0"


def test_rounding_is_to_the_cent_and_can_be_chosen() -> None:
    # 33.33 * 0.95 = 31.6635 and 33.33 * 1.05 = 34.9965
    found = {how: bands("33.33", "33.33", 1, NOON, rounding=how) for how in ("half_up", "inwards", "outwards")}  # type: ignore[arg-type]
    assert [(one.lower, one.upper) for one in found.values()] == [(31.66, 35.0), (31.67, 34.99), (31.66, 35.0)]
    # 10.10 * 0.95 = 9.595 exactly: the cent that a binary fraction would miss.
    assert bands(10.10, 10.10, 1, NOON).lower == 9.60
    assert bands(10.10, 10.10, 1, NOON, rounding="half_even").lower == 9.60
    assert bands(10.30, 10.30, 1, NOON, rounding="half_even").lower == 9.78, "9.785, to the even cent"
    assert bands(10.30, 10.30, 1, NOON).lower == 9.79


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0, 1, 1, NOON), BadInput, "reference price 0"),
        ((-1, 1, 1, NOON), BadInput, "reference price -1"),
        ((float("nan"), 1, 1, NOON), BadInput, "nan"),
        ((1, float("inf"), 1, NOON), BadInput, "previous close inf"),
        (("ten", 1, 1, NOON), BadInput, "'ten'"),
        ((True, 1, 1, NOON), BadInput, "True"),
        ((1, 1, 3, NOON), BadInput, "tier 3"),
        ((1, 1, 1, NOON, 0), BadInput, "leverage"),
        ((1, 1, 1, NOON.replace(tzinfo=None)), BadDates, "no time zone"),
        ((1, 1, 1, "noon"), BadDates, "'noon'"),
        ((1, 1, 1, at("2026-03-02 09:29:59")), BadDates, "outside of the regular session"),
        ((1, 1, 1, at("2026-03-02 16:00:01")), BadDates, "outside of the regular session"),
        ((1, 1, 1, at("2020-11-27 14:00")), BadDates, "outside of the regular session"),
        ((1, 1, 1, at("2026-03-01 12:00")), BadDates, "closed that day"),
        ((1, 1, 1, at("2013-04-05 12:00")), BadDates, "no limit up / limit down on 2013-04-05"),
    ],
)
def test_bad_input_gets_one_clear_error(arguments: tuple[object, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        bands(*arguments)  # type: ignore[arg-type]
    assert words in str(raised.value)


def test_an_unknown_rounding_is_refused() -> None:
    with pytest.raises(BadInput, match="up"):
        bands(1, 1, 1, NOON, rounding="up")  # type: ignore[arg-type]


cents = st.integers(1, 50_000_00).map(lambda n: Decimal(n) / 100)


@given(cents, cents, st.sampled_from([1, 2]), st.sampled_from([NOON, LATE, at("2015-06-01 09:31")]), st.integers(1, 3))
def test_bands_enclose_the_reference_and_stand_within_the_parameter(
    reference: Decimal, close: Decimal, tier: int, when: dt.datetime, leverage: int
) -> None:
    found = bands(reference, close, tier, when, leverage)
    assert 0 <= found.lower <= float(reference) <= found.upper
    assert float(reference) in found
    for band in (found.lower, found.upper):
        exact = Decimal(str(band))
        assert exact == exact.quantize(Decimal("0.01")), "to the cent"
        assert abs(exact - reference) <= Decimal(str(found.parameter)) * reference + Decimal("0.0051")
