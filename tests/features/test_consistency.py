"""Online and offline values agree to the last bit, and one flipped bit is found."""

from __future__ import annotations

import contextlib
import math
import shutil
import sqlite3
import struct

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput
from quantdesk.features import FeatureStore
from quantdesk.features.consistency import compare, same_bits
from quantdesk.features.definitions import FEATURES
from quantdesk.features.publish import ONLINE
from quantdesk.features.watch import consistency

NOW = pd.Timestamp("2026-11-23T05:00Z")


def values(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(["A", "B"], name="symbol"))


def test_bits_count_and_every_nan_is_null() -> None:
    odd = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_07A2))[0]
    left = np.array([1.0, 0.0, np.nan, odd, 0.1 + 0.2])
    right = np.array([1.0, -0.0, odd, np.nan, 0.3])
    assert same_bits(left, right).tolist() == [True, False, True, True, False]


def test_every_difference_is_listed_with_its_bits() -> None:
    found = compare(values(x=[1.0, math.nan], y=[1.0, 2.0]), values(x=[1.0, 5.0], y=[np.nextafter(1.0, 2), 2.0]), NOW)
    assert not found.agrees
    assert (found.compared, found.with_value) == (4, 4)
    assert [(one.symbol, one.feature) for one in found.differences] == [("A", "y"), ("B", "x")]
    first, second = (one.to_dict() for one in found.differences)
    assert first["online_bits"] != first["offline_bits"]
    assert second["online"] is None
    assert "null" in found.differences[1].says


def test_equal_values_of_different_rows_are_a_difference() -> None:
    same = values(x=[1.0, 2.0])
    events = [pd.DataFrame({"v": pd.to_datetime(days, utc=True)}, index=same.index) for days in (
        ["2020-01-02", "2020-01-03"], ["2020-01-02", "2020-01-06"])]  # fmt: skip
    found = compare(same, same, NOW, (events[0], events[1]), {"x": "v"})
    assert [one.symbol for one in found.differences] == ["B"]
    assert "2020-01-03" in found.differences[0].says
    assert found.to_dict()["differences"][0]["offline_event"] == "2020-01-06T00:00:00+00:00"


def test_nothing_compared_is_no_agreement_and_other_labels_are_refused() -> None:
    assert not compare(values().iloc[:0], values().iloc[:0], NOW).agrees
    with pytest.raises(BadInput, match="symbols and features"):
        compare(values(x=[1.0, 2.0]), values(y=[1.0, 2.0]), NOW)


def test_a_filled_store_agrees_with_its_files(filled: FeatureStore) -> None:
    found = consistency(filled)
    assert found.differences == ()
    assert found.compared == len(filled.symbols()) * len(FEATURES)
    assert found.with_value > 0.4 * found.compared
    assert consistency(filled, ["OHLC"], ["sma_20"]).compared == 1


@pytest.fixture
def own_filled(filled: FeatureStore, tmp_path) -> FeatureStore:  # type: ignore[no-untyped-def]
    shutil.copytree(filled.root, tmp_path / "features", symlinks=True)
    return FeatureStore(root=tmp_path / "features")


def test_one_flipped_bit_in_the_online_file_is_found(own_filled: FeatureStore) -> None:
    """The last bit of the first value of one row, as a disk or a careless script would leave it."""
    with contextlib.closing(sqlite3.connect(own_filled.root / ONLINE)) as connection:
        rows = connection.execute("SELECT view, key, packed FROM online_rows WHERE view LIKE '%technical'").fetchall()
        view, key, packed = next(row for row in rows if b"OHLC" in row[1])
        damaged = bytearray(packed)
        damaged[8] ^= 1
        connection.execute("UPDATE online_rows SET packed = ? WHERE view = ? AND key = ?", (bytes(damaged), view, key))
        connection.commit()
    (found,) = consistency(own_filled).differences
    assert (found.symbol, found.feature) == ("OHLC", "sma_20")
    assert found.online == np.nextafter(found.offline, found.online)
    assert repr(found.online) in found.says


def test_a_row_that_is_missing_online_is_found(own_filled: FeatureStore) -> None:
    with contextlib.closing(sqlite3.connect(own_filled.root / ONLINE)) as connection:
        (view,) = connection.execute("SELECT view FROM online_rows WHERE view LIKE '%market_model'").fetchone()
        connection.execute("DELETE FROM online_rows WHERE view = ?", (view,))
        connection.commit()
    found = consistency(own_filled).differences
    assert {one.feature for one in found} == {"beta_252d"}
    assert all(math.isnan(one.online) for one in found)
