"""What differs between definitions, builds and rows is listed, all of it and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from quantdesk.features.difference import Change, Difference, compare, compare_builds, compare_rows


def test_definitions_are_compared_property_by_property() -> None:
    before = {("feature", "a"): {"formula": "x"}, ("feature", "b"): {"formula": "y", "unit": "1"}, ("view", "v"): {}}
    after = {("feature", "b"): {"formula": "z", "type": "Float64", "unit": "1"}, ("view", "v"): {}, ("view", "w"): {}}
    assert compare(before, after) == (
        Change("feature", "a", "removed"),
        Change("feature", "b", "changed", "formula", "y", "z"),
        Change("feature", "b", "changed", "type", "", "Float64"),
        Change("view", "w", "added"),
    )
    assert compare(after, after) == ()


def test_builds_are_compared_series_by_series(store) -> None:  # type: ignore[no-untyped-def]
    manifest = store.snapshot().manifest
    first, *rest = manifest.series
    other = dataclasses.replace(
        manifest,
        definitions="f" * 64,
        series=(dataclasses.replace(first, rows=first.rows + 1, sha256="1" * 64), *rest[1:]),
        gone=(rest[1].key,),
    )
    found = compare_builds(manifest, other)
    assert ("build", "contents", "formulas") in {(one.kind, one.name, one.field) for one in found}
    assert {one.field for one in found if one.name == first.key} == {"sessions", "file"}
    assert [one.what for one in found if one.name == rest[0].key] == ["removed"]
    assert [(one.field, one.after) for one in found if one.name == rest[1].key] == [("in the market store", "no")]
    assert compare_builds(manifest, manifest) == ()


def rows(event: list[int], created: list[int], x: list[float | None]) -> pa.Table:
    stamp = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "event_timestamp": pa.array(event).cast(stamp),
            "created_timestamp": pa.array(created).cast(stamp),
            "x": pa.array(x, pa.float64()),
            "load": pa.array([0] * len(x), pa.int16()),
        }
    )


def test_rows_are_compared_by_their_latest_version() -> None:
    before = rows([1, 2, 3, 3, 5], [1, 2, 3, 9, 5], [1.0, 2.0, 3.0, 3.5, None])
    after = rows([2, 3, 4, 5], [2, 3, 4, 5], [2.0, 3.0, 4.0, None])
    found = compare_rows("technical/A", before, after)
    assert (found.added, found.removed, found.changed, found.same) == (1, 1, 1, 2)


def test_a_new_feature_changes_every_row() -> None:
    before = rows([1, 2], [1, 2], [1.0, None])
    after = before.append_column("y", pa.array([1.0, None]))
    found = compare_rows("t", before, after)
    assert (found.changed, found.same) == (1, 1)


def test_nothing_is_nothing() -> None:
    found = compare_rows("t", rows([], [], []), rows([1], [1], [np.nan]))
    assert (found.added, found.changed) == (1, 0)
    same = Difference("a", "b", ())
    assert same.same
    assert same.to_dict()["changes"] == []
