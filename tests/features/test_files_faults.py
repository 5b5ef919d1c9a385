"""Files that change under a question: the answer is that of one build, or an error, or it is not believed."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import DataError
from quantdesk.features import FeatureStore
from quantdesk.features import files as files_module
from quantdesk.features.build import CURRENT, current
from quantdesk.features.manifest import MANIFEST

SYMBOLS, NAMES = ["AAA1", "OHLC"], ["sma_20", "beta_252d", "sentiment_z"]
PARTS = [
    "technical/symbol=AAA1/rows.parquet",
    "technical/symbol=OHLC/rows.parquet",
    "market_model/symbol=AAA1/rows.parquet",
    "sentiment/rows.parquet",
]


def ask(store):
    return store.get_historical_features(SYMBOLS, NAMES, "2019-01-02", "2019-12-31")


@pytest.fixture(scope="module")
def expected(store):
    return ask(store).to_pandas()


def tried(store):
    """The frame and nothing, or nothing and what the one clear error said."""
    try:
        return ask(store), ""
    except DataError as error:
        return None, f"{error.problem} {error.remedy}"


def at_read(monkeypatch, number, strike):
    """Let something happen right before the files are read for the n-th time, or at last before they are hashed."""
    if number == HASHING:
        hashes = files_module.Build.digests
        monkeypatch.setattr(files_module.Build, "digests", lambda *given: (strike(), hashes(*given))[1])
        return
    honest, count = files_module.fetch, iter(range(1_000))

    def fetch(*given, **options):
        if next(count) == number:
            strike()
        return honest(*given, **options)

    monkeypatch.setattr(files_module, "fetch", fetch)


def another_build(root, change):
    """A second build takes the place of the current one: every value is another."""
    folder = current(root)
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    for path in other.rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        for place, name in enumerate(table.schema.names):
            if pa.types.is_floating(table.schema.field(name).type):
                table = table.set_column(place, name, change(table.column(name)))
        pq.write_table(table, path)
    (root / "next").symlink_to(other.relative_to(root))
    os.replace(root / "next", root / CURRENT)
    return folder


HASHING = 5
READS = range(HASHING + 1)
"""The reads of a question on a cold store: the sessions of two symbols, then one per view; then all is hashed."""


@pytest.mark.parametrize("number", READS)
def test_a_build_that_is_replaced_in_the_middle_of_a_question_is_not_seen(own_store, expected, monkeypatch, number):
    at_read(monkeypatch, number, lambda: another_build(own_store.root, lambda column: pc.add(column, 1.0)))
    frame = ask(own_store)
    pd.testing.assert_frame_equal(frame.to_pandas(), expected, check_exact=True)
    assert frame.is_pit_validated


@pytest.mark.parametrize("number", READS)
def test_a_build_that_is_removed_in_the_middle_of_a_question(own_store, expected, monkeypatch, number):
    folder = current(own_store.root)
    at_read(monkeypatch, number, lambda: shutil.rmtree(folder))
    frame, said = tried(own_store)
    assert frame is not None or str(folder) in said
    assert (frame is not None) == (number == HASHING)
    if frame is not None:
        pd.testing.assert_frame_equal(frame.to_pandas(), expected, check_exact=True)
        assert "5 feature files could not be hashed" in frame.doubts[0]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("number", READS)
def test_a_file_that_is_rewritten_in_the_middle_of_a_question(own_store, expected, monkeypatch, part, number):
    """It is refused, or noticed when it is hashed; other values are never believed."""
    path = current(own_store.root) / part

    def rewrite():
        table = pq.read_table(path, partitioning=None)
        for place, name in enumerate(table.schema.names):
            if name in NAMES:
                table = table.set_column(place, name, pc.add(table.column(name), 1.0))
        pq.write_table(table, path)

    at_read(monkeypatch, number, rewrite)
    frame, said = tried(own_store)
    assert frame is not None or str(path) in said
    if frame is not None:
        assert not frame.is_pit_validated
        assert part in frame.doubts[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(PARTS), number=st.integers(0, 5), share=st.floats(0, 1), warm=st.booleans())
def test_a_file_that_is_cut_while_a_question_is_answered(store, expected, tmp_path_factory, part, number, share, warm):
    root = tmp_path_factory.mktemp("cut")
    shutil.copytree(store.root, root / "features", symlinks=True)
    own = FeatureStore(root=root / "features")
    if warm:
        ask(own)  # footers and sessions are remembered from before
    path = current(own.root) / part
    whole = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        at_read(patch, number, lambda: path.write_bytes(whole[: int(share * (len(whole) - 1))]))
        frame, said = tried(own)
    assert frame is not None or str(path) in said
    if frame is not None:
        pd.testing.assert_frame_equal(frame.to_pandas(), expected, check_exact=True)
        assert frame.is_pit_validated is (path.stat().st_size == len(whole))
    shutil.rmtree(root)


def test_times_set_back_after_an_edit_hide_nothing(own_store):
    """The hash is remembered by what a file says of itself, and one of its times cannot be set back."""
    ask(own_store)
    path = current(own_store.root) / PARTS[0]
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (before.st_mtime_ns, before.st_size, before.st_ino)
    frame, said = tried(own_store)
    assert frame is not None or str(path) in said
    assert frame is None or "not as they were built" in frame.doubts[0]


@pytest.mark.parametrize("number", range(HASHING))
def test_an_edit_that_is_undone_before_the_hash_is_noticed(own_store, expected, monkeypatch, number):
    """Bytes, size and time of change are as before; that somebody wrote there, the inode's own time tells."""
    path = current(own_store.root) / PARTS[0]
    whole, before = path.read_bytes(), path.stat()
    table = pq.read_table(path, partitioning=None)
    place = table.schema.get_field_index("sma_20")
    pq.write_table(table.set_column(place, "sma_20", pc.add(table["sma_20"], 1.0)), path.with_suffix(".other"))
    other = path.with_suffix(".other").read_bytes()
    path.with_suffix(".other").unlink()

    def write(content):
        with path.open("r+b") as stream:
            stream.write(content)
            stream.truncate()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    at_read(monkeypatch, number, lambda: write(other))
    at_read(monkeypatch, HASHING, lambda: write(whole))
    frame, said = tried(own_store)
    assert frame is not None or str(path) in said
    if frame is not None:
        assert PARTS[0] in frame.doubts[0]


def test_a_hash_is_remembered_once_a_file_has_settled(store, monkeypatch):
    hashed = []
    honest = files_module.sha256_of
    monkeypatch.setattr(files_module, "sha256_of", lambda path: hashed.append(path) or honest(path))
    monkeypatch.setattr(files_module, "_FRESH", -1.0)
    files_module._remembered.cache_clear()
    ask(store)
    first = len(hashed)
    assert first == 5
    ask(store)
    assert len(hashed) == first
    monkeypatch.setattr(files_module, "_FRESH", 1e9)
    ask(store)
    assert len(hashed) == 2 * first


def test_a_manifest_that_was_replaced_is_read_again(own_store):
    assert ask(own_store).is_pit_validated
    path = current(own_store.root) / MANIFEST
    text = path.read_text().replace(own_store.snapshot().manifest.definitions, "0" * 64)
    path.unlink()
    path.write_text(text)
    assert "another version of their definitions" in ask(own_store).doubts[0]
    path.unlink()
    with pytest.raises(DataError, match="no features"):
        ask(own_store)


def test_what_is_remembered_is_bounded(own_store, monkeypatch, expected):
    monkeypatch.setattr(files_module, "_FOOTERS", 2)
    monkeypatch.setattr(files_module, "_CLOCKS", 1)
    for _ in range(2):
        pd.testing.assert_frame_equal(ask(own_store).to_pandas(), expected)
    footers = own_store.backend._seen[3]
    assert len(footers.parts) <= 2
    assert len(footers.sessions) <= 1


def test_many_readers_while_builds_are_replaced(own_store, expected):
    """Each reader gets the one build or the other, whole; nobody gets an error."""
    stop = threading.Event()
    first = current(own_store.root)
    folder = another_build(own_store.root, lambda column: pc.add(column, 1.0))
    second = current(own_store.root)
    assert folder == first != second
    shutil.copyfile(first / MANIFEST, second / MANIFEST)
    other = ask(FeatureStore(root=own_store.root)).to_pandas()
    np.testing.assert_allclose(other.to_numpy(), expected.to_numpy() + 1.0)

    def turn():
        targets = [first, second]
        while not stop.is_set():
            targets.reverse()
            (own_store.root / "next").symlink_to(targets[0].relative_to(own_store.root))
            os.replace(own_store.root / "next", own_store.root / CURRENT)
            stop.wait(0.002)

    def read(number):
        store = own_store if number % 2 else FeatureStore(root=own_store.root)
        return [ask(store) for _ in range(6)]

    turner = threading.Thread(target=turn)
    turner.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            frames = [frame for some in pool.map(read, range(4)) for frame in some]
    finally:
        stop.set()
        turner.join()
    seen = set()
    for frame in frames:
        values = frame.to_pandas()
        whole = [values.equals(expected), values.equals(other)]
        assert sum(whole) == 1
        seen.add(whole[0])
        assert frame.is_pit_validated is whole[0], "the second build has the hashes of the first"
    assert seen == {True, False}
