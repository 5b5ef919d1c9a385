"""A backtest that sees the members of the day: a planted company that fails shows the difference."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from quantdesk.backtest import FREE, Costs, ImmediateFill, Setup, run
from quantdesk.errors import BadInput, UnknownName
from quantdesk.market.universes import Membership, Universe

SIZE, END = 120, 60
INDEX = pd.date_range("2001-01-02 21:00", periods=SIZE, freq="B", tz="UTC", name="timestamp")


def day(row):
    return INDEX[row].date()


def late(row, hours=0):
    return INDEX[row].to_pydatetime() + dt.timedelta(hours=hours)


def member(symbol, start=0, end=None, told=None):
    return Membership(
        symbol=symbol,
        start=day(start),
        end=None if end is None else day(end),
        known_at=late(start, -10),
        end_known_at=None if end is None else late(end if told is None else told, -1),
    )


@pytest.fixture
def prices():
    """Two companies that live, and one that falls by 3 % a session until its last price at END."""
    rng = np.random.default_rng(3)
    moves = rng.normal(0.001, 0.01, (SIZE, 3))
    moves[:, 2] = -0.03
    table = pd.DataFrame(50 * np.exp(np.cumsum(moves, axis=0)), INDEX, ["LIVES", "GROWS", "FAILS"])
    table.loc[INDEX[END + 1] :, "FAILS"] = np.nan
    return table


def universe(told=None, end=END):
    members = (member("LIVES"), member("GROWS"), member("FAILS", 0, end, told))
    return Universe("made", members, survivors_only=False)


def equal_weights(rows, names):
    table = pd.DataFrame(0.0, INDEX[rows], ["LIVES", "GROWS", "FAILS"])
    table[list(names)] = 1 / len(names)
    return table


@pytest.mark.parametrize("execute", [None, ImmediateFill(FREE)], ids=["vectorbt", "loop"])
def test_a_failed_company_costs_what_survivors_hide(prices, execute):
    """The members of the day against the members of the last day: the difference is survivorship bias."""
    known = universe()
    rows = [0, 25, 50, 75, 99]
    honest = pd.DataFrame(0.0, INDEX[rows], list(prices))
    for when in honest.index:
        members = known.members(when)
        honest.loc[when, list(members)] = 1 / len(members)
    survivors = equal_weights(rows, known.members(day(110)))
    setup = Setup(universe=known)
    seen = run(prices, honest, FREE, setup=setup, execute=execute)
    hidden = run(prices, survivors, FREE, setup=setup, execute=execute)
    assert known.members(day(110)) == ("GROWS", "LIVES")
    assert known.members(day(50)) == ("FAILS", "GROWS", "LIVES")
    assert hidden.equity.iloc[-1] > 1.3 * seen.equity.iloc[-1]
    assert seen.labels == ()
    assert seen.outside == {}
    assert seen.stale_sessions == {}
    # Sold at its last session, at that session's close; nothing of it is held after that.
    last = seen.fills[seen.fills["symbol"] == "FAILS"].iloc[-1]
    assert last["timestamp"] == INDEX[END]
    assert last["price"] == pytest.approx(prices["FAILS"].iloc[END])
    assert last["shares"] < 0
    assert (seen.positions["FAILS"].iloc[END:] == 0).all()
    assert (seen.positions["FAILS"].iloc[2:END] > 0).all()


def test_both_engines_agree_where_targets_are_partial(prices):
    weights = equal_weights([0, 25, 50, 75], ["LIVES", "GROWS"])
    weights.loc[: INDEX[59]] = [0.4, 0.4, 0.2]
    setup = Setup(universe=universe())
    costs = Costs(3, 5)
    bridge = run(prices, weights, costs, setup=setup)
    loop = run(prices, weights, costs, setup=setup, execute=ImmediateFill(costs))
    np.testing.assert_allclose(bridge.equity, loop.equity, rtol=1e-9)
    assert (bridge.positions["LIVES"].iloc[51:75].nunique()) == 1, "an exit of one trades no other"


def test_a_weight_for_a_stranger_is_refused_by_name(prices):
    prices["FAILS"] = prices["FAILS"].ffill()
    weights = equal_weights([0, 40, 80, 100], ["LIVES", "FAILS"])
    with pytest.raises(BadInput, match=r"FAILS has the weight 0\.5 at 2001-04-24 21:00:00\+00:00, and is no member of"):
        run(prices, weights, setup=Setup(universe=universe()))
    result = run(prices, weights, FREE, setup=Setup(universe=universe(), outside="drop"))
    assert result.outside == {"FAILS": 2}
    assert (result.positions["FAILS"].iloc[END:] == 0).all()
    assert result.positions["LIVES"].iloc[-1] > 0


def test_nobody_is_bought_before_he_is_known(prices):
    told_late = Universe("late", (Membership(symbol="LIVES", start=day(0), end=None, known_at=late(10)),))
    with pytest.raises(BadInput, match="LIVES has the weight 1 at 2001-01-15"):
        run(prices, equal_weights([9], ["LIVES"]), setup=Setup(universe=told_late))
    assert run(prices, equal_weights([10], ["LIVES"]), setup=Setup(universe=told_late)).equity.notna().all()


def test_a_surprise_is_sold_when_it_is_known_and_there_is_a_price(prices):
    prices["FAILS"] = prices["FAILS"].ffill()
    result = run(prices, equal_weights([0], ["FAILS"]), FREE, setup=Setup(universe=universe(told=END + 5)))
    sale = result.fills.iloc[-1]
    assert sale["timestamp"] == INDEX[END + 5], "nobody sells at the close before he knows"


def test_a_surprise_without_a_price_is_sold_at_the_last_one(prices):
    result = run(prices, equal_weights([0], ["FAILS"]), FREE, setup=Setup(universe=universe(told=END + 5)))
    assert result.fills.iloc[-1]["timestamp"] == INDEX[END]
    assert result.equity.iloc[-1] == pytest.approx(1e6 * prices["FAILS"].iloc[END] / prices["FAILS"].iloc[1])


def test_at_the_open_nothing_is_known_of_the_days_close(prices):
    """Announced an hour before the last close: too late for the open of that day."""
    prices["FAILS"] = prices["FAILS"].ffill()
    opens = prices.shift(1).bfill()
    result = run(prices, equal_weights([0], ["FAILS"]), FREE, opens=opens, setup=Setup(universe=universe()))
    assert result.fills.iloc[-1]["timestamp"] == INDEX[END + 1]
    known = run(prices, equal_weights([0], ["FAILS"]), FREE, opens=opens, setup=Setup(universe=universe(told=END - 1)))
    assert known.fills.iloc[-1]["timestamp"] == INDEX[END]


def test_what_is_decided_on_the_last_session_is_not_bought_after_it(prices):
    prices["FAILS"] = prices["FAILS"].ffill()
    result = run(prices, equal_weights([END], ["FAILS", "LIVES"]), FREE, setup=Setup(universe=universe()))
    assert result.outside == {"FAILS": 1}
    assert (result.positions["FAILS"] == 0).all()


def test_the_label_of_the_universe_stays_on_the_result(prices):
    survivors = Universe("panel", (member("LIVES"), member("GROWS")), survivors_only=True)
    result = run(prices, equal_weights([0], ["LIVES"]), setup=Setup(labels=("real",), universe=survivors))
    assert result.labels == ("real", "survivors_only")
    assert any("Only members of panel" in said for said in result.assumptions)


def test_without_a_universe_nothing_changes(prices):
    weights = equal_weights([0, 30], ["LIVES", "GROWS"])
    everyone = Universe("all", tuple(member(name) for name in prices))
    plain, all_in = run(prices, weights), run(prices, weights, setup=Setup(universe=everyone))
    pd.testing.assert_series_equal(plain.equity, all_in.equity)


def test_another_word_is_refused():
    with pytest.raises(UnknownName, match="ignore"):
        Setup(outside="ignore")
