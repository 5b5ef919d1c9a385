"""The guide's SQL, run as it stands: what it grants is enough, and no more than reading."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.features import FeatureStore
from quantdesk.features.postgres import PostgresBackend

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "share-a-store-on-postgresql.md"


def test_the_guide_prepares_a_database(store, market, postgres):
    roles, schemas, limit, look = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    with psycopg.connect(postgres.admin(), autocommit=True) as connection:
        for statement in roles.split(";")[:-1]:
            connection.execute(statement)
    loader, quant = (postgres.url("features", *who) for who in (("loader", "change me"), ("quant", "change me, too")))
    with psycopg.connect(loader, autocommit=True) as connection:
        connection.execute(schemas)
    with psycopg.connect(postgres.admin(), autocommit=True) as connection:
        connection.execute(limit)
    writing, reading = (FeatureStore(url, root=store.root, market=market) for url in (loader, quant))
    writing.build()
    assert reading.get_historical_features(["AAA1"], ["sma_20", "sentiment_z"]).is_pit_validated
    with pytest.raises(EnvironmentProblem, match="quant may not do this"):
        whole = writing._files.snapshot()
        from quantdesk.features.postgres import load

        load(whole.folder, whole.manifest, quant)
    with psycopg.connect(quant) as connection:
        assert len(connection.execute(look).fetchall()) == 5
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1min",)
    # A standby lets nobody write: neither does this session.
    standby = PostgresBackend(quant)
    with standby.connections.reading() as cursor:
        assert cursor.execute("SHOW transaction_read_only").fetchone() == ("on",)
    for one in (writing, reading, standby):
        one.close()
