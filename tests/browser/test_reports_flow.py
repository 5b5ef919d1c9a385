"""Reports from the first login to the log-out, in a real browser: a hub, its service and its worker, nothing stood in.

A person finds the gallery from the hub's home, is told of a wrong value, watches a run, reads its page, compares two
runs, comments, signs, and is gone from the service when he is gone from the hub. Another one may not read, and is told
what he lacks.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PASSWORD = "orange tiger 77 moon"
SERVICE = "/services/quantdesk"
expect.set_options(timeout=30_000)  # a busy machine takes its time
FORMS: dict[str, Any] = {
    "wide": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True,
              "is_mobile": True},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "color_scheme": "dark"},
    "plain": {"viewport": {"width": 1280, "height": 900}, "java_script_enabled": False},
}  # fmt: skip
EACH = pytest.mark.parametrize(
    "form", ["wide", *(pytest.param(name, marks=pytest.mark.slow) for name in FORMS if name != "wide")]
)


@pytest.fixture
def ready(hub: Any, real: Any) -> Any:
    """The hub, when its service answers."""
    real.need_root()
    real.until(hub.service_answers, 90, lambda: hub.service_log)
    return hub


def enters(hub: Any, admin: Any, one: Any, name: str) -> Page:
    """Sign up, be let in, log in, and stand on the hub's home."""
    page: Page = one.page
    if not hub.browser().login(name, PASSWORD, follow=False).is_redirect:
        one.go("signup")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.get_by_role("button", name="Sign up").click()
        expect(page.get_by_text(f"You are signed up as {name}.")).to_be_visible()
        admin.post("users", user=name, action="approve")
    one.go("home")  # which asks who is there
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name=f"Hello, {name}")).to_be_visible()
    return page


def run(page: Page, window: str, pause: str) -> str:
    """Fill in the form that is open, and give the name of the run."""
    page.get_by_label("Window").fill(window)
    page.get_by_label("Pause").fill(pause)
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(re.compile("/runs/2"))
    return page.url.rpartition("/")[2]


@EACH
def test_from_the_login_to_the_log_out(ready: Any, admin: Any, visit: Any, form: str) -> None:
    eva = visit(ready.url, **FORMS[form])
    page = enters(ready, admin, eva, "eva")
    shot = lambda name, **settings: eva.shot(f"flow-{name}-{form}", **{"full_page": True, **settings})  # noqa: E731
    shot("home")

    page.get_by_role("link", name="Open the reports").click()
    expect(page.get_by_role("heading", name="Reports", exact=True)).to_be_visible()
    shot("gallery")
    page.get_by_role("link", name="Run Drift of the book").click()

    # A value out of its bounds: said once, beside its field, and nothing starts. The browser would say so by itself.
    page.locator("form.qd-form").evaluate("form => form.noValidate = true")
    page.get_by_label("Window").fill("2")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator(".qg-wrong")).to_have_count(1)
    expect(page.locator(".qg-wrong")).to_contain_text("2 sessions is below the minimum of 5 sessions.")
    expect(page.get_by_label("Window")).to_have_value("2")
    shot("wrong")

    window = 20 + list(FORMS).index(form)  # what was asked before is not run again
    first = run(page, str(window), "0.6")
    standing = page.locator("#standing")
    expect(standing).to_contain_text(re.compile(r"[1-6] of \d cells"))
    shot("running")
    expect(page.get_by_role("heading", name="Metrics")).to_be_visible()  # it came by itself
    expect(standing).to_contain_text("Completed")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Drift of the book")).to_be_visible()
    assert page.locator("iframe").get_attribute("sandbox") == "allow-scripts"
    shot("run", full_page=False)
    shot("run-whole")

    page.get_by_role("link", name="Run again with these parameters").click()
    expect(page.get_by_label("Window")).to_have_value(str(window))
    second = run(page, str(2 * window), "0")
    expect(standing).to_contain_text("Completed")
    assert second != first

    page.get_by_role("navigation", name="Where you are").get_by_role("link", name="Drift of the book").click()
    for made in (first, second):
        page.locator(f"input[name=run][value='{made}']").check()
    shot("report")
    page.get_by_role("button", name="Compare the two that are ticked").click()
    expect(page.get_by_role("heading", name="Compare two runs")).to_be_visible()
    expect(page.locator("main")).to_contain_text("window")
    shot("compare")

    page.goto(f"{ready.url}{SERVICE}/runs/{second}")
    page.get_by_label("Comment", exact=True).fill("The window is twice as long.")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".qg-comments li", has_text="twice as long")).to_be_visible()
    page.get_by_label("About").select_option("chart")
    page.get_by_label("Comment", exact=True).fill("The last week <b>jumps</b>.")
    page.get_by_role("button", name="Comment").click()
    said = page.locator(".qg-comments li", has_text="jumps")
    expect(said).to_contain_text("The last week <b>jumps</b>.")
    expect(said).to_contain_text("Drift by session")
    page.get_by_label("Note").fill("Seen.")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".qg-standing")).to_contain_text("Approved by eva")
    page.get_by_text("Who did what").click()
    trail = page.locator("details", has_text="Who did what")
    for deed in ("asked for the run", "commented", "approved the run"):
        expect(trail).to_contain_text(deed)
    page.locator("#remarks").scroll_into_view_if_needed()
    shot("remarks", full_page=False)
    shot("remarks-whole")

    kept = {one["name"]: one["value"] for one in eva.context.cookies(f"{ready.url}{SERVICE}/")}
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"{ready.url}{SERVICE}/runs/{second}")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    stolen = requests.get(f"{ready.url}{SERVICE}/api/v1/runs", cookies=kept, timeout=30)
    assert stolen.status_code == 401
    assert eva.complaints == []
    assert eva.hosts == {ready.url.split("/")[2]}


@EACH
def test_who_lacks_the_scope_is_told_which(ready: Any, admin: Any, visit: Any, form: str) -> None:
    finn = visit(ready.url, **FORMS[form])
    page = enters(ready, admin, finn, "finn")
    refused = lambda answer: answer.url == f"{ready.url}{SERVICE}/" and answer.status != 302  # noqa: E731
    with page.expect_response(refused) as answer:
        page.get_by_role("link", name="Open the reports").click()
    assert answer.value.status == 403
    expect(page.get_by_role("alert")).to_contain_text("the scope custom:quantdesk:read is missing")
    expect(page.get_by_role("alert")).to_contain_text("Ask an administrator of the hub")
    finn.shot(f"flow-refused-{form}", full_page=True)
    assert finn.complaints == []
