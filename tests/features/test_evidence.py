"""A verdict that one can bet on: what speaks against a frame is found, and nothing in it can be changed unseen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from quantdesk import signals
from quantdesk.errors import DataError
from quantdesk.features import FeatureFrame
from quantdesk.features import files as files_module
from quantdesk.features.asof import Outcome
from quantdesk.features.evidence import Evidence
from quantdesk.features.proof import SAMPLE

NAMES = ["sma_20", "ret_1d", "beta_252d", "sentiment_z"]


def ask(store, **options):
    return store.get_historical_features(["AAA1", "OHLC"], NAMES, "2019-01-02", "2019-12-31", **options)


@pytest.fixture(scope="module")
def asked(store):
    return ask(store)


@pytest.fixture
def frame(asked):
    """A frame that a test may spoil."""
    return copy_of(asked)


def copy_of(frame):
    given = frame.answers
    known = {
        view: dataclasses.replace(
            times, event=times.event.copy(), created=times.created.copy(), outcome=times.outcome.copy()
        )
        for view, times in given.known.items()
    }
    answers = dataclasses.replace(given, views=dict(given.views), known=known, sessions=given.sessions.copy())
    return FeatureFrame(frame.to_pandas(), answers, frame.evidence, frame.labels)


# Nothing can be changed unseen.


def put(frame, **parts):
    frame._answers = dataclasses.replace(frame._answers, **parts)


def claim(frame, **parts):
    frame._evidence = dataclasses.replace(frame._evidence, **parts)


def one_up(array, place=7):
    array[place] += 1


def next_float(values):
    values.iloc[40, 1] = np.nextafter(values.iloc[40, 1], np.inf)


def minus_zero(frame):
    frame._values = frame._values.copy()
    frame._values.iloc[3, 1] = 0.0
    put_right = frame._content()
    frame._evidence = frame._evidence.sealed(put_right)
    assert not frame.changed
    frame._values.iloc[3, 1] = -0.0


def reindexed(frame, level, change):
    parts = [frame._values.index.get_level_values(place) for place in (0, 1)]
    parts[level] = change(parts[level])
    frame._values.index = pd.MultiIndex.from_arrays(parts, names=frame._values.index.names)


def swapped(values):
    return values[[*values.columns[::-1]]]


def set_values(frame, values):
    frame._values = values


def set_labels(frame, **parts):
    frame._labels = dataclasses.replace(frame._labels, **parts)


CHANGES = {
    "the last bit of a value": lambda f: next_float(f._values),
    "a null is filled": lambda f: set_values(f, f._values.fillna(0.0)),
    "a value becomes null": lambda f: f._values.iloc.__setitem__((9, 0), np.nan),
    "the sign of a zero": minus_zero,
    "a column is shifted": lambda f: set_values(f, f._values.assign(ret_1d=f._values["ret_1d"].shift(-1))),
    "a row is left out": lambda f: set_values(f, f._values.drop(f._values.index[5])),
    "rows are sorted": lambda f: set_values(f, f._values.sort_index(level=1)),
    "the columns stand otherwise": lambda f: set_values(f, swapped(f._values)),
    "a column is renamed": lambda f: set_values(f, f._values.rename(columns={"ret_1d": "ret_2d"})),
    "a column is added": lambda f: set_values(f, f._values.assign(more=1.0)),
    "a column is left out": lambda f: set_values(f, f._values.drop(columns="ret_1d")),
    "another type": lambda f: set_values(f, f._values.astype({"ret_1d": "float32"})),
    "a timestamp": lambda f: reindexed(f, 0, lambda t: t.where(t != t[8], t[8] - pd.Timedelta(1, "ns"))),
    "another zone": lambda f: reindexed(f, 0, lambda t: t.tz_convert("Europe/Berlin")),
    "another unit": lambda f: reindexed(f, 0, lambda t: t.as_unit("us")),
    "a symbol": lambda f: reindexed(f, 1, lambda s: s.where(s != "OHLC", "AAA2")),
    "symbols change places": lambda f: reindexed(f, 1, lambda s: s[::-1]),
    "the name of a level": lambda f: setattr(f._values.index, "names", ["time", "symbol"]),
    "the event that answered": lambda f: one_up(f._answers.known["technical"].event),
    "when it was known": lambda f: one_up(f._answers.known["sentiment"].created),
    "why nothing answered": lambda f: one_up(f._answers.known["market_model"].outcome),
    "a view is left out": lambda f: put(f, known={"technical": f._answers.known["technical"]}),
    "the view of a feature": lambda f: put(f, views={**f._answers.views, "ret_1d": "sentiment"}),
    "a session": lambda f: one_up(f._answers.sessions),
    "no sessions": lambda f: put(f, sessions=None),
    "a label": lambda f: set_labels(f, survivors_only=False),
    "the series behind it": lambda f: set_labels(f, series=f.labels.series[1:]),
    "the rule": lambda f: claim(f, rule="whatever"),
    "the cut-off": lambda f: claim(f, as_of="2020-01-01T00:00:00+00:00"),
    "the time to live": lambda f: claim(f, ttl={"technical": 1}),
    "the seed": lambda f: claim(f, seed=1),
    "a source": lambda f: claim(f, sources={}, as_built={}),
    "where it is from": lambda f: claim(f, origin="elsewhere"),
    "the version of the market": lambda f: claim(f, market_version="0"),
    "what is not cured": lambda f: claim(f, not_cured=()),
    "what was found": lambda f: claim(f, views=tuple(dataclasses.replace(v, found=0) for v in f.evidence.views)),
    "the hash": lambda f: claim(f, content="0" * 64),
    "the values are something else": lambda f: set_values(f, [1, 2, 3]),
    "the times are something else": lambda f: put(f, known={"technical": None}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frame_is_void_after_any_change(frame, change):
    assert frame.is_pit_validated
    CHANGES[change](frame)
    assert frame.changed
    assert not frame.is_pit_validated
    assert "The frame was changed after it was checked." in frame.doubts
    assert not frame.verify()
    with pytest.raises(DataError, match="not validated point in time: "):
        frame.proven()


def test_what_a_caller_is_given_is_a_copy(frame):
    for given in (frame.to_pandas(), frame.by_session(), frame.known("technical"), frame.reasons()):
        given.iloc[0, -1] = given.iloc[-1, -1]
        given.index = range(len(given))
    assert frame.is_pit_validated


def test_evidence_and_labels_cannot_simply_be_set(frame):
    for name in ("evidence", "labels", "answers", "is_pit_validated", "doubts", "changed"):
        with pytest.raises(AttributeError):
            setattr(frame, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.evidence.content = "1"
    with pytest.raises(AttributeError):
        object.__setattr__(frame.evidence, "failures", ())


def test_the_same_content_has_the_same_hash_however_its_index_is_coded(asked):
    frame = copy_of(asked)
    parts = [frame._values.index.get_level_values(place) for place in (0, 1)]
    plain = pd.MultiIndex.from_arrays(parts, names=["timestamp", "symbol"])
    unsorted = plain.set_levels(["OHLC", "AAA1", "none of these"], level=1, verify_integrity=False)
    flipped = np.array([1, 0])[plain.codes[1]]
    frame._values.index = unsorted.set_codes(flipped, level=1)
    assert frame._values.index.equals(asked.to_pandas().index)
    assert frame.is_pit_validated


# What speaks against a frame is said.


def with_view(evidence, **parts):
    first, *others = evidence.views
    return dataclasses.replace(evidence, views=(dataclasses.replace(first, **parts), *others))


SOURCE = "technical/symbol=AAA1/rows.parquet"
FAULTS = {
    "a row saw too much": (lambda e: with_view(e, violations=1, kinds={"not_known": 1}), "1 of .* could not know"),
    "the oracle disagrees": (lambda e: with_view(e, oracle_mismatches=2), "oracle gives 2 of 64 sampled rows"),
    "no sample": (lambda e: with_view(e, oracle_rows=0), "The oracle answered no row of technical again"),
    "no view": (lambda e: dataclasses.replace(e, views=()), "No view was examined"),
    "a file is gone": (lambda e: dataclasses.replace(e, sources={**e.sources, SOURCE: None}), "could not be hashed"),
    "a file is another": (
        lambda e: dataclasses.replace(e, sources={**e.sources, SOURCE: "0"}),
        "not as they were built",
    ),
    "a file is unknown": (lambda e: dataclasses.replace(e, as_built={**e.as_built, SOURCE: None}), "not as they were"),
    "no source": (lambda e: dataclasses.replace(e, sources={}), "no source that they come from"),
    "other definitions": (lambda e: dataclasses.replace(e, registry_version="0"), "another version of their definit"),
    "unknown definitions": (lambda e: dataclasses.replace(e, registry_version=""), "definitions .* is not known"),
    "unknown code": (lambda e: dataclasses.replace(e, code_version=""), "definitions .* is not known"),
    "a check was impossible": (lambda e: dataclasses.replace(e, impossible=("No clock.",)), "No clock"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_reason_not_to_believe_is_worked_out_from_what_was_found(asked, fault):
    spoil, said = FAULTS[fault]
    evidence = spoil(asked.evidence)
    frame = FeatureFrame.sealed(asked.to_pandas(), asked.answers, evidence, asked.labels)
    assert not frame.changed, "nothing was changed since; the evidence itself speaks against it"
    assert not frame.is_pit_validated
    assert len(frame.doubts) == 1
    assert pd.Series(frame.doubts).str.contains(said).all(), frame.doubts
    assert frame.evidence.to_dict()["failures"] == list(frame.doubts)
    assert not frame.verify()


def test_evidence_survives_json(asked):
    import json

    again = Evidence.from_dict(json.loads(json.dumps(asked.evidence.to_dict())))
    assert again == asked.evidence
    assert again.content == asked.evidence.content
    assert again.failures == ()


def test_rows_that_do_not_say_when_they_were_known_prove_nothing(store, monkeypatch):
    honest = files_module.source_of

    def timeless(view, build):
        return dataclasses.replace(honest(view, build), created=None)

    monkeypatch.setattr(files_module, "source_of", timeless)
    frame = store.get_historical_features(["AAA1"], ["sma_20"])
    assert frame.doubts == ("The rows of technical do not say when they were known.",)


def test_a_view_without_a_declared_knowledge_proves_nothing(store, monkeypatch):
    from quantdesk.features import definitions

    bare = {name: dataclasses.replace(view, knowledge="") for name, view in definitions.VIEWS.items()}
    build = store.snapshot()
    assert [said for view in bare.values() for said in build.unproven(view)] == [
        f"Nobody has declared when the rows of {name} are known." for name in bare
    ]


# A wrong answer is found wherever it stands.


@pytest.mark.parametrize("place", [0, 1, 4_321, 9_998])
@pytest.mark.parametrize("wrong", ["late", "another symbol", "hidden"])
def test_one_leak_in_ten_thousand_rows_is_found(store, monkeypatch, place, wrong):
    """The sample does not hold these rows; the rule, which is held against every row, does."""
    rng = np.random.default_rng(1)
    first = pd.Timestamp("2019-02-01T00:00Z")
    rows = pd.DataFrame(
        {
            "symbol": rng.choice(["AAA1", "BBB2"], 10_000),
            "event_timestamp": first + pd.to_timedelta(rng.integers(0, 365 * 86_400, 10_000), unit="s"),
        }
    )
    sample = np.random.default_rng(20_000).choice(10_000, size=SAMPLE, replace=False)
    assert place not in sample
    honest = files_module.as_of_join

    def leaky(history, row_key, row_time, **options):
        given = honest(history, row_key, row_time, **options)
        if wrong == "late":
            given.position[place] += 1
        elif wrong == "another symbol":
            other = np.flatnonzero((history.key != row_key[place]) & (history.event < row_time[place]))
            given.position[place] = other[-1]
        else:
            given.outcome[place] = Outcome.NOT_YET_KNOWN
        return given

    assert store.get_historical_features(entity_df=rows, feature_names=["sma_20"]).is_pit_validated
    monkeypatch.setattr(files_module, "as_of_join", leaky)
    frame = store.get_historical_features(entity_df=rows, feature_names=["sma_20"])
    assert not frame.is_pit_validated
    assert frame.evidence.violations == 1
    kind = {"late": "not_happened", "another symbol": "another_key", "hidden": "value_without_answer"}[wrong]
    assert frame.evidence.views[0].kinds[kind] == 1
    assert "1 of 10000 rows of technical saw what they could not know" in frame.doubts[0]


# Whoever builds on a frame checks it again.


def test_signals_refuse_a_frame_that_was_changed(frame, market):
    sessions = market.panel(["AAA1", "OHLC"]).index
    filed = signals.at_sessions(frame, sessions)
    pd.testing.assert_frame_equal(filed, signals.at_sessions(frame.to_pandas(), sessions))
    assert signals.wide(frame, "ret_1d").equals(signals.wide(frame.to_pandas(), "ret_1d"))
    frame._values.iloc[3, 0] = 1.0
    for use in (
        lambda: signals.at_sessions(frame, sessions),
        lambda: signals.wide(frame, "ret_1d"),
        lambda: signals.equal_weight(frame, "ret_1d"),
        lambda: signals.strategy("equal_weight")(frame),
    ):
        with pytest.raises(DataError, match="The frame was changed after it was checked"):
            use()


def test_signals_refuse_a_frame_that_was_never_proven(asked):
    evidence = dataclasses.replace(asked.evidence, registry_version="0")
    frame = FeatureFrame.sealed(asked.to_pandas(), asked.answers, evidence, asked.labels)
    with pytest.raises(DataError, match=r"built by another version .* proves nothing"):
        signals.wide(frame, "ret_1d")
    assert len(signals.wide(frame.to_pandas(), "ret_1d")) == len(frame) / 2
