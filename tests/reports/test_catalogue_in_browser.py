"""The catalogue in a real browser: found by words and by view, from the keyboard, without a script, on a phone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quantdesk.features.definitions import FEATURES
from quantdesk.reports.catalogue.pages import feature_page, file_name, index_page

from .test_catalogue import OVERVIEW, facts, hostile

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("report-page")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    every = [facts(name) for name in FEATURES]
    every = [dataclasses.replace(one, lineage=dataclasses.replace(one.lineage, feature=one.name)) for one in every]
    for one in every:
        (folder / file_name(one.name)).write_text(feature_page(one, OVERVIEW), "utf-8", newline="\n")
    (folder / "index.html").write_text(index_page(every, OVERVIEW), "utf-8", newline="\n")
    (folder / "hostile.html").write_text(feature_page(hostile(), OVERVIEW), "utf-8", newline="\n")
    (folder / "hostile_index.html").write_text(index_page([hostile()], OVERVIEW), "utf-8", newline="\n")
    return folder


@pytest.fixture
def visit(chromium: Any, pages: Path) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    contexts = []

    def opened(name: str, **how: Any) -> tuple[Any, list[str]]:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
        page.goto((pages / name).as_uri())
        return page, complaints

    yield opened
    for context in contexts:
        context.close()


def shown(page: Any) -> list[str]:
    return [row.inner_text() for row in page.locator("tr[data-view] th a").all() if row.is_visible()]


def test_words_and_views_filter_from_the_keyboard(visit: Callable[..., Any]) -> None:
    page, complaints = visit("index.html")
    assert len(shown(page)) == len(FEATURES)
    page.keyboard.press("/")
    page.keyboard.type("moving AVERAGE")
    assert set(shown(page)) == {"sma_20", "sma_50", "sma_200", "ema_12", "ema_26", "macd"}
    assert "6 of 20" in page.locator("#count").inner_text()
    page.keyboard.press("Escape")
    assert len(shown(page)) == len(FEATURES)
    page.locator("#view-0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert shown(page) == ["beta_252d"]
    page.locator("#search").fill("no such thing")
    assert shown(page) == []
    page.get_by_role("button", name="Show all").press("Enter")
    assert len(shown(page)) == len(FEATURES)
    page.get_by_role("link", name="rsi_14").press("Enter")
    page.wait_for_url("**/rsi_14.html")
    assert complaints == []


def test_without_a_script_the_views_still_filter(visit: Callable[..., Any]) -> None:
    page, _ = visit("index.html", java_script_enabled=False)
    assert page.locator("#search").is_hidden()
    page.get_by_label("sentiment").check()
    assert page.locator("tr[data-view]:visible").count() == 1
    page.get_by_label("all").check()
    assert page.locator("tr[data-view]:visible").count() == len(FEATURES)


@pytest.mark.parametrize("name", ["index.html", "sma_20.html"])
def test_a_phone_scrolls_in_one_direction_only(visit: Callable[..., Any], name: str) -> None:
    page, complaints = visit(name, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
    assert complaints == []


def test_a_page_reads_without_colour_and_from_the_keyboard(visit: Callable[..., Any]) -> None:
    page, complaints = visit("sma_20.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the feature"
    assert page.get_by_role("heading", level=1).inner_text() == "sma_20"
    for region in page.get_by_role("region").all():
        assert region.get_attribute("aria-label")
        assert region.get_attribute("tabindex") == "0"
    assert all(one.get_attribute("aria-label") for one in page.locator("svg[role=img]").all())
    page.locator("summary").first.press("Enter")
    assert page.get_by_text("SHA-256").first.is_visible()
    assert complaints == []


@pytest.mark.parametrize("name", ["hostile.html", "hostile_index.html"])
def test_hostile_texts_do_nothing(visit: Callable[..., Any], name: str) -> None:
    page, complaints = visit(name)
    assert page.locator("img").count() == 0
    assert "alert(1)" in page.locator("body").inner_text()
    assert complaints == []
