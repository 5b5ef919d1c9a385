"""A frame in a file: all of it comes back, and not one byte can be changed unseen."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from quantdesk.cli.features import app as features_app
from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.features import FeatureFrame, FeatureStore
from quantdesk.features import saved as saved_module
from quantdesk.features.build import current

NAMES = ["sma_20", "beta_252d", "sentiment_z"]


@pytest.fixture(scope="module")
def asked(store):
    return store.get_historical_features(["AAA1", "OHLC"], NAMES, "2019-01-02", "2019-06-28")


@pytest.fixture(scope="module")
def whole(asked, tmp_path_factory):
    """The bytes of a saved frame."""
    return asked.save(tmp_path_factory.mktemp("saved") / "frame.parquet").read_bytes()


@pytest.fixture
def path(whole, tmp_path):
    target = tmp_path / "frame.parquet"
    target.write_bytes(whole)
    return target


def outcomes(verification):
    return {check.name: check.outcome for check in verification.checks}


HELD = dict.fromkeys(["content", "evidence", "rule", "sources", "answers"], "held")


# All of it comes back.


def test_a_frame_comes_back_as_it_was(asked, path):
    again = FeatureFrame.load(path)
    pd.testing.assert_frame_equal(again.to_pandas(), asked.to_pandas(), check_exact=True)
    pd.testing.assert_frame_equal(again.by_session(), asked.by_session(), check_exact=True)
    pd.testing.assert_frame_equal(again.reasons(), asked.reasons())
    for view in ("technical", "market_model", "sentiment"):
        pd.testing.assert_frame_equal(again.known(view), asked.known(view))
    assert again.evidence == asked.evidence
    assert again.labels == asked.labels
    assert again.features == asked.features
    assert again.is_pit_validated
    assert repr(again) == repr(asked)
    assert outcomes(again.verify()) == HELD
    assert outcomes(asked.verify()) == HELD


def test_saving_what_was_loaded_gives_the_same_bytes(asked, whole, path, tmp_path):
    second = FeatureFrame.load(path).save(tmp_path / "second.parquet")
    assert second.read_bytes() == whole


def test_rows_of_an_entity_frame_come_back_with_all_that_they_carry(store, tmp_path):
    times = pd.to_datetime(["2020-01-10T12:00Z", "2019-01-10T12:00Z", "2020-01-10T12:00Z", "2017-01-01T00:00Z"])
    rows = pd.DataFrame(
        {
            "symbol": ["AAA1", "BBB2", "AAA1", "AAA1"],
            "event_timestamp": times,
            "label": [1, 2, 3, 4],
            "side": ["buy", None, "sell", "ünïcode"],
            "flag": [True, False, True, True],
            "size": np.array([1, 2, 3, 4], dtype=np.int16),
            "weight": np.array([0.1, np.nan, -0.0, np.inf], dtype=np.float32),
            "day": pd.to_datetime(["2020-01-01", None, "2020-01-03", "2020-01-04"]),
            "seen": times.tz_convert("America/New_York"),
            "kind": pd.Categorical(["a", "b", "a", "b"], categories=["b", "a", "c"]),
            "maybe": pd.array([1, None, 3, 4], dtype="Int64"),
            "wait": pd.to_timedelta([1, 2, 3, 4], unit="s"),
        }
    )
    frame = store.get_historical_features(entity_df=rows, feature_names=["sma_20"], as_of="2020-01-01")
    again = FeatureFrame.load(frame.save(tmp_path / "rows.parquet"))
    pd.testing.assert_frame_equal(again.to_pandas(), frame.to_pandas(), check_exact=True)
    assert again.evidence.as_of == frame.evidence.as_of
    assert again.is_pit_validated
    assert outcomes(again.verify()) == HELD
    with pytest.raises(BadInput, match="no sessions"):
        again.by_session()


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"thing": [{"a": 1}, {"a": 2}]}, "thing"),
        ({"thing": [object(), object()]}, "cannot be stored"),
        ({"thing": [1, "one"]}, "cannot be stored"),
        ({"thing": [(1, 2), (3,)]}, "would not come back"),
        ({"session": [1, 2]}, "'session' has a name that a saved frame uses itself"),
        ({"known:technical:outcome": [1, 2]}, "uses itself"),
        ({"timestamp": [1, 2]}, "uses itself"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_and_nothing_is_written(store, tmp_path, column, said):
    rows = pd.DataFrame(
        {"symbol": "AAA1", "event_timestamp": pd.to_datetime(["2019-01-10T00:00Z", "2019-01-11T00:00Z"]), **column}
    )
    frame = store.get_historical_features(entity_df=rows, feature_names=["sma_20"])
    if said == "thing":
        again = FeatureFrame.load(frame.save(tmp_path / "rows.parquet"))
        assert again.to_pandas()["thing"].tolist() == [{"a": 1}, {"a": 2}]
        return
    with pytest.raises(BadInput, match=said):
        frame.save(tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_frame_that_is_not_believed_keeps_its_doubts(asked, tmp_path):
    evidence = dataclasses.replace(asked.evidence, impossible=("There was no clock.",))
    frame = FeatureFrame.sealed(asked.to_pandas(), asked.answers, evidence, asked.labels)
    again = FeatureFrame.load(frame.save(tmp_path / "f.parquet"))
    assert again.doubts == ("There was no clock.",)
    assert outcomes(again.verify())["evidence"] == "failed"


def test_a_frame_that_was_changed_is_not_saved(asked, tmp_path):
    values = asked.to_pandas()
    values.iloc[30, 0] = 1.0
    frame = FeatureFrame(values, asked.answers, asked.evidence, asked.labels)
    with pytest.raises(BadInput, match="was changed after it was checked"):
        frame.save(tmp_path / "f.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_what_was_there(asked, path, whole, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saved_module, "_seal", full)
    with pytest.raises(EnvironmentProblem, match="No disk space is left"):
        asked.save(path)
    assert path.read_bytes() == whole
    assert [one.name for one in path.parent.iterdir()] == ["frame.parquet"]


# Not one byte can be changed unseen.


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_byte_that_was_changed_is_found(whole, tmp_path_factory, data):
    place = data.draw(st.integers(0, len(whole) - 1))
    bits = data.draw(st.integers(1, 255))
    spoilt = bytearray(whole)
    spoilt[place] ^= bits
    path = tmp_path_factory.getbasetemp() / "spoilt.parquet"
    path.write_bytes(spoilt)
    with pytest.raises(DataError, match=r"not as it was saved|not a saved frame"):
        FeatureFrame.load(path)


@pytest.mark.slow
def test_every_single_byte_of_the_file_is_sealed(whole, tmp_path):
    rng = np.random.default_rng(0)
    for place, bits in enumerate(rng.integers(1, 256, len(whole)).tolist()):
        spoilt = bytearray(whole)
        spoilt[place] ^= bits
        with pytest.raises(DataError):
            saved_module._check_seal(tmp_path, bytes(spoilt))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_that_is_too_short_or_too_long_is_found(whole, tmp_path_factory, data):
    cut = data.draw(st.integers(0, len(whole) - 1))
    more = data.draw(st.binary(min_size=1, max_size=200))
    path = tmp_path_factory.getbasetemp() / "spoilt.parquet"
    for spoilt in (whole[:cut], whole + more, more + whole, whole[:cut] + more + whole[cut:]):
        path.write_bytes(spoilt)
        with pytest.raises(DataError, match=r"not as it was saved|not a saved frame"):
            FeatureFrame.load(path)


def test_what_is_no_saved_frame_is_said(store, tmp_path):
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"a": [1]}), plain)
    with pytest.raises(DataError, match=r"plain\.parquet is not a saved frame"):
        FeatureFrame.load(plain)
    for absent in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(BadInput, match="There is no file"):
            FeatureFrame.load(absent)


def rewritten(path, change=None, say=None, seal=True):
    """The file again, as somebody writes it who knows the format: columns or metadata changed, sealed anew."""
    table = pq.read_table(path)
    content = json.loads(pq.read_metadata(path).metadata[b"quantdesk.frame"])
    if change is not None:
        table = change(table)
    if say is not None:
        say(content)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        zeros = (saved_module._MARK + saved_module._ZEROS).decode()
        writer.add_key_value_metadata({"quantdesk.frame": json.dumps(content), "quantdesk.seal": zeros})
    if seal:
        saved_module._seal(path)


def put(name, change):
    return lambda table: table.set_column(table.schema.get_field_index(name), name, change(table.column(name)))


def earlier(column):
    return pc.subtract(column, pa.scalar(1, pa.duration("ns")))


def said(*keys, value):
    def say(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return say


EDITS = {
    "a value": {"change": put("sma_20", lambda c: pc.add(c, 1e-9))},
    "a null is filled": {"change": put("beta_252d", lambda c: pc.if_else(pc.is_nan(c), 0.0, c))},
    "a column of another type": {"change": put("sma_20", lambda c: c.cast(pa.float32()))},
    "a timestamp": {"change": put("timestamp", earlier)},
    "a symbol": {"change": put("symbol", lambda c: pa.array(["AAA1"] * len(c)))},
    "a session": {"change": put("session", earlier)},
    "an event": {"change": put("known:technical:event_timestamp", earlier)},
    "a created time": {"change": put("known:sentiment:created_timestamp", earlier)},
    "an outcome": {"change": put("known:market_model:outcome", lambda c: pc.add(c, pa.scalar(1, pa.int8())))},
    "the order of rows": {"change": lambda t: t.take(pa.array(np.arange(len(t))[::-1]))},
    "a row": {"change": lambda t: t.slice(1)},
    "the order of columns": {"say": lambda c: c.update(features=dict(reversed(c["features"].items())))},
    "the view of a feature": {"say": said("features", "sma_20", value="sentiment")},
    "a label": {"say": said("labels", "survivors_only", value=False)},
    "a series": {"say": lambda c: c["labels"]["series"].pop()},
    "the evidence": {"say": said("evidence", "views", 0, "violations", value=1)},
    "the as-of date": {"say": said("evidence", "as_of", value="2019-06-28T00:00:00+00:00")},
    "a source": {"say": said("evidence", "origin", value="elsewhere")},
    "the content hash": {"say": said("evidence", "content", value="0" * 64)},
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_is_found_even_when_it_was_sealed_anew(path, edit):
    rewritten(path, **EDITS[edit])
    frame = FeatureFrame.load(path)
    assert frame.changed
    assert not frame.is_pit_validated
    assert not frame.verify()
    with pytest.raises(BadInput, match="was changed"):
        frame.save(path)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_is_refused_when_it_was_not(path, edit):
    rewritten(path, **EDITS[edit], seal=False)
    with pytest.raises(DataError, match="not as it was saved"):
        FeatureFrame.load(path)


def test_verdicts_in_a_file_are_not_believed(path):
    """The words of the verdict can be edited; they are worked out again."""
    rewritten(path, say=said("evidence", "registry_version", value="0"))
    rewritten(path, say=said("evidence", "failures", value=[]))
    assert any("another version of their definitions" in doubt for doubt in FeatureFrame.load(path).doubts)


@pytest.mark.parametrize(
    "say",
    [
        said("format", value=99),
        lambda content: content.pop("evidence"),
        lambda content: content["evidence"].pop("rule"),
        lambda content: content["features"].update(sma_21="technical"),
        said("views", value=["nothing"]),
        said("labels", value=None),
    ],
)
def test_a_file_of_another_format_is_refused(path, say):
    rewritten(path, say=say)
    with pytest.raises(DataError, match=r"of format 99; this version reads 1|not a saved frame"):
        FeatureFrame.load(path)


# Whoever forges all of it.


def forged(path, change):
    """Everything sealed anew, the content hash included: nothing in the file contradicts it any more."""
    rewritten(path, change=change)
    frame = FeatureFrame.load(path)
    rewritten(path, say=said("evidence", "content", value=frame._content()))
    again = FeatureFrame.load(path)
    assert not again.changed
    return again


def test_a_forged_value_is_found_by_asking_the_sources(path):
    frame = forged(path, put("sma_20", lambda c: pc.multiply(c, 1.01)))
    assert frame.is_pit_validated, "a hash is no signature"
    verification = frame.verify()
    assert outcomes(verification) == {**HELD, "answers": "failed"}
    assert not verification
    assert "otherwise than the frame" in repr(verification)


def test_forged_times_are_found_by_the_rule(path):
    later = put("known:technical:created_timestamp", lambda c: pc.add(c, pa.scalar(10**12, pa.duration("ns"))))
    frame = forged(path, later)
    assert not frame.is_pit_validated
    assert "break the rule" in frame.doubts[0]
    assert outcomes(frame.verify()) == {**HELD, "evidence": "failed", "rule": "failed", "answers": "failed"}


def test_a_value_where_nothing_answered_breaks_the_rule(store, tmp_path):
    rows = pd.DataFrame(
        {"symbol": "AAA1", "event_timestamp": pd.to_datetime(["2017-01-10T00:00Z", "2019-01-11T00:00Z"])}
    )
    path = store.get_historical_features(entity_df=rows, feature_names=["sma_20"]).save(tmp_path / "f.parquet")
    frame = forged(path, put("sma_20", lambda c: pc.if_else(pc.is_nan(c), 1.0, c)))
    assert "1 of 2 rows of technical break the rule" in frame.doubts[0]


# What can still be asked.


def test_sources_that_are_gone_are_said_to_be(own_store, tmp_path):
    path = own_store.get_historical_features(["AAA1"], NAMES).save(tmp_path / "f.parquet")
    shutil.rmtree(own_store.root)
    frame = FeatureFrame.load(path)
    assert frame.is_pit_validated
    verification = frame.verify()
    assert outcomes(verification) == {**HELD, "sources": "impossible", "answers": "impossible"}
    assert verification, "nothing failed"
    assert "is not there any more" in verification.impossible[0].said
    assert outcomes(frame.verify(own_store))["answers"] == "impossible"


def test_a_store_that_moved_can_be_handed_over(own_store, tmp_path):
    frame = own_store.get_historical_features(["AAA1"], NAMES)
    moved = tmp_path / "moved"
    own_store.root.rename(moved)
    assert outcomes(frame.verify())["answers"] == "impossible"
    assert outcomes(frame.verify(FeatureStore(root=moved))) == HELD
    assert outcomes(frame.verify(FeatureStore(root=moved).backend)) == HELD


@pytest.mark.parametrize("fault", ["another value", "cut in half", "gone", "no manifest", "other definitions"])
def test_sources_that_changed_since(own_store, fault, monkeypatch):
    frame = own_store.get_historical_features(["AAA1"], ["sma_20"])
    folder = current(own_store.root)
    source = folder / "technical" / "symbol=AAA1" / "rows.parquet"
    expected = {"sources": "failed", "answers": "failed"}
    if fault == "another value":
        table = pq.read_table(source, partitioning=None)
        place = table.schema.get_field_index("sma_20")
        pq.write_table(table.set_column(place, "sma_20", pc.add(table["sma_20"], 1.0)), source)
    elif fault == "cut in half":
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        expected = {"sources": "failed", "answers": "impossible"}
    elif fault == "gone":
        source.unlink()
        expected = {"sources": "impossible", "answers": "impossible"}
    elif fault == "no manifest":
        (folder / "manifest.json").unlink()
        expected = {"sources": "impossible", "answers": "impossible"}
    else:
        from quantdesk.features import verification

        monkeypatch.setattr(verification, "definitions_version", lambda: "another")
        expected = {"sources": "held", "answers": "impossible"}
    assert outcomes(frame.verify()) == {**HELD, **expected}


def test_another_build_gives_the_same_answers_about_the_past(own_store, market):
    frame = own_store.get_historical_features(["AAA1"], NAMES)
    other = json.loads((current(own_store.root) / "manifest.json").read_text())
    other["key"] = hashlib.sha256(b"other").hexdigest()
    (current(own_store.root) / "manifest.json").write_text(json.dumps(other))
    found = frame.verify(FeatureStore(root=own_store.root))
    assert outcomes(found) == {**HELD, "sources": "impossible"}
    assert "another build" in found.impossible[0].said


def test_a_frame_from_a_server_needs_the_store(asked):
    evidence = dataclasses.replace(asked.evidence, origin="postgresql://desk@db/features")
    frame = FeatureFrame.sealed(asked.to_pandas(), asked.answers, evidence, asked.labels)
    found = frame.verify()
    assert "hand over the store" in found.impossible[0].said
    assert outcomes(found)["rule"] == "held"


def test_a_symbol_that_went_cannot_be_asked(own_store):
    frame = own_store.get_historical_features(["AAA1"], ["sma_20"])
    path = current(own_store.root) / "manifest.json"
    content = json.loads(path.read_text())
    content["series"] = [one for one in content["series"] if one["key"] != "AAA1"]
    path.write_text(json.dumps(content))
    assert outcomes(frame.verify()) == {**HELD, "sources": "impossible", "answers": "impossible"}


def test_a_file_that_cannot_be_read_is_named(path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        FeatureFrame.load(path)


# From the command line.


def test_a_frame_is_saved_and_verified_from_the_command_line(own_store, tmp_path, monkeypatch):
    monkeypatch.setenv("QUANTDESK_FEATURES_ROOT", str(own_store.root))
    file = tmp_path / "frame.parquet"
    question = ["get", "-s", "AAA1", "-f", "sma_20", "--start", "2019-01-02", "--end", "2019-02-01"]
    done = CliRunner().invoke(features_app, [*question, "--save", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["evidence"]["failures"] == []
    done = CliRunner().invoke(features_app, ["verify", str(file), "--json"])
    assert json.loads(done.stdout)["holds"] is True
    assert {check["outcome"] for check in json.loads(done.stdout)["checks"]} == {"held"}
    source = current(own_store.root) / "technical" / "symbol=AAA1" / "rows.parquet"
    source.write_bytes(source.read_bytes()[:-1])
    done = CliRunner().invoke(features_app, ["verify", str(file), "--here"])
    assert done.exit_code == 6
    assert "NOT hold" in done.stdout
    assert "sources\t✗ failed\t1 sources have changed since" in done.stdout
