"""The repository, as a user of Feast meets it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from quantdesk.features import FEATURES, FeatureStore
from quantdesk.features.publish import REGISTRY

from .test_declared import make_data

# Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

REPO = Path(__file__).resolve().parents[2] / "feature_repo"


def check_repository(store, feast_command):
    applied = feast_command("apply")
    assert "Deploying infrastructure for" in applied
    assert (store.root / REGISTRY).is_file()
    listed = feast_command("feature-views", "list")
    assert all(name in listed for name in ("technical", "market_model", "sentiment"))
    feast_command("materialize", "2018-01-01T00:00:00", "2020-07-15T00:00:00")
    got = feast_command("get-online-features", "-e", "symbol=OHLC", "-f", "technical:sma_20")
    last = store.get_historical_features(["OHLC"], ["sma_20"]).to_pandas().iloc[-1, 0]
    assert str(last) in got
    left = {path.name for path in REPO.iterdir()} - {"__pycache__"}
    assert left == {"feature_store.yaml", "definitions.py"}, "nothing was written beside the definitions"


@pytest.mark.usefixtures("feast_closes")
def test_the_stock_command_applies_and_fills_the_repository(own_store, monkeypatch, tmp_path):
    """Feast's own command line, in this process: starting it anew takes eight seconds each time."""
    from click.testing import CliRunner
    from feast.cli.cli import cli

    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(own_store.root))
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*arguments):
        monkeypatch.chdir(tmp_path)  # it changes the directory
        done = CliRunner().invoke(cli, ["-c", str(REPO), *arguments])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    check_repository(own_store, run)


@pytest.mark.slow
def test_the_stock_command_does_so_as_a_program(own_store):
    environment = {**os.environ, "QUANTDESK_FEATURES_ROOT": str(own_store.root), "PYTHONWARNINGS": "ignore"}

    def run(*arguments):
        command = [str(Path(sys.executable).with_name("feast")), "-c", str(REPO), *arguments]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout

    check_repository(own_store, run)


def test_registry_and_features_agree_word_for_word(feast_store):
    for view in feast_store.list_feature_views():
        assert view.description
        for field in view.features:
            feature = FEATURES[field.name]
            assert field.description == feature.description
            assert field.tags["unit"] == feature.unit
            assert field.tags["formula"] == feature.formula
            assert field.tags["look_back"] == f"{feature.look_back} sessions"
    assert sum(len(view.features) for view in feast_store.list_feature_views()) == len(FEATURES) == 20


@pytest.fixture
def desk_folder(own_store, tmp_path, monkeypatch):
    """``feature_repo/`` with a desk's own definitions beside those of the platform."""
    folder = tmp_path / "feature_repo"
    shutil.copytree(REPO, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(Path(__file__).with_name("desk_repository.py"), folder / "desk.py")
    make_data(tmp_path / "data")
    monkeypatch.setenv("DESK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(own_store.root))
    return folder


def check_desk(own_store, market, folder):
    """What stock Feast applied is served here, and applying here changes nothing of it."""
    store = FeatureStore(root=own_store.root, market=market, repo=folder)
    rows = pd.DataFrame({"symbol": ["AAA1"], "event_timestamp": pd.to_datetime(["2019-03-07T09:00Z"])})
    for _ in range(2):
        frame = store.get_historical_features(entity_df=rows, feature_names=["news:score", "sma_20"])
        assert frame.is_pit_validated, frame.doubts
        assert frame.to_pandas()["score"].tolist() == [-0.75]
        store.apply()


@pytest.mark.usefixtures("feast_closes")
def test_the_stock_command_applies_a_desks_own_views_and_they_are_served(
    own_store, market, desk_folder, monkeypatch, tmp_path
):
    from click.testing import CliRunner
    from feast.cli.cli import cli

    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for module in ("definitions", "desk"):
        monkeypatch.delitem(sys.modules, module, raising=False)

    def run(*arguments):
        monkeypatch.chdir(tmp_path)  # it changes the directory
        done = CliRunner().invoke(cli, ["-c", str(desk_folder), *arguments])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    run("apply")
    assert all(name in run("feature-views", "list") for name in ("news", "flows", "ratings", "weather", "technical"))
    run("materialize", "2019-01-01T00:00:00", "2026-03-08T00:00:00", "--views", "flows")
    assert "9.0" in run("get-online-features", "-e", "symbol=AAA1", "-f", "flows:net_flow")
    for module in ("definitions", "desk"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    check_desk(own_store, market, desk_folder)


@pytest.mark.slow
def test_feasts_own_user_interface_shows_the_repository(own_store, market, desk_folder):
    pytest.importorskip("grpc", reason="Feast's user interface needs feast[grpcio]")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(desk_folder)]
    subprocess.run([*command, "apply"], env=environment, cwd="/", capture_output=True, timeout=180, check=True)
    check_desk(own_store, market, desk_folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [*command, "ui", "-h", "127.0.0.1", "-p", str(port)]

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read()

    with subprocess.Popen(
        arguments, env=environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + 120
            while True:
                try:
                    status, page = get("/")
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < until, "it never answered"
                    time.sleep(0.5)
            assert status == 200
            assert b"<html" in page
            assert [one["id"] for one in json.loads(get("/projects-list.json")[1])["projects"]] == ["quantdesk"]
            listed = json.loads(get("/api/v1/feature_views?project=quantdesk")[1])["featureViews"]
            tags = {one["spec"]["name"]: one["spec"].get("tags", {}) for one in listed}
            assert {"technical", "market_model", "sentiment", "news", "flows"} <= set(tags)
            assert tags["news"]["knowledge_time"] == "published at published"
        finally:
            process.terminate()
