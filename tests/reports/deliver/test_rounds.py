"""Rounds of sending, over a store in memory and over the ledger's in a database: at least once, never after success."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import UnknownName
from quantdesk.reports.deliver import rounds
from quantdesk.reports.deliver.attempts import BackOff, next_attempt
from quantdesk.reports.deliver.channel import Permanent, Temporary
from quantdesk.reports.deliver.message import Message, of_run
from quantdesk.reports.deliver.outbox import MemoryOutbox, enqueue, message_of
from quantdesk.reports.deliver.recipients import EMAIL, FILE, WEBHOOK, Recipient
from quantdesk.reports.deliver.rounds import BUDGET_S, HOLD_S, Pumped, pump
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.ledger.entry import Delivery, DeliveryState

from .conftest import NOW, run_of

SECOND = timedelta(seconds=1)


@pytest.fixture(params=["memory", "ledger"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryOutbox()
        return
    with RunLedger.open(f"sqlite:///{tmp_path / 'reports.sqlite'}") as ledger:
        yield ledger.deliveries


class Scripted:
    """A channel that raises what it is told to, in turn, and then takes everything."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.taken: list[Message] = []

    def send(self, message: Message) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(message)


def told(to: Recipient | None = None, run: str = "run-1") -> Message:
    return of_run(run_of(id=run), to or Recipient(EMAIL, "ana@example.org"))


def one(outbox: Any, state: DeliveryState | None = None) -> Delivery:
    (found,) = outbox.list(state)
    return found


def test_a_message_goes_out_once(outbox: Any) -> None:
    channel = Scripted()
    assert enqueue(outbox, [told()], NOW) == 1
    assert enqueue(outbox, [told()], NOW) == 0
    assert pump(outbox, {EMAIL: channel}, NOW) == Pumped(sent=1)
    assert pump(outbox, {EMAIL: channel}, NOW + 10 * HOLD_S * SECOND) == Pumped()
    assert enqueue(outbox, [told()], NOW) == 0
    assert pump(outbox, {EMAIL: channel}, NOW + 20 * HOLD_S * SECOND) == Pumped()
    assert channel.taken == [told()]
    assert one(outbox).state is DeliveryState.SENT


def test_what_fails_is_tried_later_and_later(outbox: Any) -> None:
    channel = Scripted(Temporary("busy"), Temporary("busy", retry_after_s=100.0))
    enqueue(outbox, [told()], NOW)
    assert pump(outbox, {EMAIL: channel}, NOW) == Pumped(put_off=1)
    assert one(outbox).not_before == NOW + 30 * SECOND
    assert pump(outbox, {EMAIL: channel}, NOW + 29 * SECOND) == Pumped()
    assert pump(outbox, {EMAIL: channel}, NOW + 30 * SECOND) == Pumped(put_off=1)
    assert one(outbox).not_before == NOW + 130 * SECOND
    assert pump(outbox, {EMAIL: channel}, NOW + 130 * SECOND) == Pumped(sent=1)
    assert channel.taken == [told()]


def test_what_keeps_failing_or_is_refused_becomes_a_dead_letter_and_can_be_revived(outbox: Any) -> None:
    channel = Scripted(Temporary("busy"), Temporary("still busy", "Wait."), Permanent("no"))
    enqueue(outbox, [told()], NOW)
    rule = BackOff(attempts=2)
    pump(outbox, {EMAIL: channel}, NOW, back_off=rule)
    assert pump(outbox, {EMAIL: channel}, NOW + 60 * SECOND, back_off=rule) == Pumped(dead=1)
    dead = one(outbox, DeliveryState.DEAD)
    assert (dead.problem, dead.attempts) == ("still busy Wait.", 2)
    assert pump(outbox, {EMAIL: channel}, NOW + timedelta(days=9)) == Pumped()
    outbox.revive(dead.id, NOW)
    assert pump(outbox, {EMAIL: channel}, NOW) == Pumped(dead=1)
    outbox.revive(dead.id, NOW)
    assert pump(outbox, {EMAIL: channel}, NOW) == Pumped(sent=1)
    with pytest.raises(UnknownName, match="dead letter"):
        outbox.revive(dead.id, NOW)


def test_a_sender_that_died_is_succeeded_and_comes_too_late(outbox: Any) -> None:
    enqueue(outbox, [told()], NOW)
    (held,) = outbox.claim(NOW, HOLD_S)  # and then its process was killed, or hung
    channel = Scripted()
    assert pump(outbox, {EMAIL: channel}, NOW + (HOLD_S - 1) * SECOND) == Pumped()
    assert pump(outbox, {EMAIL: channel}, NOW + HOLD_S * SECOND) == Pumped(sent=1)
    assert channel.taken[0].id == message_of(held).id
    outbox.failed(held.id, "it was the first one, and woke up", None)
    assert one(outbox).state is DeliveryState.SENT


def test_one_place_that_is_down_costs_one_attempt_and_holds_nobody_else(outbox: Any) -> None:
    hooks = [told(Recipient(WEBHOOK, "#down"), f"run-{number}") for number in range(4)]
    mails = [told(run=f"run-{number}") for number in range(3)]
    enqueue(outbox, [*hooks, *mails], NOW)
    down, mail = Scripted(*[Temporary("gone", retry_after_s=90.0)] * 9), Scripted()
    assert pump(outbox, {WEBHOOK: down, EMAIL: mail}, NOW) == Pumped(sent=3, put_off=4)
    assert len(down.errors) == 8
    assert {item.not_before for item in outbox.list(DeliveryState.PENDING)} == {NOW + 90 * SECOND}


def test_what_was_never_tried_is_not_given_up(outbox: Any) -> None:
    enqueue(outbox, [told(run="run-1"), told(run="run-2")], NOW)
    # The first one is given up; the second one was not even tried.
    down = Scripted(Temporary("gone"), Temporary("gone"))
    assert pump(outbox, {EMAIL: down}, NOW, back_off=BackOff(attempts=2)) == Pumped(put_off=2)
    assert pump(outbox, {EMAIL: down}, NOW + 60 * SECOND, back_off=BackOff(attempts=2)) == Pumped(put_off=1, dead=1)


def test_a_channel_that_hangs_delays_no_other(outbox: Any) -> None:
    """The mail is out while the webhook still hangs: the webhook waits for exactly that."""
    mail_is_out = threading.Event()

    class Mail(Scripted):
        def send(self, message: Message) -> None:
            super().send(message)
            mail_is_out.set()

    class Hanging:
        def send(self, message: Message) -> None:
            if not mail_is_out.wait(60):
                raise Permanent("the mail never went out")
            raise Temporary("no answer in time")

    enqueue(outbox, [told(Recipient(WEBHOOK, "#hangs")), told()], NOW)
    assert pump(outbox, {WEBHOOK: Hanging(), EMAIL: Mail()}, NOW) == Pumped(sent=1, put_off=1)


def test_a_channel_that_is_not_there_or_breaks_ends_nothing(outbox: Any, caplog: pytest.LogCaptureFixture) -> None:
    enqueue(outbox, [told(Recipient(FILE, "")), told()], NOW)
    assert pump(outbox, {EMAIL: Scripted(ZeroDivisionError("s3cret"))}, NOW) == Pumped(put_off=2)
    problems = {item.channel: item.problem for item in outbox.list(DeliveryState.PENDING)}
    assert problems[FILE] == "There is no channel 'file' in the settings."
    assert problems[EMAIL] == "The channel email failed (ZeroDivisionError)."


def test_a_message_that_cannot_be_read_is_a_dead_letter(outbox: Any) -> None:
    enqueue(outbox, [told()], NOW)
    (taken,) = outbox.list()
    outbox.add(replace(taken, id="broken", message={"subject": "x"}))
    assert pump(outbox, {EMAIL: Scripted()}, NOW) == Pumped(sent=1, dead=1)
    assert "cannot be read" in one(outbox, DeliveryState.DEAD).problem


def test_two_pumps_at_once_send_each_message_once(outbox: Any) -> None:
    enqueue(outbox, [told(run=f"run-{number}") for number in range(30)], NOW)
    channel = Scripted()
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        while pump(outbox, {EMAIL: channel}, NOW, limit=4).tried:
            pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message.run_id for message in channel.taken) == sorted(f"run-{number}" for number in range(30))


def test_a_budget_ends_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, BUDGET_S])
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    outbox = MemoryOutbox()
    enqueue(outbox, [told(run="run-1"), told(run="run-2")], NOW)
    assert pump(outbox, {EMAIL: Scripted()}, NOW) == Pumped(sent=1, put_off=1)


@given(
    attempts=st.integers(1, 10**6),
    retry=st.none() | st.floats(0, 1e12),
    limit=st.integers(1, 10**6),
)
def test_waits_grow_and_are_bounded(attempts: int, retry: float | None, limit: int) -> None:
    rule = BackOff(attempts=limit)
    at = next_attempt(attempts, NOW, rule, retry_after_s=retry)
    assert (at is None) is (attempts >= limit)
    if at is not None:
        wait = (at - NOW).total_seconds()
        assert rule.first_s <= wait <= rule.longest_s
        assert wait >= min(retry or 0.0, rule.longest_s) - 1e-6
        later = next_attempt(attempts + 1, NOW, BackOff(attempts=limit + 1), retry_after_s=retry)
        assert later is not None
        assert later >= at


def test_the_first_waits() -> None:
    waits = [(at - NOW).total_seconds() for n in range(1, 24) if (at := next_attempt(n, NOW)) is not None]
    assert waits[:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert timedelta(seconds=sum(waits)) > timedelta(hours=12)
    assert next_attempt(24, NOW) is None
