"""Every planted leak is found, named, and traced to its line; the same calculation done right is not accused."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import signal

from quantdesk.features import audit


def _planted():
    # By its path: test folders are no packages, so that no name of theirs can shadow another.
    spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LEAKS = _planted().LEAKS
SOURCE = Path(__file__).with_name("planted.py").read_text().splitlines()


@pytest.fixture(scope="module")
def price():
    days = pd.date_range("2018-01-01", periods=320, freq="B")
    walk = np.cumsum(np.random.default_rng(0).normal(0, 0.01, len(days)))
    return pd.Series(50 * np.exp(walk), days, name="price")


@pytest.mark.parametrize("function", LEAKS, ids=lambda function: function.__name__)
def test_a_planted_leak_is_found_named_and_traced_to_its_line(function, price):
    report = audit.check(function, price)
    assert [found.kind for found in report.leaks] == [LEAKS[function]]
    assert (report.verdict, report.passed) == ("leaks", False)
    (found,) = report.leaks
    assert found.line.file == "planted.py"
    assert found.line.confirmed
    assert "# leak" in SOURCE[found.line.number - 1]
    assert price.index[0] <= found.first < price.index[-1]
    assert found.magnitude > 0 or found.appears > 0


def test_at_least_ten_kinds_are_planted():
    assert len(set(LEAKS.values())) >= 15


def test_the_first_leaking_row_and_its_reach_are_exact(price):
    """Worked out by hand: what the audit says of functions whose leaks are known to the row."""
    days = price.index

    def told(function):
        (found,) = audit.check(function, price).leaks
        return found.first, found.ahead

    assert told(lambda p: p.shift(-5)) == (days[0], 5)
    assert told(lambda p: p.rolling(21, center=True).mean()) == (days[10], 10)
    assert told(lambda p: p.rolling(20).mean().bfill()) == (days[0], 19)

    def late(p):  # the leak begins on row 200 only
        return p.where(np.arange(len(p)) < 200, p.shift(-3))

    assert told(late) == (days[200], 3)
    (found,) = audit.check(lambda p: p - p.mean(), price).leaks
    assert (found.first, found.to_the_end) == (days[0], True)


def test_only_the_leaking_column_is_accused(price):
    def table(p):
        return pd.DataFrame({"a": p.rolling(3).mean(), "b": p.shift(-1), "c": p.pct_change(), "d": p / p.mean()})

    found = audit.check(table, price).leaks
    assert {one.feature: one.kind for one in found} == {"b": "shifted_label", "d": "whole_sample_normalisation"}


def test_columns_that_one_line_spoils_are_told_together(price):
    def scaled(t):
        return (t - t.mean()) / 2

    table = pd.concat({name: price * k for k, name in enumerate("ABCDE", 1)}, axis=1)
    (found,) = audit.check(scaled, table).leaks
    assert {found.feature, *found.also} == set("ABCDE")


HONEST = {
    "average": lambda p: p.rolling(20).mean(),
    "score": lambda p: (p - p.rolling(60).mean()) / p.rolling(60).std(),
    "exponential": lambda p: p.ewm(span=12).mean(),
    "expanding": lambda p: (p - p.expanding().mean()) / p.expanding().std(),
    "expanding_rank": lambda p: p.expanding().rank(pct=True),
    "drawdown": lambda p: p / p.cummax() - 1,
    "return": lambda p: p.pct_change(5),
    "filled_forward": lambda p: p.where(p.index.dayofweek != 2).ffill(),
    "causal_filter": lambda p: signal.lfilter(*signal.butter(2, 0.1), p.to_numpy()),
    "weekly": lambda p: p.resample("W-FRI").last().reindex(p.index, method="ffill"),
    "past_clipped": lambda p: p.clip(p.expanding().quantile(0.05), p.expanding().quantile(0.95)),
    "as_of": lambda p: pd.merge_asof(
        pd.DataFrame({"day": p.index}), p[::5].rename("x").rename_axis("day").reset_index(), on="day"
    )["x"].to_numpy(),
    "weekday": lambda p: p.groupby(p.index.dayofweek).transform(lambda g: g.expanding().mean().shift(1)),
    "flags": lambda p: p > p.rolling(50).mean(),
    "words": lambda p: pd.Series(np.where(p.diff() > 0, "up", "down"), p.index),
    "summed_twice": lambda p: p.cumsum() - p.cumsum().shift(5),
    "none_of_its_future": lambda p: p.shift(1).rolling(250).corr(p.shift(2)),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_looks_backwards_only_passes(name, price):
    report = audit.check(HONEST[name], price, use=audit.Use(min_rows=2))
    assert report.passed, report
    assert report.calls > 40


def test_the_same_seed_gives_the_same_report_and_another_one_other_cuts(price):
    leaking = next(one for one in LEAKS if one.__name__ == "two_sided_filter")
    once, twice = (json.dumps(audit.check(leaking, price, seed=7).to_dict()) for _ in range(2))
    assert once == twice
    honest = [audit.check(HONEST["average"], price, seed=seed) for seed in (1, 2)]
    assert honest[0].passed
    assert honest[1].passed
    assert (honest[0].cuts, honest[0].calls) != (0, 0)


def test_a_lambda_is_traced_to_its_own_line(price):
    functions = [
        lambda p: p.rolling(5).mean(),
        lambda p: p - p.max(),
    ]
    (found,) = audit.check(functions[1], price).leaks
    assert found.line.expression == "p.max()"
    assert inspect.getsource(functions[1]).strip().startswith("lambda p: p - p.max()")
    assert Path(__file__).read_text().splitlines()[found.line.number - 1].strip() == "lambda p: p - p.max(),"


def test_a_function_of_a_notebook_cell_is_traced_too(price):
    """As IPython compiles a cell: under the name of a file that is not there, with its text in linecache."""
    from IPython.core.compilerop import CachingCompiler

    cell = "def mine(p):\n    top = p.rolling(30).max()\n    low = p.min()\n    return (p - low) / (top - low)\n"
    compiler = CachingCompiler()
    space: dict[str, object] = {}
    exec(compiler(cell, compiler.cache(cell), "exec"), space)
    (found,) = audit.check(space["mine"], price).leaks
    assert (found.kind, found.line.file, found.line.number) == ("whole_sample_extreme", "notebook cell", 3)
    assert found.line.expression == "p.min()"


def test_code_without_source_still_has_a_kind(price):
    space: dict[str, object] = {}
    exec("def hidden(p):\n    return p.to_numpy()[::-1].cumsum()[::-1]\ndef far(p):\n    return p.shift(-4)", space)
    (found,) = audit.check(space["hidden"], price).leaks
    assert found.kind in audit.KINDS
    (found,) = audit.check(space["far"], price).leaks
    assert (found.kind, found.ahead) == ("shifted_label", 4)


def test_compiled_code_is_told_by_its_behaviour(price):
    """No line of Python to look at: the reach says what it is."""
    talib = pytest.importorskip("talib")
    report = audit.check(lambda p: pd.Series(talib.SMA(p.to_numpy(), 20), p.index), price)
    assert report.passed, report

    class Ahead:
        """Callable, and its work is done by numpy."""

        def __call__(self, p):
            return np.concatenate([p.to_numpy()[3:], np.full(3, np.nan)])

    (found,) = audit.check(Ahead(), price).leaks
    assert found.ahead == 3
