"""The record of a run: a debugger stays in place, a broken object does no harm, a long loop ends the record."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.features import audit
from quantdesk.features.audit import tracing
from quantdesk.features.audit.marks import Past, differing, mark
from quantdesk.features.audit.material import material

DAYS = pd.date_range("2018-01-01", periods=200, freq="B")
PRICE = pd.Series(50 + np.sin(np.arange(200.0)) + np.arange(200) / 50, DAYS)

HONEST = {
    "mean": lambda p: p.rolling(9).mean(),
    "std": lambda p: p.rolling(9).std(),
    "lag": lambda p: p.shift(3),
    "difference": lambda p: p.diff(2),
    "exponential": lambda p: p.ewm(span=7).mean(),
    "expanding": lambda p: p - p.expanding().mean(),
    "highest": lambda p: p / p.cummax(),
    "filled": lambda p: p.ffill(),
    "clipped": lambda p: p.clip(-3, 60),
}
LEAKING = {
    "shifted_label": lambda p: p.shift(-2),
    "centred_window": lambda p: p.rolling(5, center=True).mean(),
    "backward_fill": lambda p: p.where(p.index.dayofweek != 1).bfill(),
    "whole_sample_normalisation": lambda p: p - p.mean(),
    "rank_over_time": lambda p: p.rank(),
    "reversed_time": lambda p: p[::-1].cumsum()[::-1],
}
steps = st.lists(st.sampled_from(sorted(HONEST)), min_size=1, max_size=4)
# A difference takes a mean away again, and a lag a look ahead, and with it the leak: so only steps that keep it.
keeping = st.lists(st.sampled_from(["mean", "exponential", "filled"]), max_size=3)


def some(test, examples):
    """The property with that many examples; made anew each time, as a test takes settings once."""
    return settings(max_examples=examples, deadline=None)(given(**GIVEN[test.__name__])(test))


def honest_chains(chain, seed):
    def made(p):
        for name in chain:
            p = HONEST[name](p)
        return p

    report = audit.check(made, PRICE, seed=seed, cuts=6)
    assert not report.leaks, (chain, report)


def one_leak_in_a_chain(before, after, kind, seed):
    """Wherever it stands in the chain; what comes after it may hide the size, not the fact."""

    def made(p):
        for name in before:
            p = HONEST[name](p)
        p = LEAKING[kind](p)
        for name in after:
            p = HONEST[name](p)
        return p

    report = audit.check(made, PRICE, seed=seed)
    assert [found.kind for found in report.leaks] == [kind], (before, after, report)
    assert report.leaks[0].line.confirmed


GIVEN = {
    "honest_chains": {"chain": steps, "seed": st.integers(0, 1000)},
    "one_leak_in_a_chain": {
        "before": keeping,
        "after": keeping,
        "kind": st.sampled_from(sorted(LEAKING)),
        "seed": st.integers(0, 1000),
    },
}


def test_no_chain_of_honest_steps_is_accused():
    some(honest_chains, 4)()


def test_one_leaking_step_among_honest_ones_is_found_and_traced():
    some(one_leak_in_a_chain, 4)()


@pytest.mark.slow
@pytest.mark.parametrize("property_", [honest_chains, one_leak_in_a_chain])
def test_more_chains(property_):
    some(property_, 100)()


def test_a_tracer_that_was_there_is_put_back():
    def spy(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(spy)
    try:
        report = audit.check(lambda p: p - p.mean(), PRICE)
        assert sys.gettrace() is spy
    finally:
        sys.settrace(before)
    assert report.leaks[0].line.confirmed


def test_a_long_loop_is_recorded_as_far_as_it_goes(monkeypatch):
    def loop(p):
        values = p.to_numpy()
        out = np.full(len(values), np.nan)
        for t in range(5, len(values) - 2):
            window = values[t - 5 : t + 3]
            out[t] = window.mean()
        return out

    monkeypatch.setattr(tracing, "MOST_STEPS", 420)
    (found,) = audit.check(loop, PRICE).leaks
    assert found.line.text == "window = values[t - 5 : t + 3]"
    monkeypatch.setattr(tracing, "MOST_STEPS", 5)
    (found,) = audit.check(loop, PRICE).leaks
    assert not found.line.confirmed


def test_the_tracer_itself_by_hand():
    """Coverage sees nothing that runs under another tracer; so here it is called as Python would."""
    data = material(PRICE)
    tracer = tracing._Tracer(None, Past(data, data.moments[100]))

    def own(p):
        level = p.mean()
        return p - level

    frames = []

    def collect(frame, event, argument):
        frames.append((frame, event, argument))
        if frame.f_code is own.__code__ and event in {"call", "line", "return"}:
            (tracer if event == "call" else tracer.inside)(frame, event, argument)
            return collect
        if frame.f_back is not None and frame.f_back.f_code is own.__code__ and event == "call":
            leaving = tracer(frame, event, argument)
            leaving(frame, "return", 50.0)
        return None

    before = sys.gettrace()
    sys.settrace(collect)
    try:
        own(PRICE)
    finally:
        sys.settrace(before)
    entry, first, last = tracer.record.steps
    assert entry.entered
    assert set(first.left) == {"p", "level"}
    assert not first.left["level"].aligned
    assert first.left["p"].aligned
    assert last.result.aligned
    assert any("mean" in call.name for call in first.calls)
    assert tracing.names_of(own.__code__, first.span).assigns == {"level"}


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (1.0, 1.0 + 1e-14, False),
        (1.0, 1.001, True),
        (np.nan, np.nan, False),
        ((1, "a"), (1, "b"), True),
        ({"x": 1}, {"x": 1}, False),
        ({"x": 1}, {"x": 2}, True),
        (PRICE, PRICE.where(np.arange(200) < 150, 0.0), False),  # behind the cut
        (PRICE, PRICE.where(np.arange(200) > 50, 0.0), True),
        (PRICE.to_numpy()[1:], PRICE.to_numpy()[1:] + 0.0, False),
        (PRICE.reset_index(), PRICE.where(np.arange(200) < 150, 0.0).reset_index(), False),
        (PRICE[::5].to_numpy(), PRICE.where(np.arange(200) < 150, 0.0)[::5].to_numpy(), False),
        (len, print, False),
    ],
)
def test_marks_differ_where_the_past_does(one, other, differ):
    data = material(PRICE)
    past = Past(data, data.moments[100])
    assert differing(mark(one, past), mark(other, past)) is differ


def test_an_object_that_cannot_be_read_has_no_mark():
    class Broken:
        fit = 1

        @property
        def __dict__(self):
            raise RuntimeError("no")

    data = material(PRICE)
    assert mark(Broken(), Past(data, data.moments[100])) is None
