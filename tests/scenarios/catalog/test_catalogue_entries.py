"""The crises that ship: complete, sound, found by their short names."""

from __future__ import annotations

import datetime as dt
import tomllib
from importlib import resources

import pytest

from quantdesk.backtest.sectors import SECTORS
from quantdesk.errors import UnknownName
from quantdesk.market import MarketStore
from quantdesk.market.sessions import sessions_between
from quantdesk.scenarios import catalog
from quantdesk.scenarios.scenario import Scenario

IN_ORDER = (
    "rate_shock_1994",
    "ltcm_1998",
    "geopolitical_2001",
    "lehman_2008",
    "flash_crash_2010",
    "euro_2011",
    "yuan_2015",
    "volmageddon_2018",
    "covid_2020",
    "rate_shock_2022",
    "russia_2022",
)
PANEL = {one for one in SECTORS if one not in {"AMZN", "GOOG", "IBM", "META", "NFLX", "NVDA"}}


def test_the_eleven_crises_are_there_in_the_order_of_time() -> None:
    assert catalog.names() == IN_ORDER


def test_each_file_is_named_like_its_scenario() -> None:
    files = [file for file in resources.files("quantdesk.scenarios.catalog").iterdir() if file.name.endswith(".toml")]
    assert sorted(file.name.removesuffix(".toml") for file in files) == sorted(IN_ORDER)
    assert all(tomllib.loads(file.read_text("utf-8"))["name"] == file.name.removesuffix(".toml") for file in files)


@pytest.mark.parametrize("name", IN_ORDER)
def test_a_window_begins_and_ends_on_sessions_in_new_york(name: str) -> None:
    scenario = catalog.load(name)
    days = sessions_between("XNYS", scenario.start, scenario.end)
    assert (days[0].date(), days[-1].date()) == (scenario.start, scenario.end)


@pytest.mark.parametrize("name", IN_ORDER)
def test_every_crisis_moves_the_index_the_whole_panel_rates_oil_and_volatility(name: str) -> None:
    symbols = [asset.symbol for asset in catalog.load(name).assets]
    assert len(PANEL) == 20
    assert PANEL | {"SPX", "UST2Y", "UST10Y", "UST30Y", "WTI", "VIX"} <= set(symbols)
    assert ("EURUSD" in symbols) == ("USDJPY" in symbols) == (catalog.load(name).start.year >= 1999)
    assert ("QUAL" in symbols) == (catalog.load(name).start.year >= 2014)


@pytest.mark.parametrize("name", IN_ORDER)
def test_the_store_knows_every_asset_or_both_legs_of_it(name: str, store: MarketStore) -> None:
    stored = {one.symbol for one in store.series()}
    for asset in catalog.load(name).assets:
        legs = {f"EUR{asset.symbol[:3]}", f"EUR{asset.symbol[3:]}"}
        assert asset.symbol in stored or legs <= stored, asset.symbol


@pytest.mark.parametrize("name", IN_ORDER)
def test_every_figure_is_in_the_window_but_those_that_are_quoted(name: str) -> None:
    scenario = catalog.load(name)
    for figure in scenario.figures:
        inside = all(day is None or scenario.start <= day <= scenario.end for day in (figure.on, figure.since))
        assert inside or figure.grade == "reconstructed", figure


def test_waypoints_stand_only_where_the_bundle_has_nothing(store: MarketStore) -> None:
    for scenario in catalog.all().values():
        for point in scenario.waypoints:
            series = store.resolve(point.symbol)
            assert not series.start <= point.on <= series.end, point


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("lehman", "lehman_2008"),
        ("covid", "covid_2020"),
        ("COVID-19", None),
        ("flash_crash", "flash_crash_2010"),
        ("Flash Crash", "flash_crash_2010"),
        ("flash-crash", "flash_crash_2010"),
        ("9_11", "geopolitical_2001"),
        ("9/11", "geopolitical_2001"),
        ("geopolitical", "geopolitical_2001"),
        ("rate_shock", "rate_shock_2022"),
        ("ltcm", "ltcm_1998"),
        ("yuan", "yuan_2015"),
        ("euro", "euro_2011"),
        ("russia", "russia_2022"),
        ("volmageddon", "volmageddon_2018"),
        ("russia_2022", "russia_2022"),
    ],
)
def test_a_short_name_resolves(short: str, full: str | None) -> None:
    if full is None:
        with pytest.raises(UnknownName, match="covid"):
            catalog.resolve(short)
    else:
        assert catalog.resolve(short) == full
        assert catalog.load(short).name == full


def test_every_alias_means_its_own_scenario_alone() -> None:
    for scenario in catalog.all().values():
        for alias in scenario.aliases:
            assert catalog.resolve(alias) == scenario.name


def test_a_name_that_could_be_two_is_refused_with_both() -> None:
    with pytest.raises(UnknownName, match="ambiguous: it could be rate_shock_1994 or rate_shock_2022"):
        catalog.resolve("rate")


@pytest.mark.parametrize("name", ["lehmann", "covid_2021", ""])
def test_an_unknown_name_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UnknownName) as refused:
        catalog.load(name)
    assert repr(name) in str(refused.value)
    assert any(known in str(refused.value) for known in ("lehman", "covid", "Known:"))


def test_new_york_was_shut_after_the_eleventh_of_september() -> None:
    scenario = catalog.load("geopolitical_2001")
    days = sessions_between("XNYS", scenario.start, scenario.end)
    shut = {dt.date(2001, 9, day) for day in (11, 12, 13, 14)}
    assert shut.isdisjoint(days.date)
    assert {one.exchange for one in scenario.closures} == {"XCBF", "UST"}


def test_an_entry_is_frozen() -> None:
    scenario = catalog.load("covid")
    assert isinstance(scenario, Scenario)
    assert hash(scenario) == hash(catalog.load("covid_2020"))
    with pytest.raises(ValueError, match="frozen"):
        scenario.title = "another"  # type: ignore[misc]
