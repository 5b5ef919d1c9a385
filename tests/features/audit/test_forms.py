"""The forms in which data come, the ways in which code is used, and what keeps a question from being answered."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from quantdesk.errors import BadDates, BadInput, BadParameter
from quantdesk.features import audit
from quantdesk.features.audit import Use

DAYS = pd.date_range("2018-01-01", periods=300, freq="B", tz="UTC")


@pytest.fixture
def wide():
    """Five symbols; C ends after 200 days and E after 250."""
    walk = np.cumsum(np.random.default_rng(0).normal(0, 0.01, (len(DAYS), 5)), axis=0)
    table = pd.DataFrame(50 * np.exp(walk), DAYS, list("ABCDE"))
    table.loc[DAYS[200] :, "C"] = np.nan
    table.loc[DAYS[250] :, "E"] = np.nan
    return table


@pytest.fixture
def panel(wide):
    return wide.stack(future_stack=True).rename_axis(["timestamp", "symbol"]).rename("close").to_frame()


@pytest.fixture
def returns(wide):
    return wide[["A", "B", "D"]].pct_change().fillna(0.0)


def kinds(report):
    return [found.kind for found in report.findings]


# Universes


def survivors_listed(prices):
    return list(prices.columns[prices.notna().all()])


def survivors_kept(prices):
    return prices.dropna(axis=1)


def alive_at_the_end(prices):
    last = prices.iloc[-1].notna()
    return {day: set(prices.columns[prices.loc[day].notna() & last]) for day in prices.index[::21]}


def largest_of_all_time(prices):
    largest = prices.mean().nlargest(2).index
    return prices.notna() & prices.columns.isin(largest)


@pytest.mark.parametrize("universe", [survivors_listed, survivors_kept, alive_at_the_end, largest_of_all_time])
def test_survivorship_is_found_in_every_form_of_a_universe(universe, wide):
    report = audit.check(universe, wide)
    assert {found.kind for found in report.leaks} == {"survivorship"}
    assert report.findings == report.leaks
    assert report.leaks[0].line.confirmed


def test_members_of_the_day_are_no_survivors(wide):
    def by_date(prices):
        return {day: set(prices.columns[prices.loc[:day].tail(20).notna().all()]) for day in prices.index[::21]}

    assert audit.check(by_date, wide).passed
    assert audit.check(lambda prices: prices.notna(), wide).passed
    assert audit.check(lambda prices: list(prices.columns), wide).passed


# Panels, mappings, arrays


def test_a_panel_is_cut_by_time_and_matched_by_symbol(panel):
    honest = audit.check(lambda t: t["close"].groupby(level="timestamp").rank(pct=True), panel)
    assert honest.passed, honest
    per_symbol = lambda s: s.pct_change(fill_method=None).rolling(5).mean()  # noqa: E731
    assert audit.check(lambda t: t["close"].groupby(level="symbol").transform(per_symbol), panel).passed
    leaking = audit.check(lambda t: t["close"].groupby(level="symbol").transform(lambda s: s / s.max()), panel)
    assert kinds(leaking) == ["whole_sample_extreme"]
    scored = audit.check(lambda t: t["close"] / t["close"].groupby(level="symbol").transform("std"), panel)
    assert kinds(scored) == ["target_encoding"]
    assert scored.leaks[0].first == DAYS[0]


def test_a_panel_sorted_by_symbol_is_cut_the_same(panel):
    by_symbol = panel.swaplevel().sort_index()
    report = audit.check(lambda t: t["close"].groupby(level="symbol").shift(-2), by_symbol)
    assert kinds(report) == ["shifted_label"]
    assert report.leaks[0].ahead == 2
    assert audit.check(lambda t: t["close"].groupby(level="symbol").shift(2), by_symbol).passed


@pytest.fixture
def earnings():
    ends = pd.date_range("2018-01-31", periods=13, freq="ME", tz="UTC")
    eps = np.random.default_rng(1).normal(1, 1, 13)
    return pd.DataFrame({"end": ends, "published": ends + pd.Timedelta("40D"), "eps": eps})


def by_end(d):
    latest = d["earnings"].set_index("end")["eps"]
    return latest.reindex(d["prices"].index, method="ffill") / d["prices"]["A"]


def by_publication(d):
    rows = pd.DataFrame({"t": d["prices"].index})
    joined = pd.merge_asof(rows, d["earnings"].sort_values("published"), left_on="t", right_on="published")
    return pd.Series(joined["eps"].to_numpy(), d["prices"].index)


def test_a_publication_lag_is_found_only_when_it_is_declared(wide, earnings):
    data = {"prices": wide, "earnings": earnings}
    known = Use(known={"earnings": "published"})
    report = audit.check(by_end, data, use=known)
    assert kinds(report) == ["publication_lag"]
    assert "set_index" in report.leaks[0].line.expression
    assert report.leaks[0].first == pd.Timestamp("2018-01-31", tz="UTC")
    assert audit.check(by_publication, data, use=known).passed
    assert audit.check(by_publication, data, use=known, seed=5).passed
    # Without the publication times there is nothing to compare with: the docs say so.
    indexed = {"prices": wide, "earnings": earnings.set_index("end")}
    plain = lambda d: d["earnings"]["eps"].reindex(d["prices"].index, method="ffill")  # noqa: E731
    assert audit.check(plain, indexed).passed
    assert kinds(audit.check(plain, indexed, use=Use(known={"earnings": "40D"}))) == ["publication_lag"]


def test_a_day_early_is_told_by_the_delay(wide):
    """A row labelled at midnight that holds the day's close, used at midnight, is a day early."""
    use = Use(known=pd.Timedelta("16h"))
    assert kinds(audit.check(lambda p: p["A"].pct_change(), wide, use=use)) != []
    later = Use(known=pd.Timedelta("16h"), delay="1D")
    assert audit.check(lambda p: p["A"].pct_change(), wide, use=later).passed


def test_arrays_are_in_order_of_time():
    rng = np.random.default_rng(0)
    data = {"close": rng.uniform(1, 2, 200), "volume": rng.integers(1_000, 9_999, 200), "unit": "USD"}
    report = audit.check(lambda d: {"a": d["close"] * 2, "b": d["volume"] / d["volume"].max()}, data)
    assert [(found.feature, found.kind, found.first) for found in report.leaks] == [("b", "whole_sample_extreme", 0)]
    assert audit.check(lambda x: np.cumsum(x, axis=0), rng.normal(size=(200, 3))).passed
    dated = audit.check(lambda x: x - x.mean(), rng.normal(size=300), use=Use(index=DAYS))
    assert dated.leaks[0].first == DAYS[0]
    flags = rng.random(200) > 0.5
    assert audit.check(lambda d: d["on"] * 1.0, {"on": flags, "word": rng.normal(size=200)}).passed
    assert not audit.check(lambda d: d["on"][::-1] * 1.0, {"on": flags}).passed


def test_own_rows_are_compared_by_their_labels(wide):
    weekly = audit.check(lambda p: p["A"].resample("W").mean(), wide)
    assert weekly.passed, weekly
    assert "rows of its own" in weekly.notes[0]
    early = audit.check(lambda p: p["A"].resample("W", label="left").mean(), wide)
    assert kinds(early) == ["look_ahead_resampling"]
    months = audit.check(lambda p: p["A"].tz_localize(None).groupby(p.index.tz_localize(None).to_period("M")).mean(),
                         wide.tz_localize(None))  # fmt: skip
    assert months.passed, months


# scikit-learn


def test_a_scaler_fitted_on_everything_leaks_and_one_fitted_before_does_not(returns):
    report = audit.check(StandardScaler(), returns)
    assert kinds(report) == ["fitted_on_everything"]
    assert {report.leaks[0].feature, *report.leaks[0].also} == {"A", "B", "D"}
    before = audit.check(StandardScaler(), returns, use=Use(fit_until="2018-06-01"))
    assert before.passed, before
    assert "trained the estimator" in before.notes[0]
    assert before.first >= pd.Timestamp("2018-06-01", tz="UTC")


def test_the_step_of_a_pipeline_is_named(returns):
    chain = make_pipeline(FunctionTransformer(lambda t: t * 2), StandardScaler(), PCA(2))
    report = audit.check(chain, returns, use=Use(min_rows=5))
    assert kinds(report) == ["fitted_on_everything"]
    assert report.leaks[0].line.text == "step 'standardscaler': StandardScaler"
    assert not hasattr(chain[-1], "components_")  # a clone was fitted, not the user's own


def test_a_leak_inside_a_pipeline_is_traced_to_its_line(returns):
    chain = make_pipeline(FunctionTransformer(lambda t: t - t.mean()), StandardScaler())
    report = audit.check(chain, returns, use=Use(fit_until="2018-06-01"))
    assert kinds(report) == ["whole_sample_normalisation"]
    assert report.leaks[0].line.expression == "t.mean()"


def test_labels_that_reach_into_the_test_are_found(returns):
    """Training labels look five days ahead: without a purge, the last of them come from the test."""
    target = returns["A"].rolling(5).sum().shift(-5).dropna()
    data = {"x": returns, "y": target}
    leaking = Use(target="y", fit_until="2018-09-03", known={"y": "7D"})
    assert kinds(audit.check(Ridge(), data, use=leaking)) == ["publication_lag"]
    purged = {"x": returns, "y": target[:"2018-08-24"]}
    assert audit.check(Ridge(), purged, use=leaking).passed


# What is never a pass


def test_problems_are_findings(wide):
    outside = wide["A"].copy()

    def mutates(p):
        p["new"] = 1.0
        return p["A"]

    def refuses(p):
        if (p["A"] > 70).any():
            raise ValueError("a price above 70")
        return p["A"]

    def short(p):
        if len(p) < 50:
            raise ValueError("too short")
        return p["A"]

    assert kinds(audit.check(mutates, wide)) == ["mutates_input"]
    assert kinds(audit.check(refuses, wide)) == ["fails_on_another_future"]
    assert kinds(audit.check(lambda p: 1 / 0, wide)) == ["fails"]
    assert kinds(audit.check(lambda p: p["A"].reset_index(drop=True), wide)) == ["wrong_shape"]
    assert kinds(audit.check(lambda p: p["A"].to_numpy()[1:], wide)) == ["wrong_shape"]
    assert kinds(audit.check(lambda p: p["A"].mean(), wide)) == ["wrong_shape"]
    assert kinds(audit.check(lambda p: None, wide)) == ["wrong_shape"]
    assert kinds(audit.check(lambda p: p["A"] * np.nan, wide)) == ["nothing_to_compare"]
    assert kinds(audit.check(lambda p: p.assign(none=np.nan)[["A", "none"]], wide)) == ["nothing_to_compare"]
    assert kinds(audit.check(lambda p: p["A"] / outside.mean(), wide)) == ["reads_outside_data"]
    report = audit.check(short, wide)
    assert kinds(report) == ["fails_when_truncated"]
    assert "from 50 rows on" in report.findings[0].detail
    assert audit.check(short, wide, use=Use(min_rows=50)).passed
    for one in (audit.check(short, wide), audit.check(mutates, wide)):
        assert (one.passed, one.verdict) == (False, "undecided")
    assert "new" not in wide.columns


def test_random_numbers_are_said_and_a_leak_beside_them_is_still_found(wide):
    noisy = audit.check(lambda p: p["A"] + np.random.normal(size=len(p)), wide)
    assert kinds(noisy) == ["not_reproducible"]
    both = audit.check(lambda p: p["A"].shift(-1) + np.random.normal(size=len(p)), wide)
    assert kinds(both) == ["shifted_label", "not_reproducible"]
    state = np.random.get_state()[1].copy()
    audit.check(lambda p: p["A"] + np.random.normal(size=len(p)), wide.head(20))
    assert len(state) == len(np.random.get_state()[1])
    fresh = np.random.default_rng()
    own = audit.check(lambda p: p["A"] + fresh.normal(size=len(p)), wide)
    assert kinds(own) == ["not_reproducible"]


def test_a_value_that_appears_with_the_future_is_a_leak(wide):
    """NaN today, a number once tomorrow is known: no number ever changes."""
    report = audit.check(lambda p: p["A"].where(p["A"].shift(-1).notna()), wide)
    (found,) = report.leaks
    assert np.isnan(found.magnitude)
    assert found.appears >= 1
    infinite = audit.check(lambda p: p["A"].where(p["A"] < p["A"].max(), np.inf), wide)
    assert not infinite.passed


def test_a_change_below_rounding_cannot_be_seen_and_one_above_is(wide):
    def faint(size):
        return lambda p: p["A"] * (1 + size * np.nan_to_num(p["A"].iloc[-1]))

    assert audit.check(faint(1e-13), wide, cuts=4).passed
    assert not audit.check(faint(1e-6), wide, cuts=4).passed


def test_gaps_are_planted_only_where_they_may_be(wide):
    filled = wide[["A", "B"]]
    report = audit.check(lambda p: p["A"].interpolate(), filled)
    assert kinds(report) == ["interpolation"]
    assert "planted" in report.leaks[0].detail
    assert audit.check(lambda p: p["A"].interpolate(), filled, use=Use(gaps=False)).passed

    def strict(p):
        if p.isna().any(axis=None):
            raise ValueError("no gaps, please")
        return p["A"]

    assert audit.check(strict, filled).passed


# What cannot be asked


@pytest.mark.parametrize(
    ("data", "use", "error", "words"),
    [
        ([1.0, 2.0], None, BadInput, "list"),
        (pd.Series(range(5)), None, BadInput, "5 different times"),
        (pd.Series(range(20), list("abcdefghijklmnopqrst")), None, BadInput, "'a'"),
        (pd.Series(range(20), pd.date_range("2020", periods=20)[::-1]), None, BadInput, "Sort by time"),
        (pd.Series(range(20), [pd.NaT, *pd.date_range("2020", periods=19)]), None, BadDates, "NaT"),
        (pd.Series(range(20)), Use(min_rows=0), BadParameter, "min_rows is 0"),
        (pd.Series(range(20)), Use(min_rows=20), BadInput, "min_rows is 20"),
        (pd.Series(range(20)), Use(known="nowhere"), BadInput, "nowhere"),
        (pd.Series(range(20)), Use(known=-1), BadInput, "negative"),
        (pd.Series(range(20)), Use(target="y"), BadParameter, "estimators"),
        ({"a": np.arange(20)}, Use(known={"b": 1}), BadInput, "'b'"),
        ({}, None, BadInput, "without entries"),
        (pd.Series(range(20)), Use(delay="soon"), BadInput, "soon"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(data, use, error, words):
    with pytest.raises(error, match=words):
        audit.check(lambda given: given, data, use=use)


def test_cuts_and_seed_are_checked(wide):
    for cuts in (0, "often", ["2030-01-01"], [DAYS[-1]], True):
        with pytest.raises((BadParameter, BadInput)):
            audit.check(lambda p: p["A"], wide, cuts=cuts)
    with pytest.raises(BadParameter, match="seed"):
        audit.check(lambda p: p["A"], wide, seed=-1)
    with pytest.raises(BadInput, match="cannot be called"):
        audit.check(3, wide)
    report = audit.check(lambda p: p["A"], wide, cuts=[DAYS[50], "2018-06-01"])
    assert (report.cuts, report.first) == (2, DAYS[50])


# How it is shown


def test_a_report_is_text_html_and_json(wide):
    report = audit.check(lambda p: p["A"] - p["A"].mean(), wide, use=Use(name="<mine>"))
    told = json.loads(json.dumps(report.to_dict()))
    assert told["verdict"] == "leaks"
    assert told["findings"][0]["line"]["expression"] == 'p["A"].mean()'
    assert told["findings"][0]["first"] == "2018-01-01T00:00:00+00:00"
    assert "Whole-sample normalisation" in repr(report)
    page = report._repr_html_()
    assert "&lt;mine&gt;" in page
    assert "<mine>" not in page
    assert "Use a rolling or expanding statistic" in page
    passed = audit.check(lambda p: p["A"], wide)
    assert repr(passed).startswith("✓ <lambda>: no leak found")
    assert "<table" not in passed._repr_html_()


def test_progress_is_told(wide):
    told = []
    audit.check(lambda p: p["A"], wide, cuts=3, progress=lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2]
