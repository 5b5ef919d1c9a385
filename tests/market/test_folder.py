"""A user's own files: what is read, and what is refused by file, line and column."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.market import FolderSource, MarketStore, load
from quantdesk.market.sources.mapping import FolderMapping

GOOD = "Date,Open,High,Low,Close,Adj Close,Volume\n2020-01-02,10,12,9,11,5.5,100\n2020-01-03,11,13,10,12,6,200\n"


def folder(tmp_path: Path, toml: str = "", name: str = "prices", **files: str | bytes) -> Path:
    """A directory with a mapping and files; ``ACME_csv`` is the file ACME.csv."""
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    if toml:
        (path / "series.toml").write_text(toml)
    for file, content in files.items():
        target = path / file.replace("_", ".")
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path) -> dict[str, Any]:
    return {raw.description.symbol: raw for raw in FolderSource(path).series()}


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(FolderSource(path).series())
    assert caught.value.remedy
    return str(caught.value)


def test_common_columns_are_found(tmp_path: Path) -> None:
    raw = read(folder(tmp_path, ACME_csv=GOOD))["ACME"]
    assert raw.description.fields == ("open", "high", "low", "close", "adj_close", "volume")
    assert raw.description.id == "ACME@prices"
    assert list(raw.frame.columns) == ["session", *raw.description.fields]
    assert raw.frame["close"].tolist() == [11.0, 12.0]
    assert raw.frame["session"].dt.strftime("%F").tolist() == ["2020-01-02", "2020-01-03"]


def test_what_is_not_declared_is_taken_at_its_worst(tmp_path: Path) -> None:
    about = read(folder(tmp_path, ACME_csv="date,close\n2020-01-02,1\n"))["ACME"].description
    assert about.adjustment == "unknown"
    assert about.flags.adjusted_with_hindsight
    assert about.flags.survivors_only
    assert about.flags.real
    assert about.licence == "not stated"
    assert about.version.startswith("files ")


def test_a_mapping_says_everything(tmp_path: Path) -> None:
    toml = """
        name = "desk"
        licence = "internal"
        version = "7"
        kind = "equity"
        unit = "EUR"
        calendar = "XETR"
        adjustment = "none"
        survivors_only = false
        real = false
        note = "from the old system"
        publication_lag_minutes = 90
        date_format = "%d.%m.%Y"
        delimiter = ";"
        decimal = ","
        thousands = "."
        missing = ["", "k.A."]
        [columns]
        date = "Tag"
        symbol = "Kürzel"
        close = "Schluss"
        volume = "Stück"
        [symbols]
        "BRK/B" = "BRK.B"
        [series.SAP]
        note = "the big one"
        survivors_only = true
    """
    csv = (
        "Tag;Kürzel;Schluss;Stück\n02.01.2020;SAP;1.234,5;1.000\n02.01.2020;BRK/B;2,25;k.A.\n03.01.2020;SAP;k.A.;k.A.\n"
    )
    found = read(folder(tmp_path, toml, ALL_csv=csv))
    sap, brk = found["SAP"].description, found["BRK.B"].description
    assert found["SAP"].frame["close"].tolist() == [1234.5]  # the row that holds nothing is left out
    assert np.isnan(found["BRK.B"].frame["volume"].iloc[0])
    assert (sap.source, sap.licence, sap.version, sap.unit, sap.calendar) == ("desk", "internal", "7", "EUR", "XETR")
    assert (sap.note, brk.note) == ("the big one", "from the old system")
    assert sap.flags.survivors_only
    assert not brk.flags.survivors_only
    assert not sap.flags.adjusted_with_hindsight
    assert not sap.flags.real
    assert sap.publication_lag.total_seconds() == 5400


def test_files_of_several_kinds(tmp_path: Path) -> None:
    path = folder(tmp_path, A_csv=GOOD, B_csv_gz=gzip.compress(GOOD.encode()), notes_txt="not data")
    frame = pd.DataFrame({"close": [1.0, 2.0]}, index=pd.DatetimeIndex(["2020-01-02", "2020-01-03"], name="date"))
    frame.to_parquet(path / "C.parquet")
    frame.reset_index().assign(ticker=["X", "Y"]).to_parquet(path / "D.parquet")
    assert sorted(read(path)) == ["A", "B", "C", "X", "Y"]


def test_a_file_that_runs_backwards_is_turned(tmp_path: Path) -> None:
    raw = read(folder(tmp_path, A_csv="date,close\n2020-01-03,2\n2020-01-02,1\n"))["A"]
    assert raw.frame["close"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("csv", "toml", "sessions"),
    [
        ("date,close\n2020-01-02,1\n", "", ["2020-01-02"]),
        ("date,close\n2020-01-02 00:00:00,1\n", "", ["2020-01-02"]),
        ("date,close\n2020-01-02 00:00:00+00:00,1\n2020-07-02 00:00:00+00:00,1\n", "", ["2020-01-02", "2020-07-02"]),
        ("date,close\n2020-01-02T00:00:00-05:00,1\n2020-07-02T00:00:00-04:00,1\n", "", ["2020-01-02", "2020-07-02"]),
        ("date,close\n2020-01-02T21:00:00Z,1\n2020-07-02T20:00:00Z,1\n", "", ["2020-01-02", "2020-07-02"]),
        ("date,close\n2020-01-03T02:00:00Z,1\n", "", ["2020-01-02"]),  # evening in New York
        ("date,close\n2020-01-02 16:00,1\n", 'time_zone = "America/New_York"', ["2020-01-02"]),
        ("date,close\n2020-01-03 03:00,1\n", 'time_zone = "Asia/Tokyo"', ["2020-01-02"]),
        ("date,close\n20200102,1\n", 'date_format = "%Y%m%d"', ["2020-01-02"]),
        ("date,close\n01/02/2020,1\n", 'date_format = "%m/%d/%Y"', ["2020-01-02"]),
        ("﻿date,close\r\n2020-01-02,1\r\n\r\n", "", ["2020-01-02"]),  # as a spreadsheet writes it
    ],
)
def test_dates_and_times(tmp_path: Path, csv: str, toml: str, sessions: list[str]) -> None:
    raw = read(folder(tmp_path, toml, A_csv=csv))["A"]
    assert raw.frame["session"].dt.strftime("%F").tolist() == sessions


BAD = [
    (
        ["2020-01-02,1", "2020-01-02 16:00,2"],
        "line 3, column date: '2020-01-02 16:00' has a time of day but no time zone",
    ),
    (["2020-01-02T16:00Z,1", "2020-01-03,2"], "line 3, column date: '2020-01-03' has no time zone, unlike the first"),
    (["2020-01-02,1", "2020-01-03T16:00Z,2"], "line 3, column date: '2020-01-03T16:00Z' has a time zone, unlike"),
    (["2020-02-30,1"], "line 2, column date: '2020-02-30' is no date"),
    ([",1"], "line 2, column date: '' is no date"),
    (["2020-01-02,1", "", "03/01/2020,2"], "line 4, column date: '03/01/2020' is no date"),
    (["2020-01-02,1", "2020-01-03,abc", "2020-01-06,x"], "line 3, column close: 'abc' is no number. 1 more"),
    (["2020-01-02,inf"], "line 2: of A, close is inf; it should be a finite number"),
    (["2020-01-02,1e999"], "'1e999' is no number"),
    (["2020-01-02,-inf"], "be a finite number"),
    (["2020-01-02,0x10"], "'0x10' is no number"),
    (["2020-01-02,1_000"], "'1_000' is no number"),
    (["2020-01-02,0"], "close is 0.0; it should be above zero"),
    (
        ["2020-01-02,1", "2020-01-03,-1"],
        "line 3: of A, close is -1.0; it should be above zero in a series of kind equity",
    ),
    (["2020-01-02,1", "2020-01-02,2"], "line 3: of A, session is 2020-01-02; it should come after the date before it"),
    (["2020-01-02,1", "2020-01-06,2", "2020-01-03,2"], "line 4: of A, session is 2020-01-03"),
    (["2020-01-02,1,2"], "line 2 has 3 fields, and the header 2"),
    (['"2020-01-02,1'], "cannot be read as CSV"),
    (["1700-01-01,1"], "A@prices: No calendar covers 1700-01-01"),
    ([], "holds no rows"),
]
HEADED = [
    ("date,close,volume\n2020-01-02,1,-5\n", "volume is -5.0; it should not be negative"),
    ("date,close,volume\n2020-01-02,,5\n", "close is nan; it should have a value"),
    (
        "date,open,high,low,close\n2020-01-02,1,2,1,2\n2020-01-03,9,8,7,8\n",
        "line 3: of A, open, high, low, close is 9, 8, 7, 8",
    ),
    ("date,open,high,low,close\n2020-01-02,5,4,6,5\n", "it should lie between low and high"),
    ("day,price\n2020-01-02,1\n", "no column that looks like a close. It has: day, price"),
    ("when,close\n2020-01-02,1\n", "no column that looks like a date"),
    ("date,close,close\n2020-01-02,1,2\n", "has two columns called 'close'"),
    ("", "is empty"),
    ("\n\n", "is empty"),
]


@pytest.mark.parametrize(
    ("csv", "says"), [*(("\n".join(["date,close", *rows, ""]), says) for rows, says in BAD), *HEADED]
)
def test_a_bad_file_is_named_with_its_line_and_the_store_keeps_what_it_had(tmp_path: Path, csv: str, says: str) -> None:
    store = tmp_path / "store"
    path = folder(tmp_path, A_csv="date,close\n2020-01-02,1\n")
    load([FolderSource(path)], store)
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    folder(tmp_path, A_csv=csv, B_csv=GOOD)
    with pytest.raises(DataError) as caught:
        load([FolderSource(path)], store)
    assert says in str(caught.value)
    assert caught.value.remedy
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before
    assert MarketStore(store).bars("A").frame["close"].tolist() == [1.0]


def test_what_is_strict_can_be_relaxed_but_not_what_is_impossible(tmp_path: Path) -> None:
    rows = "date,open,high,low,close\n2020-01-02,9,8,7,8\n2020-01-03,-1,1,-1,1\n"
    path = folder(tmp_path, "strict = false", A_csv=rows)
    assert len(read(path)["A"].frame) == 2
    folder(tmp_path, A_csv="date,close\n2020-01-02,inf\n")
    assert "be a finite number" in refused(path)


def test_oil_may_cost_less_than_nothing(tmp_path: Path) -> None:
    path = folder(tmp_path, 'kind = "commodity"', WTI_csv="date,close\n2020-04-20,-36.98\n")
    assert read(path)["WTI"].frame["close"].tolist() == [-36.98]


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_corrupt_parquet_file_is_named(tmp_path: Path, damage: str) -> None:
    path = folder(tmp_path)
    file = path / "A.parquet"
    pd.DataFrame({"date": pd.to_datetime(["2020-01-02"]), "close": [1.0]}).to_parquet(file)
    content = file.read_bytes()
    file.write_bytes({"truncated": content[:-20], "text": b"date,close\n", "empty": b""}[damage])
    assert f"{file} cannot be read as Parquet" in refused(path)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"date": ["2020-01-02", "soon"], "close": [1.0, 2.0]}, "row 2, column date: 'soon' is no date"),
        ({"date": [1.5, 2.5], "close": [1.0, 2.0]}, "column date holds float64, no dates"),
        ({"date": [20200102, 20200103], "close": [1.0, 2.0]}, "column date holds int64, no dates"),
        ({"date": pd.to_datetime(["2020-01-02", "2020-01-03"]), "close": ["1", "x"]}, "row 2, column close: 'x'"),
        ({"date": pd.to_datetime(["2020-01-02", "2020-01-03"]), "close": [True, False]}, "holds bool, no numbers"),
        ({"date": pd.to_datetime(["2020-01-02", "2020-01-02"]), "close": [1.0, 2.0]}, "row 2: of A, session"),
        ({"date": pd.to_datetime(["2020-01-02 10:00", "2020-01-03 10:00"]), "close": [1.0, 2.0]}, "no time zone"),
        ({"date": pd.to_datetime(["2020-01-02", None]), "close": [1.0, 2.0]}, "row 2, column date: 'NaT' is no date"),
    ],
)  # fmt: skip
def test_typed_columns_are_checked_too(tmp_path: Path, frame: dict[str, Any], says: str) -> None:
    path = folder(tmp_path)
    pd.DataFrame(frame).to_parquet(path / "A.parquet")
    assert says in refused(path)


def test_zoned_timestamps_in_parquet(tmp_path: Path) -> None:
    path = folder(tmp_path)
    stamps = pd.to_datetime(["2020-01-03T02:00Z"]).tz_convert("Asia/Tokyo")
    pd.DataFrame({"date": stamps, "close": [1]}).to_parquet(path / "A.parquet")
    assert read(path)["A"].frame["session"].dt.strftime("%F").tolist() == ["2020-01-02"]


def test_an_hour_that_does_not_exist(tmp_path: Path) -> None:
    path = folder(tmp_path, 'time_zone = "America/New_York"', A_csv="date,close\n2020-03-08 02:30,1\n")
    assert "line 2, column date: '2020-03-08 02:30' is skipped" in refused(path)


def test_times_need_one_zone_for_all(tmp_path: Path) -> None:
    toml = '[series.B]\ncalendar = "XTKS"'
    assert read(folder(tmp_path, toml, A_csv=GOOD, B_csv=GOOD))["B"].description.calendar == "XTKS"
    path = folder(tmp_path, toml, A_csv="date,close\n2020-01-02T16:00Z,1\n")
    assert "different time zones" in refused(path)


def test_no_utf8_and_no_gzip(tmp_path: Path) -> None:
    assert "A.csv is not UTF-8 text (byte 11)" in refused(folder(tmp_path, A_csv=b"date,close\n\xff"))
    whole = gzip.compress(GOOD.encode())
    for number, content in enumerate((b"plain", whole[:-9], whole[:20] + b"\0\0\0" + whole[23:])):
        path = folder(tmp_path, name=f"gz{number}", A_csv_gz=content)
        assert "no whole gzip file" in refused(path)


@pytest.mark.parametrize("name", ["a b", "ä", ".hidden", "-x", "A@B", "x" * 33, "a;rm", "<b>"])
def test_hostile_file_names(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path)
    (path / f"{name}.csv").write_text(GOOD)
    said = refused(path)
    assert "cannot be used" in said
    assert "series.toml" in said


@pytest.mark.parametrize("symbol", ["../x", "A/B", "..", "", "ÄÖÜ", "A\\B", "A B", "'; DROP TABLE", "\u202eXSPA"])
def test_hostile_symbols_in_a_column(tmp_path: Path, symbol: str) -> None:
    path = folder(tmp_path, ALL_csv=f"date,symbol,close\n2020-01-02,{symbol},1\n")
    assert "cannot be used" in refused(path)
    store = tmp_path / "store"
    with pytest.raises(DataError):
        load([FolderSource(path)], store)
    assert [file.name for file in store.rglob("*")] == [".lock"]


@pytest.mark.parametrize("symbol", ["BRK.B", "^GSPC", "EURUSD=X", "7203.T", "a", "A_B-C"])
def test_symbols_of_the_field_are_fine(tmp_path: Path, symbol: str) -> None:
    path = folder(tmp_path, ALL_csv=f"date,symbol,close\n2020-01-02,{symbol},1\n")
    store = tmp_path / "store"
    load([FolderSource(path)], store)
    assert MarketStore(store).bars(f"{symbol}@prices").frame["close"].tolist() == [1.0]
    assert len(list(store.glob("series=*/*.parquet"))) == 1


def test_a_symbol_in_two_files(tmp_path: Path) -> None:
    path = folder(tmp_path, A_csv=GOOD, B_csv="date,symbol,close\n2020-01-02,A,1\n")
    assert "B.csv holds A, which A.csv holds too" in refused(path)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("kind = ", "series.toml cannot be read"),
        ('kidn = "equity"', "there is no key 'kidn'. Keys: name, licence"),
        ('kind = "stock"', "kind = 'stock' cannot be used"),
        ('name = "../evil"', "name = '../evil' cannot be used"),
        ('files = ["../*.csv"]', "leaves the folder"),
        ('files = ["/etc/*"]', "leaves the folder"),
        ('publication = "never"', "there is no policy 'never'"),
        ("publication_lag_minutes = -1", "publication_lag_minutes"),
        ("publication_lag_minutes = nan", "publication_lag_minutes"),
        ('time_zone = "Mars/Olympus"', "there is no time zone 'Mars/Olympus'"),
        ('delimiter = "."', "must be different"),
        ('delimiter = ";;"', "delimiter"),
        ('date_format = "%Y%z"', "ISO form"),
        ('[columns]\ndate = "d"', "date, and close or adj_close, are needed"),
        ('[columns]\nprice = "p"', "there is no 'price'"),
        ('[series.A]\nkind = "stock"', "series.A.kind = 'stock'"),
        ('name = "skfolio"', "belongs to a bundled package"),
    ],
)
def test_a_mapping_that_cannot_be_used_names_the_key(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        FolderSource(folder(tmp_path, toml, A_csv=GOOD))
    assert says in str(caught.value)


def test_a_mapped_column_that_is_not_there(tmp_path: Path) -> None:
    path = folder(tmp_path, '[columns]\ndate = "Date"\nclose = "Last"', A_csv=GOOD)
    assert "A.csv has no column 'Last', which the mapping names for close. It has: Date, Open" in refused(path)


def test_a_calendar_that_does_not_exist(tmp_path: Path) -> None:
    path = folder(tmp_path, 'calendar = "XNYZ"', A_csv=GOOD)
    with pytest.raises(UnknownName, match="Unknown calendar"):
        list(FolderSource(path).series())


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a directory"):
        FolderSource(tmp_path / "nowhere")
    assert "holds no file like" in refused(folder(tmp_path))
    with pytest.raises(BadInput, match="cannot be a source's name"):
        FolderSource(folder(tmp_path, name="Préis & Co", A_csv=GOOD))
    assert FolderSource(folder(tmp_path, name="Mixed"), FolderMapping(name="mixed")).name == "mixed"


def test_a_file_that_vanishes_or_cannot_be_read(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "A.csv").symlink_to(path / "missing.csv")
    assert "holds no file like" in refused(path)
    if os.geteuid() != 0:
        (path / "B.csv").write_text(GOOD)
        (path / "B.csv").chmod(0)
        with pytest.raises(EnvironmentProblem, match="cannot be read"):
            list(FolderSource(path).series())


def test_a_folder_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path, store = folder(tmp_path, A_csv=GOOD), tmp_path / "store"
    assert load([FolderSource(path)], store).loaded == ("prices",)
    assert load([FolderSource(path)], store).unchanged == ("prices",)
    (path / "A.csv").touch()
    assert load([FolderSource(path)], store).unchanged == ("prices",)
    folder(tmp_path, 'unit = "EUR"')
    assert load([FolderSource(path)], store).loaded == ("prices",)
    assert MarketStore(store).resolve("A").unit == "EUR"
    folder(tmp_path, B_csv=GOOD)
    assert load([FolderSource(path)], store).loaded == ("prices",)
    (path / "A.csv").unlink()
    load([FolderSource(path)], store)
    assert [series.id for series in MarketStore(store).series()] == ["B@prices"]


def test_a_users_longer_series_becomes_the_preferred_one(tmp_path: Path, closes: Any, made: Any) -> None:
    load([made("short", [closes("ACME", "short", rows=1)])], tmp_path / "store")
    load([FolderSource(folder(tmp_path, ACME_csv=GOOD))], tmp_path / "store")
    assert MarketStore(tmp_path / "store").resolve("ACME").source == "prices"
