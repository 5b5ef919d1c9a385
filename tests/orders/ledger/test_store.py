"""The ledger keeps what it is given, once, in order, and as it was."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.orders.executions import Execution, ExecutionMode, Kind
from quantdesk.orders.ledger import (
    Entry,
    EntryKind,
    Ledger,
    LedgerConfig,
    Received,
    execution_of,
    memory,
    order_of,
    store,
    verification,
)
from quantdesk.records import Database, DatabaseConfig, LeaseLost, Migrations

MODE = ExecutionMode.SIMULATED
VERSIONS = "quantdesk.orders.ledger.versions"


def note(number=0, **given):
    return Entry(EntryKind.NOTE, 1, payload={"number": number}, **given)


def test_orders_are_numbered_and_kept(ledger, order):
    given = order(order_type="limit", limit_price="189.5", stop_loss_price=180, user_id="ada", urgency="high")
    assert ledger.receive(given, 5, MODE) == Received("O00000001", is_new=True)
    assert ledger.receive(given, 6, MODE) == Received("O00000002", is_new=True), "without a key, each is a new one"
    assert ledger.order("O00000001") == given
    assert ledger.orders() == {"O00000001": given, "O00000002": given}
    (first, second) = ledger.entries()
    assert (first.seq, first.kind, first.at, first.order_id, first.user_id, first.mode) == (
        1, EntryKind.ORDER, 5, "O00000001", "ada", MODE,
    )  # fmt: skip
    assert order_of(second) == given
    with pytest.raises(UnknownName, match=r"order 'O00000003'\. Did you mean O0000000[12]"):
        ledger.order("O00000003")


def test_an_order_that_is_not_there_where_there_is_none(ledger):
    with pytest.raises(UnknownName, match="There is no order at all yet"):
        ledger.order("O00000001")
    assert ledger.orders() == {}
    assert ledger.verify() == ledger.head() == (0, "0" * 64)


def test_a_repeated_request_is_the_order_of_the_first_one(ledger, order):
    given = order(user_id="ada", idempotency_key="k1", limit_price="1.50", order_type="limit")
    first = ledger.receive(given, 5, MODE)
    assert first == Received("O00000001", is_new=True)
    again = order(user_id="ada", idempotency_key="k1", limit_price=1.5, order_type="limit")
    for mode in (MODE, ExecutionMode.MOCK):
        assert ledger.receive(again, 9, mode) == Received("O00000001", is_new=False)
    assert ledger.find("ada", "k1") == "O00000001"
    assert len(list(ledger.entries())) == 1


def test_a_key_belongs_to_its_user(ledger, order):
    for number, user in enumerate(("ada", "grace", None), start=1):
        assert ledger.receive(order(user_id=user, idempotency_key="k"), 1, MODE).order_id == f"O{number:08d}"
    for number, user in enumerate(("ada", "grace", None), start=1):
        assert ledger.receive(order(user_id=user, idempotency_key="k"), 1, MODE) == Received(f"O{number:08d}", False)
        assert ledger.find(user, "k") == f"O{number:08d}"
    assert ledger.find("alan", "k") is None
    assert ledger.find("ada", "other") is None


def test_a_key_that_stands_for_another_order_is_a_conflict(ledger, order):
    ledger.receive(order(user_id="ada", idempotency_key="k"), 1, MODE)
    with pytest.raises(BadInput) as caught:
        ledger.receive(order(user_id="ada", idempotency_key="k", shares=101, urgency="low"), 2, MODE)
    assert caught.value.problem == (
        "The idempotency key 'k' stands for O00000001, another order: shares 101, not 100, urgency 'low', not 'normal'."
    )
    assert len(list(ledger.entries())) == 1


def test_numbers_go_on_behind_the_eighth_digit(ledger, url, order):
    with ledger.database.writing() as connection:  # as if there had been so many
        given = {"seq": 1, "at": 1, "kind": "order", "mode": "simulated", "order_id": "O99999999", "client_id": ""}
        names = "seq, at, kind, mode, order_id, client_id, payload, hash"
        places = ", ".join(f":{name}" for name in names.split(", "))
        row = {**given, "payload": "{}", "hash": "x"}
        connection.execute(text(f"INSERT INTO entries ({names}) VALUES ({places})"), row)
        connection.execute(
            text("INSERT INTO orders (order_id, seq, mode, user_id) VALUES ('O99999999', 1, 'mock', '')")
        )
    assert [ledger.receive(order(), 1, MODE).order_id for _ in range(2)] == ["O100000000", "O100000001"]


def test_entries_come_back_in_order_as_they_were(ledger, order, child, fill):
    ledger.receive(order(user_id="ada"), 1, MODE)
    sent = ledger.append(
        Entry(EntryKind.DECISION, 2, "O00000001", "", "ada", {"allowed": True, "violations": []}),
        Entry.sent(child("O00000001-1"), 3, "O00000001", "ada"),
    )
    told = ledger.append(Entry.executed(fill("e1", "O00000001-1"), 4, "O00000001", "ada"))
    assert [stored.seq for stored in (*sent, *told)] == [2, 3, 4]
    assert list(ledger.entries())[1:] == [*sent, *told]
    assert list(ledger.entries(after=2)) == [sent[1], *told]
    assert [stored.kind for stored in ledger.entries(kinds={EntryKind.SENT, EntryKind.DECISION})] == [
        EntryKind.DECISION,
        EntryKind.SENT,
    ]
    assert list(ledger.entries(kinds=[])) == []
    assert list(ledger.entries(order_id="O00000002")) == []
    assert [stored.seq for stored in ledger.entries(after=1, order_id="O00000001", kinds=[EntryKind.SENT])] == [3]
    assert {stored.mode for stored in ledger.entries()} == {MODE}, "an entry about an order has the order's"
    assert told[0].payload["symbol"] == "AAPL"
    assert told[0].payload["action"] == "buy"
    assert execution_of(told[0]) == fill("e1", "O00000001-1")
    assert ledger.append() == ()


def test_a_report_may_leave_out_what_its_child_says(ledger, order, child, fill):
    ledger.receive(order(), 1, MODE)
    payload = fill("e1", "c").to_dict()
    _, told = ledger.append(Entry.sent(child("c"), 2, "O00000001"), Entry(EntryKind.EXECUTION, 3, payload=payload))
    assert (told.order_id, told.client_id, told.mode) == ("O00000001", "c", MODE)


def test_entries_of_one_call_are_written_all_or_not_at_all(ledger, order, child, fill):
    ledger.receive(order(), 1, MODE)
    before = ledger.head()
    for wrong in (
        Entry(EntryKind.NOTE, 1, payload={"a": float("nan")}),
        Entry.executed(fill("e", "nobody"), 1),
        Entry(EntryKind.NOTE, 1, "O00000009"),
    ):
        with pytest.raises(BadInput):
            ledger.append(note(1), Entry.sent(child("c"), 2, "O00000001"), wrong)
        assert ledger.head() == before
    ledger.append(Entry.sent(child("c"), 2, "O00000001"))
    assert ledger.verify()[0] == 2


def test_a_report_that_is_told_twice_counts_once(ledger, order, child, fill):
    ledger.receive(order(), 1, MODE)
    ledger.append(Entry.sent(child("c"), 2, "O00000001"))
    one, two = Entry.executed(fill("e1", "c"), 3), Entry.executed(fill("e2", "c"), 4)
    assert [execution_of(stored).execution_id for stored in ledger.append(one, one, two)] == ["e1", "e2"]
    assert ledger.append(two, one) == ()
    later = Entry.executed(fill("e1", "c", at=99, fee=31_000), 5)
    assert ledger.append(later, note()) == tuple(ledger.entries(kinds=[EntryKind.NOTE]))
    assert len(list(ledger.entries(kinds=[EntryKind.EXECUTION]))) == 2


def test_a_report_that_says_something_else_under_the_same_id_is_no_repetition(ledger, order, child, fill):
    ledger.receive(order(), 1, MODE)
    ledger.append(Entry.sent(child("c"), 2, "O00000001"), Entry.executed(fill("e1", "c"), 3))
    for change, words in (
        ({"shares": 11}, "shares 11, not 10"),
        ({"price": 5}, "price 5, not 190000000"),
        ({"kind": Kind.CANCELLED}, "kind 'cancelled', not 'fill'"),
    ):
        with pytest.raises(DataError, match=rf"The report 'e1' of simulated is in the ledger \(entry 3\).*{words}"):
            ledger.append(Entry.executed(fill("e1", "c", **change), 4))


def test_ids_of_reports_belong_to_their_gateway(ledger, order, child, fill):
    for number, mode in enumerate((MODE, ExecutionMode.PAPER), start=1):
        order_id = ledger.receive(order(), 1, mode).order_id
        sent = Entry.sent(child(f"c{number}"), 2, order_id)
        assert len(ledger.append(sent, Entry.executed(fill("e1", f"c{number}"), 3))) == 2
    assert [stored.mode for stored in ledger.entries(kinds=[EntryKind.EXECUTION])] == [MODE, ExecutionMode.PAPER]


def test_a_child_is_sent_once(ledger, order, child):
    for _ in range(2):
        ledger.receive(order(), 1, MODE)
    ledger.append(Entry.sent(child("c"), 2, "O00000001"))
    for order_id in ("O00000001", "O00000002"):
        with pytest.raises(BadInput, match="The child 'c' was sent already"):
            ledger.append(Entry.sent(child("c"), 3, order_id))
    with pytest.raises(BadInput, match="The child 'd' was sent already"):
        ledger.append(Entry.sent(child("d"), 3, "O00000001"), Entry.sent(child("d"), 3, "O00000001"))


def test_entries_that_contradict_what_is_there(ledger, order, child, fill):
    ledger.receive(order(), 1, MODE)
    ledger.append(Entry.sent(child("c"), 2, "O00000001"))
    sent = Entry.sent(child("d"), 2, "O00000001")
    wrong = {
        "Orders are written by Ledger.receive": Entry(EntryKind.ORDER, 1),
        "order 'O00000007'": Entry(EntryKind.DECISION, 1, "O00000007"),
        "of kind sent without an order": Entry.sent(child("d"), 1, ""),
        "of kind result without an order": Entry(EntryKind.RESULT, 1, payload={"status": "filled"}),
        "no status 'done'": Entry(EntryKind.RESULT, 1, "O00000001", payload={"status": "done"}),
        "no status None": Entry(EntryKind.RESULT, 1, "O00000001"),
        "which was never sent": Entry.executed(fill("e", "x"), 1),
        "of O00000001, not of O00000002": Entry.executed(fill("e", "c"), 1, "O00000002"),
        "a child 'e' whose payload is of 'd'": Entry(EntryKind.SENT, 1, "O00000001", "e", None, sent.payload),
        "a child '' whose payload is of None": Entry(EntryKind.SENT, 1, "O00000001"),
        "about 'd' whose payload is of 'c'": Entry(EntryKind.EXECUTION, 1, "", "d", None, fill("e", "c").to_dict()),
        "an order of simulated": Entry(EntryKind.NOTE, 1, "O00000001", mode=ExecutionMode.LIVE),
        "A transfer without an account": Entry(EntryKind.TRANSFER, 1, payload={"symbol": "A"}),
        "A charge without an account": Entry(EntryKind.CHARGE, 1, payload={"symbol": "A"}),
        "shares of entry 3 .sent. is 1.5": dataclasses.replace(sent, payload={**sent.payload, "shares": 1.5}),
        "execution. has no execution_id": Entry(
            EntryKind.EXECUTION, 1, client_id="c", payload={"client_id": "c", "kind": "fill"}
        ),
    }  # fmt: skip
    for words, entry in wrong.items():
        with pytest.raises(BadInput, match=words):
            ledger.append(entry)
    assert ledger.verify()[0] == 2


def test_open_orders_are_those_without_a_final_result(ledger, order):
    for _ in range(6):
        ledger.receive(order(), 1, MODE)

    def result(order_id, status):
        return Entry(EntryKind.RESULT, 2, order_id, payload={"status": status, "reason": ""})

    ledger.append(result("O00000001", "filled"), result("O00000002", "open"), result("O00000003", "pending_unknown"))
    ledger.append(result("O00000004", "open"), result("O00000004", "cancelled"), result("O00000005", "rejected"))
    assert list(ledger.orders(open_only=True)) == ["O00000002", "O00000003", "O00000006"]
    ledger.append(result("O00000002", "partially_filled"))
    assert list(ledger.orders(open_only=True)) == ["O00000003", "O00000006"]
    assert len(ledger.orders()) == 6


def test_entries_are_read_page_by_page_while_others_are_written(ledger, monkeypatch):
    for module in (store, verification, memory):
        monkeypatch.setattr(module, "_PAGE", 7)
    ledger.append(*(note(number) for number in range(28)))
    reading = ledger.entries()
    first = [next(reading) for _ in range(10)]
    ledger.append(note(28))
    assert [stored.payload["number"] for stored in [*first, *reading]] == list(range(29))
    assert ledger.verify() == ledger.head()


def test_threads_and_ledgers_may_share_a_database(ledger, url, order):
    with Ledger.open(url) as other, ThreadPoolExecutor(4) as pool:
        places = [ledger, other] * 10
        orders = list(pool.map(lambda place: place.receive(order(), 1, MODE), places))
        list(pool.map(lambda place: place.append(note(), note()), places))
    assert sorted(one.order_id for one in orders) == [f"O{number:08d}" for number in range(1, 21)]
    assert ledger.verify()[0] == 60


def test_one_key_from_many_threads_is_one_order(ledger, url, order):
    given = order(user_id="ada", idempotency_key="k")
    gate = threading.Barrier(4)

    def send(_):
        with Ledger.open(url) as own:
            gate.wait()
            return own.receive(given, 1, MODE)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(send, range(4)))
    assert [one.order_id for one in found] == ["O00000001"] * 4
    assert sum(one.is_new for one in found) == 1


def test_a_ledger_is_found_again(url, order):
    with Ledger.open(url) as ledger:
        ledger.receive(order(idempotency_key="k"), 1, MODE)
        head = ledger.head()
    with Ledger.open(SecretStr(url)) as ledger:
        assert ledger.head() == ledger.verify() == head
        assert ledger.receive(order(idempotency_key="k"), 2, MODE) == Received("O00000001", is_new=False)
    assert "p@ss" not in repr(ledger)


def test_a_ledger_in_memory(order):
    with Ledger.open("sqlite:///:memory:") as ledger:
        ledger.receive(order(), 1, MODE)
        assert ledger.verify()[0] == 1


def test_where_the_ledger_is(tmp_path, monkeypatch, order):
    monkeypatch.delenv("QUANTDESK_LEDGER_URL", raising=False)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    with Ledger.open() as ledger:
        ledger.receive(order(), 1, MODE)
    assert (tmp_path / "state" / "ledger.sqlite").is_file()
    monkeypatch.setenv("QUANTDESK_LEDGER_URL", f"sqlite:///{tmp_path}/elsewhere")
    with Ledger.open() as ledger:
        assert ledger.orders() == {}
    assert (tmp_path / "elsewhere").is_file()
    monkeypatch.setenv("QUANTDESK_LEDGER_URL", "mysql://ada:hunter2@db/x")
    with pytest.raises(BadInput, match="'mysql' address is not supported") as caught:
        Ledger.open()
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("QUANTDESK_LEDGER_URL", "")
    assert LedgerConfig.from_env().address.get_secret_value() == f"sqlite:///{tmp_path}/state/ledger.sqlite"


def test_one_desk_at_a_time(ledger, url, order):
    lease = ledger.hold("first", 1000)
    ledger.receive(order(), 1, MODE)
    ledger.append(note())
    with Ledger.open(url) as other:
        with pytest.raises(EnvironmentProblem, match="Another desk works on"):
            other.hold("second", 10)
        ledger.close()
        assert other.hold("second", 10).fence == lease.fence + 1
        assert ledger.append(note()), "who holds nothing claims nothing"


def test_a_desk_that_was_succeeded_writes_nothing_more(ledger, url, order):
    ledger.hold("first", 0.05)
    with Ledger.open(url) as other:
        threading.Event().wait(0.1)
        ledger.append(note(1))  # over, but nobody wanted it; renewed
        threading.Event().wait(0.1)
        other.hold("second", 100)
        before = other.head()
        for write in (lambda: ledger.append(note(2)), lambda: ledger.receive(order(), 1, MODE)):
            with pytest.raises(LeaseLost, match="first holds the lease 'desk' no longer"):
                write()
        assert ledger.head() == before, "it may still read"
        other.append(note(3))


def test_migrations_go_both_ways_with_their_data(ledger, url, order):
    for key in ("a", "b", "c"):
        ledger.receive(order(idempotency_key=key), 1, MODE)
    result = {"status": "filled", "reason": ""}
    ledger.append(Entry(EntryKind.RESULT, 2, "O00000002", payload=result))
    before = list(ledger.entries())
    migrations = Migrations(ledger.database, VERSIONS)
    assert migrations.revisions == ("0001", "0002")
    assert migrations.down("0001") == "0001"
    assert list(ledger.entries()) == before
    with pytest.raises(EnvironmentProblem, match="results"):
        ledger.orders(open_only=True)
    assert migrations.up() == "0002"
    assert list(ledger.orders(open_only=True)) == ["O00000001", "O00000003"]
    assert ledger.verify() == ledger.head()
    with pytest.raises(DataError, match="The ledger holds 4 entries, which going down to base would destroy"):
        migrations.down("base")
    assert migrations.current() == "0002"
    assert list(ledger.entries()) == before


def test_an_empty_ledger_goes_down_to_nothing(ledger, url):
    migrations = Migrations(ledger.database, VERSIONS)
    assert migrations.down("base") == "base"
    assert migrations.up() == "0002"
    assert ledger.append(note())[0].seq == 1


def test_a_ledger_of_a_newer_version_is_refused(ledger, url):
    with ledger.database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(
        DataError, match=r"has revision 0999, which this version of quantdesk does not know\. It knows up"
    ):
        Ledger.open(url)


def test_a_writer_that_waits_too_long_says_so(ledger, url):
    short = Ledger(Database(url, "quantdesk_ledger", DatabaseConfig(timeout=0.2)))
    with ledger.database.writing(), pytest.raises(EnvironmentProblem, match=r"locked|somebody else"):
        short.append(note())
    short.append(note())
    short.close()


def test_a_report_keeps_numbers_whole(ledger, order, child):
    ledger.receive(order(), 1, MODE)
    big = Execution("e", "c", Kind.FILL, 1 << 62, "XNAS", 10**9, 1 << 62, -(1 << 62))
    ledger.append(Entry.sent(child("c", shares=10**9), 2, "O00000001"), Entry.executed(big, 3))
    assert execution_of(list(ledger.entries())[-1]) == big


def test_names_that_are_not_there():
    import quantdesk.orders.ledger
    import quantdesk.records

    for package in (quantdesk.orders.ledger, quantdesk.records):
        with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
            package.nosuch  # noqa: B018
        assert all(getattr(package, name) is not None for name in package.__all__)
