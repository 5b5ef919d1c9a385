"""One setting for every database and one for Redis, each stage's own setting before them; no password is ever shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from quantdesk.features.config import FeatureConfig
from quantdesk.features.online.address import OnlineConfig
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.config import HubConfig
from quantdesk.orders.ledger.config import LedgerConfig
from quantdesk.records.servers import ServersConfig, database_of_the_team, redis_of_the_team
from quantdesk.reports.ledger.config import RunLedgerConfig

TEAM, OWN = "postgresql://team:geheim@db:5432/desk", "postgresql://own:leise@other:5432/own"
REDIS, OWN_REDIS = "redis://:geheim@cache:6379/0", "redis://:leise@other:6379/1"


def value(given: SecretStr | None) -> str | None:
    return None if given is None else given.get_secret_value()


DATABASES: dict[str, Callable[[], str | None]] = {
    "QUANTDESK_HUB_DATABASE": lambda: value(HubConfig.from_env().hub_database),
    "QUANTDESK_SERVICE_DATABASE": lambda: value(ServiceConfig.from_env().database_url),
    "QUANTDESK_REPORTS_LEDGER_URL": lambda: value(RunLedgerConfig.from_env().address),
    "QUANTDESK_LEDGER_URL": lambda: value(LedgerConfig.from_env().address),
    "QUANTDESK_FEATURES_URL": lambda: value(FeatureConfig.from_env().url),
}
REDISES: dict[str, Callable[[], str | None]] = {
    "QUANTDESK_ONLINE_URL": lambda: value(OnlineConfig.from_env().url),
    "QUANTDESK_SERVICE_RATE_STORE": lambda: value(ServiceConfig.from_env().rate_store),
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))


@pytest.mark.parametrize("name", DATABASES)
def test_the_teams_database_is_the_default_of_each_stage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, alone = DATABASES[name], DATABASES[name]()
    assert alone is None or alone.startswith("sqlite:///")
    monkeypatch.setenv("QUANTDESK_DATABASE", TEAM)
    assert read() == TEAM
    monkeypatch.setenv(name, OWN)
    assert read() == OWN
    monkeypatch.setenv(name, "")
    assert read() in (alone, "")  # an empty one asks for the file


@pytest.mark.parametrize("name", REDISES)
def test_the_teams_redis_likewise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, alone = REDISES[name], REDISES[name]()
    assert alone in (None, "memory://")
    monkeypatch.setenv("QUANTDESK_DATABASE", TEAM)
    assert read() == alone  # the database is not for these
    monkeypatch.setenv("QUANTDESK_REDIS", REDIS)
    assert read() == REDIS
    monkeypatch.setenv(name, OWN_REDIS)
    assert read() == OWN_REDIS


def test_a_setting_of_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_DATABASE", " ")
    monkeypatch.setenv("QUANTDESK_REDIS", "")
    assert database_of_the_team() is None
    assert redis_of_the_team() is None


def test_no_settings_show_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_DATABASE", TEAM)
    monkeypatch.setenv("QUANTDESK_REDIS", REDIS)
    for made in (ServersConfig, HubConfig, ServiceConfig, RunLedgerConfig, LedgerConfig, FeatureConfig, OnlineConfig):
        config = made.from_env()  # type: ignore[attr-defined]
        assert "geheim" not in f"{config!r} {config} {config.model_dump()}"


def test_doctor_says_which_servers_answer_and_no_password(tmp_path: Path, postgres: object, redis_url: str) -> None:
    url = str(postgres())  # type: ignore[operator]
    secret = urlsplit(url).password or ""
    line = [str(Path(sys.executable).with_name("quantdesk")), "doctor", "--json"]
    for database, status in ((url, "ok"), (url.replace(secret, "wrong"), "fail")):
        given = {**os.environ, "QUANTDESK_DATABASE": database, "QUANTDESK_REDIS": redis_url}
        done = subprocess.run(line, env=given, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert secret not in done.stdout + done.stderr
        found = [one for one in json.loads(done.stdout) if one["check"] == "databases"]
        assert found[0]["status"] == status, found
        if status == "ok":
            assert found[0]["found"].startswith(
                "hub, service, reports, orders, features in postgresql://desk@127.0.0.1"
            )
            assert found[-1]["found"].startswith("the online store in redis://127.0.0.1")
        else:
            assert "refuses the password" in found[0]["found"]
    with psycopg.connect(url) as connection:  # it looks, and makes nothing
        made = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'quantdesk%'").fetchone()
    assert made == (0,)
