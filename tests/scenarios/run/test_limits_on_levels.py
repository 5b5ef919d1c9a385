"""A number of shares means nothing where levels of prices are not those of their day."""

from __future__ import annotations

import dataclasses

import pandas as pd

from quantdesk.orders.guardrails import bundled
from quantdesk.scenarios import RunConfig, Seen
from quantdesk.scenarios.run import holdings_of, run_account, stage_of

CASH = 1_000_000.0


def buys_many(seen: Seen) -> dict[str, float] | None:
    return {"AAPL": 0.2} if not len(seen.bars) else None


def test_an_adjusted_penny_stock_is_no_breach_of_a_limit_on_shares(path_of) -> None:
    path = path_of(bars=3)
    small = path.close.copy()
    small[:, path.column("AAPL")] /= 50  # as splits of later years do
    before = path.history.close.copy()
    before[:, path.history.column("AAPL")] /= 50
    adjusted = dataclasses.replace(
        path,
        close=small,
        history=dataclasses.replace(path.history, close=before),
        labels=("levels_reconstructed",),
    )
    stage = stage_of(adjusted, None, RunConfig())
    account = run_account(stage, buys_many, holdings_of({"cash": CASH}, stage.path))
    assert account.wished_shares > 100_000
    assert "MAX_SHARES" not in {event.cause for event in account.breaches}
    assert any("numbers of shares" in note for note in stage.notes)
    own = stage_of(adjusted, None, RunConfig(policy=bundled()))
    assert "MAX_SHARES" in {
        event.cause for event in run_account(own, buys_many, holdings_of({"cash": CASH}, path)).breaches
    }


def test_an_account_in_the_dark_is_worth_what_feeds_showed_last(path_of) -> None:
    from quantdesk.scenarios.market import Effects

    path = path_of(bars=8)
    dark = (("AAPL",), int(path.begins[4]), int(path.ends[6]))
    stage = stage_of(path, None, RunConfig(), effects=Effects(dark=(dark,)))
    seen: dict[pd.Timestamp, float] = {}

    def looks(view: Seen) -> None:
        seen[view.at] = view.value

    run_account(stage, looks, holdings_of({"cash": 1000, "AAPL": 100}, stage.path))
    values, price = list(seen.values())[1:], path.close[:, path.column("AAPL")]
    assert values[4] == values[5] == values[6] == 1000 + 100 * price[3]
    assert values[7] == 1000 + 100 * price[7]
