"""What a portfolio could lose from a day on: laws, seeds, and a drawn future as a scenario."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import Grade, ScenarioEngine
from quantdesk.scenarios.invention import before
from quantdesk.scenarios.outlook import Draw, futures, tail_risk

BOOK = {"cash": 1000.0, "AAPL": 1000, "XOM": 500}


@pytest.mark.parametrize("law", ["filtered", "bootstrap", "student_t"])
def test_shortfall_lies_beyond_value_at_risk_and_both_within_their_intervals(store: MarketStore, law: str) -> None:
    tail = tail_risk(BOOK, store, Draw(law=law, paths=4000))  # type: ignore[arg-type]
    assert tail.es >= tail.var > 0
    assert tail.var_interval[0] <= tail.var <= tail.var_interval[1]
    assert tail.es_interval[0] <= tail.es <= tail.es_interval[1]


def test_a_seed_gives_the_same_and_twice_the_book_twice_the_loss(store: MarketStore) -> None:
    draw = Draw(law="bootstrap", paths=2000, seed=5)
    once, again = (tail_risk(BOOK, store, draw) for _ in range(2))
    double = tail_risk({name: 2 * many for name, many in BOOK.items()}, store, draw)
    assert once == again
    assert math.isclose(double.var, 2 * once.var, rel_tol=1e-9)


def test_a_crisis_behind_it_makes_a_day_more_dangerous(store: MarketStore) -> None:
    calm, wild = (
        tail_risk(BOOK, store, Draw(law="filtered", on=on, paths=4000)).var
        / (1000 * price["AAPL"] + 500 * price["XOM"])
        for on, price in (
            (
                day,
                {
                    name: float(before(day, store, history_days=0).closes([name]).iloc[-1, 0])
                    for name in ("AAPL", "XOM")
                },
            )
            for day in (dt.date(2007, 1, 31), dt.date(2008, 10, 15))
        )
    )
    assert wild > 2 * calm


def test_a_drawn_future_runs_as_a_scenario_and_is_simulated(store: MarketStore) -> None:
    drawn = futures(Draw(law="bootstrap", days=15, paths=10), store, ["AAPL", "XOM", "SPX"])
    path = drawn.to_path(3, before(None, store, history_days=0, window_days=600))
    assert path.graded(Grade.SIMULATED) > path.graded(Grade.REAL)
    first, second = (ScenarioEngine(store).run(path, ["hold"], {"AAPL": 100}) for _ in range(2))
    assert first.digest == second.digest
    assert first.share_real["all"] < 0.1


@pytest.mark.parametrize(
    ("portfolio", "said"),
    [({"cash": 5.0}, "no shares"), ({"UST:10Y": 100.0, "AAPL": 1}, "UST:10Y")],
)
def test_what_is_no_line_in_prices_is_refused(store: MarketStore, portfolio: dict[str, float], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        tail_risk(portfolio, store)


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(UnknownName, match="bootstrap"):
        Draw(law="bootstrp")  # type: ignore[arg-type]
