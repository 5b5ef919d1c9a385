"""Whatever the network does: at most one execution a key, a mock only with proof, and nothing lost."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.client import Fallback, Fence, handle
from quantdesk.orders.client.core import Answer, Ask, Fault, Held, Parts, reconciled, routed
from quantdesk.orders.client.journal import SqliteJournal
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.order import Order
from quantdesk.orders.quotes import Quotes
from quantdesk.orders.result import OrderResult, OrderStatus

SECOND = 10**9
OUTCOMES = (
    "answers",
    "answers",
    "refused",
    "lost",
    "late",
    "taken",
    "nonsense",
    "other",
    "error",
    "restart",
    "killed before",
    "killed after",
)


class Killed(BaseException):
    """kill -9 of the client."""


class World:
    """A desk behind a fence, a network that does what it is told, and a client that may die."""

    def __init__(self, desk: Any, folder: Path, mode: ExecutionMode) -> None:
        self.desk, self.fence = desk, Fence(desk)
        self.now = 0
        self.late: list[Ask] = []
        self.outcomes: list[str] = []
        self.held = False
        self.told: list[tuple[str, OrderResult]] = []
        books = {"XNAS": (100_000_000, 300, 100_020_000, 1000)}
        self.parts = Parts(
            journal=SqliteJournal(folder / "sor.db"),
            guard=self.guard,
            clock=lambda: self.now,
            patience=10 * SECOND,
            mode=mode,
            fallback=Fallback(lambda symbol: Quotes.of(symbol, 0, books)),
        )

    def guard(self) -> Any:
        if self.held:
            raise Held
        return nullcontext()

    def deliver(self, ask: Ask) -> Answer:
        status, said = handle(self.fence, ask.method, ask.path, ask.body)
        return Answer(status, json.dumps(said).encode())

    def send(self, ask: Ask) -> Answer | Fault:
        match self.outcomes.pop() if self.outcomes else "answers":
            case "refused":
                return Fault(False, "refused")
            case "lost":
                return Fault(True, "timeout")
            case "late":
                self.late.append(ask)
                return Fault(True, "timeout")
            case "taken":
                self.deliver(ask)
                return Fault(True, "reset")
            case "nonsense":
                self.deliver(ask)
                return Answer(200, b"<html>")
            case "other":
                answer = self.deliver(ask)
                return Answer(answer.status, answer.body.replace(b'"key-', b'"yek-').replace(b'"AAPL"', b'"MSFT"'))
            case "error":
                self.deliver(ask)
                return Answer(500, b"{}")
            case "restart":
                # The process of the router ends: what it had not read ends with its connections.
                self.fence, self.late = Fence(self.desk), []
                return Fault(True, "reset")
            case "killed before":
                raise Killed
            case "killed after":
                self.deliver(ask)
                raise Killed
        return self.deliver(ask)

    def drive(self, steps: Any) -> Any:
        try:
            effect = next(steps)
            while True:
                try:
                    came = self.send(effect) if isinstance(effect, Ask) else effect()
                except Exception as error:  # noqa: BLE001
                    effect = steps.throw(error)
                else:
                    effect = steps.send(came)
        except StopIteration as end:
            return end.value
        except Killed:
            return None

    def submit(self, number: int) -> None:
        order = Order("AAPL", "buy", 100 + number, user_id="ada", idempotency_key=f"key-{number}")
        result = self.drive(routed(order, self.parts))
        if result is not None:
            self.told.append((f"key-{number}", result))

    def reconcile(self) -> None:
        for found in self.drive(reconciled(self.parts)) or ():
            self.told.append((found.idempotency_key, found.result))

    def read_late(self) -> None:
        for ask in self.late:
            self.deliver(ask)
        self.late = []


steps = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "reconcile", "late", "wait", "hold", "release"]),
        st.integers(0, 2),
        st.lists(st.sampled_from(OUTCOMES), max_size=3),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(steps, st.sampled_from([ExecutionMode.SIMULATED, ExecutionMode.LIVE]), st.booleans())
def test_at_most_one_execution_and_a_mock_only_with_proof(
    make_desk: Any, plan: list[tuple[str, int, list[str]]], mode: ExecutionMode, rests: bool
) -> None:
    desk = make_desk(mode)
    desk.status = OrderStatus.OPEN if rests else OrderStatus.FILLED
    with tempfile.TemporaryDirectory() as folder:
        world = World(desk, Path(folder), mode)
        for what, number, outcomes in plan:
            world.outcomes = outcomes
            match what:
                case "submit":
                    world.submit(number)
                case "reconcile":
                    world.reconcile()
                case "late":
                    world.read_late()
                case "wait":
                    world.now += 11 * SECOND
                case "hold":
                    world.held = True
                case "release":
                    world.held = False
        # In the end everything is read, and everybody can be asked.
        world.outcomes, world.held = [], False
        world.read_late()
        world.now += 11 * SECOND
        world.reconcile()
        assert world.parts.journal.unknown(world.now) == []
        executed = [order.idempotency_key for order in desk.executed]
        assert len(executed) == len(set(executed))
        for key, result in world.told:
            if result.execution_mode is ExecutionMode.MOCK and result.filled_shares:
                assert mode is not ExecutionMode.LIVE
                assert key not in executed
            elif result.filled_shares:
                assert key in executed
        # Whoever asks again hears the truth.
        for number in range(3):
            key = f"key-{number}"
            if key in {told for told, _ in world.told}:
                before = len(desk.executed)
                world.submit(number)
                last = world.told[-1][1]
                assert last.status is not OrderStatus.PENDING_UNKNOWN
                if key in executed:
                    assert last.execution_mode is mode
                    assert last.status is desk.status
                    assert len(desk.executed) == before


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_two_clients_of_one_journal(make_desk: Any, seed: int) -> None:
    """Two callers of one key take turns at any point; the desk executes once, and both hear the same in the end."""
    rng = random.Random(seed)
    desk = make_desk()
    with tempfile.TemporaryDirectory() as folder:
        world = World(desk, Path(folder), ExecutionMode.SIMULATED)
        world.outcomes = [rng.choice(["answers", "refused", "lost", "late", "taken", "error"]) for _ in range(6)]
        order = Order("AAPL", "buy", 100, idempotency_key="key-0")
        running = {name: routed(order, world.parts) for name in "ab"}
        effects = {name: next(steps) for name, steps in running.items()}
        results: dict[str, OrderResult] = {}
        while running:
            name = rng.choice(sorted(running))
            if rng.random() < 0.2:
                world.now += 11 * SECOND
            effect = effects[name]
            try:
                came = world.send(effect) if isinstance(effect, Ask) else effect()
                effects[name] = running[name].send(came)
            except StopIteration as end:
                results[name] = end.value
                del running[name]
        world.outcomes = []
        world.read_late()
        world.now += 11 * SECOND
        world.reconcile()
        assert len(desk.executed) <= 1
        mocks = [found for found in results.values() if found.execution_mode is ExecutionMode.MOCK]
        if any(found.filled_shares for found in mocks):
            assert desk.executed == []
        real = [found for found in results.values() if found not in mocks and found.filled_shares]
        if real:
            assert len(desk.executed) == 1


def test_a_key_is_one_order(make_desk: Any, tmp_path: Path) -> None:
    world = World(make_desk(), tmp_path, ExecutionMode.SIMULATED)
    world.submit(0)
    with pytest.raises(BadInput, match="belongs to another order"):
        world.drive(routed(Order("AAPL", "sell", 1, user_id="ada", idempotency_key="key-0"), world.parts))
    world.drive(routed(Order("AAPL", "sell", 1, user_id="bob", idempotency_key="key-0"), world.parts))
    assert len(world.desk.executed) == 2


def test_a_result_is_kept_though_its_entry_was_taken_back(make_desk: Any, tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "sor.db")
    order = Order("AAPL", "buy", 100, idempotency_key="key-0")
    first, other = make_desk().execute(order), make_desk().execute(Order("MSFT", "buy", 100, idempotency_key="key-0"))
    journal.begin(order, 0)
    journal.forget(order)
    assert journal.finish(order, first, here=True) == first
    # What was made here and what the remote says exclude each other: the first stands.
    assert journal.finish(order, other, here=False) == first
    entry = journal.begin(order, 1)
    assert (entry.result, entry.here, entry.is_new) == (first, True, False)
    journal.forget(order)
    assert journal.begin(order, 1).result == first


def test_every_entry_is_on_the_disk_before_anything_leaves(make_desk: Any, tmp_path: Path) -> None:
    world = World(make_desk(), tmp_path, ExecutionMode.SIMULATED)
    steps = routed(Order("AAPL", "buy", 1, idempotency_key="key-0"), world.parts)
    begin: Any = next(steps)
    ask = steps.send(begin())
    assert isinstance(ask, Ask)
    with sqlite3.connect(tmp_path / "sor.db") as connection:
        assert connection.execute("SELECT key, result FROM orders").fetchall() == [("key-0", None)]
    connection.close()
