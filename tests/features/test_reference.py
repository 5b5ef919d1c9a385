"""The definitions are complete, and the page that is made from them is up to date."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quantdesk.features import FEATURES, FeatureStore, catalogue
from quantdesk.features.definitions import VIEWS
from quantdesk.features.inputs import FIELDS_OF

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "features.md"
NAMES = [
    *("sma_20", "sma_50", "sma_200", "ema_12", "ema_26", "macd", "rsi_14", "atr_14", "bollinger_z_20"),
    *("ret_1d", "ret_5d", "ret_21d", "mom_12_1", "vol_21d", "vol_63d", "beta_252d", "drawdown_252d"),
    *("dollar_volume_21d", "amihud_21d", "sentiment_z"),
]


def test_the_page_is_what_the_definitions_say():
    assert PAGE.read_text(encoding="utf-8") == catalogue.page(), (
        "run: python -m quantdesk.features.catalogue > docs/reference/features.md"
    )


def test_the_program_prints_the_page():
    command = [sys.executable, "-m", "quantdesk.features.catalogue"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == catalogue.page()


def test_all_twenty_are_there(tmp_path):
    assert list(FEATURES) == NAMES
    assert [feature.name for feature in FeatureStore(root=tmp_path).features()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_is_complete(name):
    feature = FEATURES[name]
    for text in (feature.description, feature.unit, feature.formula, feature.source):
        assert text
        assert text == text.strip()
    assert feature.description.endswith(".")
    assert feature.look_back >= 2
    assert feature.view in VIEWS
    assert set(feature.inputs) <= set(FIELDS_OF) | {"panel"}
    assert json.loads(json.dumps(feature.to_dict()))["name"] == name
    assert f"### {name}" in catalogue.page()
