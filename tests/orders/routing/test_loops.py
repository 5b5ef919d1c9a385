"""The compiled loops do what they say in Python: the same source, run by the interpreter, gives the same bits."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.routing import (
    Books,
    Parents,
    SmartOrderRouter,
    Terms,
    costs,
    fills,
    kernel,
    layout,
    streams,
)

_spec = importlib.util.spec_from_file_location("routing_made_loops", Path(__file__).with_name("made.py"))
assert _spec is not None
assert _spec.loader is not None
made = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The loops as plain Python, wherever one calls another. The router has its machine code by then, and keeps it."""
    SmartOrderRouter().warm_up()
    for module in (fills, streams, costs, kernel):
        for name, loop in list(vars(module).items()):
            if hasattr(loop, "py_func"):
                monkeypatch.setattr(module, name, loop.py_func)
    assert not hasattr(kernel.split_one, "py_func")
    return kernel


def same(order: Order, quotes: Quotes, protection: bool, terms: tuple[Terms, ...], loops: ModuleType) -> None:
    router = SmartOrderRouter(terms)
    receipt = router.route(order, quotes, order_id="P", protection=protection)
    day = router.day(quotes.at)
    parents, books = Parents.of([order], [quotes.at], day, protection=protection), Books.of([quotes])
    count = len(quotes.venues)
    rows, marks = np.zeros((1, count, layout.ROW_SIZE), np.int64), np.zeros((count, layout.MARK_SIZE))
    whole, money = np.zeros((1, layout.WHOLE_SIZE), np.int64), np.zeros((1, layout.MONEY_SIZE))
    with np.errstate(over="ignore"):  # the mixing of the seed lets numbers overflow on purpose
        loops.split_all(parents.numbers, parents.volatility, books.bid, books.bid_size, books.ask, books.ask_size,
                        books.quoted_at, day.rules(books.venues), rows, marks, whole, money)  # fmt: skip
        alone = layout.Found(
            np.zeros_like(rows[0]), np.zeros_like(marks), np.zeros_like(whole[0]), np.zeros_like(money[0])
        )
        far, near = ("ask", "bid") if order.is_buy else ("bid", "ask")
        book = layout.Book(
            *(getattr(books, name)[0] for name in (far, f"{far}_size", near, f"{near}_size", "quoted_at"))
        )
        loops.split_one(parents.numbers[0], parents.volatility[0], book, day.rules(books.venues), alone)
    np.testing.assert_array_equal(alone.rows, rows[0])
    np.testing.assert_array_equal(rows[0], receipt.found.rows)
    np.testing.assert_array_equal(whole[0], receipt.found.whole)
    np.testing.assert_allclose(money[0], receipt.found.money, rtol=1e-12)
    np.testing.assert_allclose(marks, receipt.found.marks, rtol=1e-9, atol=1e-12)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made.orders(), made.markets((*made.NAMES, "Dark"), levels=2), st.booleans())
def test_the_interpreter_gives_the_same(
    interpreted: ModuleType, order: Order, quotes: Quotes, protection: bool
) -> None:
    same(order, quotes, protection, made.TERMS, interpreted)


def test_machine_code_is_kept_for_these_loops_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba alone would take what it kept although a loop in another file has changed since."""
    now = kernel.stamp()
    code = "from quantdesk.orders.routing import kernel; print(kernel.stamp())"
    for salt in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": salt},
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert int(done.stdout) == now
    with monkeypatch.context() as changed:
        changed.setattr(layout, "UNITS", layout.UNITS + 1)
        assert kernel.stamp() != now
    monkeypatch.setattr(fills, "survival", fills.compiled(lambda age, exposure, half_life: 1.0))
    assert kernel.stamp() != now


def test_where_nothing_can_be_written_the_loops_are_compiled_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = fills.njit

    def read_only(**options: Any) -> Callable[..., Any]:
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(fills, "njit", read_only)
    assert fills.kept(lambda a: a + 1)(1) == 2


FLEETING = (Terms("Near", 0, 0, 0, 1_000, True, 0.0), Terms("Faraway", 0, 0, 0, 2_000_000_000, True, 0.5))
DEAR = (Terms("Near", 2_000_000, 0, 0, 1_000, True, 0.0),)
TWO = {"Near": (99_900_000, 100, 100_010_000, 500), "Faraway": (99_900_000, 100, 100_000_000, 200)}
ONE = {"Near": (99_900_000, 100, 100_010_000, 500)}


@pytest.mark.parametrize(
    ("terms", "books", "order", "status"),
    [
        (FLEETING, TWO, Order("ABC", "buy", 600), layout.ROUTED),  # each price is tried
        (FLEETING, TWO, Order("ABC", "buy", 150), layout.ROUTED),  # too small to sweep
        (FLEETING, TWO, Order("ABC", "buy", 9000), layout.ROUTED),  # more than is shown
        (
            FLEETING,
            TWO,
            Order("ABC", "buy", 9000, "limit", "100.05", urgency="high"),
            layout.ROUTED,
        ),  # what is left rests
        (FLEETING, TWO, Order("ABC", "buy", 9000, "limit", "99.00"), layout.ROUTED),  # rests behind long odds
        (
            DEAR,
            ONE,
            Order("ABC", "buy", 9000, "limit", "99.99"),
            layout.ROUTED,
        ),  # no place in the queue is worth its fee
        (FLEETING, TWO, Order("ABC", "buy", 9000, "limit", "99.95", urgency="low"), layout.ROUTED),
        (FLEETING, TWO, Order("ABC", "sell", 50, "ioc"), layout.ROUTED),
        (FLEETING, {"Near": (0, 0, 0, 0)}, Order("ABC", "buy", 1), layout.NO_QUOTES),
        (FLEETING, {"Near": (0, 0, 5, 5)}, Order("ABC", "buy", 1), layout.NO_BID),
        (FLEETING, {"Near": (5, 5, 0, 0)}, Order("ABC", "buy", 1), layout.NO_OFFER),
        (FLEETING, {"Near": (7, 5, 8, 5), "Faraway": (4, 5, 6, 5)}, Order("ABC", "buy", 1), layout.CROSSED),
        (FLEETING, {"Dark": (99_900_000, 5, 100_000_000, 5)}, Order("ABC", "buy", 1), layout.NO_VENUE),
        (FLEETING, {**ONE, "Dark": (99_900_000, 5, 100_000_000, 5)}, Order("ABC", "buy", 1), layout.BLOCKED),
        (DEAR, ONE, Order("ABC", "buy", 9, "midpoint_peg"), layout.NO_VENUE),
    ],
)
def test_the_interpreter_gives_the_same_at_every_turn(
    interpreted: ModuleType,
    terms: tuple[Terms, ...],
    books: dict[str, tuple[int, int, int, int]],
    order: Order,
    status: int,
) -> None:
    quotes = Quotes.of("ABC", made.AT, books)
    same(order, quotes, True, terms, interpreted)
    assert SmartOrderRouter(terms).route(order, quotes, order_id="P", protection=True).found.whole[0] == status
