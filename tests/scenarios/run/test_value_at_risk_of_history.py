"""The loss of one day in a hundred is of days on which there was a market."""

from __future__ import annotations

import dataclasses

import numpy as np

from quantdesk.orders.alerts import bundled
from quantdesk.scenarios.market import PathMarket
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.run.watching import Watching


def returns_seen(path: Path) -> np.ndarray:
    return Watching(None, PathMarket(path), bundled(), 60.0)._past  # type: ignore[arg-type]


def test_a_day_on_which_only_another_market_was_open_hides_no_loss(path_of) -> None:
    path = path_of()
    past = path.history
    holidays = np.arange(20, 280, 20)
    table, grades = past.close.copy(), past.grades.copy()
    table[holidays], grades[holidays] = np.nan, GRADES.index(Grade.CLOSED)
    shut = dataclasses.replace(path, history=dataclasses.replace(past, close=table, grades=grades))
    without = np.delete(past.close, holidays, axis=0)
    np.testing.assert_allclose(returns_seen(shut), without[1:] / without[:-1] - 1)
    assert (returns_seen(shut) != 0).all()


def test_fewer_than_a_hundred_days_say_nothing(path_of) -> None:
    path = path_of()
    assert len(returns_seen(dataclasses.replace(path, history=path.history.cut(0, 99)))) == 0
    assert len(returns_seen(dataclasses.replace(path, history=None))) == 0
    assert len(returns_seen(dataclasses.replace(path, history=path.history.cut(0, 100)))) == 99
