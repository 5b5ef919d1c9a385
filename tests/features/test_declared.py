"""Views of the user's own: declared in plain Feast, served beside the built-in ones, under their own policy."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.features import FeatureFrame, FeatureStore
from quantdesk.features.declared import DECLARED, read_declared
from quantdesk.features.knowledge import EventPlus, LoadTime, PublishedAt
from quantdesk.features.publish import REGISTRY

# Feast 0.67 on pandas 2.3 and pydantic 2: nothing that its caller could do otherwise.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

NEWS = [  # symbol, event, published, tone
    ("AAA1", "2019-03-04T12:00Z", "2019-03-04T13:00Z", 0.5),
    ("AAA1", "2019-03-05T12:00Z", "2019-03-05T13:00Z", 0.25),
    ("AAA1", "2019-03-05T12:00Z", "2019-03-07T09:00Z", -0.75),
    ("BBB2", "2019-03-04T12:00Z", "2019-03-08T13:00Z", 0.125),
]


def at(text):
    return pd.Timestamp(text)


def write(path, frame):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)


def make_data(data):
    news = pd.DataFrame(NEWS, columns=["symbol", "event_timestamp", "published", "tone"])
    for name in ("event_timestamp", "published"):
        news[name] = pd.to_datetime(news[name], utc=True)
    write(data / "news" / "old.parquet", news.assign(articles=3, breaking=False, headline="x"))
    days = pd.date_range("2019-03-01", periods=10, tz="UTC")
    flows = pd.DataFrame(
        {"symbol": "AAA1", "day": days, "loaded": at("2026-01-01T00:00Z"), "net_flow": np.arange(10.0)}
    )
    write(data / "flows" / "history.parquet", flows.astype({"net_flow": "float32"}))
    rated = {"day": at("2019-03-01T00:00Z"), "loaded": at("2019-03-05T00:00Z")}
    ratings = pd.DataFrame(
        {"symbol": ["AAA1", "AAA1", "ZZZ"], "analyst": [1, 2, 1], **rated, "target": [10.0, 20.0, 30.0]}
    )
    write(data / "ratings" / "all.parquet", ratings)
    write(data / "weather.parquet", pd.DataFrame({"event_timestamp": days, "rain": np.arange(10.0)}))


@pytest.fixture(scope="session")
def desk_root(store, market, tmp_path_factory):
    """A feature store with the desk's repository applied. Read only, please."""
    folder = tmp_path_factory.mktemp("own")
    make_data(folder / "data")
    (folder / "repo").mkdir()
    shutil.copyfile(Path(__file__).with_name("desk_repository.py"), folder / "repo" / "desk.py")
    shutil.copytree(store.root, folder / "features", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_DATA", str(folder / "data"))
        found = FeatureStore(root=folder / "features", market=market, repo=folder / "repo")
        assert found.apply()
        assert not found.apply()
    return folder


@pytest.fixture
def desk_store(desk_root, market, tmp_path, monkeypatch):
    """The same for one test that may change it: the data move along."""
    shutil.copytree(desk_root, tmp_path, symlinks=True, dirs_exist_ok=True)
    path = tmp_path / "features" / DECLARED
    path.write_text(path.read_text().replace(str(desk_root), str(tmp_path)))
    monkeypatch.setenv("DESK_DATA", str(tmp_path / "data"))
    return FeatureStore(root=tmp_path / "features", market=market, repo=tmp_path / "repo")


@pytest.fixture(scope="session")
def own(desk_root, market):
    return FeatureStore(root=desk_root / "features", market=market, repo=desk_root / "repo")


def rows(*given, **more):
    frame = pd.DataFrame(given, columns=["symbol", "event_timestamp"])
    return frame.assign(event_timestamp=pd.to_datetime(frame["event_timestamp"], utc=True), **more)


def ask(store, names, *given, as_of=None, **more):
    frame = store.get_historical_features(entity_df=rows(*given, **more), feature_names=names, as_of=as_of)
    assert frame.is_pit_validated, frame.doubts
    return frame


def test_what_was_declared_is_taken_down(own):
    views = own.declared.views
    assert list(views) == ["news", "flows", "ratings", "weather"]
    assert [view.policy for view in views.values()] == [
        PublishedAt("published"), EventPlus(dt.timedelta(days=1)), LoadTime(), None,
    ]  # fmt: skip
    news = views["news"]
    assert [(field.name, field.column, field.dtype) for field in news.fields] == [
        ("score", "tone", "Float64"), ("articles", "articles", "Int64"),
        ("breaking", "breaking", "Bool"), ("headline", "headline", "String"),
    ]  # fmt: skip
    assert news.fields[0].unit == "-1 to 1"
    assert news.ttl == dt.timedelta(days=5)
    assert [key.name for key in views["ratings"].keys] == ["symbol", "analyst"]
    assert read_declared(own.root) == own.declared
    assert "score" in [feature.name for feature in own.features()]


def test_a_row_sees_what_was_published_by_then_beside_the_built_in_features(own):
    frame = ask(
        own, ["sma_20", "news:score", "articles", "breaking"],
        ("AAA1", "2019-03-04T12:30Z"), ("AAA1", "2019-03-04T13:00Z"), ("AAA1", "2019-03-06T00:00Z"),
        ("AAA1", "2019-03-07T09:00Z"), ("BBB2", "2019-03-07T09:00Z"), ("BBB2", "2019-03-08T13:00Z"),
    )  # fmt: skip
    values = frame.to_pandas()
    np.testing.assert_array_equal(values["score"], [np.nan, 0.5, 0.25, -0.75, np.nan, 0.125])
    assert values["sma_20"].notna().all()
    assert values["articles"].tolist()[1:4] == [3.0, 3.0, 3.0]
    assert values["breaking"].tolist()[1] == 0.0
    assert frame.reasons()["reason"].unique().tolist() == ["not_yet_known"]
    assert [view.view for view in frame.evidence.views] == ["technical", "news"]
    assert all(view.oracle_rows for view in frame.evidence.views)
    assert "news: each row counts as known when its column 'published' says, as declared." in frame.evidence.knowledge
    news = [name for name in frame.evidence.sources if name.endswith("old.parquet")]
    assert len(news) == 1


def test_as_of_cuts_off_what_was_published_later(own):
    late = ("AAA1", "2019-03-07T12:00Z")
    assert ask(own, ["score"], late).to_pandas()["score"].tolist() == [-0.75]
    assert ask(own, ["score"], late, as_of="2019-03-06").to_pandas()["score"].tolist() == [0.25]


def test_by_symbols_and_dates(own):
    frame = own.get_historical_features(["AAA1", "BBB2"], ["score", "sentiment_z"], "2019-03-04", "2019-03-08")
    assert frame.is_pit_validated
    assert frame.by_session()["score"].xs("AAA1", level="symbol").tolist() == [0.5, 0.25, 0.25, -0.75, -0.75]
    assert frame.by_session()["score"].xs("BBB2", level="symbol").isna().tolist() == [True] * 4 + [False]


def test_an_answer_that_is_too_old_has_expired(own):
    found = ask(own, ["score"], ("AAA1", "2019-03-10T12:00Z"), ("AAA1", "2019-03-10T12:01Z"))
    np.testing.assert_array_equal(found.to_pandas()["score"], [-0.75, np.nan])
    assert found.reasons()["reason"].tolist() == ["expired:5d"]


def test_history_that_was_loaded_years_later_was_known_a_day_after_its_event(own):
    found = ask(own, ["net_flow"], ("AAA1", "2019-03-04T23:59Z"), ("AAA1", "2019-03-05T00:00Z"))
    assert found.to_pandas()["net_flow"].tolist() == [2.0, 3.0]


def test_two_keys_come_from_the_entity_frame(own):
    found = ask(own, ["target"], ("AAA1", "2019-03-04T00:00Z"), ("AAA1", "2019-03-05T00:00Z"),
                ("AAA1", "2019-03-06T00:00Z"), ("AAA1", "2019-03-06T00:00Z"), analyst=[1, 1, 2, 3])  # fmt: skip
    np.testing.assert_array_equal(found.to_pandas()["target"], [np.nan, 10.0, 20.0, np.nan])
    assert found.to_pandas()["analyst"].tolist() == [1, 1, 2, 3]
    with pytest.raises(BadInput, match="keyed by symbol, analyst, and the question has no 'analyst'"):
        own.get_historical_features(["AAA1"], ["target"], "2019-03-04", "2019-03-08")


def test_without_a_declared_policy_the_values_come_and_the_proof_does_not(own):
    frame = own.get_historical_features(entity_df=rows(("AAA1", "2019-03-04T06:00Z")), feature_names=["rain"])
    assert frame.to_pandas()["rain"].tolist() == [3.0]
    assert not frame.is_pit_validated
    assert frame.doubts[0].startswith("Nobody has declared when the rows of weather were known")


def test_labels_are_what_was_declared_and_nothing_is_called_real_unasked(own):
    assert ask(own, ["score"], ("AAA1", "2019-03-05T00:00Z")).labels.words == ("real",)
    assert ask(own, ["net_flow"], ("AAA1", "2019-03-05T00:00Z")).labels.words == ("not real",)
    both = ask(own, ["score", "sma_20"], ("AAA1", "2019-03-05T00:00Z")).labels
    assert both.survivors_only
    assert not both.real


def test_the_chain_of_a_declared_feature(own):
    chain = own.revisions("AAA1", "news:score")
    assert chain["value"].tolist() == [0.5, 0.25, -0.75]
    assert chain["created_timestamp"].tolist() == [
        at(published) for symbol, _, published, _ in NEWS if symbol == "AAA1"
    ]
    flows = own.revisions("AAA1", "net_flow")
    assert (flows["created_timestamp"] - flows["event_timestamp"] == pd.Timedelta("1D")).all()
    assert own.revisions("AAA1", "target")["analyst"].tolist() == [1, 2]


def test_names_are_offered_from_the_users_views_too(own):
    with pytest.raises(UnknownName, match="Did you mean score"):
        own.get_historical_features(["AAA1"], ["scores"])
    with pytest.raises(UnknownName, match="Did you mean news:score"):
        own.get_historical_features(["AAA1"], ["news:scor"])
    with pytest.raises(UnknownName, match="headline"):
        own.get_historical_features(["AAA1"], ["headline"])
    with pytest.raises(BadInput, match="sma_20 is named twice"):
        own.get_historical_features(["AAA1"], ["sma_20", "technical:sma_20"])
    assert own.get_historical_features(["AAA1"], ["technical:sma_20"]).features == ("sma_20",)


def test_a_file_that_was_changed_or_added_behind_the_store_is_noticed(desk_store, tmp_path):
    question = {"entity_df": rows(("AAA1", "2019-03-05T00:00Z")), "feature_names": ["score"]}
    path = tmp_path / "data" / "news" / "old.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 1), tmp_path / "data" / "news" / "more.parquet")
    frame = desk_store.get_historical_features(**question)
    assert any("not as they were built" in doubt for doubt in frame.doubts)
    assert desk_store.apply(), "applied again, the files as they are now count as declared"
    assert desk_store.get_historical_features(**question).is_pit_validated
    pq.write_table(table.slice(0, 2), path)
    assert not desk_store.get_historical_features(**question).is_pit_validated


def test_a_file_cut_in_half_is_named(desk_store, tmp_path):
    path = tmp_path / "data" / "news" / "old.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"old\.parquet"):
        desk_store.get_historical_features(entity_df=rows(("AAA1", "2019-03-05T00:00Z")), feature_names=["score"])


def test_infinite_numbers_and_times_that_are_none_are_named(desk_store, tmp_path):
    path = tmp_path / "data" / "news" / "old.parquet"
    frame = pq.read_table(path).to_pandas()
    question = {"entity_df": rows(("AAA1", "2019-03-05T00:00Z")), "feature_names": ["score"]}
    write(path, frame.assign(tone=np.inf))
    with pytest.raises(DataError, match="view news holds inf in 'score'"):
        desk_store.get_historical_features(**question)
    write(path, frame.assign(published="soon"))
    with pytest.raises(DataError, match="'published' of the view news holds string, not times"):
        desk_store.get_historical_features(**question)
    shutil.rmtree(tmp_path / "data" / "news")
    with pytest.raises(DataError, match="view news has no data yet"):
        desk_store.get_historical_features(**question)


def test_asking_for_them_imports_no_feast(own):
    program = (
        "import sys, pathlib, pandas as pd\n"
        "from quantdesk.features import FeatureStore\n"
        "store = FeatureStore(root=pathlib.Path(sys.argv[1]))\n"
        "rows = pd.DataFrame({'symbol': ['AAA1'], 'event_timestamp': [pd.Timestamp('2019-03-05T00:00Z')]})\n"
        "assert store.get_historical_features(entity_df=rows, feature_names=['score', 'sma_20']).is_pit_validated\n"
        "assert not {'feast', 'polars', 'duckdb', 'sqlalchemy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(own.root)], check=True, env={**os.environ}, timeout=60)


def test_another_format_names_both_versions_and_damage_is_named(desk_store):
    path = desk_store.root / DECLARED
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 9, "version": "8.8"}))
    with pytest.raises(DataError, match=r"written by quantdesk 8\.8 in format 9; quantdesk .* reads format 1"):
        desk_store.get_historical_features(["AAA1"], ["score"])
    path.write_text("{")
    with pytest.raises(DataError, match=r"declared\.json is damaged"):
        desk_store.features()


# What cannot be declared.


def repository(folder, text):
    folder.mkdir(exist_ok=True)
    head = (
        "import datetime as dt\nfrom feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType\n"
        "from feast.types import Float64, String\n"
        "symbol = Entity(name='symbol', join_keys=['symbol'], value_type=ValueType.STRING)\n"
    )
    (folder / "mine.py").write_text(head + text)
    return folder


SOURCE = "FileSource(name='s', path='x', timestamp_field='t', created_timestamp_column='made'{more})"
VIEW = (
    "v = FeatureView(name='v', entities=[symbol], schema=[Field(name='x', dtype=Float64)], "
    "source={source}, tags={tags})\n"
)
UNDATED = "FileSource(name='s', path='x', timestamp_field='t')"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VIEW.format(source=SOURCE.format(more=""), tags={"knowledge_time": "soon"}), "of view v is 'soon'"),
        (
            VIEW.format(source=SOURCE.format(more=""), tags={"knowledge_time": "published at other"}),
            "created_timestamp_column is 'made'",
        ),
        (
            VIEW.format(source=UNDATED, tags={"knowledge_time": "load time"}),
            "no created_timestamp_column",
        ),
        (
            VIEW.format(
                source=SOURCE.format(more=", tags={'knowledge_time': 'event plus 1d'}"),
                tags={"knowledge_time": "load time"},
            ),
            "declare different knowledge policies",
        ),
        (VIEW.format(source=SOURCE.format(more=""), tags={"symbols": "some"}), "tag symbols of view v is 'some'"),
        ("1 / 0\n", "mine.py cannot be run .ZeroDivisionError"),
        ("def (\n", "mine.py cannot be run .SyntaxError"),
    ],
)
def test_what_cannot_be_declared_is_refused_and_nothing_is_written(own_store, market, tmp_path, text, said):
    store = FeatureStore(root=own_store.root, market=market, repo=repository(tmp_path / "repo", text))
    with pytest.raises(BadInput, match=said) as caught:
        store.apply()
    assert caught.value.remedy
    assert not (store.root / DECLARED).exists()
    assert not (store.root / REGISTRY).exists()


def test_what_only_feast_can_serve_is_left_to_it_and_said(own_store, market, tmp_path):
    text = (
        "p = FeatureView(name='pushed', entities=[symbol], schema=[Field(name='x', dtype=Float64)],\n"
        f"    source=PushSource(name='push', batch_source={SOURCE.format(more='')}))\n"
        "far = FeatureView(name='far', entities=[symbol], schema=[Field(name='y', dtype=Float64)],\n"
        "    source=FileSource(name='b', path='s3://bucket/x', timestamp_field='t'))\n"
    )
    store = FeatureStore(root=own_store.root, market=market, repo=repository(tmp_path / "repo", text))
    assert store.apply()
    assert list(store.declared.views) == ["pushed"], "its rows are in the files of the batch source"
    with pytest.raises(BadInput, match="The view far cannot be asked for here: its source s3://bucket/x"):
        store.get_historical_features(["AAA1"], ["far:y"])


def test_plain_feast_reads_the_same_registry(own, desk_root):
    from quantdesk.features.publish import ONLINE, open_feast, release

    feast = open_feast(own.root / REGISTRY, own.root / ONLINE)
    try:
        views = {view.name: view for view in feast.list_feature_views()}
        assert {"news", "flows", "ratings", "weather", "technical"} <= set(views)
        given = feast.get_historical_features(
            entity_df=rows(("AAA1", "2019-03-06T00:00Z"), ("AAA1", "2019-03-07T09:00Z")),
            features=["news:score", "technical:sma_20"],
        ).to_df()
        assert given["score"].tolist() == [0.25, -0.75]
    finally:
        release(feast)


def test_a_saved_frame_asks_the_declared_sources_again(desk_store, tmp_path):
    """What is appended later leaves the answers about the past as they were; what is changed in place is found."""
    frame = ask(
        desk_store, ["sma_20", "score"],
        ("AAA1", "2019-03-06T00:00Z"), ("AAA1", "2019-03-07T09:00Z"),
    )  # fmt: skip
    path = frame.save(tmp_path / "frame.parquet")
    assert [check.outcome for check in FeatureFrame.load(path).verify().checks] == ["held"] * 5
    more = pd.DataFrame(NEWS[:1], columns=["symbol", "event_timestamp", "published", "tone"]).assign(tone=0.9)
    for name in ("event_timestamp", "published"):
        more[name] = pd.to_datetime(["2019-03-09T12:00Z"], utc=True)
    desk_store.append("news", more.rename(columns={"tone": "score"}).assign(articles=1, breaking=True, headline="y"))
    later = FeatureFrame.load(path)
    assert [check.outcome for check in later.verify().checks] == ["held"] * 5
    assert [check.outcome for check in later.verify(desk_store).checks] == ["held"] * 5
    old = tmp_path / "data" / "news" / "old.parquet"
    pq.write_table(pa.Table.from_pandas(pq.read_table(old).to_pandas().assign(tone=1.0), preserve_index=False), old)
    assert {check.name for check in later.verify().failed} == {"sources", "answers"}
    (desk_store.root / DECLARED).unlink()
    assert {check.name for check in later.verify().impossible} == {"sources", "answers"}


def test_the_how_to_is_true(store, market, tmp_path, monkeypatch, capsys):
    """Every block of the page, in order, with the invented market's symbols in place of the real ones."""
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "bring-your-own-features.md").read_text()
    text = text.replace("AAPL", "AAA1").replace("MSFT", "BBB2")
    blocks = dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', text, flags=re.DOTALL))
    assert list(blocks) == ["feature_repo/news.py", "append", "ask", "restate"]
    shutil.copytree(store.root, tmp_path / "features", symlinks=True)
    shutil.copytree(Path(__file__).parents[2] / "feature_repo", tmp_path / "feature_repo")
    (tmp_path / "feature_repo" / "news.py").write_text(blocks["feature_repo/news.py"])
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path))
    monkeypatch.setenv("QUANTDESK_FEATURES_REPO", str(tmp_path / "feature_repo"))
    assert FeatureStore().apply()
    code = "\n".join(blocks[name] for name in ("append", "ask", "restate"))
    said = re.findall(r"# (.*)", code)
    exec(compile(code, "how-to", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == said[:4]
    assert printed[-1] == said[4].split(" as before")[0]
    assert said[4].endswith("the correction came later")
