"""``quantdesk features ...`` in this process: what each command prints, as JSON and in words, and its exit code."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from quantdesk.cli import main
from quantdesk.features import FeatureStore
from quantdesk.features.definitions import FEATURES
from quantdesk.features.publish import ONLINE
from quantdesk.market import MarketStore

# Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

SLA = "close=9999,ecb-fixing=9999,*=9999,monthly-average=9999"


@pytest.fixture
def run(filled: FeatureStore, market: MarketStore, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run a command on the filled store: (exit code, standard output, standard error)."""
    for name, value in {
        "QUANTDESK_STATE": tmp_path / "state",
        "QUANTDESK_FEATURES_ROOT": filled.root,
        "QUANTDESK_MARKET_ROOT": market.root,
        "COLUMNS": 200,
    }.items():
        monkeypatch.setenv(name, str(value))

    def call(*arguments: str, root: Path | None = None) -> tuple[int, str, str]:
        if root is not None:
            monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(root))
        monkeypatch.setattr(sys, "argv", ["quantdesk", "features", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def answer(run: Any, *arguments: str, code: int = 0) -> Any:
    ended, out, err = run(*arguments, "--json")
    assert ended == code, out + err
    return json.loads(out)


def test_status_in_words_and_as_json(run: Any) -> None:
    found = answer(run, "status", "--sla", SLA)
    assert found["ok"] is True
    assert {one["state"] for one in found["freshness"]} == {"fresh", "ended"}
    code, out, err = run("status", "--sla", SLA)
    assert code == 0
    assert "everything is as it should be" in out
    assert "all equal, to the bit" in out
    assert "freshness (0 of 3)" in err
    assert "OHLC" in run("status", "--sla", SLA, "--verbose")[1]


def test_a_broken_agreement_ends_with_six(run: Any) -> None:
    found = answer(run, "status", code=6)
    assert found["ok"] is False
    assert any("late" in problem for problem in found["problems"])
    code, out, _ = run("status")
    assert code == 6
    assert "✗ late" in out
    code, _, err = run("status", "--sla", "close")
    assert code == 2
    assert "close=2" in err


def test_consistency_and_a_corrupted_row(run: Any, filled: FeatureStore, tmp_path: Path) -> None:
    assert answer(run, "consistency")["agrees"] is True
    assert "all equal" in run("consistency", "-s", "OHLC")[1]
    shutil.copytree(filled.root, tmp_path / "features", symlinks=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "features" / ONLINE)) as connection:
        # The packed floats of one row in another's place: a value that belongs to somebody else.
        rows = connection.execute("SELECT view, key, packed FROM online_rows WHERE view LIKE '%technical'").fetchall()
        own = next(row for row in rows if b"OHLC" in row[1])
        other = next(row for row in rows if b"AAA1" in row[1])
        connection.execute("UPDATE online_rows SET packed = ? WHERE view = ? AND key = ?", (other[2], own[0], own[1]))
        connection.commit()
    code, out, _ = run("consistency", root=tmp_path / "features")
    assert code == 6
    assert "OHLC" in out
    assert "DIFFER" in out
    found = answer(run, "consistency", code=6)
    assert {one["symbol"] for one in found["differences"]} == {"OHLC"}


def test_drift_in_words_and_as_json(run: Any) -> None:
    windows = ["--reference", "2018-01-02:2018-12-31", "--current", "2019-01-02:"]
    found = answer(run, "drift", *windows, "-f", "ret_1d")
    assert found["is_pit_validated"] is True
    assert found["features"][0]["verdict"] in {"stable", "unclear"}
    code, out, _ = run("drift", *windows, "-f", "sma_200", "-f", "dollar_volume_21d", "-s", "OHLC")
    assert code in {0, 6}
    assert "sma_200" in out
    assert "adjusted p" in out
    code, _, err = run("drift", "--reference", "2018", "--current", "2019-01-02:")
    assert code == 2
    assert "2018-01-02:" not in err
    assert "'2018'" in err


def test_lineage_as_a_tree(run: Any) -> None:
    code, out, _ = run("lineage", "beta_252d", "-s", "OHLC")
    assert code == 0
    assert "0" * 64 in out
    assert "    benchmark" in out
    assert "adjusted_with_hindsight" in out
    assert answer(run, "lineage", "beta_252d")["view"] == "market_model"
    code, _, err = run("lineage", "sma_2O")
    assert code == 2
    assert "sma_20" in err


def test_diff_before_apply(run: Any, tmp_path: Path, filled: FeatureStore) -> None:
    assert answer(run, "diff", "--repo", str(tmp_path / "none"), "--check")["same"] is True
    assert "nothing differs" in run("diff", "--repo", str(tmp_path / "none"))[1]
    shutil.copytree(filled.root, tmp_path / "moved", symlinks=True)
    code, out, _ = run("diff", "--repo", str(tmp_path / "none"), "--check", root=tmp_path / "moved")
    assert code == 6
    assert "~ changed" in out
    assert str(tmp_path / "moved") in out
    code, _, err = run("diff", "--builds")
    assert code == 2
    assert "no build to compare" in err
    assert run("diff", "--rows")[0] == 2
    assert run("diff", "--builds", "--repo", str(tmp_path))[0] == 2


def test_apply_materialize_and_build_say_when_there_is_nothing_to_do(run: Any) -> None:
    assert answer(run, "apply") == {"changed": False, "features": len(FEATURES)}
    assert answer(run, "materialize")["changed"] is False
    assert "already" in run("apply")[1]
    assert "already" in run("materialize")[1]
    assert "as before" in run("build")[1]
    assert answer(run, "build")["changed"] is False


def test_revisions_get_and_list(run: Any) -> None:
    found = answer(run, "revisions", "OHLC", "sma_20")
    assert found["revised"] == 0
    assert found["rows"] == []
    code, out, _ = run("revisions", "OHLC", "sma_20", "--all")
    assert code == 0
    assert "0 of them revised" in out
    assert "known since" in out
    assert {one["name"] for one in answer(run, "list")} >= set(FEATURES)
    rows = answer(run, "get", "-s", "OHLC", "-f", "sma_20", "--start", "2020-06-01", "--end", "2020-06-30")
    assert rows["is_pit_validated"] is True
    assert answer(run, "online", "-s", "OHLC", "-f", "sma_20")[0]["symbol"] == "OHLC"


def test_append_names_what_is_wrong(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    pd.DataFrame({"symbol": ["OHLC"], "x": [1.0]}).to_csv(file, index=False)
    code, _, err = run("append", "technical", str(file))
    assert code == 2
    assert "computed from market data" in err
    code, _, err = run("append", "nothing", str(file))
    assert code == 2
    assert "'nothing'" in err


def test_audit_of_one_feature(run: Any) -> None:
    found = answer(run, "audit", "sma_20", "-s", "OHLC")
    assert found["sma_20"]["verdict"] == "no leak found"
    code, out, _ = run("audit", "sma_20", "-s", "OHLC")
    assert code == 0
    assert "✓ no leak found" in out
    assert run("audit", "sma_2O")[0] == 2


def test_docs_are_written(run: Any, tmp_path: Path) -> None:
    found = answer(run, "docs", "--out", str(tmp_path / "pages"), "--no-audit")
    assert found["features"] == len(FEATURES)
    assert Path(found["index"]).is_file()
    code, out, _ = run("docs", "--no-audit")
    assert code == 0
    assert str(tmp_path / "state" / "reports" / "features" / "index.html") in out
