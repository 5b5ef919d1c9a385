"""6 May 2010: the timeline of the report, a seller that only knows the volume, and what the daily bar shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from quantdesk.orders.amounts import SECOND, nanoseconds
from quantdesk.scenarios import Path
from quantdesk.scenarios.intraday import busted, by_minute, depth, references, seller
from quantdesk.scenarios.intraday.flash_agents import LOW, PAUSED, POINTS, Agents, simulate
from quantdesk.scenarios.intraday.flash_crash import METHOD, STOCKS
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.scenario import AssetEntry, Intraday, Scenario
from quantdesk.scenarios.stopped import emergent

NY = ZoneInfo("America/New_York")
DAY = dt.date(2010, 5, 6)
PANEL = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM".split()  # noqa: SIM905
SEEDS = range(5)


def second(text: str) -> int:
    clock = dt.time.fromisoformat(text)
    return (clock.hour * 60 + clock.minute - 870) * 60 + clock.second


def at(text: str) -> int:
    return nanoseconds(dt.datetime.fromisoformat(f"{DAY} {text}").replace(tzinfo=NY))


@pytest.fixture(scope="module")
def plan() -> Scenario:
    return Scenario(
        name="flash", title="f", summary="f", start=dt.date(2010, 5, 3), end=dt.date(2010, 5, 14), sources=("test",),
        assets=tuple(AssetEntry(symbol=symbol) for symbol in ("SPX", *PANEL, "EURUSD", "WTI")),
        intraday=Intraday(first=DAY, last=dt.date(2010, 5, 7), starts=dt.time(14, 30), model="flash_crash"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def daily(plan, store) -> Path:
    return replay(plan, store)


@pytest.fixture(scope="module")
def made(plan, daily) -> list[Path]:
    return [by_minute(daily, plan, seed=seed) for seed in SEEDS]


# ------------------------------------------------------------------------------------------------- who traded


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seller_sells_nine_percent_of_the_minute_before_whatever_the_price(seed) -> None:
    tape = simulate(seed)
    volume, sold = (table.reshape(-1, 60).sum(axis=1) for table in (tape.volume, tape.sold))
    minutes = [minute for minute in range(3, 40) if minute != 15 and sold[: minute + 1].sum() < 75_000 - 1]
    for minute in minutes:
        assert sold[minute] == pytest.approx(0.09 * volume[minute - 1])
    assert (tape.sold[: second("14:32:00")] == 0).all()
    assert tape.sold.sum() == pytest.approx(75_000)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_published_of_the_tape_comes_out(seed) -> None:
    tape = simulate(seed)
    burst = slice(second("14:45:13"), second("14:45:28"))
    assert tape.sold[: second("14:45:00")].sum() == pytest.approx(35_000, rel=0.1)
    assert tape.passed[burst].sum() == pytest.approx(27_000, rel=0.25)
    assert tape.inventory[burst.stop - 1] - tape.inventory[burst.start - 1] == pytest.approx(200, abs=150)
    assert tape.depth[burst].min() < 0.01
    assert tape.depth[: second("14:41:00")].min() > 0.2
    assert tape.depth[second("15:08:00")] > 0.4
    assert np.abs(tape.inventory).max() <= 3_300
    assert "14:50" <= f"14:{30 + np.flatnonzero(tape.sold)[-1] // 60}" <= "14:56"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_price_goes_through_the_published_points(seed) -> None:
    price = simulate(seed).price
    for moment, value, _ in POINTS[1:]:
        assert price[moment - 1] == value
    assert price.min() == LOW
    assert price[second("14:41:00") - 1] / LOW - 1 > 0.05
    assert (price[PAUSED[0] : PAUSED[1]] == LOW).all()


def test_in_the_pause_nothing_trades() -> None:
    tape = simulate(0)
    assert (second("14:45:28"), second("14:45:33")) == PAUSED
    assert (tape.volume[PAUSED[0] : PAUSED[1]] == 0).all()
    assert (tape.sold[PAUSED[0] : PAUSED[1]] == 0).all()


def test_equal_seeds_equal_tapes_and_a_smaller_seller_trades_less() -> None:
    first = simulate(3).price.copy()
    simulate.cache_clear()
    np.testing.assert_array_equal(simulate(3).price, first)
    assert (simulate(4).price != first).any()
    small = simulate(3, Agents(contracts=10_000))
    assert small.sold.sum() == pytest.approx(10_000)
    assert small.volume.sum() < simulate(3).volume.sum()


def test_progress_of_the_seller_by_the_minute() -> None:
    found = seller(seed=1)
    assert found.begins[0] == at("14:30")
    assert found.begins[-1] == at("15:09")
    assert found.sold.sum() == pytest.approx(75_000)
    assert found.grade == "reconstructed"


# ------------------------------------------------------------------------------------------------- index and stocks


def test_the_daily_bar_is_hit_and_the_low_comes_about_a_quarter_to_three(made, daily) -> None:
    row = int(np.flatnonzero(daily.sessions == np.datetime64(DAY))[0])
    for path in made:
        rows = np.flatnonzero(path.sessions == np.datetime64(DAY))
        assert np.isnan(daily.open[row, 0])  # stale opens are left out
        assert daily.low[row, 0] < path.open[rows[0], 0] <= daily.high[row, 0]
        assert path.high[rows, 0].max() == daily.high[row, 0]
        assert path.low[rows, 0].min() == daily.low[row, 0]
        assert path.close[rows[-1], 0] == daily.close[row, 0]
        assert path.volume[rows, 0].sum() == daily.volume[row, 0]
        np.testing.assert_array_equal(path.close[rows[-1]], daily.close[row])
        low = path.ends[rows[np.argmin(path.low[rows, 0])]]
        assert at("14:45:28") < low <= at("14:48")
        assert path.low[rows, 0].min() / daily.close[row - 1, 0] - 1 == pytest.approx(-0.086, abs=0.0005)
        back = path.close[np.searchsorted(path.ends, at("15:08")), 0]
        before = path.close[np.searchsorted(path.ends, at("14:32")), 0]
        assert back == pytest.approx(before, rel=0.012)


def test_bars_are_finer_from_1440_to_1450_and_the_pause_has_its_own(made) -> None:
    path = made[0]
    lengths = (path.ends - path.begins) // SECOND
    fine = (path.begins >= at("14:40")) & (path.ends <= at("14:50"))
    assert lengths[fine].max() == 5
    assert lengths[~fine].min() == lengths[~fine].max() == 60
    assert ((path.begins == at("14:45:28")) & (path.ends == at("14:45:33"))).sum() == 1


def test_large_stocks_fell_by_about_nine_percent_and_closed_where_they_did(made, daily) -> None:
    row = int(np.flatnonzero(daily.sessions == np.datetime64(DAY))[0])
    falls = []
    for path in made:
        rows = path.sessions == np.datetime64(DAY)
        falls.append(path.low[rows, 1:21].min(axis=0) / daily.close[row - 1, 1:21] - 1)
        # No spike the other way: nothing goes more than 5 % above the close before while the index falls by a tenth.
        crash = rows & (path.begins >= at("14:32")) & (path.ends <= at("15:00"))
        assert (path.high[crash, 1:21].max(axis=0) / daily.close[row - 1, 1:21] < 1.05).all()
        # It was a crash of shares: currencies and oil have no hole.
        assert (path.low[crash, 21:].min(axis=0) / path.close[np.argmax(crash), 21:] > 0.96).all()
    assert np.median(falls) == pytest.approx(-0.094, abs=0.008)
    assert all(np.median(some) == pytest.approx(-0.094, abs=0.025) for some in falls)
    assert STOCKS in made[0].methods["PG"]
    assert METHOD in made[0].methods["SPX"]


def test_volume_in_the_crash_is_many_times_that_of_the_hour_before(made) -> None:
    path = made[0]
    crash = (path.begins >= at("14:41")) & (path.ends <= at("14:50"))
    before = (path.begins >= at("13:30")) & (path.ends <= at("14:30"))
    assert path.volume[crash, 0].sum() / 9 > 2 * path.volume[before, 0].sum() / 60


def test_no_breaker_and_no_pause_fired_under_the_rules_of_that_day(made) -> None:
    for path in made:
        found = emergent(path)
        assert (found.met, found.path) == ((), path)


def test_a_run_of_two_hours_counts_minutes_and_not_bars(plan, daily) -> None:
    path = by_minute(daily, plan, bars=90, seed=1)
    assert path.begins[0] == at("14:30")
    assert path.ends[-1] == at("16:00")
    assert len(path.ends) > 90


def test_a_path_that_is_no_crash_is_bridged(plan, daily) -> None:
    row = int(np.flatnonzero(daily.sessions == np.datetime64(DAY))[0])
    low = daily.low.copy()
    low[row, 0] = 1126.0
    calm = by_minute(replace(daily, low=low), plan, seed=1)
    assert (calm.sessions == np.datetime64(DAY)).sum() == 390
    closes = by_minute(replace(daily, open=None, high=None, low=None), plan, seed=1)
    assert METHOD not in closes.methods["SPX"]


# ------------------------------------------------------------------------------------ depth and broken trades


def test_depth_falls_below_one_percent_and_is_whole_on_other_days(made) -> None:
    path = made[0]
    found = depth(path, seed=0)
    assert found.grade == "reconstructed"
    burst = (path.begins >= at("14:45:13")) & (path.ends <= at("14:45:33"))
    assert found.share[burst].min() < 0.01
    morning = path.ends <= at("10:00")
    assert (found.share[morning] > 0.9).all()
    assert found.share[path.ends == at("14:30")] == pytest.approx(0.44, abs=0.02)
    assert (found.share > 0).all()
    assert (found.share <= 1).all()
    assert (found.share[path.sessions != np.datetime64(DAY)] == 1).all()


@dataclass
class Fill:
    symbol: str
    at: int
    price: float


def test_trades_sixty_percent_away_between_1440_and_1500_are_broken() -> None:
    reference = {"ACN": 40.0}
    cases = [
        (Fill("ACN", at("14:47"), 0.01), True),
        (Fill("ACN", at("14:47"), 16.0), True),
        (Fill("ACN", at("14:47"), 16.01), False),
        (Fill("ACN", at("14:40"), 64.0), True),
        (Fill("ACN", at("15:00"), 100_000.0), True),
        (Fill("ACN", at("14:39:59"), 0.01), False),
        (Fill("ACN", at("15:00:01"), 0.01), False),
        (Fill("XYZ", at("14:47"), 0.01), False),
    ]
    assert busted([fill for fill, _ in cases], reference) == tuple(broken for _, broken in cases)


def test_references_are_the_prices_at_1440(made, daily) -> None:
    path = made[0]
    found = references(path)
    place = int(np.flatnonzero(path.ends == at("14:40"))[0])
    assert found == {symbol: path.close[place, path.column(symbol)] for symbol in path.traded}
    assert references(daily.cut(0, 1)) == {}
    assert references(path.cut(len(path.ends) - 390, len(path.ends))) == {}
