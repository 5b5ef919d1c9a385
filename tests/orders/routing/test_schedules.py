"""Schedules: every share once, within the session, in the proportions asked for; Almgren-Chriss against scipy."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from quantdesk.errors import BadDates, BadInput
from quantdesk.orders.routing.schedules import RiskTerms, Slice, Window, almgren_chriss, pov, trajectory, twap, vwap

DAY = dt.date(2026, 11, 23)
HOUR = Window.of(DAY, dt.time(10), dt.time(11))
RISK = RiskTerms(volatility=0.95, eta=2.5e-6, gamma=2.5e-7, risk_aversion=1e-6)  # the paper's example stock


def holds(slices: tuple[Slice, ...], shares: int, window: Window) -> None:
    assert sum(one.shares for one in slices) == shares
    assert all(one.shares > 0 and window.begins <= one.at < window.ends for one in slices)
    assert [one.at for one in slices] == sorted({one.at for one in slices})


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 60), st.none() | st.integers(0, 99), st.data())
def test_every_share_is_sent_once_within_the_window(shares: int, count: int, seed: int | None, data: Any) -> None:
    profile = data.draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count).filter(any))
    for slices in (
        twap(shares, HOUR, count, seed=seed),
        vwap(shares, HOUR, profile, seed=seed),
        almgren_chriss(shares, HOUR, count, RISK, seed=seed),
    ):
        holds(slices, shares, HOUR)
    assert twap(shares, HOUR, count, seed=seed) == twap(shares, HOUR, count, seed=seed)


@given(st.integers(1, 10**6), st.integers(1, 60))
def test_even_parts_differ_by_a_share_at_most(shares: int, count: int) -> None:
    parts = [one.shares for one in twap(shares, HOUR, count)]
    if shares >= count:
        assert max(parts) - min(parts) <= 1
        assert len(parts) == count
    else:
        assert parts == [1] * shares


def test_a_profile_is_followed_and_its_empty_parts_left_out() -> None:
    assert [one.shares for one in vwap(1000, HOUR, [3, 0, 1])] == [750, 250]
    assert vwap(1000, HOUR, [3, 0, 1])[1].at == HOUR.begins + (HOUR.ends - HOUR.begins) * 2 // 3


def test_jitter_moves_times_within_their_intervals_and_no_shares() -> None:
    plain, moved, other = twap(1000, HOUR, 10), twap(1000, HOUR, 10, seed=1), twap(1000, HOUR, 10, seed=2)
    assert [one.shares for one in plain] == [one.shares for one in moved]
    assert moved != other
    length = (HOUR.ends - HOUR.begins) // 10
    assert all(0 <= b.at - a.at < length for a, b in zip(plain, moved, strict=True))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20), st.floats(0.01, 0.5), st.integers(1, 5000))
def test_participation_never_exceeds_its_rate(volume: list[int], rate: float, shares: int) -> None:
    if math.floor(sum(volume) * (rate / (1 - rate)) + 1e-9) < shares:
        with pytest.raises(BadInput, match="would trade"):
            pov(shares, HOUR, volume, rate)
        return
    slices = pov(shares, HOUR, volume, rate)
    holds(slices, shares, HOUR)
    edges = HOUR.edges(len(volume))
    own = others = 0
    for begin, end, traded in zip(edges[:-1], edges[1:], volume, strict=True):
        own += sum(one.shares for one in slices if begin <= one.at < end)
        others += traded
        assert own <= rate * (own + others) + 1e-6


def test_a_rate_that_cannot_fill_the_order_names_one_that_can() -> None:
    with pytest.raises(BadInput, match=r"only 111 of 500 would trade.*at least 33\.3%"):
        pov(500, HOUR, [500, 500], 0.1)
    holds(pov(500, HOUR, [500, 500], 0.3334), 500, HOUR)


# ---------------------------------------------------------------------------------------- Almgren and Chriss


def test_the_papers_example() -> None:
    """Almgren and Chriss (2000), the parameters of their table 1: five steps of a day, kappa about 0.61 a day."""
    assert RISK.eta_tilde(1.0) == pytest.approx(2.375e-6)
    assert RISK.kappa(1.0) == pytest.approx(0.61, abs=0.005)
    step, kappa = 1.0, RISK.kappa(1.0)
    square = RISK.risk_aversion * RISK.volatility**2 / RISK.eta_tilde(step)
    assert 2 / step**2 * (math.cosh(kappa * step) - 1) == pytest.approx(square, rel=1e-12)
    expected = [math.sinh(kappa * (5 - j)) / math.sinh(kappa * 5) for j in range(6)]
    assert trajectory(5, kappa) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.05, 3.0), st.floats(1e-7, 1e-5), st.floats(0, 5e-7), st.floats(1e-8, 1e-4), st.integers(2, 8))
def test_the_closed_form_is_the_numerical_optimum(
    volatility: float, eta: float, gamma: float, risk_aversion: float, count: int
) -> None:
    step = 1.0 / count
    if eta - gamma * step / 2 <= 1e-8:
        return
    terms = RiskTerms(volatility, eta, gamma, risk_aversion)

    def cost(inner: np.ndarray) -> float:
        """Expected cost and risk aversion times variance, in units of X^2 eta: their equations for linear impact."""
        held = np.concatenate([[1.0], inner, [0.0]])
        sold = -np.diff(held)
        expected = gamma / 2 + terms.eta_tilde(step) / step * (sold**2).sum()
        return float((expected + risk_aversion * volatility**2 * step * (held[1:] ** 2).sum()) / eta)

    start = np.linspace(1, 0, count + 1)[1:-1]
    found = minimize(cost, start, method="BFGS", options={"gtol": 1e-9})
    closed = trajectory(count, terms.kappa(step) * step)
    assert cost(closed[1:-1]) <= found.fun * (1 + 1e-9)
    assert closed[1:-1] == pytest.approx(found.x, abs=2e-4)


def test_no_risk_aversion_is_even_and_much_is_at_once() -> None:
    even = almgren_chriss(1000, HOUR, 4, RiskTerms(0.95, 2.5e-6, risk_aversion=0.0))
    assert [one.shares for one in even] == [250] * 4
    urgent = almgren_chriss(1000, HOUR, 50, RiskTerms(100.0, 2.5e-6, risk_aversion=1e6))
    assert [one.shares for one in urgent] == [1000]
    assert (np.diff(trajectory(50, 40.0)) <= 0).all()
    assert np.isfinite(trajectory(1000, 700.0)).all()


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("day", "begins", "ends", "words"),
    [
        (DAY, (10, 0), (10, 0), "too short"),
        (DAY, (11, 0), (10, 0), "too short"),
        (DAY, (9, 0), (10, 0), "out of the session"),
        (DAY, (15, 0), (16, 1), "out of the session"),
        (dt.date(2026, 11, 27), (12, 0), (14, 0), "out of the session"),  # an early close
        (dt.date(2026, 11, 26), (10, 0), (11, 0), "closed on 2026-11-26"),  # Thanksgiving
    ],
)
def test_no_window_reaches_out_of_the_session(
    day: dt.date, begins: tuple[int, int], ends: tuple[int, int], words: str
) -> None:
    with pytest.raises(BadDates, match=words):
        Window.of(day, dt.time(*begins), dt.time(*ends))


def test_what_cannot_be_scheduled_is_refused() -> None:
    for shares in (0, -1, 1.5, True, "5"):
        with pytest.raises(BadInput):
            twap(shares, HOUR, 3)  # type: ignore[arg-type]
    for count in (0, -1, 2.0, True):
        with pytest.raises(BadInput):
            twap(10, HOUR, count)  # type: ignore[arg-type]
    for profile in ([], [0, 0], [-1, 2], [math.nan], [[1, 2]]):
        with pytest.raises(BadInput):
            vwap(10, HOUR, profile)
    for rate in (0, 1, -0.1, math.nan):
        with pytest.raises(BadInput):
            pov(10, HOUR, [100], rate)
    for volume in ([], [-1], [1.5]):
        with pytest.raises(BadInput):
            pov(10, HOUR, volume, 0.1)  # type: ignore[arg-type]
    for wrong in ((-1.0, 1.0), (1.0, 0.0), (math.nan, 1.0)):
        with pytest.raises(BadInput):
            RiskTerms(*wrong)
    with pytest.raises(BadInput, match="more slices"):
        almgren_chriss(10, HOUR, 1, RiskTerms(1.0, 1e-6, gamma=1e-3))
