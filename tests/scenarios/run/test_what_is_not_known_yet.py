"""Quotes, and what orders cost, know nothing of a bar before it ends."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantdesk.scenarios import Path
from quantdesk.scenarios.market import PathMarket
from quantdesk.scenarios.run import RunConfig, holdings_of, run_account
from quantdesk.scenarios.run.stage import stage_of


def with_opens(path: Path) -> Path:
    """Each day opens at the close before it."""
    opens = np.vstack([path.close[:1], path.close[:-1]])
    return dataclasses.replace(path, open=opens, high=np.maximum(opens, path.close), low=np.minimum(opens, path.close))


def crashing(path: Path, bar: int) -> Path:
    """The same, but everything halves at the close of a bar."""
    close = path.close.copy()
    close[bar:] *= 0.5
    low = np.minimum(path.low, close)  # type: ignore[arg-type]
    return dataclasses.replace(path, close=close, low=low)


def test_quotes_before_a_close_do_not_know_it(path_of) -> None:
    calm = with_opens(path_of(bars=8))
    wild = crashing(calm, 5)
    quiet, stormy = (PathMarket(path).quotes.flow("AAPL", 5) for path in (calm, wild))
    assert quiet is not None
    assert stormy is not None
    for name in ("bid", "ask", "bid_size", "ask_size"):
        np.testing.assert_array_equal(getattr(quiet, name)[0], getattr(stormy, name)[0])
    assert quiet.impact == stormy.impact
    # At its close everybody knows: spreads are wide, and little is shown.
    (bid, ask), (calm_bid, calm_ask) = stormy.best, quiet.best
    assert (ask[-1] - bid[-1]) / bid[-1] > 5 * (calm_ask[-1] - calm_bid[-1]) / calm_bid[-1]
    assert stormy.bid_size[-1].sum() < quiet.bid_size[-1].sum()


def test_the_day_after_a_crash_opens_wide(path_of) -> None:
    calm = with_opens(path_of(bars=8))
    quiet, stormy = (PathMarket(path).quotes.flow("AAPL", 6) for path in (calm, crashing(calm, 5)))
    assert quiet is not None
    assert stormy is not None
    assert stormy.impact is not None
    assert quiet.impact is not None
    (bid, ask), (calm_bid, calm_ask) = stormy.best, quiet.best
    assert (ask[0] - bid[0]) / bid[0] > 5 * (calm_ask[0] - calm_bid[0]) / calm_bid[0]
    assert stormy.impact.y > quiet.impact.y


@pytest.mark.parametrize("bar", [1, 5])
def test_what_is_bought_at_an_open_costs_the_same_whatever_the_day_brings(path_of, bar: int) -> None:
    calm = with_opens(path_of(bars=8))
    costs = []
    for path in (calm, crashing(calm, bar)):
        stage = stage_of(path, None, RunConfig())
        wish = lambda seen: {"AAPL": 0.2} if len(seen.bars) == bar else None  # noqa: E731
        account = run_account(stage, wish, holdings_of({"cash": 1e6}, stage.path))
        costs.append({name: account.attribution.cause[name] for name in ("spread", "impact", "fees")})
        assert account.filled_shares > 0
    assert costs[0] == costs[1]
