"""Market-wide halts, closures and phases: what a path sets off under the rules of its day, and nothing else."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from quantdesk.errors import UnknownName
from quantdesk.market import MarketStore
from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.orders.halts import Status
from quantdesk.orders.halts.hours import regular_hours
from quantdesk.orders.halts.phases import Phase
from quantdesk.scenarios import Asset, Grade, Path
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.scenario import AssetEntry, ClosureEntry, Scenario
from quantdesk.scenarios.stopped import emergent

NY = ZoneInfo("America/New_York")
DAY = dt.date(2021, 6, 1)
CLOSED = GRADES.index(Grade.CLOSED)

WINDOWS = {
    "1998": (dt.date(1998, 7, 17), dt.date(1998, 8, 31)),
    "2001": (dt.date(2001, 9, 17), dt.date(2001, 9, 21)),
    "2008": (dt.date(2008, 9, 12), dt.date(2008, 11, 20)),
    "2010": (dt.date(2010, 5, 3), dt.date(2010, 5, 14)),
    "2011": (dt.date(2011, 7, 22), dt.date(2011, 10, 3)),
    "2015": (dt.date(2015, 8, 17), dt.date(2015, 8, 25)),
    "2018": (dt.date(2018, 1, 26), dt.date(2018, 2, 8)),
    "2022": (dt.date(2022, 1, 3), dt.date(2022, 10, 12)),
}


def clock(text: str, day: dt.date = DAY) -> int:
    return nanoseconds(dt.datetime.fromisoformat(f"{day} {text}").replace(tzinfo=NY))


def daily(store: MarketStore, first: dt.date, last: dt.date, *symbols: str) -> Path:
    assets = tuple(AssetEntry(symbol=symbol) for symbol in ("SPX", *symbols))
    return replay(
        Scenario(name="window", title="w", summary="w", start=first, end=last, assets=assets, sources=("test",)), store
    )


def minutes(index, stock=None, *, day: dt.date = DAY, previous: float = 4000.0, begins: str = "09:30") -> Path:
    """Minutes of an index and a stock, after one day at `previous` and at 100."""
    close = np.column_stack([index, np.full(len(index), 100.0) if stock is None else stock]).astype(float)
    opens = np.concatenate([[[previous, 100.0]], close[:-1]])
    starts = clock(begins, day) + 60 * SECOND * np.arange(len(close))
    before = day - dt.timedelta(days=1)
    while (hours := regular_hours(before)) is None:
        before -= dt.timedelta(days=1)
    made = np.full(close.shape, GRADES.index(Grade.RECONSTRUCTED), dtype=np.int8)
    assets = (Asset("SPX", "index"), Asset("ABC", "equity"))
    history = Path(
        "before",
        assets,
        np.array([nanoseconds(hours.opens)]),
        np.array([nanoseconds(hours.closes)]),
        np.array([[previous, 100.0]]),
        np.zeros((1, 2), dtype=np.int8),
    )
    return Path(
        "made", assets, starts, starts + 60 * SECOND, close, made, open=opens,
        high=np.maximum(opens, close), low=np.minimum(opens, close), history=history,
    )  # fmt: skip


def test_in_covid_the_first_level_fires_on_exactly_the_four_days(store) -> None:
    found = emergent(daily(store, dt.date(2020, 2, 19), dt.date(2020, 3, 23)))
    days = [dt.datetime.fromtimestamp(met.begins / 1e9, NY).date() for met in found.met]
    assert [str(day) for day in days] == ["2020-03-09", "2020-03-12", "2020-03-16", "2020-03-18"]
    assert {met.code for met in found.met} == {"MWC1"}
    assert all("the minute is not known" in met.cause and "real daily bar" in met.cause for met in found.met)
    assert [met.numbers["threshold"] for met in found.met] == [2764.3, 2549.48, 2521.24, 2352.14]
    # A day is not stopped for what nobody knows the minute of.
    assert found.halts.market_halt(found.met[0].begins + SECOND) is None
    assert found.notes == ()


@pytest.mark.parametrize("window", WINDOWS)
def test_in_no_other_crisis_anything_fires(store, window) -> None:
    found = emergent(daily(store, *WINDOWS[window]))
    assert (found.met, found.notes) == ((), ())


def test_a_level_stops_everybody_for_a_quarter_of_an_hour_from_the_end_of_its_bar() -> None:
    path = minutes([4000.0] * 10 + [3719.0] * 5 + [3700.0] * 30)
    found = emergent(path)
    (met,) = found.met
    assert (met.symbol, met.code, met.begins, met.ends) == ("*", "MWC1", clock("09:41"), clock("09:56"))
    assert met.numbers["threshold"] == 3720.0
    shut = (path.begins >= met.begins) & (path.ends <= met.ends)
    assert shut.sum() == 15
    assert (found.path.grades[shut] == CLOSED).all()
    assert np.isnan(found.path.close[shut]).all()
    assert np.isnan(found.path.low[shut]).all()  # type: ignore[index]
    np.testing.assert_array_equal(found.path.close[~shut], path.close[~shut])  # it reopens at the path's value
    for at, stopped in ((met.begins - 1, False), (met.begins, True), (met.ends - 1, True), (met.ends, False)):
        assert (found.halts.market_halt(at) is not None) is stopped
        assert (found.halts.status("ABC", at).status is Status.HALTED) is stopped
    assert found.halts.status("ABC", met.begins).source == "simulated tape"


def test_the_second_level_may_come_with_the_reopening_and_the_third_ends_the_day() -> None:
    path = minutes([3700.0] + [3450.0] * 40 + [3199.0] + [3900.0] * 20)
    found = emergent(path)
    assert [(met.code, met.begins, met.ends) for met in found.met] == [
        ("MWC1", clock("09:31"), clock("09:46")),
        ("MWC2", clock("09:47"), clock("10:02")),
        ("MWC3", clock("10:12"), clock("16:00")),
    ]
    assert (found.path.grades[path.begins >= clock("10:12")] == CLOSED).all()
    assert found.halts.market_halt(clock("16:00")) is not None  # no close to trade at


def test_after_1525_a_first_level_is_met_and_stops_nothing() -> None:
    path = minutes([4000.0, 3700.0, 3700.0], begins="15:30")
    found = emergent(path)
    assert [met.code for met in found.met] == ["MWC1"]
    assert "stops nothing" in found.met[0].cause
    assert found.path is path


def test_the_same_fall_fires_nothing_under_the_rules_of_2008_and_2010() -> None:
    for day in (dt.date(2008, 10, 15), dt.date(2010, 5, 6)):
        assert emergent(minutes([4000.0] * 5 + [3650.0] * 30, day=day)).met == ()


def test_a_tenth_under_the_rules_of_2008_stops_an_hour_by_proxy() -> None:
    day = dt.date(2008, 10, 15)
    (met,) = emergent(minutes([4000.0] * 5 + [3590.0] * 90, day=day)).met
    assert (met.begins, met.ends) == (clock("09:36", day), clock("10:36", day))
    assert "stands in for the DJIA" in met.cause


def test_levels_in_points_of_another_index_are_not_judged_and_it_is_said() -> None:
    found = emergent(minutes([400.0, 370.0], day=dt.date(1994, 3, 30), previous=400.0))
    assert found.met == ()
    assert "1994-03-30 were not judged" in found.notes[0]


def test_a_stock_pauses_alone_and_opens_afresh_after_a_halt_of_the_market() -> None:
    stock = [100.0] * 20 + [90.0] * 5 + [90.0] * 30
    found = emergent(minutes([4000.0] * 55, stock))
    (met,) = found.met
    # Its lower band is 95.00, and the collar of its reopening goes down to 90.25: not at 90.00, but five minutes later.
    assert (met.symbol, met.code, met.begins, met.ends) == ("ABC", "LUDP", clock("09:51"), clock("10:01"))
    shut = (found.path.begins >= met.begins) & (found.path.ends <= met.ends)
    assert (found.path.grades[shut, 1] == CLOSED).all()
    assert (found.path.grades[:, 0] != CLOSED).all()
    assert found.halts.status("ABC", met.begins).halt_type == "LUDP"
    assert found.halts.status("XYZ", met.begins).status is Status.TRADING
    assert found.halts.bands("ABC", clock("09:40")) == (95_000_000, 105_000_000)
    assert found.halts.bands("ABC", met.begins) is None
    # The index stops everything for 15 minutes, and the stock comes back a tenth lower: that is its opening price.
    both = emergent(minutes([4000.0] * 5 + [3700.0] * 50, [100.0] * 6 + [90.0] * 49))
    assert [met.code for met in both.met] == ["MWC1"]
    assert both.halts.bands("ABC", clock("09:51")) == (85_500_000, 94_500_000)


def test_tiers_can_be_given() -> None:
    path = minutes([4000.0] * 30, [100.0] * 20 + [93.0] * 10)
    assert len(emergent(path).met) == 1
    assert emergent(path, tiers={"ABC": 2}).met == ()


def test_phases_are_those_of_the_regular_sessions() -> None:
    halts = emergent(minutes([4000.0] * 5)).halts
    expected = {
        "09:00": Phase.PRE_OPEN, "09:30": Phase.CONTINUOUS, "15:59:59": Phase.CONTINUOUS, "16:00": Phase.CONTINUOUS,
        "16:00:01": Phase.CLOSED, "20:00": Phase.CLOSED,
    }  # fmt: skip
    assert {at: halts.phase("ABC", clock(at)) for at in expected} == expected


def test_the_closure_of_september_2001_has_no_session(store) -> None:
    found = emergent(daily(store, dt.date(2001, 9, 10), dt.date(2001, 9, 21), "EURUSD"))
    assert found.halts.phase("SPX", clock("11:00", dt.date(2001, 9, 12))) is Phase.CLOSED
    assert found.halts.phase("SPX", clock("11:00", dt.date(2001, 9, 17))) is Phase.CONTINUOUS
    (met,) = found.met
    assert (met.symbol, met.code) == ("*", "CLOSED")
    assert (met.begins, met.ends) == (clock("16:00", dt.date(2001, 9, 10)), clock("09:30", dt.date(2001, 9, 17)))


def test_known_closures_close_their_exchange_and_nothing_else() -> None:
    path = minutes([4000.0] * 30)
    assets = (path.assets[0], replace(path.assets[1], calendar="XMOS"))
    path = replace(path, assets=assets)
    entry = {"first": DAY, "last": DAY, "reason": "sanctions", "source": "the press"}
    found = emergent(path, known=[ClosureEntry(exchange="XMOS", **entry)])
    assert [(met.symbol, met.code) for met in found.met] == [("ABC", "CLOSED")]
    assert (found.path.grades[:, 1] == CLOSED).all()
    assert (found.path.grades[:, 0] != CLOSED).all()
    assert found.halts.status("ABC", clock("12:00")).status is Status.HALTED
    bond = replace(path, assets=(path.assets[0], Asset("GOV", "rate", calendar="XMOS")))
    assert [met.symbol for met in emergent(bond, known=[ClosureEntry(exchange="XMOS", **entry)]).met] == ["XMOS"]
    home = emergent(path, known=[ClosureEntry(exchange="XNYS", **entry)])
    assert [(met.symbol, met.ends - met.begins) for met in home.met] == [("*", 86_400 * SECOND)]
    assert (home.path.grades[:, 1] != CLOSED).all()
    assert home.halts.market_halt(clock("12:00")) is not None
    tomorrow = DAY + dt.timedelta(days=1)
    abroad = ClosureEntry(exchange="XLON", **entry)
    later = ClosureEntry(exchange="XNYS", **{**entry, "first": tomorrow, "last": tomorrow})
    (told,) = emergent(path, known=[abroad, later]).met  # what lies behind the path's end is none of its halts
    assert (told.symbol, told.code) == ("XLON", "CLOSED")
    assert "nothing of this scenario is traded there" in told.cause


def shut(path: Path, rows: slice, columns: slice) -> Path:
    close, grades = path.close.copy(), path.grades.copy()
    close[rows, columns], grades[rows, columns] = np.nan, CLOSED
    return replace(path, close=close, grades=grades, open=None, high=None, low=None)


def test_what_the_path_itself_has_closed_in_a_session_is_a_halt() -> None:
    path = minutes([4000.0] * 30)
    whole = emergent(shut(path, slice(5, 10), slice(0, 2)))
    assert [(met.symbol, met.code, met.begins, met.ends) for met in whole.met] == [
        ("*", "CLOSED", clock("09:35"), clock("09:40"))
    ]
    assert whole.halts.market_halt(clock("09:36")) is not None
    one = emergent(shut(path, slice(5, 10), slice(1, 2)))
    assert [(met.symbol, met.begins, met.ends) for met in one.met] == [("ABC", clock("09:35"), clock("09:40"))]
    assert one.halts.market_halt(clock("09:36")) is None
    assert one.halts.status("ABC", clock("09:36")).status is Status.HALTED


def test_what_cannot_be_judged_is_said() -> None:
    path = minutes([4000.0] * 5)
    assert "no close before" in " ".join(emergent(replace(path, history=None)).notes)
    stocks = replace(path, assets=(Asset("XYZ", "equity"), path.assets[1]), history=None)
    assert any("no index" in note for note in emergent(stocks).notes)
    with pytest.raises(UnknownName):
        emergent(path, index="DJIA")
    assert emergent(path, index="SPX").met == ()


def test_a_simulated_daily_close_beyond_a_level_counts_and_says_what_it_is() -> None:
    one = minutes([3000.0])
    whole = replace(
        one, begins=one.history.begins + 86_400 * SECOND, ends=one.history.ends + 86_400 * SECOND,  # type: ignore[union-attr]
        open=None, high=None, low=None, grades=np.full((1, 2), GRADES.index(Grade.SIMULATED), dtype=np.int8),
    )  # fmt: skip
    found = emergent(replace(whole, begins=np.array([clock("09:30")]), ends=np.array([clock("16:00")])))
    assert [met.code for met in found.met] == ["MWC1", "MWC2", "MWC3"]
    assert "simulated daily bar" in found.met[0].cause
    assert found.path.close[0, 0] == 3000.0
