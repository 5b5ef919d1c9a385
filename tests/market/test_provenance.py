"""The label says the worst that holds for any series, and names every file."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.market import Flags, MarketStore
from quantdesk.market.provenance import label


def test_one_panel_stock(store: MarketStore) -> None:
    found = label([store.resolve("AAPL")])
    assert found.words == ("real", "adjusted with hindsight", "survivors only")
    said = found.describe()
    assert "1 series out of skfolio 1.12.2, 1990-01-02 to 2022-12-28" in said
    assert "It was adjusted" in said
    (origin,) = found.origins
    assert (origin.package, origin.version, origin.licence) == ("skfolio", "1.12.2", "BSD-3-Clause")
    assert len(origin.sha256) == 64
    assert origin.symbols == ("AAPL@skfolio",)


def test_an_index_carries_no_warning(store: MarketStore) -> None:
    found = label([store.resolve("SPX"), store.resolve("EURUSD")])
    assert found.words == ("real",)
    assert found.flags == Flags(real=True, adjusted_with_hindsight=False, survivors_only=False)
    assert len(found.origins) == 2
    assert "Every number was observed" in found.describe()


def test_series_of_one_file_share_an_origin(store: MarketStore) -> None:
    panel = [series for series in store.series() if series.source == "skfolio" and series.kind == "equity"]
    found = label([*panel, *panel])
    assert len(found.origins) == 1
    assert len(found.origins[0].symbols) == 20
    assert "All were adjusted" in found.describe()
    mixed = label([*panel[:3], store.resolve("SPX"), store.resolve("UST10Y")])
    assert "3 of them were adjusted" in mixed.describe()


def test_one_made_up_series_makes_the_result_not_real(store: MarketStore) -> None:
    real = store.resolve("SPX")
    made = dataclasses.replace(real, source="made", flags=dataclasses.replace(real.flags, real=False))
    found = label([real, made])
    assert found.words[0] == "not real"
    assert found.not_real == ("SPX@made",)
    assert "SPX@made did not happen" in found.describe()


def test_a_result_on_nothing_has_no_label() -> None:
    with pytest.raises(BadInput, match="no series"):
        label([])


@given(st.data())
def test_a_label_grows_worse_never_better(store: MarketStore, data: st.DataObject) -> None:
    everything = store.series()
    some = data.draw(st.lists(st.sampled_from(everything), min_size=1, max_size=6))
    more = data.draw(st.lists(st.sampled_from(everything), max_size=6))
    less, all_ = label(some), label([*some, *more])
    assert all_.flags.real <= less.flags.real
    assert all_.flags.adjusted_with_hindsight >= less.flags.adjusted_with_hindsight
    assert all_.flags.survivors_only >= less.flags.survivors_only
    assert set(less.origins) <= set(all_.origins) or any(
        set(one.symbols) <= set(other.symbols) for one in less.origins for other in all_.origins
    )
    assert label([*more, *some]) == all_
    assert json.loads(json.dumps(all_.to_dict()))["words"] == list(all_.words)
