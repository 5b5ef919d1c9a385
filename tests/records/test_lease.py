"""A lease has one holder, and whoever was succeeded is told by number, whatever the clocks say."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from quantdesk.errors import BadInput
from quantdesk.records import Database, LeaseLost, Leases
from quantdesk.records.lease import create


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self):
        self.at = 1_000.0

    def __call__(self, connection):
        return round(self.at * 1e9)


@pytest.fixture
def database(url):
    with Database(url, "public") as database:
        with database.writing() as connection:
            create(connection)
            connection.execute(text("CREATE TABLE t (x integer)"))
        yield database


def test_one_holder_until_its_time_is_over(database):
    clock = Clock()
    leases = Leases(database, clock)
    first = leases.take("desk", "ada", 10)
    assert (first.name, first.holder, first.fence, first.until) == ("desk", "ada", 1, round(1_010e9))
    assert leases.take("desk", "grace", 10) is None
    assert leases.take("other", "grace", 10).fence == 1
    clock.at += 9.9
    assert leases.take("desk", "grace", 10) is None
    first = leases.renew(first, 10)
    clock.at += 9.9
    assert leases.take("desk", "grace", 10) is None
    clock.at += 0.2
    assert leases.take("desk", "grace", 10).fence == 2


def test_whoever_was_succeeded_can_do_nothing_more(database):
    clock = Clock()
    leases = Leases(database, clock)
    first = leases.take("desk", "ada", 10)
    clock.at += 11
    with database.writing() as connection:  # over, but nobody wanted it
        leases.guard(connection, first)
    second = leases.take("desk", "grace", 10)
    clock.at -= 500  # and a clock that is set back helps nobody
    for attempt in (lambda: leases.renew(first, 10), lambda: guarded(database, leases, first)):
        with pytest.raises(LeaseLost, match="ada holds the lease 'desk' no longer"):
            attempt()
    leases.give_back(first)
    guarded(database, leases, second)
    with database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t")) == 1


def guarded(database, leases, lease):
    with database.writing() as connection:
        leases.guard(connection, lease)
        connection.execute(text("INSERT INTO t VALUES (1)"))


def test_what_was_given_back_is_free_and_its_number_is_not_used_again(database):
    leases = Leases(database)
    first = leases.take("desk", "ada", 1000)
    leases.give_back(first)
    with pytest.raises(LeaseLost):
        leases.renew(first, 10)
    assert leases.take("desk", "grace", 1000).fence == 2


def test_the_same_holder_starts_anew_and_shuts_its_former_self_out(database):
    leases = Leases(database)
    first = leases.take("desk", "ada", 1000)
    second = leases.take("desk", "ada", 1000)
    assert second.fence == 2
    with pytest.raises(LeaseLost):
        leases.renew(first, 10)
    assert leases.renew(second, 10).fence == 2


def test_a_holder_gives_up_before_anyone_can_take_over(database):
    leases = Leases(database)
    lease = leases.take("desk", "ada", 0.4)
    assert not lease.is_over
    while leases.take("desk", "grace", 10) is None:
        time.sleep(0.002)
    assert lease.is_over


def test_a_transaction_of_the_holder_keeps_others_waiting(database, url):
    """Between guard and commit nobody takes over, even when the lease runs out meanwhile."""
    leases = Leases(database)
    lease = leases.take("desk", "ada", 0.05)
    with Database(url, "public") as other, ThreadPoolExecutor(1) as pool:
        with database.writing() as connection:
            leases.guard(connection, lease)
            time.sleep(0.1)
            waiting = pool.submit(Leases(other).take, "desk", "grace", 10)
            time.sleep(0.2)
            assert not waiting.done()
            connection.execute(text("INSERT INTO t VALUES (1)"))
        assert waiting.result().fence == 2


def test_a_number_goes_to_one_alone(database):
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: Leases(database).take("desk", f"desk {number}", 100), range(12)))
    assert [lease.fence for lease in found if lease is not None] == [1]


HOLDER = """
import sys, time
from quantdesk.records import Database, Leases, LeaseLost
from sqlalchemy import text
url, name = sys.argv[1:3]
done = 0
with Database(url, "public") as database:
    leases = Leases(database)
    end = time.monotonic() + 60
    while done < 3 and time.monotonic() < end:
        lease = leases.take("desk", name, 0.15)
        if lease is None:
            time.sleep(0.01)
            continue
        try:
            with database.writing() as connection:
                leases.guard(connection, lease)
                connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": lease.fence})
            if done == 1:
                time.sleep(0.3)  # sleeps through its end, wakes up believing
            with database.writing() as connection:
                leases.guard(connection, lease)
                connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": lease.fence})
            leases.give_back(lease)
        except LeaseLost:
            print("lost")
        done += 1
        time.sleep(0.02)
"""


def test_two_processes_never_write_in_turns(database, url):
    """Fencing numbers in the order of writing only grow: no stale holder wrote behind its successor."""
    started = [
        subprocess.Popen([sys.executable, "-c", HOLDER, url, name], stdout=subprocess.PIPE, text=True)
        for name in ("ada", "grace")
    ]
    said = [one.communicate(timeout=120)[0] for one in started]
    assert [one.returncode for one in started] == [0, 0], said
    order = "rowid" if database.is_sqlite else "ctid"
    with database.reading() as connection:
        written = list(connection.scalars(text(f"SELECT x FROM t ORDER BY {order}")))
    assert written == sorted(written)
    assert len(written) >= 6


@pytest.mark.parametrize("wrong", [("", "ada", 1), ("desk", "", 1), ("desk", "ada", 0), ("desk", "ada", float("nan"))])
def test_a_lease_that_makes_no_sense(database, wrong):
    with pytest.raises(BadInput, match="Give two names, and a time above 0"):
        Leases(database).take(*wrong)
