"""No feature of the platform looks ahead: each is audited on real prices and on invented ones, on every run of CI."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.features import audit
from quantdesk.features.definitions import FEATURES

pytestmark = pytest.mark.xdist_group("real")


@pytest.fixture(scope="module")
def on_real_prices(real_market):
    return audit.repository(real_market, sessions=420)


@pytest.fixture(scope="module")
def on_invented_prices(market):
    return audit.repository(market, sessions=420, seed=3)


@pytest.mark.parametrize("name", FEATURES)
def test_no_feature_looks_ahead_on_real_prices(on_real_prices, name):
    report = on_real_prices[name]
    assert report.passed, report
    assert report.columns == (name,)
    assert report.cuts >= audit.REPOSITORY_CUTS
    assert report.rows == 420


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
def test_no_feature_looks_ahead_on_invented_prices(on_invented_prices, name):
    assert on_invented_prices[name].passed, on_invented_prices[name]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("symbol", ["NVDA", "MSFT@pmdarima", "EURUSD", "UST10Y", "WTI"])
def test_no_feature_looks_ahead_on_other_series(real_market, symbol, seed):
    series = real_market.resolve(symbol)
    names = [
        name for name, one in FEATURES.items()
        if one.compute is not None and "benchmark" not in one.inputs and series.kind in one.kinds
        and ("high" not in one.inputs or "high" in series.fields)
        and ("volume" not in one.inputs or ("volume" in series.fields and series.adjustment == "none"))
    ]  # fmt: skip
    for report in audit.repository(real_market, names, symbol=symbol, seed=seed).values():
        assert report.passed, report


def leaking(price):
    lowest = np.nanmin(price)
    return price / lowest


def tomorrow(price):
    return pd.Series(price).shift(-1).to_numpy()


@pytest.fixture
def spoiled():
    plain = FEATURES["ret_5d"]
    return {
        "ret_5d": plain,
        "low": dataclasses.replace(plain, name="low", look_back=2, compute=lambda inputs: leaking(inputs.price)),
        "peek": dataclasses.replace(plain, name="peek", compute=lambda inputs: tomorrow(inputs.price)),
    }  # fmt: skip


def test_a_definition_that_leaks_is_accused_alone(market, spoiled):
    told = []
    reports = audit.repository(market, spoiled, symbol="OHLC", progress=lambda *step: told.append(step))
    assert reports["ret_5d"].passed, reports["ret_5d"]
    (low,), (peek,) = reports["low"].findings, reports["peek"].findings
    assert (low.feature, low.kind) == ("low", "whole_sample_extreme")
    assert (peek.feature, peek.kind) == ("peek", "shifted_label")
    assert (low.line.file, low.line.function) == ("test_repository.py", "leaking")
    assert "nanmin" in low.line.expression
    assert told[-1] == ("audit", 3, 3)
    assert reports["low"].name == "low on OHLC"


def test_a_feature_that_is_not_there_offers_the_nearest(market):
    with pytest.raises(UnknownName, match="sma_20"):
        audit.repository(market, ["sma_21"])
    with pytest.raises(UnknownName, match="OHLC"):
        audit.repository(market, ["sma_20"], symbol="OHLX")


def test_a_series_without_what_a_feature_reads_is_undecided_not_passed(market):
    report = audit.repository(market, ["atr_14"], symbol="AAA1")["atr_14"]
    assert [found.kind for found in report.findings] == ["nothing_to_compare"]
    assert not report.passed


def test_too_few_sessions_are_said(market):
    with pytest.raises(BadInput, match="come before the first value"):
        audit.repository(market, ["mom_12_1"], sessions=100)
