"""Any plausible bars, in any form of file: what goes in comes out."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.market import FolderSource, MarketStore, load
from quantdesk.market.admission import admit
from quantdesk.market.sources.mapping import FolderMapping

PRICES = st.floats(min_value=1e-6, max_value=1e9, allow_nan=False)


@st.composite
def bars(draw: st.DrawFn) -> pd.DataFrame:
    """Plausible bars on any days, in order."""
    days = sorted(
        draw(
            st.sets(
                st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2030-12-31").date()), min_size=1, max_size=30
            )
        )
    )
    rows = [sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES))) for _ in days]
    frame = pd.DataFrame(rows, columns=["low", "open", "close", "high"]).astype("float64")
    frame["volume"] = draw(st.lists(st.floats(0, 1e15), min_size=len(days), max_size=len(days)))
    frame.insert(0, "session", pd.DatetimeIndex(days).as_unit("ns"))
    return frame[["session", "open", "high", "low", "close", "volume"]]


@given(frame=bars(), how=st.sampled_from(["csv", "csv.gz", "parquet", "german"]), backwards=st.booleans())
@settings(max_examples=30, deadline=None)
def test_what_goes_in_comes_out_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, how: str, backwards: bool
) -> None:
    path = tmp_path_factory.mktemp("round")
    mapping = FolderMapping(name="round")
    written = (frame.iloc[::-1] if backwards else frame).rename(columns={"session": "date"})
    if how == "parquet":
        written.to_parquet(path / "A.parquet", index=False)
    elif how == "german":
        mapping = FolderMapping(name="round", delimiter=";", decimal=",", date_format="%d.%m.%Y")
        written.to_csv(path / "A.csv", index=False, sep=";", decimal=",", date_format="%d.%m.%Y")
    else:
        written.to_csv(path / f"A.{how}", index=False)
    store = path / "store"
    load([FolderSource(path, mapping)], store)
    out = MarketStore(store).bars("A").frame
    pd.testing.assert_frame_equal(out.reset_index(drop=True), frame, check_exact=True)
    (raw,) = FolderSource(path, mapping).series()
    series, stamped = admit(raw.description, raw.frame)
    assert series.rows == len(frame)
    assert (
        stamped["timestamp"].dt.tz_convert("America/New_York").dt.strftime("%F") == frame["session"].dt.strftime("%F")
    ).all()
