"""The team's registry: Feast's own, in the same database, and its password nowhere to be seen."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import traceback
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import create_engine, text

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.features import FeatureStore
from quantdesk.features import registry_url as registry_urls
from quantdesk.features.postgres import parse
from quantdesk.features.postgres.registry import apply, open_feast
from quantdesk.features.publish import release


@pytest.fixture(scope="module")
def applied(store, market, postgres, tmp_path_factory):
    """A database with a registry. Read only, please."""
    found = FeatureStore(postgres(), root=store.root, market=market, repo=tmp_path_factory.mktemp("repo"))
    address = found.backend.address
    assert apply(address, store.root)
    return address


def test_applying_again_changes_nothing(applied, store):
    assert not apply(applied, store.root)


def test_feast_reads_it_and_shows_no_password(applied, store, caplog):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        feast = open_feast(applied, store.root)
        said = [feast, feast.config, repr(feast.config), feast.config.registry, feast.config.model_dump()]
        shown.write(" ".join(map(str, said)))
        views = {view.name for view in feast.list_feature_views()}
        release(feast)
    assert {"technical", "market_model", "sentiment"} <= views
    assert "postgresql+quantdesk://desk@127.0.0.1" in shown.getvalue()
    secret = applied.password.get_secret_value()
    for said in (shown.getvalue(), caplog.text):
        assert secret not in said
        assert "p%40ss" not in said


def test_the_tables_are_in_a_schema_of_their_own(applied):
    with psycopg.connect(**applied.parameters()) as connection:
        found = dict(connection.execute("SELECT schemaname, count(*) FROM pg_tables GROUP BY 1").fetchall())
    assert found[registry_urls.SCHEMA] > 5
    assert "public" not in found


def test_four_at_once_lose_nothing(applied, store, postgres):
    """The file registry loses two of four; here whoever is not first is told so, or finds nothing to do."""
    address = parse(postgres())

    def one(_):
        try:
            return apply(address, store.root)
        except EnvironmentProblem as problem:
            return str(problem)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(4)))
    assert found.count(True) == 1
    assert all(one in (True, False) or "Another process applies" in one for one in found)


def test_the_address_can_come_from_the_environment(applied, monkeypatch):
    secret = quote(applied.password.get_secret_value(), safe="")
    monkeypatch.setenv("QUANTDESK_FEATURES_URL", str(applied).replace("desk@", f"desk:{secret}@"))
    for url in ("postgresql+quantdesk://", registry_urls.team_address(applied)):
        registry_urls._GIVEN.clear()
        engine = create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM feature_views")).scalar() >= 3
        engine.dispose()


def test_without_an_address_it_says_which_setting(monkeypatch):
    monkeypatch.delenv("QUANTDESK_FEATURES_URL", raising=False)
    with pytest.raises(BadInput, match="QUANTDESK_FEATURES_URL"):
        create_engine("postgresql+quantdesk://").connect()


def test_a_wrong_password_is_one_clear_error(applied):
    wrong = str(applied).replace("desk@", "desk:hunter2@").replace("postgresql://", "postgresql+quantdesk://")
    registry_urls._GIVEN.clear()
    with pytest.raises(EnvironmentProblem, match="refuses the password of 'desk'") as caught:
        create_engine(wrong).connect()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
