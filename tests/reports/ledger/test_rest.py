"""Search, schedules, remarks, deliveries: what is seen by whom, and what can never be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, text, update

from quantdesk.errors import BadInput, BadParameter, DataError, QuantdeskError, UnknownName
from quantdesk.records.database import Database
from quantdesk.records.migrations import BASE, Migrations
from quantdesk.reports.ledger import Delivery, Filter, Order, RunLedger, Schedule, State, Verdict, Viewer
from quantdesk.reports.ledger.entry import DeliveryState
from quantdesk.reports.ledger.remarks import LARGEST
from quantdesk.reports.ledger.store import SCHEMA, VERSIONS
from quantdesk.reports.ledger.tables import COMMENTS, SIGN_OFFS, moment, nanoseconds

Make = Callable[..., Order]
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def _note(ledger: RunLedger, order: Order, *, minute: int = 0, state: State = State.COMPLETED, **more: object) -> None:
    at = NOON + timedelta(minutes=minute)
    record = {"started": at.isoformat(), "ended": (at + timedelta(seconds=5)).isoformat()}
    ledger.queue.note(order, record, state, **more)


def test_times_are_kept_to_the_microsecond() -> None:
    at = datetime(2026, 3, 29, 1, 59, 59, 123457, tzinfo=UTC)
    assert moment(nanoseconds(at)) == at
    assert nanoseconds(moment(1_700_000_000_123_456_789)) == 1_700_000_000_123_456_000


def test_pages_give_every_run_once_newest_first(ledger: RunLedger, order: Make) -> None:
    for number in range(7):
        _note(ledger, order(f"r{number}"), minute=number // 2)  # pairs at one moment
    seen, cursor = [], None
    while True:
        page = ledger.search.runs(limit=3, cursor=cursor)
        seen += [run.id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]
    assert ledger.search.count() == 7


@pytest.mark.parametrize("cursor", ["", "x", "1", "~a", "-1~a", "1e9~a", f"{2**63}~a", "١~a"])
def test_a_cursor_that_is_none_is_refused(ledger: RunLedger, cursor: str) -> None:
    with pytest.raises(BadParameter, match="cursor"):
        ledger.search.runs(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_size(ledger: RunLedger, limit: int) -> None:
    with pytest.raises(BadParameter, match="1 to 1,000"):
        ledger.search.runs(limit=limit)


def test_filters(ledger: RunLedger, order: Make) -> None:
    _note(ledger, order("a", owner="bob"))
    _note(ledger, order("b", report="weekly", title="100%_risk"), minute=1, state=State.FAILED)
    _note(ledger, order("c", requested_by="eve", trigger="schedule", schedule_id="s", due=NOON), minute=2)

    def ids(**which: object) -> list[str]:
        return [run.id for run in ledger.search.runs(Filter(**which)).runs]  # type: ignore[arg-type]

    assert ids(report="weekly") == ["b"]
    assert ids(states=(State.FAILED, State.LOST)) == ["b"]
    assert ids(requested_by="eve") == ["c"]
    assert ids(owner="bob") == ["a"]
    assert ids(schedule_id="s") == ["c"]
    assert ids(text="RISK") == ["b"]
    assert ids(text="%_") == ["b"]  # no pattern: the signs themselves
    assert ids(text="_'; DROP TABLE runs") == []
    assert ids(since=NOON + timedelta(minutes=1)) == ["c", "b"]
    assert ids(until=NOON + timedelta(minutes=1)) == ["a"]


def test_a_private_run_is_not_there_for_others(ledger: RunLedger, order: Make) -> None:
    _note(ledger, order("p", is_private=True, owner="bob"), metrics={"x": (1.0, "")})
    for viewer in (None, Viewer("ada"), Viewer("bob"), Viewer("root", is_admin=True)):
        assert ledger.search.run("p", viewer).id == "p"
        assert ledger.search.count(viewer=viewer) == 1
    eve = Viewer("eve")
    with pytest.raises(UnknownName) as refused:
        ledger.search.run("p", eve)
    with pytest.raises(UnknownName) as absent:
        ledger.search.run("q", eve)
    assert str(refused.value).replace("'p'", "'q'") == str(absent.value)
    assert ledger.search.runs(viewer=eve).runs == ()
    assert ledger.search.latest(eve) == {}
    assert ledger.search.history("daily", "x", eve) == ()


def test_the_latest_run_of_each_report(ledger: RunLedger, order: Make) -> None:
    _note(ledger, order("a"))
    _note(ledger, order("b"), minute=1, state=State.FAILED)
    _note(ledger, order("c", report="weekly"), minute=1)
    assert {name: run.id for name, run in ledger.search.latest().items()} == {"daily": "b", "weekly": "c"}
    assert {name: run.id for name, run in ledger.search.latest(completed=True).items()} == {"daily": "a", "weekly": "c"}


def test_the_history_of_a_metric_runs_from_old_to_new_and_knows_only_numbers(ledger: RunLedger, order: Make) -> None:
    for number, value in enumerate([1.0, "n/a", None, 4.0]):
        _note(ledger, order(f"r{number}"), minute=number, metrics={"x": (value, "%")})
    _note(ledger, order("failed"), minute=9, state=State.FAILED, metrics={"x": (9.0, "%")})
    assert [(run.id, value) for run, value in ledger.search.history("daily", "x")] == [("r0", 1.0), ("r3", 4.0)]


def test_a_run_that_was_served_from_another_serves_no_third(ledger: RunLedger, order: Make) -> None:
    _note(ledger, order("a"), cache_key="k")
    _note(ledger, order("b"), minute=1, cache_key="k", cached_from="a")
    _note(ledger, order("c"), minute=2, cache_key="k", state=State.FAILED)
    found = ledger.search.by_cache_key("k")
    assert found is not None
    assert found.id == "a"
    assert ledger.search.by_cache_key("other") is None


SCHEDULE = Schedule("", "daily", "0 7 * * 1-5", "Europe/Berlin", "ada", parameters={"window": 20})


def test_a_schedule_is_kept_as_it_was_given(ledger: RunLedger) -> None:
    made = ledger.schedules.add(SCHEDULE)
    assert made.id.startswith("daily-")
    assert made.version == 1
    assert made.handled is not None
    assert ledger.schedules.get(made.id) == made
    assert replace(made, id="", version=0, handled=None) == SCHEDULE
    with pytest.raises(BadInput, match="There is, or was"):
        ledger.schedules.add(replace(SCHEDULE, id=made.id))


def test_two_who_edit_a_schedule_do_not_overwrite_each_other(ledger: RunLedger) -> None:
    made = ledger.schedules.add(replace(SCHEDULE, id="s"))
    changed = ledger.schedules.change(replace(made, trigger="0 8 * * *"))
    assert changed.version == 2
    with pytest.raises(BadInput, match="has version 2, not 1"):
        ledger.schedules.change(replace(made, trigger="0 9 * * *"))
    assert ledger.schedules.get("s").trigger == "0 8 * * *"


def test_what_was_due_in_a_pause_is_not_caught_up(ledger: RunLedger) -> None:
    made = ledger.schedules.add(replace(SCHEDULE, id="s", handled=NOON))
    paused = ledger.schedules.change(replace(made, is_enabled=False))
    assert paused.handled == NOON
    resumed = ledger.schedules.change(replace(paused, is_enabled=True))
    assert resumed.handled is not None
    assert resumed.handled > NOON or ledger.schedules.now() <= NOON


def test_handled_goes_forward_only(ledger: RunLedger) -> None:
    ledger.schedules.add(replace(SCHEDULE, id="s", handled=NOON))
    assert ledger.schedules.handled("s", NOON + timedelta(hours=1))
    assert not ledger.schedules.handled("s", NOON)
    assert ledger.schedules.get("s").handled == NOON + timedelta(hours=1)


def test_a_schedule_that_was_removed_is_gone_and_its_name_is_not_used_again(ledger: RunLedger) -> None:
    ledger.schedules.add(replace(SCHEDULE, id="s"))
    ledger.schedules.remove("s")
    assert ledger.schedules.list() == ()
    with pytest.raises(UnknownName):
        ledger.schedules.remove("s")
    with pytest.raises(BadInput, match="or was"):
        ledger.schedules.add(replace(SCHEDULE, id="s"))


def test_schedules_are_listed_by_report_and_seen_by_those_who_may(ledger: RunLedger) -> None:
    ledger.schedules.add(replace(SCHEDULE, id="b", is_private=True))
    ledger.schedules.add(replace(SCHEDULE, id="a", report="weekly", is_enabled=False))
    assert [one.id for one in ledger.schedules.list()] == ["b", "a"]
    assert [one.id for one in ledger.schedules.list(Viewer("eve"))] == ["a"]
    assert [one.id for one in ledger.schedules.list(Viewer("ada"), report="daily")] == ["b"]
    assert [one.id for one in ledger.schedules.list(enabled=False)] == ["a"]
    with pytest.raises(UnknownName):
        ledger.schedules.get("b", Viewer("eve"))


def test_comments_stay(ledger: RunLedger, order: Make) -> None:
    _note(ledger, order("a"))
    first = ledger.remarks.comment("a", "ada", " <b>why</b>?\r\nnext\x07\u202e ", cell_id="c1")
    second = ledger.remarks.comment("a", "bob", "because")
    assert first.text == "<b>why</b>?\nnext"
    assert ledger.remarks.comments("a") == (first, second)
    for statement in (update(COMMENTS).values(text="x"), delete(COMMENTS)):
        with pytest.raises(DataError), ledger.database.writing() as connection:
            connection.execute(statement)
    assert ledger.remarks.comments("a") == (first, second)


@pytest.mark.parametrize("said", ["", " \n\t ", "\x00", "x" * (LARGEST + 1)])
def test_a_comment_says_something_of_some_length(ledger: RunLedger, order: Make, said: str) -> None:
    _note(ledger, order("a"))
    with pytest.raises(BadParameter):
        ledger.remarks.comment("a", "ada", said)
    assert ledger.remarks.comments("a") == ()


def test_nobody_can_speak_of_a_run_that_is_not_there(ledger: RunLedger) -> None:
    with pytest.raises(QuantdeskError):
        ledger.remarks.comment("nothing", "ada", "hello")
    with pytest.raises(QuantdeskError):
        ledger.remarks.sign("nothing", "ada", Verdict.APPROVED)


def test_the_last_sign_off_of_a_person_counts_and_all_stay(ledger: RunLedger, order: Make) -> None:
    _note(ledger, order("a"))
    with pytest.raises(BadParameter, match="nothing to withdraw"):
        ledger.remarks.sign("a", "ada", Verdict.WITHDRAWN)
    ledger.remarks.sign("a", "ada", Verdict.APPROVED)
    ledger.remarks.sign("a", "bob", Verdict.APPROVED, "fine")
    ledger.remarks.sign("a", "ada", Verdict.REJECTED, "stale data")
    ledger.remarks.sign("a", "bob", Verdict.WITHDRAWN)
    assert {who: one.verdict for who, one in ledger.remarks.standing("a").items()} == {"ada": Verdict.REJECTED}
    assert len(ledger.remarks.sign_offs("a")) == 4
    with pytest.raises(DataError), ledger.database.writing() as connection:
        connection.execute(update(SIGN_OFFS).values(verdict="approved"))


def test_the_trail_tells_who_did_what_last_first(ledger: RunLedger) -> None:
    ledger.remarks.trace("ada", "ran", "daily", {"window": 20})
    ledger.remarks.trace("bob", "removed", "s")
    assert [(one.who, one.what, one.subject) for one in ledger.remarks.trail()] == [
        ("bob", "removed", "s"),
        ("ada", "ran", "daily"),
    ]
    assert [one.details for one in ledger.remarks.trail("daily")] == [{"window": 20}]


def _delivery(name: str, at: datetime = NOON) -> Delivery:
    return Delivery(name, "a", "email", "ada@example.org", {"subject": "x"}, DeliveryState.PENDING, 0, at, "", NOON)


def test_a_message_is_sent_once_and_stays_sent(ledger: RunLedger) -> None:
    assert ledger.deliveries.add(_delivery("m"))
    assert not ledger.deliveries.add(_delivery("m"))
    (claimed,) = ledger.deliveries.claim(NOON, 30)
    assert (claimed.id, claimed.attempts, claimed.state) == ("m", 1, DeliveryState.SENDING)
    assert ledger.deliveries.claim(NOON, 30) == ()
    ledger.deliveries.sent("m")
    ledger.deliveries.failed("m", "late", NOON)
    assert ledger.deliveries.claim(NOON + timedelta(days=1), 30) == ()
    assert [one.state for one in ledger.deliveries.list(run_id="a")] == [DeliveryState.SENT]


def test_a_message_whose_sender_died_is_sent_again(ledger: RunLedger) -> None:
    ledger.deliveries.add(_delivery("m"))
    ledger.deliveries.claim(NOON, 30)
    assert [one.attempts for one in ledger.deliveries.claim(NOON + timedelta(seconds=30), 30)] == [2]


def test_a_message_waits_is_given_up_and_revived(ledger: RunLedger) -> None:
    ledger.deliveries.add(_delivery("m"))
    ledger.deliveries.claim(NOON, 30)
    ledger.deliveries.failed("m", "451 try later", NOON + timedelta(minutes=5))
    assert ledger.deliveries.claim(NOON + timedelta(minutes=4), 30) == ()
    ledger.deliveries.claim(NOON + timedelta(minutes=5), 30)
    ledger.deliveries.failed("m", "550 no such user", None)
    (dead,) = ledger.deliveries.list(DeliveryState.DEAD)
    assert (dead.problem, dead.attempts) == ("550 no such user", 2)
    ledger.deliveries.revive("m", NOON)
    assert [one.attempts for one in ledger.deliveries.claim(NOON, 30)] == [1]
    with pytest.raises(UnknownName):
        ledger.deliveries.revive("m", NOON)


def test_a_message_that_waits_for_a_time_that_a_clock_only_thought_of_is_sent(ledger: RunLedger) -> None:
    """The clock was years ahead for a while: what was put off, claimed or added then must not wait for those years."""
    far = NOON + timedelta(days=5000)
    for name in ("put off", "claimed", "added"):
        ledger.deliveries.add(_delivery(name, far if name == "added" else NOON))
    assert len(ledger.deliveries.claim(far, 600)) == 3
    ledger.deliveries.failed("put off", "451", far + timedelta(hours=1))
    ledger.deliveries.add(_delivery("added late", far))
    ledger.deliveries.add(_delivery("in an hour", NOON + timedelta(hours=1)))
    assert {one.id for one in ledger.deliveries.claim(NOON, 600)} == {"put off", "claimed", "added", "added late"}
    assert ledger.deliveries.claim(NOON, 600) == ()


def test_the_tables_go_up_and_down_but_not_over_what_people_said(url: str, order: Make) -> None:
    with RunLedger.open(url) as ledger:
        migrations = Migrations(Database(url, SCHEMA), VERSIONS)
        assert migrations.down(BASE) == BASE
        migrations.up()
        _note(ledger, order("a"))
        with pytest.raises(DataError, match="1 runs"):
            migrations.down(BASE)
        assert ledger.search.run("a").id == "a"


def test_an_address_is_not_shown_with_its_password() -> None:
    with RunLedger.open("sqlite:///:memory:") as ledger, ledger.database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM runs")) == 0
        assert repr(ledger) == "RunLedger('sqlite:///:memory:')"
