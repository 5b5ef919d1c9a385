"""Who waits for a start: in the order of coming, told how many are before him, and never in the way of another."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.spawner import LocalProcessSpawner

from loops import Loop
from quantdesk.hub.queued import Queued
from quantdesk.hub.turns import Turns


@given(places=st.integers(1, 5), people=st.integers(1, 12), failing=st.sets(st.integers(0, 11)))
def test_never_more_at_once_and_the_first_to_come_is_the_first_to_go(
    places: int, people: int, failing: set[int]
) -> None:
    """Also when some starts fail."""
    inside: set[int] = set()
    went: list[int] = []

    async def start(turns: Turns, number: int) -> None:
        with contextlib.suppress(OSError):
            async with turns.turn(f"user{number}"):
                went.append(number)
                inside.add(number)
                assert len(inside) <= places
                await asyncio.sleep(0)
                inside.remove(number)
                if number in failing:
                    raise OSError

    async def all_come() -> None:
        turns = Turns(places)
        await asyncio.gather(*(start(turns, number) for number in range(people)))
        assert [turns.before(f"user{number}") for number in range(people)] == [None] * people

    with Loop() as loop:
        loop.run(all_come())
    assert went == list(range(people))


def test_who_gives_up_is_before_nobody_any_more() -> None:
    async def play() -> None:
        turns, free, went = Turns(1), asyncio.Event(), []

        async def start(who: str) -> None:
            async with turns.turn(who):
                went.append(who)
                await free.wait()

        tasks = {}
        for who in ("ana", "bob", "cy", "di"):
            tasks[who] = asyncio.create_task(start(who))
            await asyncio.sleep(0)
        assert {who: turns.before(who) for who in tasks} == {"ana": None, "bob": 0, "cy": 1, "di": 2}
        tasks["bob"].cancel()
        await asyncio.wait([tasks["bob"]])
        assert {who: turns.before(who) for who in ("bob", "cy", "di")} == {"bob": None, "cy": 0, "di": 1}
        free.set()
        await asyncio.gather(tasks["ana"], tasks["cy"], tasks["di"])
        assert went == ["ana", "cy", "di"]

    with Loop() as loop:
        loop.run(play())


class Server(LocalProcessSpawner):  # type: ignore[misc]
    """In a process's place: it listens when it is told to."""

    listens: asyncio.Event
    dead = False

    async def start(self) -> tuple[str, int]:
        ready = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        address = ready.sockets[0].getsockname()
        ready.close()
        await ready.wait_closed()

        async def listen() -> None:
            await self.listens.wait()
            self.server_that_listens = await asyncio.start_server(lambda _, writer: writer.close(), *address)

        self.listening = asyncio.create_task(listen())
        return str(address[0]), int(address[1])

    async def poll(self) -> int | None:
        return 1 if self.dead else None


class Desk(Queued, Server):
    """As the hub's spawner is made: turns around the start of a process."""

    began_before_it_listened = False

    def began(self) -> None:
        self.began_before_it_listened = not self.listens.is_set()


def user(name: str) -> Any:
    made = Desk()
    made.user, made.listens = SimpleNamespace(name=name), asyncio.Event()
    return made


@pytest.mark.parametrize("ends", ["it listens", "it dies", "it takes too long"])
def test_a_turn_lasts_until_the_server_listens_or_has_ended(monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    monkeypatch.setattr("quantdesk.hub.queued.LOOK_S", 0.01)

    async def play() -> None:
        monkeypatch.setattr(Queued, "turns", Turns(1))
        ana, bob = user("ana"), user("bob")
        if ends == "it takes too long":
            ana.start_seconds = 0.2
        first = asyncio.create_task(ana.start())
        await asyncio.sleep(0)
        second = asyncio.create_task(bob.start())
        said = bob.progress()  # asked before his start has come as far as the queue
        assert "yours is the next" in (await anext(said))["message"]
        await asyncio.sleep(0.05)
        assert Queued.queue().before("bob") == 0
        assert not first.done()
        assert ana.began_before_it_listened, "a process that waits for its control group would never listen"
        assert not bob.began_before_it_listened
        if ends == "it listens":
            ana.listens.set()
        elif ends == "it dies":
            ana.dead = True
        assert (await first)[0] == "127.0.0.1"
        assert [one["message"] async for one in said] == ["Your server starts"]
        bob.listens.set()
        await second
        for one in (ana, bob):
            one.listens.set()
            await one.listening
            one.server_that_listens.close()
            await one.server_that_listens.wait_closed()

    with Loop() as loop:
        loop.run(play())
