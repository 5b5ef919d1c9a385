"""What people do on the pages: run, cancel, comment, sign, schedule; who may, and what is left in the trail."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from quantdesk.hub.app.gallery import order_pages
from quantdesk.reports.ledger import Filter, Order, RunLedger, Schedule, State, Verdict

UNTOUCHED = {
    "p.symbols": "AAPL\r\nMSFT", "p.window": "250", "p.confidence": "0.95", "p.since": "2015-01-02",
    "p.method": "historical", "p.stressed": "true", "p.note": "",
}  # fmt: skip
WHEN = {
    "trigger": "30 minutes after the NYSE close",
    "timezone": "America/New_York",
    "catch_up": "all",
    "enabled": "yes",
}


def text(page: Any) -> str:
    return " ".join(BeautifulSoup(page.text, "html.parser").get_text(" ").split())


def path_of(answer: Any) -> str:
    """Where a form leads, below the service."""
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix("/services/quantdesk")


def deeds(ledger: RunLedger) -> list[tuple[str, str, str]]:
    return [(one.who, one.what, one.subject) for one in ledger.remarks.trail()]


@pytest.fixture
def run(ledger: RunLedger, place: Path, seed: Any) -> Any:
    told = seed.Told("daily_risk", "Daily risk", seed.START, cells=(("markdown", "## Returns", ()), ("code", "1", ())))
    return seed.left(ledger, place / "state" / "reports", told)


# ------------------------------------------------------------------------------------------------------------- to run


def test_a_form_asks_for_a_run_and_leads_to_it(ana: Any, ledger: RunLedger) -> None:
    page = ana.get("/reports/daily_risk/run")
    form = BeautifulSoup(page.text, "html.parser").select_one("form.qd-form")
    for field in form.select("input:not([type=hidden]), select, textarea"):
        assert field.get("id") is None or form.select_one(f"label[for='{field['id']}']") is not None
    window = form.select_one("[name='p.window']")
    assert (window["type"], window["min"], window["max"], window["value"]) == ("number", "20", "500", "250")
    path = path_of(ana.post("/reports/daily_risk/run", UNTOUCHED | {"p.window": "60", "p.symbols": "SPY"}))
    run = ledger.queue.get(path.removeprefix("/runs/"))
    assert (run.state, run.requested_by, run.owner, run.trigger, run.attempts) == (
        State.QUEUED,
        "ana",
        "ana",
        "manual",
        2,
    )
    assert run.parameters == {"window": 60, "symbols": ["SPY"]}
    assert not run.is_private
    assert "○ Queued" in text(ana.get(path))
    assert deeds(ledger) == [("ana", "asked for the run", run.id)]


def test_a_wrong_value_starts_nothing_and_is_told_at_its_field(ana: Any, ledger: RunLedger) -> None:
    answer = ana.post("/reports/daily_risk/run", UNTOUCHED | {"p.window": "<b>many", "p.note": "keep me"})
    assert answer.status_code == 422
    field = BeautifulSoup(answer.text, "html.parser").select_one("[name='p.window']")
    assert field["aria-invalid"] == "true"
    assert field["value"] == "<b>many"
    told = BeautifulSoup(answer.text, "html.parser").select_one(f"#{field['aria-describedby'].split()[-1]}")
    assert "'<b>many' is no value for the parameter window of daily_risk: it takes a whole number" in told.get_text()
    assert 'value="keep me"' in answer.text
    assert ledger.search.count() == 0
    assert deeds(ledger) == []


def test_a_form_that_is_sent_twice_is_one_run(ana: Any, ledger: RunLedger) -> None:
    ask = BeautifulSoup(ana.get("/reports/daily_risk/run").text, "html.parser").select_one("[name=ask]")["value"]
    first, second = (path_of(ana.post("/reports/daily_risk/run", UNTOUCHED | {"ask": ask})) for _ in range(2))
    assert first == second
    assert ledger.search.count() == 1
    path_of(ana.post("/reports/daily_risk/run", UNTOUCHED))
    assert ledger.search.count() == 2


def test_a_form_that_is_changed_and_sent_again_is_another_run(ana: Any, ledger: RunLedger) -> None:
    ask = BeautifulSoup(ana.get("/reports/daily_risk/run").text, "html.parser").select_one("[name=ask]")["value"]
    first = path_of(ana.post("/reports/daily_risk/run", UNTOUCHED | {"ask": ask}))
    second = path_of(ana.post("/reports/daily_risk/run", UNTOUCHED | {"ask": ask, "private": "on"}))
    assert first != second
    assert ledger.search.count() == 2


def test_two_clicks_at_one_time_are_one_run_and_both_lead_to_it(
    ana: Any, app: Any, ledger: RunLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds the first under way, and waits for it; where that never ends, it says so."""
    ask = BeautifulSoup(ana.get("/reports/daily_risk/run").text, "html.parser").select_one("[name=ask]")["value"]
    replays, ended = app.state.replays, []
    begin = replays.begin

    def slow(user: str, key: str, asked: str) -> Any:
        if not ended:  # the first click has its turn, and ends while the second one waits
            ended.append(begin(user, key, asked))
        elif len(ended) < 4:
            ended.append(None)
        elif ended[0] is not None:
            replays.end(user, key, ended[0], (303, {"location": "/runs/of-the-first"}, ""))
            ended[0] = None
        return begin(user, key, asked)

    monkeypatch.setattr(replays, "begin", slow)
    assert path_of(ana.post("/reports/daily_risk/run", UNTOUCHED | {"ask": ask})) == "/runs/of-the-first"
    assert ledger.search.count() == 0
    ended.clear()
    monkeypatch.setattr(order_pages, "WAIT_S", 0.1)
    monkeypatch.setattr(replays, "end", lambda *given: None)
    answer = ana.post("/reports/daily_risk/run", UNTOUCHED | {"ask": ask, "private": "on"})
    assert answer.status_code == 409


def test_a_run_may_be_kept_private(ana: Any, person: Any, ledger: RunLedger) -> None:
    path = path_of(ana.post("/reports/execution_quality/run", {"p.window": "20", "private": "yes"}))
    assert person("guest").get(path).status_code == 404
    assert person("bo").get(path).status_code == 200, "the owner of the report sees it"
    private = path_of(ana.post("/reports/anas_idea/run", {"p.window": "3"}))
    assert ledger.queue.get(private.removeprefix("/runs/")).is_private
    assert person("bo").get(private).status_code == 404


def test_a_run_can_be_repeated_with_its_parameters(ana: Any, ledger: RunLedger, seed: Any, place: Path) -> None:
    told = seed.daily_risk(0, 9, figures=False)
    run = seed.left(ledger, place / "state" / "reports", told)
    form = BeautifulSoup(ana.get(f"/reports/daily_risk/run?like={run.id}").text, "html.parser")
    assert form.select_one("[name='p.window']")["value"] == "120"
    assert ana.get(f"/reports/execution_quality/run?like={run.id}").status_code == 404
    assert ana.get("/reports/daily_risk/run?like=nothing").status_code == 404


def test_who_may_only_read_changes_nothing(person: Any, ledger: RunLedger, run: Any) -> None:
    guest = person("guest")
    schedule = ledger.schedules.add(Schedule("", "daily_risk", "0 7 * * *", "UTC", "ana"))
    for path in (
        "/reports/daily_risk/run",
        f"/runs/{run.id}/cancel",
        f"/runs/{run.id}/comments",
        f"/runs/{run.id}/sign-off",
        "/schedules/new",
        f"/schedules/{schedule.id}",
        f"/schedules/{schedule.id}/pause",
        f"/schedules/{schedule.id}/remove",
    ):
        assert guest.post(path, {"text": "x", "verdict": "approved", "report": "daily_risk"}).status_code == 403, path
    assert guest.get("/reports/daily_risk/run").status_code == 403
    page = BeautifulSoup(guest.get(f"/runs/{run.id}").text, "html.parser")
    assert [form["action"] for form in page.select("form")] == ["/services/quantdesk/logout"]
    assert deeds(ledger) == []
    assert ledger.schedules.get(schedule.id) == schedule


def test_a_form_without_its_token_changes_nothing(ana: Any, person: Any, ledger: RunLedger, run: Any) -> None:
    bo = person("bo")
    for token in ("", "wrong", bo.token):
        for path in (
            "/reports/daily_risk/run",
            f"/runs/{run.id}/comments",
            f"/runs/{run.id}/sign-off",
            "/schedules/new",
        ):
            refused = ana.post(
                path, UNTOUCHED | {"text": "x", "verdict": "approved", "report": "daily_risk"}, token=token
            )
            assert refused.status_code == 403, path
    assert deeds(ledger) == []


def test_what_is_private_cannot_be_changed_by_others(person: Any, ledger: RunLedger, seed: Any, place: Path) -> None:
    told = seed.Told("anas_idea", "Ana's idea", seed.START, is_private=True)
    run = seed.left(ledger, place / "state" / "reports", told)
    schedule = ledger.schedules.add(Schedule("", "anas_idea", "0 7 * * *", "UTC", "ana", is_private=True))
    bo = person("bo")
    for path in (
        "/reports/anas_idea/run",
        f"/runs/{run.id}/cancel",
        f"/runs/{run.id}/comments",
        f"/runs/{run.id}/sign-off",
        f"/schedules/{schedule.id}",
        f"/schedules/{schedule.id}/pause",
        f"/schedules/{schedule.id}/remove",
    ):
        assert bo.post(path, {"text": "x", "verdict": "approved"}).status_code == 404, path
    assert bo.post("/schedules/new", WHEN | {"report": "anas_idea"}).status_code == 404
    assert "anas_idea" not in bo.get("/schedules").text
    assert deeds(ledger) == []


def test_a_run_is_cancelled_by_who_asked_for_it_or_owns_it(person: Any, ledger: RunLedger) -> None:
    def queued(name: str, by: str) -> None:
        ledger.queue.add(Order(id=name, report="daily_risk", title="x", parameters={}, requested_by=by, owner="ana"))

    for name in ("one", "two", "three"):
        queued(name, "bo")
    assert path_of(person("bo").post("/runs/one/cancel")) == "/runs/one"
    assert path_of(person("root").post("/runs/two/cancel")) == "/runs/two"
    assert path_of(person("ana").post("/runs/three/cancel")) == "/runs/three"
    assert ledger.search.count(Filter(states=(State.CANCELLED,))) == 3
    assert "It was cancelled by bo." in text(person("ana").get("/runs/one"))
    queued("four", "root")
    refused = person("bo").post("/runs/four/cancel")
    assert refused.status_code == 403
    assert "Ask root." in refused.text
    assert path_of(person("bo").post("/runs/one/cancel")) == "/runs/one", "one that has ended stays as it is"
    assert [one[1] for one in deeds(ledger)] == ["cancelled the run"] * 3


# --------------------------------------------------------------------------------------------- comments and sign-offs


def test_people_speak_of_a_run_and_of_its_cells(ana: Any, person: Any, ledger: RunLedger, run: Any) -> None:
    page = BeautifulSoup(ana.get(f"/runs/{run.id}").text, "html.parser")
    assert [one.get_text() for one in page.select("#cell option")] == ["the run as a whole", "Cell 1, Returns"]
    path = path_of(ana.post(f"/runs/{run.id}/comments", {"text": "Looks right.\nAt last."}))
    assert path == f"/runs/{run.id}#comment-1"
    path_of(person("bo").post(f"/runs/{run.id}/comments", {"text": "<b>Too</b> low", "cell": "c1"}))
    said = text(person("guest").get(f"/runs/{run.id}"))
    assert "Looks right. At last." in said
    assert "on Cell 1, Returns <b>Too</b> low" in said
    assert deeds(ledger) == [("bo", "commented", run.id), ("ana", "commented", run.id)]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"text": " \n "}, "A comment without a word is none."),
        ({"text": "x" * 10_001}, "A comment of 10,001 characters is too long."),
        ({"text": "kept", "cell": "c99"}, "The run has no such cell."),
    ],
)
def test_a_comment_that_is_none_is_refused_and_what_was_typed_stays(
    ana: Any, ledger: RunLedger, run: Any, fields: dict[str, str], says: str
) -> None:
    answer = ana.post(f"/runs/{run.id}/comments", fields)
    assert answer.status_code == 422
    assert says in answer.text
    assert BeautifulSoup(answer.text, "html.parser").select_one("#text").get_text().strip() == fields["text"].strip()
    assert ledger.remarks.comments(run.id) == ()


def test_a_run_is_approved_rejected_and_withdrawn(ana: Any, person: Any, ledger: RunLedger, run: Any) -> None:
    bo = person("bo")
    path_of(ana.post(f"/runs/{run.id}/sign-off", {"verdict": "rejected", "note": "Above <the> limit."}))
    path_of(ana.post(f"/runs/{run.id}/sign-off", {"verdict": "approved"}))
    path_of(bo.post(f"/runs/{run.id}/sign-off", {"verdict": "approved", "note": "Fine."}))
    page = BeautifulSoup(bo.get(f"/runs/{run.id}").text, "html.parser")
    standing = [" ".join(one.get_text(" ").split()) for one in page.select(".qg-standing li")]
    assert [one.split(" ,")[0] for one in standing] == ["✓ Approved by ana", "✓ Approved by bo"]
    assert "Above <the> limit." in page.get_text()
    assert "Withdraw mine" in page.get_text()
    path_of(bo.post(f"/runs/{run.id}/sign-off", {"verdict": "withdrawn"}))
    assert "Withdraw mine" not in bo.get(f"/runs/{run.id}").text
    assert set(ledger.remarks.standing(run.id)) == {"ana"}
    assert [one.verdict for one in ledger.remarks.sign_offs(run.id)][-1] is Verdict.WITHDRAWN
    again = bo.post(f"/runs/{run.id}/sign-off", {"verdict": "withdrawn"})
    assert (again.status_code, "nothing to withdraw" in again.text) == (422, True)
    assert bo.post(f"/runs/{run.id}/sign-off", {"verdict": "perhaps"}).status_code == 422
    assert [one[1] for one in deeds(ledger)] == [
        "withdrawn the run",
        "approved the run",
        "approved the run",
        "rejected the run",
    ]


def test_a_run_under_way_is_not_judged_yet(ana: Any, ledger: RunLedger) -> None:
    ledger.queue.add(Order(id="one", report="daily_risk", title="x", parameters={}, requested_by="ana"))
    assert ana.post("/runs/one/sign-off", {"verdict": "approved"}).status_code == 409
    assert ana.post("/runs/one/comments", {"text": "x"}).status_code == 409


# ----------------------------------------------------------------------------------------------------------- schedules


def test_a_schedule_is_added_edited_paused_and_removed(ana: Any, ledger: RunLedger) -> None:
    assert "Go on" in ana.get("/schedules/new").text
    assert ana.get("/schedules/new?report=daily_risk").status_code == 200
    path = path_of(ana.post("/schedules/new", UNTOUCHED | WHEN | {"report": "daily_risk", "p.window": "60"}))
    (made,) = ledger.schedules.list()
    assert path == f"/schedules#{made.id}"
    assert (made.trigger, made.timezone, made.catch_up, made.created_by) == (
        WHEN["trigger"],
        "America/New_York",
        "all",
        "ana",
    )
    assert (made.parameters, made.is_enabled, made.is_private, made.source) == ({"window": 60}, True, False, "user")
    form = BeautifulSoup(ana.get(f"/schedules/{made.id}").text, "html.parser")
    assert form.select_one("[name='p.window']")["value"] == "60"
    assert form.select_one("[name=version]")["value"] == "1"
    edit = (
        UNTOUCHED | WHEN | {"version": "1", "trigger": "0 7 * * MON-FRI", "timezone": "UTC", "after": "data_freshness"}
    )
    path_of(ana.post(f"/schedules/{made.id}", edit))
    changed = ledger.schedules.get(made.id)
    assert (changed.trigger, changed.parameters, changed.after, changed.version) == (
        "0 7 * * MON-FRI",
        {},
        ("data_freshness",),
        2,
    )
    path_of(ana.post(f"/schedules/{made.id}/pause", {"on": "no"}))
    assert not ledger.schedules.get(made.id).is_enabled
    assert "paused" in text(ana.get("/schedules"))
    path_of(ana.post(f"/schedules/{made.id}/pause", {"on": "yes"}))
    assert ledger.schedules.get(made.id).is_enabled
    path_of(ana.post(f"/schedules/{made.id}/remove"))
    assert ledger.schedules.list() == ()
    assert [one[1] for one in deeds(ledger)][::-1] == [
        "added the schedule",
        "changed the schedule",
        "paused the schedule",
        "resumed the schedule",
        "removed the schedule",
    ]


def test_a_schedule_that_somebody_else_has_changed_is_not_overwritten(ana: Any, person: Any, ledger: RunLedger) -> None:
    made = ledger.schedules.add(Schedule("", "daily_risk", "0 7 * * *", "UTC", "ana"))
    path_of(person("root").post(f"/schedules/{made.id}", UNTOUCHED | WHEN | {"version": "1"}))
    late = ana.post(f"/schedules/{made.id}", UNTOUCHED | WHEN | {"version": "1", "trigger": "0 9 * * *"})
    assert late.status_code == 409
    assert "it was changed" in late.text
    assert 'value="0 9 * * *"' in late.text
    assert ledger.schedules.get(made.id).trigger == WHEN["trigger"]
    assert ana.post(f"/schedules/{made.id}", UNTOUCHED | WHEN | {"version": "x" * 50}).status_code == 409


def test_a_schedule_is_changed_by_who_made_it_and_administrators_alone(person: Any, ledger: RunLedger) -> None:
    made = ledger.schedules.add(Schedule("", "daily_risk", "0 7 * * *", "UTC", "ana"))
    bo, root = person("bo"), person("root")
    for path in ("", "/pause", "/remove"):
        refused = bo.post(f"/schedules/{made.id}{path}", UNTOUCHED | WHEN | {"version": "1"})
        assert refused.status_code == 403
        assert "ask ana" in refused.text.lower()
    page = BeautifulSoup(bo.get(f"/schedules/{made.id}").text, "html.parser")
    assert page.select_one("fieldset.qg-plain-set").has_attr("disabled")
    assert ledger.schedules.get(made.id) == made
    path_of(root.post(f"/schedules/{made.id}", UNTOUCHED | WHEN | {"version": "1"}))
    assert ledger.schedules.get(made.id).created_by == "ana", "it stays hers"


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        ({"trigger": "now and then"}, "trigger", "cannot be read at word 1"),
        ({"trigger": ""}, "trigger", "is no schedule"),
        ({"trigger": "x" * 300}, "trigger", "300 characters"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Unknown time zone"),
        ({"timezone": "../../etc/passwd"}, "timezone", "time zone"),
        ({"catch_up": "perhaps"}, "catch_up", "Choose one of the list."),
        ({"after": "nothing_here"}, "after", "There is no report 'nothing_here'."),
        ({"after": "daily_risk"}, "after", "daily_risk would wait for itself."),
    ],
)
def test_a_schedule_that_cannot_be_is_told_at_its_field(
    ana: Any, ledger: RunLedger, fields: dict[str, str], name: str, says: str
) -> None:
    answer = ana.post("/schedules/new", UNTOUCHED | WHEN | {"report": "daily_risk"} | fields)
    assert answer.status_code == 422
    assert says in BeautifulSoup(answer.text, "html.parser").select_one(f"#e-{name}").get_text()
    assert ledger.schedules.list() == ()


def test_a_wrong_parameter_of_a_schedule_is_refused_as_in_a_run(ana: Any, ledger: RunLedger) -> None:
    answer = ana.post("/schedules/new", UNTOUCHED | WHEN | {"report": "daily_risk", "p.window": "5"})
    assert answer.status_code == 422
    assert "below the minimum of 20 sessions" in answer.text
    assert ledger.schedules.list() == ()


def test_due_times_are_shown_before_anything_is_kept(ana: Any, ledger: RunLedger) -> None:
    asked = UNTOUCHED | WHEN | {"report": "daily_risk", "preview": "yes"}
    for trigger in ("0 7 1 1 *", "nonsense"):
        page = ana.post("/schedules/new", asked | {"trigger": trigger})
        assert (page.status_code, f'value="{trigger}"' in page.text) == (200, True)
    year = datetime.now(UTC).year + 1
    live = text(ana.get("/schedules/preview?trigger=0+7+1+1+*&timezone=America/New_York"))
    for more in range(5):
        assert f"{year + more}-01-01 07:00 EST {year + more}-01-01 12:00 UTC" in live
    assert "cannot be read" in text(ana.get("/schedules/preview?trigger=nonsense&timezone=UTC"))
    assert "never due" in text(ana.get("/schedules/preview?trigger=0+7+30+2+*&timezone=UTC"))
    assert ledger.schedules.list() == ()


def test_a_schedule_whose_report_is_gone_can_still_be_changed(ana: Any, ledger: RunLedger) -> None:
    made = ledger.schedules.add(Schedule("", "long_gone", "0 7 * * *", "UTC", "ana", {"window": 3}, source="lab"))
    assert "made in JupyterLab" in ana.get("/schedules").text
    assert ana.get(f"/schedules/{made.id}").status_code == 200
    path_of(ana.post(f"/schedules/{made.id}", WHEN | {"version": "1"}))
    assert ledger.schedules.get(made.id).parameters == {"window": 3}
