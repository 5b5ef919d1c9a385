"""A first hour with quantdesk in a real browser: sign up, log in, open a template, run it, see a figure."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "01_feature_exploration"
SECRET_WORDS = "a quiet lake in june"
PASSWORD = "orange tiger 77 moon"


def open_template(page: Page, name: str) -> None:
    """As a person does: the card in the launcher, the dialog, the choice."""
    page.locator(".jp-LauncherCard[title=Template]").click()
    page.locator(".jp-Dialog select").nth(1).select_option(f"/Research/{name}.ipynb")
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    # The tab shows an empty notebook first, and then the template's cells.
    expect(page.locator(".jp-NotebookPanel h1").first).to_be_visible()
    expect(page.locator("#jp-main-statusbar")).to_contain_text("quantdesk | Idle", timeout=60_000)


def run_all(page: Page) -> None:
    """Run all cells, and wait: the indicator turns busy, and then idle again."""
    status = page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator")
    page.locator(".lm-MenuBar-item", has_text="Run").first.click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    expect(status).to_have_attribute("data-status", "busy", timeout=30_000)
    expect(status).to_have_attribute("data-status", "idle", timeout=150_000)


def rename(page: Page, name: str) -> None:
    page.locator(".lm-MenuBar-item", has_text="File").first.click()
    page.locator(".lm-Menu-item[data-command='docmanager:rename']").click()
    page.locator(".jp-Dialog input").fill(name)
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    expect(page.locator(".lm-TabBar-tab.jp-mod-current", has_text=name)).to_be_visible()


def saved(page: Page) -> None:
    page.keyboard.press("Control+s")
    expect(page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty")).to_have_count(0)


def test_from_the_first_login_to_a_figure(hub: Any, person: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can serve a second person; the hub of one person is tested in tests/hub")
    admin = person()
    admin.go("")
    admin.shot("login")
    admin.log_in("admin", hub.secret)
    expect(admin.page.get_by_role("heading", name="Choose your password")).to_be_visible()
    admin.shot("set-password")
    admin.page.get_by_label("New password").fill(SECRET_WORDS)
    admin.page.get_by_label("The same again").fill(SECRET_WORDS)
    admin.page.get_by_role("button", name="Keep it and log in").click()
    expect(admin.page.get_by_role("heading", name="Hello, admin")).to_be_visible()

    ana = person()
    ana.go("login")
    ana.page.get_by_role("link", name="Sign up").click()
    ana.shot("sign-up")
    ana.page.get_by_label("User name").fill("ana")
    ana.page.get_by_label("Password", exact=True).fill(PASSWORD)
    ana.page.get_by_label("The same again").fill(PASSWORD)
    ana.page.get_by_role("button", name="Sign up").click()
    expect(ana.page.get_by_text("You are signed up as ana.")).to_be_visible()
    ana.log_in("ana", PASSWORD)
    expect(ana.page.get_by_role("alert")).to_have_text("The administrator has not approved ana yet.")
    ana.shot("not-yet")

    admin.go("home")
    admin.page.get_by_role("link", name="look at the users").click()
    admin.shot("users")
    admin.page.get_by_role("button", name="Approve ana").click()
    expect(admin.page.locator("#user-ana")).to_contain_text("approved")

    ana.log_in("ana", PASSWORD)
    expect(ana.page.get_by_role("heading", name="Starting your server")).to_be_visible()
    ana.shot("starting")
    ana.page.wait_for_url("**/user/ana/lab**", timeout=90_000)
    open_template(ana.page, TEMPLATE)
    run_all(ana.page)

    figures = ana.page.locator(".jp-NotebookPanel .js-plotly-plot")
    assert figures.count() >= 4
    for number, figure in enumerate(figures.all()):
        figure.scroll_into_view_if_needed()
        expect(figure.locator("svg.main-svg").first).to_be_visible()
        box = figure.bounding_box()
        assert box is not None
        assert box["width"] > 400
        assert box["height"] > 200
        assert figure.locator("svg .mlayer").locator("path, image, rect").count() > 0, "something is drawn in it"
        ana.shot(f"figure-{number}")
    assert ana.page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    name = "features.ipynb"
    rename(ana.page, name)
    saved(ana.page)
    heading = ana.page.locator("h2", has_text="Which features say the same thing")
    heading.evaluate("heading => heading.scrollIntoView({block: 'start'})")
    expect(figures.nth(2)).to_be_in_viewport()
    ana.shot("lab")

    (copy,) = (hub.files.homes / "ana").glob("*.ipynb")
    assert copy.name == name
    told = json.loads(copy.read_text())
    assert [cell["execution_count"] for cell in told["cells"] if cell["cell_type"] == "code"].count(None) == 0
    assert copy.stat().st_uid == (hub.files.homes / "ana").stat().st_uid != 0
    template = ROOT / "notebooks" / f"{TEMPLATE}.ipynb"
    assert hashlib.sha256(template.read_bytes()).digest() != hashlib.sha256(copy.read_bytes()).digest()
    assert all(not cell.get("outputs") for cell in json.loads(template.read_text())["cells"]), (
        "the template is untouched"
    )

    ana.go("home")
    expect(ana.page.get_by_text("Your server is running")).to_be_visible()
    ana.shot("home")
    ana.page.get_by_role("button", name="Stop my server").click()
    expect(ana.page.get_by_text("Your server is stopped")).to_be_visible(timeout=30_000)
    expect(ana.page.get_by_role("button", name="Start my server")).to_be_visible()
    ana.page.get_by_role("link", name="Log out").click()
    expect(ana.page.get_by_role("heading", name="Log in")).to_be_visible()

    for one in (admin, ana):
        assert one.complaints == []
        assert one.hosts == {hub.url.split("/")[2]}, "nothing is asked of any other host"
