"""The page in a real browser: it draws under its own policy, nothing leaves it, and nothing in it acts."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import plotly.graph_objects as go
import pytest
from nbformat import v4

from quantdesk.reports import theme
from quantdesk.reports.page import render
from quantdesk.reports.runs import Problem, Provenance, Run, Status

from .test_page import ATTACKS

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("report-page")]


@dataclass
class Opened:
    """A page, and everything that it asked for or complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def opened(html: str, **how: Any) -> Opened:
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(html, "utf-8", newline="\n")
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        shown = Opened(context.new_page())
        shown.page.on("request", lambda request: shown.requests.append(request.url))
        shown.page.on("console", lambda message: shown.complaints.append(message.text))
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.on("dialog", lambda dialog: (shown.complaints.append("a dialog"), dialog.dismiss()))
        shown.page.goto(path.as_uri())
        if 'class="figure"' in html and how.get("java_script_enabled", True):
            shown.page.wait_for_selector("html[data-drawn]", timeout=60_000)
        return shown

    yield opened
    for context in contexts:
        context.close()


def a_run(**changes: Any) -> Run:
    start = datetime(2026, 11, 23, 1, 45, 39, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": "20261123T014539.000Z-demo-abcdef",
        "report": "demo",
        "title": "Demo",
        "status": Status.COMPLETED,
        "parameters": {"symbols": ["AAPL"], "window": 20},
        "given": (),
        "seed": 7,
        "notebook": "demo.ipynb",
        "notebook_sha256": "ab" * 32,
        "started": start,
        "ended": start,
        "problem": None,
        "labels": ("real",),
        "provenance": Provenance(),
        "folder": Path("/nowhere"),
    }
    return Run(**{**values, **changes})


def shown(mime: str, value: Any) -> Any:
    return v4.new_code_cell("show()", outputs=[v4.new_output("display_data", data={mime: value})])


def figure(trace: Any, **layout: Any) -> Any:
    themed = go.Figure(trace, layout={"template": theme.template(theme.LIGHT), **layout})
    return shown("application/vnd.plotly.v1+json", themed.to_plotly_json())


KINDS = [
    go.Scatter(y=[1, 3, 2], name="one"),
    go.Scattergl(y=[1, 3, 2], name="two"),
    go.Bar(x=["a", "b"], y=[1, -2], marker={"color": theme.LIGHT.negative}),
    go.Heatmap(z=[[1, 2], [3, 4]]),
    go.Histogram(x=[1, 2, 2, 3]),
    go.Candlestick(x=["2020-01-02"], open=[1], high=[3], low=[0], close=[2]),
    go.Box(y=[1, 2, 3]),
    go.Table(header={"values": ["a"]}, cells={"values": [[1]]}),
    go.Waterfall(y=[1, -2, 3]),
    go.Scatterpolar(r=[1, 2], theta=[0, 90]),
]


@pytest.fixture(scope="module")
def charts() -> str:
    prose = "# Demo\n\nText with $x^2$.\n\n## First\n\n## Second\n\n| a | b |\n|--:|---|\n| 1 | x |"
    cells = [v4.new_markdown_cell(prose), *(figure(kind, title=f"Kind {kind.type}") for kind in KINDS)]
    foreign = shown("application/vnd.plotly.v1+json", go.Figure(KINDS[0], {"template": "plotly"}).to_plotly_json())
    wide = shown("text/html", "<table><tr>" + "<td>123456.78</td>" * 40 + "</tr></table>")
    return render(a_run(), v4.new_notebook(cells=[*cells, foreign, wide]))


def test_every_kind_of_figure_is_drawn_and_nothing_leaves_the_page(charts: str, open_page) -> None:
    opened = open_page(charts)
    assert opened.page.locator("html").get_attribute("data-drawn") == str(len(KINDS) + 1)
    assert opened.page.locator(".drawing .main-svg").count() >= len(KINDS) + 1
    assert opened.page.locator(".drawing:has(.main-svg)").count() == len(KINDS) + 1
    assert opened.complaints == []
    assert [address[:7] for address in opened.requests] == ["file://"]


class Listener(http.server.BaseHTTPRequestHandler):
    """Answers nothing and remembers that it was asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[str]:
    Listener.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_policy_holds_against_code_that_got_in(charts: str, open_page, listener: str) -> None:
    """Were something to pass the sanitiser, the policy is the second wall."""
    opened = open_page(charts)
    script = """async address => {
        const tried = {};
        tried.fetched = await fetch(address + '/fetch').then(() => 'sent', error => error.name);
        const image = new Image();
        tried.image = await new Promise(done => {
            image.onload = () => done('loaded'); image.onerror = () => done('blocked');
            image.src = address + '/image';
        });
        const inline = document.createElement('script');
        inline.textContent = 'window.ran = true';
        document.body.append(inline);
        tried.inline = window.ran === true;
        const foreign = document.createElement('script');
        tried.foreign = await new Promise(done => {
            foreign.onload = () => done('loaded'); foreign.onerror = () => done('blocked');
            foreign.src = address + '/script';
            document.body.append(foreign);
        });
        const button = document.createElement('button');
        button.setAttribute('onclick', 'window.clicked = true');
        button.click();
        tried.clicked = window.clicked === true;
        const style = document.createElement('style');
        style.textContent = `body { background: url(${address}/style) }`;
        document.head.append(style);
        const form = document.createElement('form');
        form.action = address + '/form';
        document.body.append(form);
        form.submit();
        return tried;
    }"""
    tried = opened.page.evaluate(script, listener)
    assert tried == {
        "fetched": "TypeError",
        "image": "blocked",
        "inline": False,
        "foreign": "blocked",
        "clicked": False,
    }
    opened.page.wait_for_timeout(300)
    assert Listener.asked == []


def test_nothing_in_a_malicious_notebook_acts(open_page) -> None:
    cells = []
    for attack in ATTACKS:
        cells.append(v4.new_markdown_cell(f"## {attack}\n\n{attack}\n\n[link](javascript:alert(1)) $`{attack}`$"))
        cells += [shown("text/html", attack), shown("text/markdown", attack), shown("text/plain", attack)]
        cells += [shown("image/svg+xml", f"<svg xmlns='http://www.w3.org/2000/svg'>{attack}</svg>")]
        cells += [shown("text/latex", attack), shown("application/javascript", "alert(1)")]
        cells.append(figure(go.Scatter(y=[1, 2], name=attack, text=[attack] * 2, mode="text"), title=attack))
        error = v4.new_output("error", ename=attack, evalue=attack, traceback=[attack])
        cells.append(v4.new_code_cell(attack, outputs=[error, v4.new_output("stream", name="stderr", text=attack)]))
    everything = " ".join(ATTACKS)
    run = a_run(
        title=everything,
        status=Status.FAILED,
        problem=Problem(everything, 3, "x", everything),
        parameters={everything: everything},
    )
    opened = open_page(render(run, v4.new_notebook(cells=cells)))
    page = opened.page
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    page.wait_for_timeout(300)
    assert opened.complaints == []
    assert [address[:7] for address in opened.requests] == ["file://"]
    assert page.title().startswith(ATTACKS[0])
    handlers = "all => all.flatMap(one => [...one.attributes]).filter(one => one.name.startsWith('on')).length"
    assert page.locator("main *:not(.drawing *), header *").evaluate_all(handlers) == 0
    assert page.locator("iframe, object, embed, form, input, base, link[rel=stylesheet]").count() == 0
    assert page.locator("#report").count() == 1


@pytest.mark.parametrize(("scheme", "palette"), [("light", theme.LIGHT), ("dark", theme.DARK)])
def test_page_and_figures_follow_the_system(charts: str, open_page, scheme: str, palette: theme.Palette) -> None:
    page = open_page(charts, color_scheme=scheme).page
    colour = "one => getComputedStyle(one).backgroundColor"

    def rgb(text: str) -> str:
        return f"rgb({', '.join(str(int(text[place : place + 2], 16)) for place in (1, 3, 5))})"

    assert page.locator("body").evaluate(colour) == rgb(palette.background)
    line = page.locator(".js-line").first.evaluate("one => getComputedStyle(one).stroke")
    assert line == rgb(palette.categorical[0])
    bar = page.locator(".bars path").first.evaluate("one => getComputedStyle(one).fill")
    assert bar == rgb(palette.negative)  # a colour that the figure itself had named
    assert page.locator(".drawing.paper").count() == 1  # a template that is not ours keeps its white paper


def test_a_change_of_the_system_is_followed(charts: str, open_page) -> None:
    page = open_page(charts, color_scheme="light").page
    page.emulate_media(color_scheme="dark")
    seen, deadline = "", time.monotonic() + 30
    while seen != "rgb(79, 179, 246)" and time.monotonic() < deadline:
        page.wait_for_timeout(100)
        seen = page.evaluate("getComputedStyle(document.querySelector('.js-line') || document.body).stroke")
    assert seen == "rgb(79, 179, 246)"


def test_a_phone_shows_it_without_scrolling_sideways(charts: str, open_page) -> None:
    page = open_page(charts, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".contents details").get_attribute("open") is None
    box = page.locator(".output .scroll").last
    assert box.evaluate("one => one.scrollWidth > one.clientWidth")  # a wide table scrolls by itself


def test_it_can_be_used_from_the_keyboard(charts: str, open_page) -> None:
    page = open_page(charts).page
    focused = "document.activeElement.textContent.trim()"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "report"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Show all code"
    page.keyboard.press("Enter")
    assert page.locator("details.code:not([open])").count() == 0
    assert page.locator("#all-code").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    assert page.locator("details.code[open]").count() == 0
    outline = "one => getComputedStyle(one).outlineStyle"
    assert page.locator("#all-code").evaluate(outline) == "solid"


def test_a_page_without_figures_has_an_even_stricter_policy_and_keeps_it(open_page) -> None:
    cells = [
        v4.new_markdown_cell("# Demo\n\n```python\nx = 1\n```\n\n$\\frac{1}{2}$ and $$x_1$$"),
        v4.new_code_cell("x = 1"),
    ]
    html = render(a_run(), v4.new_notebook(cells=[*cells, shown("text/html", '<p style="color: red">x</p>')]))
    opened = open_page(html)
    assert "unsafe" not in html
    assert opened.complaints == []
    assert opened.page.locator("svg.qd-math").count() == 2


def test_it_is_readable_without_scripts(charts: str, open_page) -> None:
    page = open_page(charts, java_script_enabled=False).page
    assert page.locator("nav.contents a").count() == 2
    assert page.inner_text("main").count("Drawing it needs JavaScript.") == len(KINDS) + 1
    page.locator("details.code summary").first.click()
    assert page.locator("details.code[open]").count() == 1


def test_every_picture_and_figure_has_a_text(charts: str, open_page) -> None:
    page = open_page(charts).page
    unnamed = "all => all.filter(one => !one.getAttribute('aria-label') && !one.getAttribute('alt')).length"
    assert page.locator("[role=img], main img").evaluate_all(unnamed) == 0
    assert page.locator("h1:visible").count() == 1


def test_on_a_phone_labels_stay_inside_and_the_legend_stands_below(open_page) -> None:
    from quantdesk.reports.figures.style import finish

    drawn = go.Figure([go.Scatter(y=[1, 2], name=f"a strategy with a long name {number}") for number in range(5)])
    labels = ("reconstructed", "simulated", "adjusted_with_hindsight", "survivors_only")
    finish(drawn, "The portfolio in the autumn of a long crisis", labels)
    html = render(a_run(), v4.new_notebook(cells=[shown("application/vnd.plotly.v1+json", drawn.to_plotly_json())]))
    places = """() => Object.fromEntries(['.gtitle', '.gtitle-subtitle', '.legend', '.main-svg'].map(
        name => [name, document.querySelector('.drawing ' + name).getBoundingClientRect().toJSON()]))"""
    found = open_page(html, viewport={"width": 390, "height": 800}).page.evaluate(places)
    paper = found[".main-svg"]
    assert found[".gtitle-subtitle"]["right"] <= paper["right"]
    assert found[".gtitle"]["top"] >= paper["top"] - 1
    assert found[".legend"]["top"] > found[".gtitle-subtitle"]["bottom"]
    assert found[".legend"]["bottom"] <= paper["bottom"] + 1
    wide = open_page(html).page.evaluate(places)
    middle = (wide[".main-svg"]["top"] + wide[".main-svg"]["bottom"]) / 2
    assert wide[".legend"]["bottom"] < middle  # where there is room, above the lines
