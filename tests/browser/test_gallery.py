"""The gallery in a real browser: by mouse, by keyboard, without scripts, narrow and dark, and with hostile content.

The service runs for real over a seeded ledger, in a thread; who is logged in says a hub that is none. The way through
the hub's own login is the business of the tests of the hub.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from modules import module_at
from quantdesk.reports.ledger import RunLedger, Schedule, State, Verdict

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PREFIX = "/services/quantdesk"
HERE = Path(__file__).resolve().parent
FORMATS: dict[str, Any] = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}
#: What somebody who cannot see or point would stumble over: fields and buttons without a name, pictures without a text,
#: headings that skip a level, an id that is there twice.
UNNAMED = """
() => {
    const wrong = [];
    const name = (node) => node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent.trim()
        || node.querySelector("img")?.alt || node.title || "";
    const named = "input:not([type=hidden]), select, textarea, button, a[href], iframe";
    for (const node of document.querySelectorAll(named)) {
        if (!node.closest("[aria-hidden=true]") && !name(node).trim()) wrong.push(node.outerHTML.slice(0, 120));
    }
    for (const node of document.querySelectorAll("img:not([alt]), svg:not([role=img]):not([aria-hidden])")) {
        wrong.push(node.outerHTML.slice(0, 120));
    }
    let last = 0;
    for (const node of document.querySelectorAll("h1, h2, h3, h4")) {
        const level = Number(node.tagName[1]);
        if (level > last + 1) wrong.push(`${node.tagName} after h${last}: ${node.textContent.trim()}`);
        last = level;
    }
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    wrong.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `twice: ${id}`));
    for (const node of document.querySelectorAll("[aria-describedby], [aria-labelledby]")) {
        const both = [node.getAttribute("aria-describedby"), node.getAttribute("aria-labelledby")];
        for (const id of both.filter(Boolean).join(" ").split(" ")) {
            if (id && !document.getElementById(id)) wrong.push(`no such id: ${id}`);
        }
    }
    return wrong;
}
"""


#: The page's script looks for news every five seconds; a test need not wait for that.
HASTY = """document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll("[data-every]")) place.dataset.every = "0.2";
});"""


seed = module_at(HERE.parent / "hub" / "gallery" / "seed.py", "gallery_seed")
service = module_at(HERE.parent / "hub" / "gallery" / "conftest.py", "gallery_service")
CONTRAST = module_at(HERE / "test_pages.py", "hub_pages").CONTRAST
expect.set_options(timeout=30_000)  # a busy machine takes its time


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The service on a free port, with a past, and the ledger behind it."""
    import uvicorn

    from quantdesk.hub.app import ServiceConfig, create_app

    folder = tmp_path_factory.mktemp("gallery")
    patch = pytest.MonkeyPatch()
    patch.setenv("QUANTDESK_STATE", str(folder / "state"))
    patch.setenv("QUANTDESK_NOTEBOOKS", str(folder / "notebooks"))
    patch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
    root = folder / "state" / "reports"
    root.mkdir(parents=True)
    seed.desk(folder / "notebooks")
    (folder / "notebooks" / "broken.ipynb").unlink()
    listening = socket.create_server(("127.0.0.1", 0))
    with RunLedger.open() as ledger:
        runs = seed.past(ledger, root, sessions=12, figures=True)
        ledger.schedules.add(Schedule("", "daily_risk", "30 minutes after the NYSE close", "America/New_York", "ana"))
        ledger.schedules.add(Schedule("", "data_freshness", "*/20 6-20 * * MON-FRI", "UTC", "bo", is_enabled=False))
        last = next(run for run in reversed(runs) if run.report == "daily_risk")
        ledger.remarks.comment(last.id, "bo", "The jump is the new position of the event book.", cell_id="c3")
        ledger.remarks.sign(last.id, "bo", Verdict.APPROVED, "The committee has raised the limit.")
        config = ServiceConfig(folder=folder / "state" / "service", hub_api="http://hub")
        app = create_app(config, hub=httpx.MockTransport(service.people))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield SimpleNamespace(app=app, ledger=ledger, runs=runs, last=last, root=root, address=address)
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
    listening.close()
    patch.undo()


class Visitor:
    """Somebody at a browser, logged in; what the page complains about and whom it asks is written down."""

    def __init__(self, browser: Browser, desk: Any, name: str, **settings: Any) -> None:
        from quantdesk.hub.app.access import COOKIE

        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **settings})
        value = desk.app.state.signer.sign("session", {"token": name}, time.time())
        self.context.add_cookies([{"name": COOKIE, "value": value, "url": f"{desk.address}{PREFIX}/"}])
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.desk = desk
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "request", lambda request: self.hosts.add(request.url.split("/")[2] if "://" in request.url else "")
        )

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.complaints.append(f"{self.page.url}: {message.text}")

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.desk.address}{PREFIX}{path}")
        return self.page

    def shot(self, name: str, **settings: Any) -> None:
        """Keep a picture where ``QUANTDESK_SCREENSHOTS`` says, if it says so."""
        folder = os.environ.get("QUANTDESK_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder, f"{name}.png"), **settings)

    def is_clean(self) -> None:
        """Nothing was complained about, and nobody but the service was asked."""
        assert self.complaints == []
        assert self.hosts <= {self.desk.address.split("/")[2], ""}


@pytest.fixture
def visitor(chromium: Browser, desk: Any) -> Iterator[Any]:
    """Makes visitors."""
    made: list[Visitor] = []

    def make(name: str = "ana", **settings: Any) -> Visitor:
        made.append(Visitor(chromium, desk, name, **settings))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


@pytest.mark.parametrize("form", ["wide", "phone", pytest.param("dark", marks=pytest.mark.slow)])
def test_pages_fit_and_can_be_read_and_have_names(desk: Any, visitor: Any, form: str) -> None:
    one = visitor(**FORMATS[form])
    daily = [run for run in desk.runs if run.report == "daily_risk"]
    schedule = desk.ledger.schedules.list()[0]
    pages = {
        "gallery": "/", "report": "/reports/daily_risk", "runs": "/runs", "run": f"/runs/{desk.last.id}",
        "failed": f"/runs/{daily[-3].id}", "form": "/reports/daily_risk/run", "schedules": "/schedules",
        "schedule": f"/schedules/{schedule.id}", "compare": f"/compare?run={daily[-1].id}&run={daily[-2].id}",
        "nothing": "/runs/nothing", "empty": "/?q=nothing+fits",
    }  # fmt: skip
    for name, path in pages.items():
        page = one.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= FORMATS[form]["viewport"]["width"], name
        assert page.evaluate(CONTRAST) == [], name
        assert page.evaluate(UNNAMED) == [], name
        assert page.locator("main").count() == 1
        if name == "run":
            expect(page.frame_locator("iframe").get_by_role("heading", name="Daily risk")).to_be_visible()
        one.shot(f"{name}-{form}", full_page=name != "run")
    one.is_clean()


def test_a_report_is_found_run_watched_and_seen_to_its_end(desk: Any, visitor: Any) -> None:
    ana = visitor()
    ana.page.add_init_script(HASTY)
    page = ana.go("/")
    page.get_by_label("Search").fill("fresh")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-report]")).to_have_count(1)
    page.get_by_role("link", name="Run Data freshness").click()
    page.get_by_label("Window").fill("3")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#standing")).to_contain_text("Queued")
    claim = desk.ledger.queue.claim("worker-1", 60)
    desk.ledger.queue.renew(claim, 60, {"what": "Sources", "done": 3, "total": 9, "elapsed_s": 2.0, "estimate_s": 6.0})
    expect(page.locator("#standing")).to_contain_text("3 of 9 cells")
    expect(page.locator("#standing")).to_contain_text("Sources")
    ana.shot("running")
    assert page.get_by_role("progressbar").get_attribute("value") == "3"
    desk.ledger.queue.finish(claim, State.COMPLETED, {}, metrics={"late": (2.0, "sources")})
    expect(page.get_by_role("heading", name="Metrics")).to_be_visible()  # the page came again by itself
    expect(page.locator("#standing")).to_contain_text("Completed")
    assert desk.ledger.queue.get(claim.run.id).parameters == {"window": 3}
    ana.is_clean()


def test_the_end_of_a_run_takes_nothing_away_from_who_is_writing(desk: Any, visitor: Any) -> None:
    run, claim = seed.under_way(desk.ledger, "daily_risk", "Daily risk", what="Exposure", done=1, total=4)
    ana = visitor()
    page = ana.go(f"/runs/{run.id}")
    page.evaluate("""() => {
        const field = document.createElement("textarea");
        field.id = "draft";
        document.querySelector("main").append(field);
    }""")
    page.locator("#draft").fill("half a thought")
    desk.ledger.queue.finish(claim, State.CANCELLED, {}, problem="It was cancelled.")
    expect(page.get_by_role("link", name="It has ended: show what it left.")).to_be_visible()
    expect(page.locator("#draft")).to_have_value("half a thought")


def test_the_gallery_moves_by_itself(desk: Any, visitor: Any) -> None:
    bo = visitor("bo")
    bo.page.add_init_script(HASTY)
    page = bo.go("/?q=execution")
    expect(page.locator("tr[data-report=execution_quality]")).to_contain_text("Completed")
    told = {"what": "Costs", "done": 0, "total": 2}
    run, claim = seed.under_way(desk.ledger, "execution_quality", "Execution quality", by="bo", **told)
    expect(page.locator("tr[data-report=execution_quality]")).to_contain_text("Running")
    expect(page.locator("#counts")).to_contain_text("under way")
    desk.ledger.queue.finish(claim, State.FAILED, {}, problem="It failed.")
    expect(page.locator("tr[data-report=execution_quality]")).to_contain_text("Failed")
    assert run.id in (page.locator("tr[data-report=execution_quality] a.qg-stack").get_attribute("href") or "")


def test_two_runs_are_ticked_and_compared(desk: Any, visitor: Any) -> None:
    ana = visitor()
    page = ana.go("/reports/daily_risk?status=completed")
    button = page.get_by_role("button", name="Compare the two that are ticked")
    expect(button).to_be_disabled()
    boxes = page.locator("input[name=run]")
    for number in (0, 1, 2):
        boxes.nth(number).check()
    expect(boxes.nth(0)).not_to_be_checked()  # a third one lets go of the first
    button.click()
    expect(page.get_by_role("heading", name="Compare two runs")).to_be_visible()
    expect(page.locator(".qg-pair img").first).to_have_js_property("complete", True)
    assert page.locator(".qg-pair img").first.evaluate("image => image.naturalWidth") > 0
    ana.is_clean()


def test_people_comment_and_sign_with_the_keyboard_alone(desk: Any, visitor: Any) -> None:
    ana = visitor()
    page = ana.go(f"/runs/{desk.last.id}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_label("About").focus()
    page.keyboard.type("Cell 2")
    page.keyboard.press("Tab")
    page.keyboard.type("Confirmed <b>by hand</b>.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    said = page.locator(".qg-comments li", has_text="Confirmed")
    expect(said).to_contain_text("Confirmed <b>by hand</b>.")
    expect(said).to_contain_text("on Cell 2, Exposure")
    page.get_by_label("Note").focus()
    page.keyboard.type("Seen.")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".qg-standing")).to_contain_text("Approved by ana")
    page.get_by_role("button", name="Withdraw mine").click()
    expect(page.locator(".qg-standing")).not_to_contain_text("ana")
    ana.is_clean()


def test_a_schedule_shows_what_it_means_while_it_is_typed(desk: Any, visitor: Any) -> None:
    bo = visitor("bo")
    page = bo.go("/schedules/new?report=execution_quality")
    page.get_by_label("When", exact=True).fill("first session of the month at 08:00")
    expect(page.locator("#preview tbody tr")).to_have_count(5)
    expect(page.locator("#preview")).to_contain_text("America/New_York")
    page.get_by_label("Time zone").fill("Europe/London")
    expect(page.locator("#preview thead")).to_contain_text("Europe/London")
    page.get_by_label("When", exact=True).fill("nonsense")
    expect(page.locator("#preview")).to_contain_text("cannot be read")
    page.get_by_label("When", exact=True).fill("0 8 * * MON")
    page.get_by_role("button", name="Add the schedule").click()
    row = page.locator("tr", has_text="0 8 * * MON")
    row.get_by_role("button", name=re.compile("Pause")).click()
    expect(page.locator("tr", has_text="0 8 * * MON")).to_contain_text("paused")
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.locator("tr", has_text="0 8 * * MON").get_by_role("button", name=re.compile("Remove")).click()
    expect(page.locator("tr", has_text="0 8 * * MON")).to_have_count(0)
    assert asked == ["Remove this schedule of Execution quality? Its runs stay."]
    bo.is_clean()


def test_everything_works_without_scripts(desk: Any, visitor: Any) -> None:
    ana = visitor(java_script_enabled=False)
    page = ana.go("/")
    page.get_by_label("Owner").select_option("bo")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr[data-report=execution_quality]")).to_be_visible()
    expect(page.locator("tr[data-report=daily_risk]")).to_have_count(0)
    ana.go("/reports/scenario_stress/run")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#standing")).to_contain_text("Queued")
    page.get_by_role("button", name="Cancel this run").click()
    expect(page.locator("#standing")).to_contain_text("It was cancelled by ana.")
    ana.go("/schedules/new?report=daily_risk")
    page.get_by_label("When", exact=True).fill("0 7 * * MON-FRI")
    page.get_by_role("button", name="Show when it is due").click()
    expect(page.locator("#preview tbody tr")).to_have_count(5)
    ana.go("/reports/daily_risk")
    for number in (0, 1):
        page.locator("input[name=run]").nth(number).check()
    page.get_by_role("button", name="Compare the two that are ticked").click()
    expect(page.get_by_role("heading", name="Compare two runs")).to_be_visible()


def test_a_wrong_value_is_told_where_it_was_typed(desk: Any, visitor: Any) -> None:
    page = visitor().go("/reports/daily_risk/run")
    page.get_by_label("Look-back").fill("5")
    assert page.get_by_label("Look-back").evaluate("field => field.validity.rangeUnderflow")
    page.locator("form.qd-form").evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Run now").click()
    field = page.get_by_label("Look-back")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("5")
    expect(page.locator(".qg-wrong")).to_contain_text("5 sessions is below the minimum of 20 sessions")


def test_times_are_in_utc_and_say_what_they_are_where_one_is(desk: Any, visitor: Any) -> None:
    page = visitor(timezone_id="Asia/Tokyo", locale="en-GB").go(f"/runs/{desk.last.id}")
    begun = page.locator("#standing time").first
    expect(begun).to_have_text("2026-11-13 21:30:00 UTC")
    assert "14 November 2026 at 06:30:00 (Asia/Tokyo)" in (begun.get_attribute("title") or "")


HOSTILE = """<!doctype html><html><head><title>x</title></head><body><h1>Hostile</h1><script>
const tried = {};
const note = (name, work) => { try { tried[name] = String(work()); } catch (error) { tried[name] = "refused"; } };
note("parent", () => window.parent.document.title);
note("cookie", () => document.cookie);
note("storage", () => localStorage.length);
note("top", () => {  // a page that stands alone is its own top, and may leave as any page may
    if (window.top === window) throw new Error("alone");
    window.top.location = "about:blank";
    return window.top.location.href;
});
note("popup", () => {
    if (!window.open("/services/quantdesk/")) throw new Error("no");
    return "opened";
});
note("alert", () => { alert("x"); return "shown"; });
const load = (address) => new Promise((done, fail) => {
    const image = new Image();
    image.onload = done;
    image.onerror = fail;
    image.src = address;
});
const asked = fetch("/services/quantdesk/live/gallery", { credentials: "include" });
Promise.allSettled([asked, load("/services/quantdesk/static/mark.svg")]).then(([answer, image]) => {
    tried.fetch = answer.status;
    tried.image = image.status;
    const form = document.createElement("form");
    form.method = "post";
    form.action = "/services/quantdesk/schedules/new";
    document.body.append(form);
    form.submit();
    const told = document.createElement("pre");
    told.id = "tried";
    told.textContent = JSON.stringify(tried);
    document.body.append(told);
});
</script></body></html>"""


@pytest.mark.parametrize("alone", [False, True])
def test_a_hostile_page_reaches_nothing(desk: Any, visitor: Any, alone: bool) -> None:
    import json

    told = seed.Told("daily_risk", "Daily risk", seed.START, requested_by="mallory")
    run = seed.left(desk.ledger, desk.root, told, 900 + alone)
    Path(run.folder, "report.html").write_text(HOSTILE, "utf-8")  # as no renderer of ours would leave it
    ana = visitor()
    before = len(desk.ledger.schedules.list())
    page = ana.go(f"/runs/{run.id}/page" if alone else f"/runs/{run.id}")
    place = page.locator("#tried") if alone else page.frame_locator("iframe").locator("#tried")
    expect(place).to_be_attached()
    tried = json.loads(place.text_content() or "")
    expected = {"cookie": "refused", "storage": "refused", "popup": "refused", "fetch": "rejected", "image": "rejected"}
    assert {name: tried[name] for name in expected} == expected
    if not alone:
        assert (tried["parent"], tried["top"]) == ("refused", "refused")
    assert tried["alert"] in ("shown", "refused", "undefined")  # a sandboxed alert is not shown, and does not raise
    assert len(ana.context.pages) == 1
    assert page.url.endswith(run.id + ("/page" if alone else ""))
    assert len(desk.ledger.schedules.list()) == before
