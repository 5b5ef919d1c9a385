"""The hub's pages in a real browser: wide and narrow, light and dark, by keyboard, without a complaint."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
OPEN = ("login", "signup")
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
#: WCAG contrast of every visible text against the background that it stands on.
CONTRAST = """
() => {
    const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const colour = (text) => text.match(/[\\d.]+/g).map(Number);
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const found = colour(getComputedStyle(node).backgroundColor);
            if (found.length === 3 || found[3] > 0.99) return found;
        }
        return [255, 255, 255];
    };
    const poor = [];
    for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || !node.checkVisibility() || node.closest(".visually-hidden, [aria-hidden=true], .modal")) continue;
        const [a, b] = [light(colour(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${node.tagName} ${node.textContent.trim().slice(0, 40)}`);
    }
    return poor;
}
"""


@pytest.fixture(scope="module")
def known(hub: Any, real: Any) -> Any:
    """The administrator's password is chosen, and two people have signed up; one is approved."""
    browser = hub.browser()
    if not browser.login(hub.admin, "a quiet lake in june", follow=False).is_redirect:
        browser.login(hub.admin, hub.secret)
        browser.post("set-password", new_password="a quiet lake in june", confirmation="a quiet lake in june")
    if hub.browser().get("signup").status_code == 200:
        for name in ("carmen", "dmitri"):
            hub.browser().sign_up(name)
        browser.post("users", user="carmen", action="approve")
    return hub


@pytest.mark.parametrize("form", FORMATS)
def test_pages_fit_and_can_be_read(known: Any, person: Any, form: str) -> None:
    visitor, admin = person(**FORMATS[form]), person(**FORMATS[form])
    admin.log_in(known.admin, "a quiet lake in june")
    admin.page.wait_for_url(lambda url: "/hub/login" not in url)
    for name in (*OPEN, "home", "users", "change-password", "change-password/carmen", "token", "share", "nothing-here"):
        one = visitor if name in OPEN else admin
        one.go(name)
        width = one.page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= FORMATS[form]["viewport"]["width"], f"{name} is wider than the window"
        assert one.page.evaluate(CONTRAST) == [], name
        assert one.page.locator("main").count() == 1
        one.shot(f"{name.replace('/', '-')}-{form}", full_page=True)
    for one in (visitor, admin):
        assert one.complaints == []
        assert one.hosts == {known.url.split("/")[2]}


def test_logging_in_takes_no_mouse(known: Any, person: Any) -> None:
    visitor = person()
    visitor.go("login")
    expect(visitor.page.get_by_label("User name")).to_be_focused()
    visitor.page.keyboard.type(known.admin)
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_label("Password", exact=True)).to_be_focused()
    visitor.page.keyboard.type("not the password")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    expect(visitor.page.get_by_label("Password", exact=True)).to_be_focused()
    visitor.shot("wrong-password")


def test_forms_help_while_one_types(known: Any, person: Any) -> None:
    if known.browser().get("signup").status_code != 200:
        pytest.skip("a hub of one person has no sign-up")
    visitor = person()
    visitor.go("signup")
    page = visitor.page
    page.get_by_label("Password", exact=True).fill("orange tiger 77 moon")
    page.get_by_label("The same again").fill("orange tiger 77 mon")
    again = page.get_by_label("The same again")
    assert again.evaluate("field => field.validationMessage") == "The two passwords differ."
    again.fill("orange tiger 77 moon")
    assert again.evaluate("field => field.validationMessage") == ""
    page.get_by_label("Show what I type").check()
    expect(again).to_have_attribute("type", "text")
    page.get_by_label("User name").fill("<b>")
    assert page.get_by_label("User name").evaluate("field => field.validity.patternMismatch")


def test_taking_access_away_asks_first(known: Any, person: Any) -> None:
    if known.browser().get("signup").status_code != 200:
        pytest.skip("a hub of one person has no other users")
    admin = person()
    admin.log_in(known.admin, "a quiet lake in june")
    admin.page.wait_for_url(lambda url: "/hub/login" not in url)
    admin.go("users")
    asked = []
    admin.page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    admin.page.get_by_role("button", name="Revoke carmen").click()
    assert "Stop the server of carmen" in asked[0]
    expect(admin.page.locator("#user-carmen")).to_contain_text("approved")
