"""A desk's own feature repository, as a user would write it; tests copy this file into a folder and apply it.

The data are made by the tests. ``DESK_DATA`` names their folder.
"""

import datetime as dt
import os

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Bool, Float32, Float64, Int64, String

from quantdesk.features.knowledge import EventPlus, LoadTime, PublishedAt

DATA = os.environ["DESK_DATA"]

symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING)
analyst = Entity(name="analyst", join_keys=["analyst"], value_type=ValueType.INT64)

# A vendor that says when each row was published.
news = FeatureView(
    name="news",
    description="What the newspapers say.",
    entities=[symbol],
    ttl=dt.timedelta(days=5),
    schema=[
        Field(name="symbol", dtype=String),
        Field(name="score", dtype=Float64, description="Mean tone of the day's articles.", tags={"unit": "-1 to 1"}),
        Field(name="articles", dtype=Int64),
        Field(name="breaking", dtype=Bool),
        Field(name="headline", dtype=String),
    ],
    source=FileSource(
        name="news_files",
        path=f"{DATA}/news",
        timestamp_field="event_timestamp",
        created_timestamp_column="published",
        field_mapping={"tone": "score"},
    ),
    tags={**PublishedAt("published").tags, "real": "true"},
)

# History that was loaded long after; each day counts as known a day later.
flows = FeatureView(
    name="flows",
    entities=[symbol],
    schema=[Field(name="symbol", dtype=String), Field(name="net_flow", dtype=Float32)],
    source=FileSource(
        name="flow_files", path=f"{DATA}/flows", timestamp_field="day", created_timestamp_column="loaded"
    ),
    tags=EventPlus(dt.timedelta(days=1)).tags,
)

# Two keys, known when loaded.
ratings = FeatureView(
    name="ratings",
    entities=[symbol, analyst],
    ttl=dt.timedelta(days=400),
    schema=[
        Field(name="symbol", dtype=String),
        Field(name="analyst", dtype=Int64),
        Field(name="target", dtype=Float64),
    ],
    source=FileSource(
        name="rating_files", path=f"{DATA}/ratings", timestamp_field="day", created_timestamp_column="loaded"
    ),
    tags={**LoadTime().tags, "symbols": "any"},
)

# About everything, in one file that somebody else writes, without a word on when it was known.
weather = FeatureView(
    name="weather",
    entities=[],
    ttl=dt.timedelta(days=30),
    schema=[Field(name="rain", dtype=Float64)],
    source=FileSource(name="weather_file", path=f"{DATA}/weather.parquet", timestamp_field="event_timestamp"),
)
