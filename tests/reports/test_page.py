"""The page of a run: complete in itself, and nothing in a notebook can act on it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import plotly.graph_objects as go
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from quantdesk.reports import banner, theme
from quantdesk.reports.page import render, render_bare
from quantdesk.reports.page.maths import svg
from quantdesk.reports.page.outputs import labels_of, output
from quantdesk.reports.page.prose import prose
from quantdesk.reports.page.sanitize import clean, text_of
from quantdesk.reports.runs import Metric, Problem, Provenance, Run, Status

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="JaVaScRiPt:alert(1)">x</a>',
    '<a href=" data:text/html,<script>alert(1)</script>">x</a>',
    '<img src="https://example.com/pixel.png">',
    '<img src="//example.com/pixel.png" alt="a">',
    '<img src="file:///etc/passwd">',
    '<iframe src="https://example.com"></iframe>',
    '<object data="x"></object><embed src="x">',
    '<form action="https://example.com"><input name=a><button>go</button></form>',
    '<link rel=stylesheet href="https://example.com/a.css">',
    '<meta http-equiv="refresh" content="0;url=https://example.com">',
    '<base href="https://example.com/">',
    "<style>body{background:url(https://example.com)}</style>",
    '<div style="background:url(https://example.com)">x</div>',
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><script>alert(1)</script-->",
    "<table><tr><td onclick=alert(1)>1</td></tr></table>",
    "<details ontoggle=alert(1) open>x</details>",
    '<p id="report" class="banner tone-positive">imitation</p>',
    "</main></div><script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<template><script>alert(1)</script></template>",
    "<video><source onerror=alert(1)></video>",
    "<x onfocus=alert(1) tabindex=1 autofocus>",
]
ACTIVE = {"script", "style", "iframe", "object", "embed", "form", "input", "link", "meta", "base", "svg", "template"}


def dangers(html: str) -> list[str]:
    """What could act, load or imitate in `html`, judged by another parser than the sanitiser's own."""
    soup = BeautifulSoup(html, "html.parser")
    found = [tag.name for tag in soup.find_all(True) if tag.name in ACTIVE]
    for tag in soup.find_all(True):
        for name, value in tag.attrs.items():
            text = " ".join(value) if isinstance(value, list) else str(value)
            if name.startswith("on") or name in {"style", "id", "srcset", "action", "formaction"}:
                found.append(f"{tag.name} {name}")
            if name == "src" and not text.startswith("data:image/"):
                found.append(f"src {text}")
            if name == "href" and not re.match(r"(https?:|mailto:|#)", text):
                found.append(f"href {text}")
            if name == "class" and "banner" in text:
                found.append(f"class {text}")
    return found


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_active_passes_the_sanitiser(attack: str) -> None:
    assert dangers(clean(attack)) == []
    html, _ = prose(attack, attachments={}, first=1)
    assert dangers(html) == []


@given(st.text(alphabet="<>/\"'=&;!- abconerimgscpthfjv:data", max_size=80))
def test_no_text_passes_as_something_active(text: str) -> None:
    assert dangers(clean(text)) == []


def test_what_a_data_frame_shows_stays() -> None:
    html = clean(
        '<style scoped>.dataframe tbody tr th {vertical-align: top}</style><table border="1" class="dataframe">'
        '<thead><tr style="text-align: right"><th></th><th>price</th><th>name</th></tr></thead>'
        "<tbody><tr><th>0</th><td>-1,234.50</td><td>AAPL</td></tr><tr><th>1</th><td>NaN</td><td>3M</td></tr></tbody>"
        "</table>"
    )
    soup = BeautifulSoup(html, "html.parser")
    assert [cell.get("class") for cell in soup.select("tbody td")] == [["num"], None, ["num"], None]
    assert [cell.get("class") for cell in soup.select("thead th")] == [None, ["num"], None]
    assert text_of(html) == "price name 0 -1,234.50 AAPL 1 NaN 3M"


def test_heads_of_numbers_stand_over_them_where_a_cell_spans_rows() -> None:
    html = clean(
        "<table><thead><tr><th></th><th></th><th>VaR</th></tr><tr><th>level</th><th>method</th><th></th></tr></thead>"
        "<tbody><tr><th rowspan=2>95%</th><th>normal</th><td>1.8</td></tr><tr><th>other</th><td>2.0</td></tr></tbody>"
        "</table>"
    )
    heads = BeautifulSoup(html, "html.parser").select("thead th")
    assert [(cell.get_text(), cell.get("class")) for cell in heads] == [
        ("", None),
        ("", None),
        ("VaR", ["num"]),
        ("level", None),
        ("method", None),
        ("", ["num"]),
    ]


def test_markdown_keeps_its_structure_and_numbers_its_headings() -> None:
    html, headings = prose(
        "# One *two* $x^2$\n\nText with `code`, **bold**, [link](https://example.org) and ![a](attachment:p.png).\n\n"
        "## Three\n\n| a | b |\n|--:|---|\n| 1 | x |\n\n```python\nx = 1\n```\n",
        attachments={"p.png": {"image/png": "iVBORw0KGgo="}},
        first=5,
    )
    assert [(item.level, item.text, item.anchor) for item in headings] == [
        (1, "One two x^2", "section-5"),
        (2, "Three", "section-6"),
    ]
    soup = BeautifulSoup(html, "html.parser")
    assert soup.find(id="section-6").get_text() == "Three"
    assert soup.find("a")["href"] == "https://example.org"
    assert soup.find("img")["src"] == "data:image/png;base64,iVBORw0KGgo="
    assert soup.select_one("div.highlight pre")
    assert len(soup.select("td")) == 2


def test_a_missing_attachment_is_only_missing() -> None:
    html, _ = prose("![chart](attachment:none.png) after", attachments={}, first=1)
    assert "after" in html
    assert 'alt="chart"' in html


def test_formulas_are_drawn_with_their_tex_as_text() -> None:
    drawn = svg(r"\frac{\bar r}{\sigma_{20}}", display=True)
    assert drawn.startswith("<svg")
    assert r'aria-label="\frac{\bar r}{\sigma_{20}}"' in drawn
    assert 'fill="currentColor"' in drawn
    assert "style=" not in drawn
    html, _ = prose("A $x_1$ and\n\n$$\ny = x^2\n$$\n", attachments={}, first=1)
    assert html.count("<svg") == 2


def test_tex_that_cannot_be_drawn_is_shown_as_written() -> None:
    assert svg(r"\begin{aligned} x", display=True) == r'<code class="qd-math qd-display">\begin{aligned} x</code>'
    assert svg("</code><script>", display=False).count("<script") == 0
    assert svg('"><script>', display=False).count("<script") == 0


def test_a_formula_in_an_attribute_stays_there() -> None:
    html, _ = prose('![$x"onerror=alert(1)$](data:image/png;base64,AAAA "$y$")', attachments={}, first=1)
    assert dangers(re.sub(r"<svg.*?</svg>", "", html)) == []
    assert "onerror" not in " ".join(BeautifulSoup(html, "html.parser").find("img").attrs)


def data(mimes: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": dict(mimes), "metadata": metadata}


def test_outputs_take_their_richest_safe_form() -> None:
    figure = go.Figure(go.Scatter(y=[1, 2], name="AAPL"), layout={"title": {"text": "Prices"}}).to_plotly_json()
    shown = output(data({"application/vnd.plotly.v1+json": figure, "text/html": "<p>no</p>"}))
    assert shown is not None
    assert shown.kind == "figure"
    assert shown.alt == "Prices. Chart of type scatter with AAPL."
    assert output(data({"text/html": "<b>x</b>", "text/plain": "x"})).kind == "html"
    assert output(data({"text/html": "<script>draw()</script>", "text/plain": "Figure"})).html == "Figure"
    picture = output(data({"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>"}, alt="A line"))
    assert (picture.kind, picture.html, picture.alt) == ("image", "data:image/png;base64,iVBORw0KGgo=", "A line")
    assert output(data({"image/png": "not base 64!", "text/plain": "p"})).kind == "text"
    drawing = output(data({"image/svg+xml": "<svg onload=alert(1)></svg>"}))
    assert base64.b64decode(drawing.html.split(",")[1]) == b"<svg onload=alert(1)></svg>"  # inert inside an img
    assert "<h2>" in output(data({"text/markdown": "## T"})).html
    assert "<svg" in output(data({"text/latex": "$$x^2$$"})).html
    assert "left out" in output(data({"application/vnd.jupyter.widget-view+json": {}, "text/plain": "W"})).html
    assert "left out" in output(data({"application/javascript": "alert(1)"})).html
    assert output(data({"text/plain": ["a", "<b>"]})).html == "a&lt;b&gt;"
    assert output(data({})) is None
    assert output({"output_type": "stream", "name": "stdout", "text": "  \n"}) is None
    assert output({"output_type": "stream", "name": "stderr", "text": "careful"}).kind == "messages"


def test_terminal_colours_become_classes_and_markup_does_not_pass() -> None:
    failed = output(
        {"output_type": "error", "ename": "E", "evalue": "<b>", "traceback": ["\x1b[31mred\x1b[0m <script>"]}
    )
    assert failed.alt == "E: <b>"
    assert 'class="ansi-red-fg"' in failed.html
    assert "<script" not in failed.html


def test_a_huge_text_is_cut_in_the_middle_and_says_so() -> None:
    shown = output({"output_type": "stream", "name": "stdout", "text": "a" * 300_000 + "END"})
    assert len(shown.html) < 201_000
    assert "100,003 characters are left out here" in shown.html
    assert shown.html.endswith("END")


def test_a_huge_table_is_left_out_and_says_so() -> None:
    shown = output(data({"text/html": "<table>" + "<tr><td>1</td></tr>" * 100_000 + "</table>", "text/plain": "t"}))
    assert "1,900,015 characters are left out here" in shown.html


def test_labels_are_gathered_from_outputs() -> None:
    lines = [theme.label_line(names)._repr_mimebundle_() for names in (["simulated"], ["real", "survivors_only"])]
    outputs = [data(line) for line in lines]
    odd = [data({theme.LABELS_MIME: "real"}), data({theme.LABELS_MIME: [1, "unheard"]}), {"output_type": "stream"}]
    assert labels_of([*outputs, *odd]) == ("real", "simulated", "survivors_only")


def a_run(**changes: Any) -> Run:
    start = datetime(2026, 11, 23, 1, 45, 39, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": "20261123T014539.000Z-demo-abcdef",
        "report": "demo",
        "title": "Demo",
        "status": Status.COMPLETED,
        "parameters": {"symbols": ["AAPL"], "evil": "</td><script>alert(1)</script>"},
        "given": ("evil",),
        "seed": None,
        "notebook": "demo.ipynb",
        "notebook_sha256": "ab" * 32,
        "started": start,
        "ended": start.replace(second=42),
        "problem": None,
        "labels": ("real",),
        "provenance": Provenance(data_version="cafe" * 8, python="3.11"),
        "folder": Path("/nowhere"),
    }
    return Run(**{**values, **changes})


def book(*cells: Any) -> Any:
    return v4.new_notebook(cells=list(cells))


def figure_cell(**layout: Any) -> Any:
    figure = go.Figure(go.Scatter(y=[1.0, float("nan")], name="</script><script>alert(1)</script>"), layout=layout)
    node = v4.new_output("display_data", data={"application/vnd.plotly.v1+json": figure.to_plotly_json()})
    node["data"]["application/vnd.plotly.v1+json"]["data"][0]["y"] = [1.0, float("nan")]
    return v4.new_code_cell("draw()", outputs=[node])


def scripts(html: str) -> list[Any]:
    return [tag for tag in BeautifulSoup(html, "html.parser").find_all("script") if tag.get("type") is None]


def test_the_policy_names_exactly_the_scripts_that_are_there() -> None:
    html = render(a_run(), book(v4.new_markdown_cell("# Demo\n\nText."), figure_cell(title="T"), figure_cell()))
    soup = BeautifulSoup(html, "html.parser")
    policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    digests = {
        f"'sha256-{base64.b64encode(hashlib.sha256(tag.string.encode()).digest()).decode()}'" for tag in scripts(html)
    }
    assert set(parts["script-src"].split()) == digests
    assert parts["default-src"] == "'none'"
    assert parts["img-src"] == "data: blob:"
    assert parts["form-action"] == parts["base-uri"] == "'none'"
    assert "connect-src" not in parts  # so the default holds: none
    assert len(scripts(html)) == 2  # plotly.js once, and the page's own


def test_a_page_without_figures_does_not_carry_plotly() -> None:
    html = render(a_run(), book(v4.new_markdown_cell("Text.")))
    assert len(scripts(html)) == 1
    assert len(html) < 60_000
    assert "unsafe-inline" not in html


def test_the_page_names_no_address_to_load_from() -> None:
    soup = BeautifulSoup(render(a_run(), book(v4.new_markdown_cell("Text."), figure_cell())), "html.parser")
    addresses = [tag.get(name) for tag in soup.find_all(True) for name in ("src", "href", "srcset") if tag.get(name)]
    assert all(address.startswith(("data:", "#")) for address in addresses)


def test_the_head_says_what_the_run_was() -> None:
    html = render(a_run(), book(v4.new_markdown_cell("# Demo\n\nText.\n\n## Part\n\n### Sub")))
    soup = BeautifulSoup(html, "html.parser")
    head = soup.find("header").get_text(" ", strip=True)
    for words in ("Demo", "✓ Completed", "● real", "2026-11-23 01:45:39 UTC", "3.0 s", "abababab", "cafecafeca"):
        assert words in head
    assert soup.find("header").find("script") is None
    assert [cell.get_text() for cell in soup.select(".parameters tbody tr:nth-of-type(2) td")] == [
        "</td><script>alert(1)</script>",
        "this run",
    ]
    assert [link.get_text() for link in soup.select("nav.contents a")] == ["Part", "Sub"]
    assert all(soup.find(id=link["href"][1:]) for link in soup.select("nav.contents a"))
    assert soup.find("html")["lang"] == "en"
    assert [title.get_text() for title in soup.find_all("h1") if not title.has_attr("hidden")] == ["Demo"]


def test_a_result_without_labels_says_so() -> None:
    assert "kind of data not stated" in render(a_run(labels=()), book(v4.new_markdown_cell("x")))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETED])
def test_an_incomplete_run_says_what_happened_and_where(status: Status) -> None:
    problem = Problem("It broke: <script>alert(1)</script>", 2, "b", "Part <i>")
    run = a_run(status=status, problem=problem, title="<script>alert(2)</script>")
    cells = book(
        v4.new_code_cell("1", execution_count=1),
        v4.new_markdown_cell("## Part"),
        v4.new_code_cell("2", execution_count=2),
        v4.new_code_cell("3"),
    )
    html = render(run, cells)
    soup = BeautifulSoup(html, "html.parser")
    alert = soup.find(role="alert").get_text(" ", strip=True)
    look = banner.shown(status)
    assert f"{look.shape} {look.word}" in " ".join(alert.split())
    assert "In cell 2, under “Part <i>”: It broke: <script>alert(1)</script>" in alert
    assert soup.select_one(".stopped")["id"] == soup.find(role="alert").find("a")["href"][1:] == "cell-2"
    assert len(scripts(html)) == 1
    assert [summary.get_text(" ", strip=True) for summary in soup.select(".code summary")] == [
        "Code [1]",
        f"Code [2] {look.shape} stopped here",
        "Code [3] · not run",
    ]
    banner.mark(run, cells)
    nbformat.validate(cells)
    first = cells.cells[0]
    assert first.metadata.tags == [banner.TAG]
    assert look.word in first.source
    assert "<script" not in first.source
    assert "\n" not in first.source
    assert render(run, cells).count('role="alert"') == 1  # the notebook's banner is not shown twice


def test_a_complete_run_has_no_banner() -> None:
    cells = book(v4.new_code_cell("1"))
    banner.mark(a_run(), cells)
    assert len(cells.cells) == 1
    assert 'role="alert"' not in render(a_run(), cells)


def test_figures_are_data_and_have_a_text_alternative() -> None:
    html = render(a_run(), book(figure_cell(title="A </script> title")))
    soup = BeautifulSoup(html, "html.parser")
    held = json.loads(soup.select_one("script.figure").string)
    assert held["data"][0]["name"] == "</script><script>alert(1)</script>"
    assert held["data"][0]["y"] == [1.0, None]
    assert soup.select_one("figure.chart")["aria-label"].startswith("A title. Chart of type scatter")


def test_a_bare_page_still_tells_the_story() -> None:
    html = render_bare(a_run(), "ValueError: <b>")
    assert "ValueError: &lt;b&gt;" in html
    assert "Demo" in html


def test_raw_cells_and_empty_cells_do_no_harm() -> None:
    raw = v4.new_raw_cell("<script>alert(1)</script>")
    html = render(a_run(), book(raw, v4.new_code_cell(""), v4.new_markdown_cell("")))
    assert len(scripts(html)) == 1


def test_recorded_results_stand_at_the_top_and_act_on_nothing() -> None:
    attack = '<script>alert(1)</script><img src=x onerror="alert(1)">'
    run = a_run(
        metrics=(
            Metric("var", 150.0, attack[:24], label=attack, upper=100.0, severity="critical"),
            Metric("beta", None, reason=attack),
            Metric("calm", 1, lower=0.0),
        ),
        missing=("sharpe", "positions"),
        notes=(attack,),
        requested_by=attack,
        attempt=3,
        peak_memory_bytes=196_559_872,
    )
    page = BeautifulSoup(render(run, v4.new_notebook()), "html.parser")
    rows = [row.get_text(" ", strip=True) for row in page.select(".recorded tbody tr")]
    assert "✕ outside · critical" in rows[0]
    assert "no value" in rows[1]
    assert "✓ within" in rows[2]
    missing = page.select_one(".missing")
    assert missing is not None
    assert "sharpe, positions. The report declares them, and this run did not record them." in missing.get_text()
    facts = page.select_one(".facts")
    assert facts is not None
    assert "197 MB" in facts.get_text()
    assert not page.select("img, .recorded script, .masthead script")
    assert str(page).count("alert(1)") >= 4  # as text


def test_a_run_that_recorded_nothing_has_no_empty_section() -> None:
    page = BeautifulSoup(render(a_run(), v4.new_notebook()), "html.parser")
    assert page.select_one(".recorded") is None
