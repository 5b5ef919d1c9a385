"""Killed, raced, tampered with: the ledger holds whole entries in one chain, or says where it is broken."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import psycopg
import pytest
from sqlalchemy import text

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.ledger import Entry, EntryKind, Ledger
from quantdesk.orders.ledger.writing import Writer
from quantdesk.records.append_only import protect, unprotect

MODE = ExecutionMode.SIMULATED

WRITERS = """
import itertools, os, signal, sys
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, Ledger
from quantdesk.orders.order import Action, Child, Order

def write(name):
    with Ledger.open(sys.argv[1]) as ledger:
        for number in itertools.count():
            key = f"{name}-{number}"
            order = Order("AAPL", "buy", 5, idempotency_key=key)
            order_id = ledger.receive(order, number, ExecutionMode.SIMULATED).order_id
            fills = [Execution(f"{key}-{n}", key, Kind.FILL, n, "XNAS", 1, 100, 0) for n in range(5)]
            sent = Entry.sent(Child(key, "XNAS", "AAPL", Action.BUY, 5), number, order_id)
            ledger.append(sent, *(Entry.executed(fill, number) for fill in fills))
            os.write(1, f"{order_id}\\n".encode())

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(line.strip())
    os.write(1, f"pid {child}\\n".encode())
"""


def killed_writers(url, turns, seed):
    """Two writers at a time, killed at random moments; the orders that they said were done."""
    rng, said = random.Random(seed), []
    command = [sys.executable, "-W", "ignore", "-c", WRITERS, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        for turn in range(turns):
            victims, working = [], 0
            keeper.stdin.write(f"{turn}a\n{turn}b\n")
            keeper.stdin.flush()
            while len(victims) < 2 or working < 2:  # at least two orders are done
                line = keeper.stdout.readline().strip()
                if line.startswith("pid "):
                    victims.append(int(line.removeprefix("pid ")))
                else:
                    said.append(line)
                    working += 1
            for victim in victims:
                time.sleep(rng.uniform(0, 0.02))
                os.kill(victim, signal.SIGKILL)
        keeper.stdin.close()
        said += keeper.stdout.read().split()
    return said


def whole(ledger, said):
    """Every order is there with nothing but its first entry, or with all; those that were said are there with all."""
    assert ledger.verify() == ledger.head()
    by_order = {order_id: [] for order_id in ledger.orders()}
    for stored in ledger.entries():
        by_order[stored.order_id].append(stored.kind)
    all_of_it = [EntryKind.ORDER, EntryKind.SENT, *[EntryKind.EXECUTION] * 5]
    assert all(kinds in ([EntryKind.ORDER], all_of_it) for kinds in by_order.values())
    assert all(by_order[order_id] == all_of_it for order_id in said)
    assert len(by_order) >= len(said) > 0


def test_writers_that_are_killed_leave_whole_entries(ledger, url):
    whole(ledger, killed_writers(url, turns=4, seed=7))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_writers_that_are_killed_leave_whole_entries(ledger, url, seed):
    whole(ledger, killed_writers(url, turns=40, seed=seed))


RACER = """
import sys, time
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import Entry, EntryKind, Ledger
from quantdesk.orders.order import Action, Child, Order
new = []
with Ledger.open(sys.argv[1]) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(12):
        order = Order("AAPL", "buy", 5, user_id="ada", idempotency_key=f"k{number}")
        received = ledger.receive(order, number, ExecutionMode.SIMULATED)
        if received.is_new:
            new.append(received.order_id)
            ledger.append(Entry.sent(Child(f"c{number}", "XNAS", "AAPL", Action.BUY, 5), 1, received.order_id))
        other = ledger.receive(Order("AAPL", "buy", 5), number, ExecutionMode.SIMULATED)
        report = Execution(f"e{number}", f"c{number}", Kind.FILL, 1, "XNAS", 5, 100, 0)
        while True:
            try:
                told = ledger.append(Entry.executed(report, 1))
                break
            except ValueError:  # the other process has the order and has not sent it yet
                time.sleep(0.001)
        new += [f"report {number}"] * len(told)
print(*new, sep="\\n")
"""


def test_two_processes_that_race_make_one_of_each(ledger, url):
    command = [sys.executable, "-c", RACER, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [[line for line in racer.communicate(timeout=120)[0].splitlines() if line] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    orders = ledger.orders()
    keyed = [order_id for order_id, order in orders.items() if order.idempotency_key]
    assert list(orders) == [f"O{number:08d}" for number in range(1, 37)]
    assert len(keyed) == 12
    assert sorted(said[0] + said[1]) == sorted([*keyed, *(f"report {number}" for number in range(12))])
    assert all(ledger.find("ada", f"k{number}") in keyed for number in range(12))
    assert ledger.verify()[0] == 36 + 12 + 12


@pytest.fixture
def written(ledger, url, order, child, fill):
    """A ledger with orders, children, reports and results."""
    for number in (1, 2):
        order_id = ledger.receive(order(idempotency_key=f"k{number}"), 1, MODE).order_id
        ledger.append(
            Entry.sent(child(f"c{number}"), 2, order_id),
            Entry.executed(fill(f"e{number}", f"c{number}"), 3),
            Entry(EntryKind.RESULT, 4, order_id, payload={"status": "open", "reason": "it rests"}),
        )
    ledger.verify()
    return ledger


TABLES = {
    "entries": [("seq",), ("hash",)],
    "orders": [("order_id",), ("seq",), ("user_id", "idempotency_key")],
    "children": [("client_id",), ("seq",)],
    "executions": [("mode", "execution_id"), ("seq",)],
    "results": [("seq",)],
}


@pytest.mark.parametrize("table", TABLES)
def test_the_database_itself_refuses_changes(written, postgres, table):
    """Not only through the ledger: a program of its own is refused, the server's superuser too."""
    before = list(written.entries())
    changes = [
        f"UPDATE {{}}{table} SET seq = seq + 100",
        f"DELETE FROM {{}}{table}",
        f"DELETE FROM {{}}{table} WHERE seq > 3",
    ]
    if written.database.is_sqlite:
        plain = contextlib.closing(sqlite3.connect(written.database.place, isolation_level=None))
        changes.append(f"INSERT OR REPLACE INTO {{}}{table} SELECT * FROM {table}")
        prefix, refusal = "", sqlite3.IntegrityError
    else:
        plain = contextlib.closing(psycopg.connect(postgres.admin(written.database.place.database), autocommit=True))
        changes.append(f"TRUNCATE {{}}{table} CASCADE")
        prefix, refusal = "quantdesk_ledger.", psycopg.errors.IntegrityConstraintViolation
    with plain as connection:
        for change in changes:
            with pytest.raises(refusal, match="is append-only"):
                connection.execute(change.format(prefix))
    assert list(written.entries()) == before
    written.verify()


def tamper(ledger, *statements, tables=("entries",)):
    """What somebody does who may drop the triggers: change, and put them back."""
    with ledger.database.writing() as connection:
        for table in tables:
            unprotect(connection, table)
        if ledger.database.is_sqlite:
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        for statement in statements:
            connection.execute(text(statement))
        for table in tables:
            protect(connection, table, TABLES[table])


BROKEN = {
    "UPDATE entries SET payload = replace(payload, '190000000', '191000000') WHERE seq = 3": "at entry 3: its hash",
    "UPDATE entries SET at = 9 WHERE seq = 4": "at entry 4: its hash",
    "UPDATE entries SET mode = 'live' WHERE seq = 2": "at entry 2: its hash",
    "UPDATE entries SET user_id = 'eve' WHERE seq = 1": "at entry 1: its hash",
    "UPDATE entries SET client_id = 'c9' WHERE seq = 4": "at entry 4: its hash",
    "UPDATE entries SET kind = 'nonsense' WHERE seq = 5": "at entry 5: it cannot be read",
    "UPDATE entries SET payload = 'nonsense' WHERE seq = 5": "at entry 5: it cannot be read",
    "UPDATE entries SET hash = 'f' WHERE seq = 8": "at entry 8: its hash",
    "UPDATE entries SET hash = 'f' WHERE seq = 6": "at entry 6: its hash",
}


@pytest.mark.parametrize("change", BROKEN)
def test_a_change_is_named_with_its_entry(written, change):
    tamper(written, change)
    with pytest.raises(DataError, match=BROKEN[change]):
        written.verify()


ELSEWHERE = [
    ("results", "DELETE FROM results WHERE seq = 4", "at entry 4: the table results says something else"),
    ("results", "UPDATE results SET is_final = true", "at entry 4: the table results says something else"),
    ("executions", "UPDATE executions SET execution_id = 'x' WHERE seq = 3", "at entry 3: the table executions"),
    ("orders", "UPDATE orders SET idempotency_key = NULL WHERE seq = 5", "at entry 5: the table orders"),
    ("children", "UPDATE children SET symbol = 'MSFT' WHERE seq = 6", "at entry 6: the table children"),
    (
        "results",
        "INSERT INTO results VALUES (7, 'O00000001', true)",
        "The table results of .* has rows without an entry",
    ),
]


@pytest.mark.parametrize(("table", "change", "words"), ELSEWHERE)
def test_a_change_beside_the_entries_is_named_too(written, table, change, words):
    tamper(written, change, tables=[table])
    with pytest.raises(DataError, match=words):
        written.verify()


def test_an_entry_that_was_taken_out_is_missed(written):
    tamper(
        written, "DELETE FROM results WHERE seq = 4", "DELETE FROM entries WHERE seq = 4", tables=["entries", "results"]
    )
    with pytest.raises(DataError, match="at entry 4: it is missing, the next one there is 5"):
        written.verify()


def test_entries_that_were_cut_off_the_end_are_missed_by_whoever_kept_the_head(written):
    kept = written.head()
    tamper(
        written, "DELETE FROM results WHERE seq = 8", "DELETE FROM entries WHERE seq = 8", tables=["entries", "results"]
    )
    assert written.verify() != kept


def test_triggers_that_are_gone_are_missed(written):
    with written.database.writing() as connection:
        unprotect(connection, "executions")
    with pytest.raises(DataError, match=r"The table executions of .* is protected no longer"):
        written.verify()


def test_constraints_hold_for_whoever_writes_past_the_ledger(written):
    """What the ledger looks up first, the tables know as well."""
    seq, digest = written.head()
    row = f"INSERT INTO entries VALUES ({seq + 1}, 1, 'note', NULL, '', '', NULL, '{{}}', 'h')"
    for wrong in (
        f"INSERT INTO entries VALUES ({seq}, 1, 'note', NULL, '', '', NULL, '{{}}', 'h')",
        f"INSERT INTO entries VALUES ({seq + 1}, 1, 'note', NULL, '', '', NULL, '{{}}', '{digest}')",
        f"{row}; INSERT INTO orders VALUES ('O00000001', {seq + 1}, 'mock', '', NULL)",
        f"{row}; INSERT INTO orders VALUES ('O00000009', {seq + 1}, 'mock', '', 'k1')",
        f"{row}; INSERT INTO children VALUES ('c1', {seq + 1}, 'O00000001', 'A', 'buy')",
        f"{row}; INSERT INTO children VALUES ('c9', {seq + 1}, 'O00000009', 'A', 'buy')",
        f"{row}; INSERT INTO executions VALUES ('simulated', 'e1', {seq + 1}, 'c1')",
        f"{row}; INSERT INTO executions VALUES ('simulated', 'e9', {seq + 1}, 'c9')",
        f"INSERT INTO results VALUES ({seq + 1}, 'O00000001', true)",
    ):
        with pytest.raises(DataError, match="refused a row"), written.database.writing() as connection:
            for statement in wrong.split("; "):
                connection.execute(text(statement))
    assert written.verify() == (seq, digest)


def test_a_connection_that_is_cut_in_a_write_is_one_clear_error(postgres, order):
    with Ledger.open(postgres()) as ledger:
        ledger.receive(order(), 1, MODE)
        with psycopg.connect(postgres.admin(), autocommit=True) as admin:

            def cut(entry):
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (ledger.database.place.database,),
                )
                return entry

            entries = [Entry(EntryKind.NOTE, 1), Entry(EntryKind.NOTE, 2)]
            with pytest.raises(EnvironmentProblem, match="was lost"), ledger.database.writing() as connection:
                writer = Writer(connection)
                writer.add(entries[0])
                writer.add(cut(entries[1]))
        assert ledger.verify()[0] == 1
        assert len(ledger.append(*entries)) == 2


def test_a_file_that_is_something_else_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("not a ledger " * 500)
    with pytest.raises(DataError, match=r"notes\.txt is damaged, or no database"):
        Ledger.open(f"sqlite:///{tmp_path}/notes.txt")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_disk_that_is_really_full_loses_nothing_that_was_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        with Ledger.open(f"sqlite:///{disk}/ledger") as ledger:
            stored = []
            with pytest.raises(EnvironmentProblem, match="No disk space is left for"):
                while True:
                    notes = [Entry(EntryKind.NOTE, 1, payload={"text": "x" * 3000}) for _ in range(3)]
                    stored += ledger.append(*notes)
            assert list(ledger.entries()) == stored
            assert ledger.verify() == (stored[-1].seq, stored[-1].hash)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
