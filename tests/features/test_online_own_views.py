"""The user's own views online: filled beside the built-in ones, answered by both doors alike."""

from __future__ import annotations

import contextlib
import datetime as dt
import io

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError
from quantdesk.features import publish
from quantdesk.features.publish import ONLINE, REGISTRY

from .test_declared import desk_root, desk_store, write  # noqa: F401 - two of them are fixtures

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:feast"),
    pytest.mark.filterwarnings("ignore::FutureWarning:feast"),
]

NAMES = ["score", "articles", "breaking", "net_flow", "rain", "sma_20"]
THEN = dt.datetime(2019, 3, 9, tzinfo=dt.UTC)


def test_own_views_are_filled_and_answered_as_history_knows_them(desk_store):  # noqa: F811
    with pytest.raises(DataError, match="not been filled with"):
        desk_store.get_online_features("AAA1", NAMES)
    assert desk_store.materialize()
    assert not desk_store.materialize(), "a second run repeats nothing"
    online = desk_store.get_online_features(["AAA1", "BBB2"], NAMES, now=THEN).to_pandas()
    # Of AAA1's second day the revision; net_flow is a float32; CCC3 and what BBB2 lacks are not made up.
    assert online.loc["AAA1", ["score", "articles", "breaking"]].tolist() == [-0.75, 3.0, 0.0]
    assert online.loc["BBB2", "score"] == 0.125
    assert online.loc["AAA1", "net_flow"] == 9.0
    assert np.isnan(online.loc["BBB2", "net_flow"])
    assert online["rain"].tolist() == [9.0, 9.0]
    events = desk_store.get_online_features(["AAA1"], ["score"]).events
    assert events.loc["AAA1", "news"] == pd.Timestamp("2019-03-05T12:00Z")
    with pytest.raises(BadInput, match="have the keys symbol, analyst, and a symbol alone does not name one"):
        desk_store.get_online_features("AAA1", ["target"])
    desk_store.close()


def test_feast_answers_the_same_and_knows_what_we_filled(desk_store):  # noqa: F811
    desk_store.materialize()
    feast = publish.open_feast(desk_store.root / REGISTRY, desk_store.root / ONLINE)
    try:
        view = feast.get_feature_view("news")
        assert view.materialization_intervals
        view.ttl = dt.timedelta(0)  # of an answer from 2019 Feast's clock, which is now, says nothing good
        store = feast._get_provider().online_store
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        key = EntityKey(join_keys=["symbol"], entity_values=[Value(string_val="AAA1")])
        ((when, values),) = store.online_read(feast.config, view, [key])
        assert when == dt.datetime(2019, 3, 5, 12, tzinfo=dt.UTC)
        given = {name: getattr(value, str(value.WhichOneof("val"))) for name, value in values.items()}
        assert given == {"score": -0.75, "articles": 3, "breaking": False, "headline": "x"}
        # What Feast materialises itself is the same, row by row.
        backend = store._store(feast.config)
        every = [("quantdesk_news", backend.keys("quantdesk_news"))]
        before = backend.read(every)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            feast.materialize(dt.datetime(2018, 1, 1, tzinfo=dt.UTC), dt.datetime.now(dt.UTC), feature_views=["news"])
        after = backend.read(every)
        assert [list(one) for one in after.rows] == [list(one) for one in before.rows]
        assert len(after.rows[0]) == 2
        assert feast.get_online_features(["news:score"], [{"symbol": "AAA1"}]).to_dict()["score"] == [None], "too old"
    finally:
        publish.release(feast)


def test_only_a_changed_view_is_read_again(desk_store, tmp_path):  # noqa: F811
    desk_store.materialize()
    more = pd.DataFrame({
        "symbol": ["BBB2"], "event_timestamp": [pd.Timestamp("2019-03-08T12:00Z")],
        "published": [pd.Timestamp("2019-03-08T13:00Z")], "tone": [0.75], "articles": [1], "breaking": [True],
        "headline": ["y"],
    })  # fmt: skip
    write(tmp_path / "data" / "news" / "more.parquet", more)
    told = []
    assert publish.materialize(
        desk_store.root, dt.datetime.now(dt.UTC), progress=lambda what, done, total: told.append((what, done, total))
    )
    fresh = {what for what, done, total in told if done < total}
    assert {name for name in fresh if name.startswith("online ")} <= {"online news", "online store"}
    assert desk_store.get_online_features("BBB2", "score", now=THEN).to_dict() == {"BBB2": {"score": 0.75}}
    desk_store.close()
