"""A feature's lineage leads down to each file with its hash, licence and labels, and up to what uses it."""

from __future__ import annotations

import pytest

from quantdesk.errors import UnknownName
from quantdesk.features.definitions import FEATURES
from quantdesk.features.lineage import Use, carries, lineage, tree
from quantdesk.market.series import Series


@pytest.fixture(scope="module")
def manifest(store):  # type: ignore[no-untyped-def]
    return store.snapshot().manifest


def of(name, manifest, *args):  # type: ignore[no-untyped-def]
    feature = FEATURES[name]
    return lineage(feature, feature.home, manifest, *args)


def test_every_feature_leads_to_files_that_the_build_knows(manifest) -> None:  # type: ignore[no-untyped-def]
    known = {(series.package, series.version, series.licence, series.sha256) for series in manifest.series}
    for name in FEATURES:
        found = of(name, manifest)
        assert found.inputs
        assert {(file.package, file.version, file.licence, file.sha256) for file in found.files} <= known
        assert found.files, name


def test_only_series_that_can_have_the_feature_are_named(manifest, store) -> None:  # type: ignore[no-untyped-def]
    """Against the tables themselves: whoever has a value is named, whoever is not named has none."""
    frame = store.get_historical_features(store.symbols(), list(FEATURES)).to_pandas()
    for name, feature in FEATURES.items():
        if feature.home.entity is None:
            continue
        named = {series.key for series in manifest.series if carries(feature, series)}
        with_value = set(frame[name].dropna().index.get_level_values("symbol"))
        assert with_value <= named, name


def test_benchmark_and_panel_are_behind_what_reads_them(manifest) -> None:  # type: ignore[no-untyped-def]
    beta = of("beta_252d", manifest, ["OHLC"])
    assert {one.name: one.series for one in beta.inputs} == {"price": ("OHLC",), "benchmark": ("SPX",)}
    mood = of("sentiment_z", manifest)
    assert mood.inputs[0].series == tuple(sorted(manifest.panel))
    assert mood.files[0].labels == ("not_real", "adjusted_with_hindsight", "survivors_only")


def test_one_file_behind_several_inputs_is_listed_once(manifest) -> None:  # type: ignore[no-untyped-def]
    found = of("atr_14", manifest)
    assert len(found.inputs) == 3
    assert [(file.package, file.series) for file in found.files] == [("files", ("OHLC",))]


def test_an_unknown_symbol_is_refused(manifest) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownName, match="OHLC"):
        of("sma_20", manifest, ["OHLCX"])


def test_the_tree_and_the_document_say_the_same(manifest) -> None:  # type: ignore[no-untyped-def]
    uses = [Use("notebook", "b"), Use("feature service", "a"), Use("notebook", "b")]
    found = of("sma_20", manifest, None, uses)
    said = found.to_dict()
    assert said["used_by"] == [{"kind": "feature service", "name": "a"}, {"kind": "notebook", "name": "b"}]

    def texts(node):  # type: ignore[no-untyped-def]
        yield f"{node.text} {node.detail}"
        for child in node.children:
            yield from texts(child)

    whole = "\n".join(texts(tree(found, shown=2)))
    for file in said["files"]:
        assert file["sha256"] in whole
        assert file["licence"] in whole
    assert "and " in whole
    assert manifest.key[:12] in whole
    assert "b notebook" in whole


def test_a_feature_that_nothing_carries_says_so(manifest) -> None:  # type: ignore[no-untyped-def]
    import dataclasses

    bare = dataclasses.replace(manifest, series=tuple(one for one in manifest.series if "volume" not in one.fields))
    found = of("dollar_volume_21d", bare)
    assert found.files == ()
    assert any("no series" in child.text for child in tree(found).children[1].children[0].children)


def test_monthly_and_adjusted_series_are_left_out(manifest) -> None:  # type: ignore[no-untyped-def]
    import dataclasses

    yields: Series = manifest.find("YIELD")
    stock: Series = manifest.find("OHLC")
    assert not carries(FEATURES["sma_20"], yields)
    assert carries(FEATURES["dollar_volume_21d"], stock)
    assert not carries(FEATURES["dollar_volume_21d"], dataclasses.replace(stock, adjustment="unknown"))
