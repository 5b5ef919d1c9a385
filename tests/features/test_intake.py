"""Appending rows to a view of one's own: all or nothing, nothing twice, nothing overwritten, each mistake named."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadDates, BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.features import intake
from quantdesk.features.declared import DeclaredView, Field, Repository, write
from quantdesk.features.intake import append, read_rows
from quantdesk.features.knowledge import EventPlus, LoadTime, PublishedAt
from quantdesk.features.overlay import PART
from quantdesk.features.store import FeatureStore
from quantdesk.market.series import Flags

NOW = dt.datetime(2019, 3, 20, 12, tzinfo=dt.UTC)
SYMBOL, ANALYST = Field("symbol", "symbol", "String"), Field("analyst", "analyst", "Int64")
SCORE, COUNT = Field("score", "tone", "Float64"), Field("articles", "articles", "Int64")
FLAG, WORDS = Field("breaking", "breaking", "Bool"), Field("headline", "headline", "String")


def view_of(path, name, policy, created, *fields, keys=(SYMBOL,), **changes):
    """As :mod:`quantdesk.features.declared` makes them from Feast."""
    plain = DeclaredView(
        name=name, description="", entity="symbol", ttl=dt.timedelta(0), knowledge=policy.sentence if policy else "",
        path=path, keys=keys, event="event", created=created, policy=policy, fields=fields, any_symbol=False,
        about=Flags(real=False, adjusted_with_hindsight=False, survivors_only=False),
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture
def news(tmp_path):
    return view_of(tmp_path / "news", "news", PublishedAt("published"), "published", SCORE, COUNT, FLAG, WORDS)


@pytest.fixture
def flows(tmp_path):
    return view_of(
        tmp_path / "flows", "flows", EventPlus(dt.timedelta(days=1)), "loaded", Field("net", "net", "Float64")
    )


@pytest.fixture
def ratings(tmp_path):
    policy = LoadTime()
    return view_of(tmp_path / "ratings", "ratings", policy, "loaded", Field("target", "target", "Float64"),
                   keys=(SYMBOL, ANALYST), any_symbol=True)  # fmt: skip


@pytest.fixture
def desk(store, market, tmp_path, news, flows, ratings):
    """The invented market's features, with these views."""
    root = tmp_path / "features"
    root.mkdir()
    for name in ("builds", "offline"):
        (root / name).symlink_to(store.root / name)
    write(root, Repository({view.name: view for view in (news, flows, ratings)}, {}))
    return FeatureStore(root=root, market=market, repo=tmp_path)


def hours(*given):
    return pd.to_datetime([f"2019-03-{day:02d}T{hour:02d}:00" for day, hour in given], utc=True)


def articles(**changes):
    frame = pd.DataFrame(
        {
            "symbol": ["AAA1", "AAA1", "BBB2"],
            "event": hours((4, 12), (5, 12), (4, 12)),
            "published": hours((4, 13), (5, 13), (8, 13)),
            "score": [0.5, None, -0.25],
            "articles": [1, 2, 3],
            "breaking": [True, False, False],
            "headline": ["a", None, "c"],
        }
    )
    return frame.assign(**changes)


def ask(desk, feature, *rows, as_of=None, **more):
    frame = pd.DataFrame({"symbol": [row[0] for row in rows], "event_timestamp": hours(*[row[1:] for row in rows])})
    found = desk.get_historical_features(entity_df=frame.assign(**more), feature_names=[feature], as_of=as_of)
    assert found.is_pit_validated, found.doubts
    return found.to_pandas()[feature].tolist()


def files(view):
    return sorted(path.name for path in view.path.glob("*") if not path.name.startswith("."))


# What happens.


def test_what_is_appended_is_known_from_the_time_it_was_published(desk, news):
    done = desk.append("news", articles(), now=NOW)
    assert (done.added, done.restated, done.unchanged, done.repeated, done.load) == (3, 0, 0, False, 0)
    assert PART.fullmatch(done.file.name)
    np.testing.assert_array_equal(
        ask(desk, "score", ("AAA1", 4, 12), ("AAA1", 4, 13), ("AAA1", 5, 13), ("BBB2", 8, 12), ("BBB2", 8, 13)),
        [np.nan, 0.5, np.nan, np.nan, -0.25],
    )
    table = pq.read_table(done.file)
    assert table.schema.names == ["symbol", "event", "published", "tone", "articles", "breaking", "headline"]
    assert table["tone"].null_count == 1


def test_a_restatement_is_a_second_version(desk, news):
    desk.append("news", articles(), now=NOW)
    before = (news.path / files(news)[0]).read_bytes()
    again = articles(published=hours((6, 9), (6, 9), (8, 13)), score=[0.75, 0.5, -0.25])
    done = desk.append("news", again, now=NOW)
    assert (done.added, done.restated, done.unchanged, done.load) == (0, 2, 1, 1)
    assert ask(desk, "score", ("AAA1", 4, 14), ("AAA1", 6, 9)) == [0.5, 0.5]
    assert ask(desk, "score", ("AAA1", 4, 20), as_of="2019-03-05") == [0.5]
    assert (news.path / files(news)[0]).read_bytes() == before
    chain = desk.revisions("AAA1", "news:score")
    np.testing.assert_array_equal(chain["value"], [0.5, 0.75, np.nan, 0.5])
    assert chain["load"].tolist() == [0, 1, 0, 1]
    assert chain["reason"].tolist() == [None, None, "null_in_source", None]
    assert chain["loaded_at"].iloc[0] == pd.Timestamp(NOW)


def test_the_same_batch_again_adds_nothing(desk, news):
    first = desk.append("news", articles(), now=NOW)
    second = desk.append("news", articles(), now=NOW + dt.timedelta(days=1))
    assert second.repeated
    assert (second.added, second.file) == (0, first.file)
    third = desk.append("news", articles().iloc[:2], now=NOW + dt.timedelta(days=1))
    assert (third.added, third.restated, third.unchanged, third.file) == (0, 0, 2, None), "a part of it is there, too"
    assert len(files(news)) == 1


def test_event_plus_takes_the_first_version_at_its_lag_and_later_ones_when_they_came(desk, flows):
    rows = pd.DataFrame({"symbol": "AAA1", "event": hours((4, 0), (5, 0)), "net": [1.0, 2.0]})
    desk.append("flows", rows, now=NOW)
    assert ask(desk, "net", ("AAA1", 4, 23), ("AAA1", 5, 0), ("AAA1", 6, 0))[1:] == [1.0, 2.0]
    done = desk.append("flows", rows.assign(net=[1.0, 3.0]), now=NOW + dt.timedelta(hours=1))
    assert (done.added, done.restated, done.unchanged) == (0, 1, 1)
    assert ask(desk, "net", ("AAA1", 6, 0), ("AAA1", 20, 12), ("AAA1", 20, 13)) == [2.0, 2.0, 3.0]
    back = desk.append("flows", rows, now=NOW + dt.timedelta(hours=2))
    assert back.repeated, "a retry does not take back what came in between"
    undone = desk.append("flows", rows, now=NOW + dt.timedelta(hours=2), again=True)
    assert (undone.restated, undone.unchanged) == (1, 1)
    assert ask(desk, "net", ("AAA1", 20, 13), ("AAA1", 20, 14)) == [3.0, 2.0]


def test_load_time_knows_nothing_before_it_was_loaded_whatever_the_clock_does(desk, ratings):
    rows = pd.DataFrame(
        {"symbol": ["AAA1", "NEW9"], "analyst": [1, 1], "event": hours((4, 0), (4, 0)), "target": [1, 2]}
    )
    desk.append("ratings", rows, now=NOW)
    np.testing.assert_array_equal(
        ask(desk, "target", ("AAA1", 20, 11), ("AAA1", 20, 12), analyst=[1, 1]), [np.nan, 1.0]
    )
    done = desk.append("ratings", rows.assign(target=[5, 2]), now=NOW - dt.timedelta(days=3))
    assert done.restated == 1
    assert ask(desk, "target", ("AAA1", 20, 12), ("AAA1", 20, 13), analyst=[1, 1]) == [1.0, 5.0]
    assert desk.revisions("AAA1", "target")["created_timestamp"].is_monotonic_increasing


def test_a_symbol_is_kept_under_the_name_of_the_store(desk, news):
    desk.append("news", articles(symbol=["AAA1@skfolio", "AAA1@skfolio", "BBB2"]), now=NOW)
    assert ask(desk, "score", ("AAA1", 4, 13)) == [0.5]


# What is refused.

AT = hours((4, 12), (5, 12), (4, 12))
INFINITE = [np.inf, 0.0, 0.0]


def naive(times):
    return times.tz_localize(None)


def loose(*values):
    return pd.Series(list(values), dtype=object)


BAD = [
    (articles()[:0], BadInput, "has no rows"),
    ([1, 2], BadInput, "are a list"),
    (articles().drop(columns="score"), BadInput, "no column 'tone'"),
    (articles().drop(columns="published"), BadInput, "no column 'published'"),
    (articles().drop(columns="symbol"), BadInput, "no column 'symbol'"),
    (articles(extra=1), BadInput, "no column 'extra'"),
    (pd.concat([articles(), articles()[["score"]]], axis=1), BadInput, "'tone' twice"),
    (articles(event=naive(AT)), BadDates, "Row 0 has no time zone in column 'event' of the batch for news: 2019-03-04"),
    (articles(event=loose(AT[0], AT[1].tz_localize(None), AT[2])), BadDates, "Row 1 has no time zone"),
    (articles(event=loose(AT[0], AT[1].tz_convert("America/New_York"), AT[2])), BadDates, "Row 1 is in the zone Amer"),
    (articles(event=loose(AT[0], pd.NaT, AT[2])), BadDates, "Row 1 has no time in column 'event'"),
    (articles(published=loose(AT[0], None, AT[2])), BadDates, "Row 1 has no time in column 'published'"),
    (articles(published=pd.DatetimeIndex([AT[0], pd.NaT, AT[2]])), BadDates, "Row 1 has no time in column 'published'"),
    (articles(event=["2019-03-04", "2019-03-05", "2019-03-04"]), BadInput, "Row 0 holds '2019-03-04' .a str."),
    (articles(event=[20190304, 20190305, 20190304]), BadInput, "Row 0 holds 20190304 .a int."),
    (articles(event=loose(*[dt.datetime(3000, 1, 1, tzinfo=dt.UTC)] * 3)), BadDates, "out of range"),
    (
        articles(published=hours((4, 13), (5, 11), (8, 13))),
        BadDates,
        "row 1 .AAA1, 2019-03-05.*before the event",
    ),
    (
        articles(published=hours((4, 13), (5, 13), (21, 13))),
        BadDates,
        "row 2 .BBB2.*'published' lies in the future",
    ),
    (articles(event=hours((4, 12), (21, 12), (4, 12))), BadDates, "'event' lies in the future"),
    (articles().iloc[[1, 0, 2]], BadInput, r"row 1 \(AAA1, 2019-03-04T12.*lies before the row of the same key above"),
    (articles().iloc[[0, 0, 1]], BadInput, r"row 1 \(AAA1, 2019-03-04T12.*is there twice.*\(row 0\)"),
    (articles(score=INFINITE), BadInput, "row 0 .AAA1.*'tone' is inf"),
    (articles(score=[0.0, -np.inf, 0.0]), BadInput, "row 1 .AAA1.*'tone' is -inf"),
    (articles(score=loose(0.5, "high", 1.0)), BadInput, "row 1 .*'tone' is 'high' .a str."),
    (articles(score=["0.5", "0.6", "0.7"]), BadInput, "row 0 .*'tone' is '0.5' .a str."),
    (articles(score=[True, False, True]), BadInput, "'tone' is .*True.* .a bool"),
    (articles(articles=[1.0, 2.5, 3.0]), BadInput, "row 1 .*'articles' is .*2.5"),
    (articles(breaking=[0, 1, 0]), BadInput, "'breaking' is .*0.* .a int"),
    (articles(headline=[1, 2, 3]), BadInput, "'headline' is .*1"),
    (articles(symbol=["AAA1", None, "BBB2"]), BadInput, "Row 1 has no value in the key 'symbol'"),
    (articles(symbol=["AAA1", 7, "BBB2"]), BadInput, "Row 1 holds 7 .a int. in the key 'symbol'"),
    (articles(symbol=["AAA1", " ", "BBB2"]), BadInput, "Row 1 holds ' ' in the key"),
    (articles(symbol=["AAA1", "AAA2", "BBB2"]), BadInput, "symbol 'AAA2', which the store does not hold"),
]


@pytest.mark.parametrize(("rows", "error", "said"), BAD)
def test_each_mistake_is_named_and_nothing_is_written(desk, news, rows, error, said):
    with pytest.raises(error, match=said) as caught:
        desk.append("news", rows, now=NOW)
    assert caught.value.remedy
    assert files(news) == [] or not news.path.exists()


def test_an_unknown_symbol_names_the_nearest_and_the_choice(desk):
    with pytest.raises(BadInput) as caught:
        desk.append("news", articles(symbol="AAA2"), now=NOW)
    assert "Did you mean AAA1" in caught.value.remedy
    assert '"symbols": "any"' in caught.value.remedy


def test_what_was_published_at_one_time_cannot_say_two_things(desk, news):
    desk.append("news", articles(), now=NOW)
    with pytest.raises(BadInput, match=r"gives 'tone' as 0\.625; what was published at that very time says 0\.5"):
        desk.append("news", articles(score=[0.625, None, -0.25]), now=NOW)
    assert len(files(news)) == 1


def test_the_time_of_loading_is_not_the_callers_to_say(desk, flows):
    rows = pd.DataFrame({"symbol": ["AAA1"], "event": hours((4, 0)), "net": [1.0], "loaded": hours((4, 0))})
    with pytest.raises(BadInput, match="'loaded', but that is the time of loading"):
        desk.append("flows", rows, now=NOW)
    with pytest.raises(BadDates, match="has no time zone"):
        desk.append("flows", rows, now=NOW.replace(tzinfo=None))


def test_views_that_take_no_rows(desk, news, tmp_path):
    with pytest.raises(BadInput, match="technical is computed from market data"):
        desk.append("technical", articles())
    with pytest.raises(UnknownName, match=r"Unknown view 'nws'\. Did you mean news"):
        desk.append("nws", articles())
    for changes, said in (
        ({"policy": None}, "does not declare when its rows are known"),
        ({"created": None}, "no created_timestamp_column"),
        ({"path": tmp_path / "one.parquet"}, "keeps its rows in one file"),
    ):
        with pytest.raises(BadInput, match=said):
            append(replace(news, **changes), articles(), NOW)


def test_a_full_disk_leaves_nothing(desk, news, monkeypatch):
    desk.append("news", articles(), now=NOW)
    before = files(news)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(EnvironmentProblem, match="No disk space"):
        desk.append("news", articles(published=hours((6, 9), (6, 9), (9, 13)), score=1.0), now=NOW)
    assert files(news) == before
    assert not [path for path in news.path.iterdir() if path.suffix == ".tmp"]


def test_a_changed_part_is_noticed_by_its_name(desk, news):
    done = desk.append("news", articles(), now=NOW)
    table = pq.read_table(done.file)
    pq.write_table(table.set_column(3, "tone", pa.array([9.0, 9.0, 9.0])), done.file)
    rows = pd.DataFrame({"symbol": ["AAA1"], "event_timestamp": hours((5, 0))})
    frame = desk.get_historical_features(entity_df=rows, feature_names=["score"])
    assert any("not as they were built" in doubt for doubt in frame.doubts)


# From a file.


def test_rows_from_csv_and_parquet_are_the_same(news, tmp_path):
    frame = articles().rename(columns={"score": "tone"})
    frame.to_parquet(tmp_path / "x.parquet")
    text = frame.assign(**{name: frame[name].map(pd.Timestamp.isoformat) for name in ("event", "published")})
    text.to_csv(tmp_path / "x.csv", index=False)
    digests = {intake.checked(news, read_rows(tmp_path / f"x.{kind}", news), NOW).digest for kind in ("csv", "parquet")}
    assert digests == {intake.checked(news, articles(), NOW).digest}
    (tmp_path / "x.csv").write_text((tmp_path / "x.csv").read_text().replace("2019-03-05T13", "soon"))
    with pytest.raises(BadInput, match=r"Row 1 of x\.csv holds the time 'soon"):
        read_rows(tmp_path / "x.csv", news)
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:99])
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(tmp_path / "x.parquet", news)
    with pytest.raises(BadInput, match=r"neither \.csv nor \.parquet"):
        read_rows(tmp_path / "x.xls", news)


def test_a_symbol_called_na_and_one_made_of_digits_stay_text(ratings, tmp_path):
    (tmp_path / "x.csv").write_text(
        "symbol,analyst,event,target\nNA,1,2019-03-04T00:00:00Z,\n007,1,2019-03-04T00:00Z,1\n"
    )
    table = intake.checked(ratings, read_rows(tmp_path / "x.csv", ratings), NOW).table
    assert table["symbol"].to_pylist() == ["NA", "007"]
    assert table["target"].to_pylist() == [None, 1.0]


# Whatever is appended, in whatever order: against a model that keeps every version in a dictionary.

BATCHES = st.lists(
    st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(0, 4)), st.integers(0, 2), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_against_a_model(ratings, tmp_path_factory, batches):
    view = replace(ratings, keys=(SYMBOL,), path=tmp_path_factory.mktemp("model") / "ratings")
    model: dict[tuple[str, int], list[tuple[int, int]]] = {}
    seen = []
    for number, batch in enumerate(batches):
        rows = pd.DataFrame(
            [
                (who, pd.Timestamp(2019, 3, 1 + day, tz="UTC"), float(value))
                for (who, day), value in sorted(batch.items())
            ],
            columns=["symbol", "event", "target"],
        )
        done = append(view, rows, NOW + dt.timedelta(hours=number))
        expected = [0, 0, 0]
        if batch in seen:
            assert done.repeated
            continue
        for key, value in batch.items():
            versions = model.setdefault(key, [])
            kind = 0 if not versions else 2 if versions[-1][1] == value else 1
            expected[kind] += 1
            if kind != 2:
                versions.append((number, value))
        assert [done.added, done.restated, done.unchanged] == expected
        if done.file is not None:  # a batch of which nothing was new has left no trace to know it by
            seen.append(batch)
    stored = intake._there(view).to_pandas().sort_values("loaded", kind="stable")
    for (who, day), versions in model.items():
        mine = stored[(stored["symbol"] == who) & (stored["event"] == pd.Timestamp(2019, 3, 1 + day, tz="UTC"))]
        assert mine["target"].tolist() == [float(value) for _, value in versions]
        assert mine["loaded"].tolist() == [pd.Timestamp(NOW) + pd.Timedelta(hours=number) for number, _ in versions]


# Processes that are killed, and processes at the same time.

PROGRAM = textwrap.dedent(
    """
    import datetime as dt, pickle, sys
    import pandas as pd
    from quantdesk.features.intake import append
    view, rows = pickle.loads(sys.stdin.buffer.read())
    print("ready", flush=True)
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        append(view, rows.assign(target=float(number)), dt.datetime(2019, 3, 20, tzinfo=dt.UTC))
        print(number, flush=True)
    """
)


def started(view, rows, first, last):
    import pickle

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(first), str(last)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    process.stdin.write(pickle.dumps((view, rows)))
    process.stdin.close()
    process.stdout.readline()
    return process


def whole(view):
    """Every part is what its name says, the parts are numbered without a gap, and each is one value in all rows."""
    parts = sorted(path for path in view.path.glob("*.parquet"))
    for number, path in enumerate(parts):
        said = PART.fullmatch(path.name)
        assert intake.hashlib.sha256(path.read_bytes()).hexdigest() == said["sha256"]
        assert int(said["load"]) == number
        table = pq.read_table(path)
        assert table.num_rows == 500
        assert len(set(table["target"].to_pylist())) == 1
    return len(parts)


def many(ratings):
    view = replace(ratings, keys=(SYMBOL,))
    return view, pd.DataFrame({"symbol": [f"s{i:03d}" for i in range(500)], "event": hours((4, 0))[0]})


def killed(view, rows, moments):
    for number, moment in enumerate(moments):
        before = whole(view) if view.path.exists() else 0
        with started(view, rows, 1000 * number, 1000 * number + 1000) as process:
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            told = len(process.stdout.read().split())
        assert before + told <= whole(view) <= before + told + 1, "what was said to be there is there"
    last = append(view, rows.assign(target=-1.0), NOW)
    assert last.load == whole(view) - 1


def test_an_append_that_is_killed_is_there_or_not(ratings):
    killed(*many(ratings), [0.2])


@pytest.mark.slow
def test_appends_killed_at_forty_moments(ratings):
    chance = random.Random(5)
    killed(*many(ratings), [chance.uniform(0, 0.4) for _ in range(40)])


def test_appends_at_the_same_time_take_turns(ratings):
    view, rows = many(ratings)
    processes = [started(view, rows, first, first + 3) for first in (0, 100)]
    for process in processes:
        with process:
            assert process.wait(60) == 0
    assert whole(view) == 6
