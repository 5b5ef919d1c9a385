"""The repository, as a user of Feast meets it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantdesk.features import FEATURES
from quantdesk.features.publish import REGISTRY

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


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # Feast's commands close nothing
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
    gc.collect()


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
