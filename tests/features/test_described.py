"""What applying would change is known before, and two builds can be told apart, rows included."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from quantdesk.errors import BadInput, DataError
from quantdesk.features import FeatureStore
from quantdesk.features.described import between_builds, of_objects, of_registry, to_apply
from quantdesk.features.difference import compare
from quantdesk.features.own_repository import objects_in
from quantdesk.features.publish import REGISTRY
from quantdesk.market import MarketStore, load

from .conftest import tiny_sources

# Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

VIEW = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
mine = FeatureView(
    name="mine",
    entities=[symbol],
    ttl=timedelta(days={days}),
    schema=[Field(name="{field}", dtype=Float64, tags={{"formula": "{formula}"}})],
    source=FileSource(name="mine_rows", path="{path}", timestamp_field="event_timestamp"),
)
service = FeatureService(name="mine_all", features=[mine])
"""


def repository(folder: Path, days: int = 3, field: str = "tone", formula: str = "a + b") -> Path:
    folder.mkdir(exist_ok=True)
    text = VIEW.format(days=days, field=field, formula=formula, path=folder / "rows.parquet")
    (folder / "mine.py").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def applied(filled: FeatureStore, tmp_path: Path) -> Path:
    """The folder of a store whose registry can be changed. Its sources lie elsewhere than those of the original."""
    root = tmp_path / "features"
    shutil.copytree(filled.root, root, symlinks=True)
    moved = to_apply(root)
    assert {(one.kind, one.what, one.field) for one in moved.changes} == {("feature view", "changed", "source")}
    assert FeatureStore(root=root, repo=tmp_path / "nothing").apply()
    return root


def test_nothing_is_to_apply_right_after_applying(filled: FeatureStore) -> None:
    found = to_apply(filled.root)
    assert found.same, found.changes


def test_an_empty_registry_gets_everything(tmp_path: Path) -> None:
    found = to_apply(tmp_path)
    assert {one.what for one in found.changes} == {"added"}
    assert ("feature", "technical:sma_20") in {(one.kind, one.name) for one in found.changes}
    assert ("feature service", "all_features") in {(one.kind, one.name) for one in found.changes}
    assert not (tmp_path / REGISTRY).exists()


def test_what_a_repository_adds_and_changes_is_named(applied: Path, market: MarketStore, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    added = to_apply(applied, repo)
    assert {(one.kind, one.name, one.what) for one in added.changes} == {
        ("feature view", "mine", "added"),
        ("feature", "mine:tone", "added"),
        ("feature service", "mine_all", "added"),
    }
    store = FeatureStore(root=applied, market=market, repo=repo)
    assert store.apply()
    assert to_apply(applied, repo).same

    repository(repo, days=5, field="mood", formula="a - b")
    found = {
        (one.kind, one.name, one.what, one.field): (one.before, one.after) for one in to_apply(applied, repo).changes
    }
    assert found["feature view", "mine", "changed", "ttl"] == ("3 days, 0:00:00", "5 days, 0:00:00")
    assert ("feature", "mine:mood", "added", "") in found
    # The field is replaced with its view; a service that named it follows.
    assert found["feature service", "mine_all", "changed", "features"] == ("mine:tone", "mine:mood")
    repository(repo, formula="a * b")
    (one,) = to_apply(applied, repo).changes
    assert (one.field, one.before, one.after) == ("formula", "a + b", "a * b")


def test_what_is_defined_no_longer_is_kept_and_said(applied: Path, market: MarketStore, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    assert FeatureStore(root=applied, market=market, repo=repo).apply()
    found = to_apply(applied)
    assert {(one.name, one.what) for one in found.changes} == {
        ("mine", "kept"),
        ("mine:tone", "kept"),
        ("mine_all", "kept"),
    }


DERIVED = """

from feast.on_demand_feature_view import on_demand_feature_view
import pandas as pd

@on_demand_feature_view(sources=[mine], schema=[Field(name="twice", dtype=Float64)])
def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": inputs["tone"] * 2})
"""


def test_views_on_demand_are_compared_by_their_code(tmp_path: Path) -> None:
    found = []
    for name, factor in (("one", 2), ("other", 3)):
        file = repository(tmp_path / name) / "mine.py"
        file.write_text(file.read_text() + DERIVED.replace("* 2", f"* {factor}"), encoding="utf-8")
        found.append(of_objects(objects_in(file.parent)))
    assert found[0]["on-demand view", "doubled"]["sources"] == "mine"
    assert ("feature", "doubled:twice") in found[0]
    changed = [(one.name, one.field) for one in compare(*found) if one.field != "source"]
    assert changed == [("doubled", "code")]


def test_a_broken_file_and_a_broken_registry_are_errors(applied: Path, tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "mine.py").write_text("import nothing_like_it\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine\.py"):
        to_apply(applied, repo)
    (applied / REGISTRY).write_bytes(b"not a database" * 100)
    with pytest.raises(DataError, match=REGISTRY):
        of_registry(applied)


def test_two_builds_differ_by_what_was_loaded(store: FeatureStore, tmp_path: Path, sessions) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(store.root, tmp_path / "features", symlinks=True)
    with pytest.raises(BadInput, match="no build to compare"):
        between_builds(tmp_path / "features")
    sources = tiny_sources(sessions)
    raw = sources[1]._series[0]
    assert raw.description.symbol == "OHLC"
    raw.frame.loc[300:, "volume"] *= 2
    described = dataclasses.replace(raw.description, version="2", sha256="2" * 64)
    sources[1]._series[0] = raw._replace(description=described)
    sources[1]._fingerprint = "2"
    load(sources, tmp_path / "market")
    other = FeatureStore(root=tmp_path / "features", market=MarketStore(tmp_path / "market"))
    assert other.build().changed
    found = between_builds(other.root, rows=True)
    assert ("series", "OHLC", "file") in {(one.kind, one.name, one.field) for one in found.changes}
    (table,) = found.rows
    # Volume is behind value traded and illiquidity alone, from its first changed session on.
    assert table.table == "technical/symbol=OHLC"
    assert (table.added, table.removed, table.changed) == (0, 0, len(sessions) - 300)
    assert table.same == 300
    keys = [other.snapshot().manifest.parent, other.snapshot().manifest.key]
    backwards = between_builds(other.root, before=keys[1][:10], after=keys[0][:10])
    assert backwards.rows == ()
    assert not backwards.same
    with pytest.raises(BadInput, match="is no build"):
        between_builds(other.root, before="nothing")
    assert np.isfinite(table.changed)
