"""A team's feature store that was lost with its server, and put back from a backup, is proven as before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from quantdesk.features import FeatureStore
from quantdesk.hub import backup as backups

SCHEMAS = ("quantdesk", "quantdesk_registry")


def test_a_lost_store_is_proven_again(
    store: FeatureStore, market: Any, postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, state = str(postgres()), tmp_path / "state"
    shutil.copytree(store.root, state / "features", symlinks=True)
    for name in list(os.environ):
        if name.startswith("QUANTDESK_") and not name.startswith("QUANTDESK_KERNELS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUANTDESK_STATE", str(state))
    monkeypatch.setenv("QUANTDESK_DATABASE", url)

    def asked() -> tuple[pd.DataFrame, bool]:
        team = FeatureStore(market=market)
        assert "postgresql://" in repr(team), "the one setting is for the feature store, too"
        frame = team.get_historical_features(["AAA1", "BBB2"], ["sma_20", "rsi_14"], "2019-01-02", "2019-12-31")
        team.close()
        return frame.to_pandas(), frame.is_pit_validated

    team = FeatureStore(market=market)
    assert team.build().changed
    team.apply()
    team.close()
    rows, proven = asked()
    assert proven
    made = backups.backup(tmp_path / "kept.tar")
    assert {one.name: one.schemas for one in made.manifest.databases} == {"features": SCHEMAS}

    shutil.rmtree(state)
    with psycopg.connect(url, autocommit=True) as connection:
        for name in SCHEMAS:
            connection.execute(f"DROP SCHEMA {name} CASCADE")
    backups.restore(made.path)
    again, proven = asked()
    assert proven
    pd.testing.assert_frame_equal(again, rows)
    with psycopg.connect(url, autocommit=True) as connection:  # a row that is changed is still found out
        (table,) = connection.execute('SELECT "table" FROM quantdesk.part WHERE key = %s AND view = %s',
                                      ("AAA1", "technical")).fetchone()  # fmt: skip
        connection.execute(f'UPDATE quantdesk."{table}" SET sma_20 = sma_20 + 1')
    assert not asked()[1]
