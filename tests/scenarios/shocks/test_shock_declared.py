"""What a shock may say, and how shocks add up."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from quantdesk.errors import BadDates, BadInput, BadParameter, UnknownName
from quantdesk.scenarios.shocks import ERAS, TYPES, Shock, Shocks, resolve_era, synthetic_shock
from quantdesk.scenarios.shocks.names import GICS, SHORT, resolve_sector
from quantdesk.scenarios.shocks.shapes import active, lasting, moved
from quantdesk.scenarios.shocks.shock import as_shocks


def test_the_public_call_without_arguments_is_the_one_of_the_contract():
    shock = synthetic_shock()
    assert shock == Shock(
        type="volatility_spike", magnitude=3.0, duration_days=5, affected_sectors=("Financials", "Technology")
    )
    assert synthetic_shock("rate_shift", 100, unit="absolute", style="inversion").style == "inversion"
    with pytest.raises(UnknownName, match="magnitud"):
        synthetic_shock(magnitud=3)


@pytest.mark.parametrize(
    ("short", "full"),
    [("TECH", "Technology"), ("FINANCE", "Financials"), ("energy", "Energy"), ("HEALTH", "Health care"),
     ("Staples", "Consumer staples"), ("DISCRETIONARY", "Consumer discretionary"), ("INDUSTRIALS", "Industrials"),
     ("COMMS", "Communication services"), ("health_care", "Health care"), ("Consumer staples", "Consumer staples")],
)  # fmt: skip
def test_a_sector_has_its_short_forms(short, full):
    assert resolve_sector(short) == full


def test_every_short_form_is_of_a_gics_sector_and_a_wrong_one_gets_the_nearest():
    assert set(SHORT.values()) <= set(GICS)
    with pytest.raises(UnknownName, match="TECH"):
        resolve_sector("TECHH")


@pytest.mark.parametrize("kind", [one for one in TYPES if one != "sector_crash"])
@pytest.mark.parametrize("size", [0, math.nan, math.inf, 21, -21, "3", None, True])
def test_a_magnitude_of_nothing_no_number_or_an_absurd_one_is_refused(kind, size):
    with pytest.raises(BadInput, match=r"magnitude|absurd"):
        Shock(type=kind, magnitude=size)


@pytest.mark.parametrize("kind", ["equity_crash", "market_closure", "fx_devaluation"])
@pytest.mark.parametrize("size", [1.0, 1.5])
def test_nothing_falls_by_all_or_more(kind, size):
    with pytest.raises(BadInput, match="absolute magnitude"):
        Shock(type=kind, magnitude=size, unit="absolute")


@pytest.mark.parametrize("kind", ["equity_crash", "volatility_spike", "credit_freeze", "liquidity_drought"])
def test_a_type_that_says_which_way_takes_no_negative_number(kind):
    with pytest.raises(BadInput, match="positive"):
        Shock(type=kind, magnitude=-2)


def test_a_drought_that_changes_nothing_is_refused_and_uncorrelated_is_a_target():
    with pytest.raises(BadInput, match="multiple"):
        Shock(type="liquidity_drought", magnitude=1, unit="absolute")
    assert Shock(type="correlation_breakdown", magnitude=0, unit="absolute").magnitude == 0


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [("type", "meteor", UnknownName), ("shape", "W", UnknownName), ("unit", "percent", UnknownName),
     ("style", "twist", UnknownName), ("duration_days", 0, BadParameter), ("duration_days", 2.5, BadParameter),
     ("duration_days", 253, BadParameter), ("delay_days", -1, BadParameter), ("duration_days", True, BadParameter),
     ("affected_sectors", ("PLASTICS",), UnknownName)],
)  # fmt: skip
def test_a_wrong_field_is_named(field, value, error):
    with pytest.raises(error, match=str(value)[:5] if field != "affected_sectors" else "PLASTICS"):
        Shock(**{"type": "equity_crash", field: value})


def test_a_sector_crash_needs_a_sector():
    with pytest.raises(BadInput, match="names no sector"):
        Shock(type="sector_crash")


def test_shocks_add_up_in_any_order():
    a, b, c = (Shock(type=kind) for kind in ("equity_crash", "rate_shift", "feed_outage"))
    assert a + b + c == c + (b + a) == Shocks((b, c, a)) == as_shocks([c, a, b])
    assert len(a + b + c) == 3
    assert "equity_crash" in (a + b).describe()


def test_what_is_no_shock_does_not_add():
    with pytest.raises(TypeError):
        Shock(type="equity_crash") + 3
    with pytest.raises(TypeError):
        (Shock(type="equity_crash") + Shock(type="rate_shift")) + 3
    with pytest.raises(BadInput, match="no shock"):
        as_shocks([])
    with pytest.raises(BadInput, match="is no shock"):
        as_shocks(["equity_crash"])


def test_two_targets_for_one_correlation_are_refused():
    one = Shock(type="correlation_breakdown", magnitude=0.9, unit="absolute")
    with pytest.raises(BadInput, match="two correlation"):
        one + one


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("jump", [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]), ("ramp", [0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1]),
     ("V", [0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0, 0]), ("L", [0, 0, 1, 1, 1, 1, 1, 1, 1, 1])],
)  # fmt: skip
def test_a_shape_says_how_much_has_happened(shape, expected):
    shock = Shock(type="equity_crash", duration_days=3, delay_days=1, shape=shape)
    assert moved(shock, 9) == pytest.approx(expected)
    assert active(shock, 9).sum() == (6 if shape == "V" else 3)
    after = lasting(shock, 9)[8:]
    assert (after == (1 if shape == "L" else 0)).all()


def test_an_era_is_named_dated_or_relative():
    start = dt.date(2016, 12, 30)
    assert resolve_era("2y_before", start) == resolve_era(resolve_era("2y_before", start), start)
    assert resolve_era("2y_before", start).first == dt.date(2014, 12, 30)
    assert resolve_era("6m_before", start).first == dt.date(2016, 6, 30)
    assert resolve_era("crisis_2008", start) is ERAS["crisis_2008"]
    assert resolve_era("1994-01-03..1995-01-03", start).last == dt.date(1995, 1, 3)
    with pytest.raises(UnknownName, match="crisis_2008"):
        resolve_era("crisis_2009", start)
    for wrong in ("a..b", "1995-01-03..1994-01-03"):
        with pytest.raises(BadDates):
            resolve_era(wrong, start)
