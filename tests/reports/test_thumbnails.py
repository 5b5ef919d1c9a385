"""Small pictures of figures: drawn from the data without a browser, inert, honest about what they leave out."""

from __future__ import annotations

import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from plotly.subplots import make_subplots

from quantdesk.reports.theme import LIGHT
from quantdesk.reports.thumbnails import MOST, thumbnails
from quantdesk.reports.thumbnails.pictures import scaled
from quantdesk.reports.thumbnails.scales import Axis, values_of
from quantdesk.reports.thumbnails.sketch import HEIGHT, WIDTH, sketch

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(7)
DAYS = pd.bdate_range("2020-01-01", periods=600)
WALK = RNG.normal(size=600).cumsum()


def drawn(figure: go.Figure | dict[str, Any]) -> ET.Element:
    content = json.loads(figure.to_json()) if isinstance(figure, go.Figure) else figure
    text = sketch(content)
    assert text, "nothing was drawn"
    return ET.fromstring(text)


def words(svg: ET.Element) -> list[str]:
    return [str(one.text) for one in svg.iter(f"{SVG}text")]


def points(line: ET.Element) -> np.ndarray[Any, Any]:
    return np.array([[float(part) for part in pair.split(",")] for pair in line.attrib["points"].split()])


def two_panels() -> go.Figure:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3])
    figure.add_scatter(x=DAYS, y=WALK, row=1, col=1)
    figure.add_scatter(x=DAYS, y=WALK - np.maximum.accumulate(WALK), fill="tozeroy", row=2, col=1)
    return figure.update_layout(title="Wealth and <b>drawdown</b>")


FIGURES: dict[str, tuple[go.Figure, str, int]] = {
    "lines": (go.Figure([go.Scatter(x=DAYS, y=WALK), go.Scatter(x=DAYS, y=-WALK, line_dash="dot")]), "polyline", 2),
    "markers": (go.Figure(go.Scatter(x=[1, 2, 3], y=[1, 2, 3], mode="markers")), "path", 2),
    "area": (go.Figure(go.Scatter(x=DAYS, y=WALK, fill="tozeroy")), "polygon", 1),
    "band": (go.Figure([go.Scatter(y=WALK - 1), go.Scatter(y=WALK + 1, fill="tonexty")]), "polygon", 1),
    "bars": (go.Figure([go.Bar(x=["a", "b"], y=[1, -2]), go.Bar(x=["a", "b"], y=[2, 1])]), "rect", 1 + 1 + 4),
    "stacked": (go.Figure([go.Bar(y=["a"], x=[1], orientation="h")] * 2, {"barmode": "stack"}), "rect", 1 + 1 + 2),
    "heat": (go.Figure(go.Heatmap(z=RNG.normal(size=(5, 4)), x=list("abcd"))), "rect", 1 + 1 + 20),
    "boxes": (go.Figure([go.Box(y=WALK, name="a"), go.Box(y=WALK, name="b")]), "rect", 1 + 1 + 6),
    "candles": (go.Figure(go.Candlestick(open=[1] * 5, high=[3] * 5, low=[0] * 5, close=[2] * 5)), "rect", 12),
    "pie": (go.Figure(go.Pie(values=[1, 2, 3])), "path", 3),
    "panels": (two_panels(), "polyline", 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", FIGURES)
def test_every_kind_is_drawn_inside_of_the_picture(kind: str) -> None:
    figure, element, count = FIGURES[kind]
    svg = drawn(figure)
    assert svg.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    assert len(list(svg.iter(SVG + element))) == count
    assert len(ET.tostring(svg)) < 60_000
    assert not [word for word in words(svg) if "not drawn" in word]
    for line in svg.iter(f"{SVG}polyline"):
        assert (points(line) >= 0).all()
        assert (points(line) <= [WIDTH, HEIGHT]).all()


def test_a_histogram_has_a_bar_for_each_full_bin() -> None:
    svg = drawn(go.Figure(go.Histogram(x=WALK)))
    bars = [one for one in svg.iter(f"{SVG}rect") if one.attrib.get("fill", LIGHT.background) != LIGHT.background]
    counts, _ = np.histogram(WALK, bins=40)
    assert len(bars) == (counts > 0).sum()
    assert float(max(bars, key=lambda one: float(one.attrib["height"])).attrib["height"]) > 200


def test_a_long_line_keeps_its_peak() -> None:
    values = np.zeros(100_000)
    values[31_415] = 1.0
    svg = drawn(go.Figure(go.Scatter(y=values)))
    (line,) = svg.iter(f"{SVG}polyline")
    assert len(points(line)) < 1000
    assert points(line)[:, 1].max() - points(line)[:, 1].min() > 200


def test_bigger_is_higher_and_later_is_further_right() -> None:
    (line,) = drawn(go.Figure(go.Scatter(x=DAYS[:3], y=[1, 2, 3]))).iter(f"{SVG}polyline")
    assert (np.diff(points(line)[:, 0]) > 0).all()
    assert (np.diff(points(line)[:, 1]) < 0).all()
    reversed_ = go.Figure(go.Scatter(y=[1, 2, 3]), {"yaxis": {"autorange": "reversed"}})
    (line,) = drawn(reversed_).iter(f"{SVG}polyline")
    assert (np.diff(points(line)[:, 1]) > 0).all()


def test_a_logarithmic_axis_makes_equal_steps_of_equal_factors() -> None:
    (line,) = drawn(go.Figure(go.Scatter(y=[1, 10, 100]), {"yaxis": {"type": "log"}})).iter(f"{SVG}polyline")
    steps = np.diff(points(line)[:, 1])
    assert steps[0] == pytest.approx(steps[1], abs=0.2)


def test_a_range_that_the_figure_states_is_kept() -> None:
    figure = go.Figure(go.Scatter(x=["2020-01-01", "2020-02-01"], y=[0, 10]), {"yaxis": {"range": [0, 20]}})
    assert "20" in words(drawn(figure))
    figure = go.Figure(go.Scatter(x=DAYS, y=WALK), {"xaxis": {"range": ["2021-01-01", "2022-01-01"]}})
    assert {"2021-01-01", "2022-01-01"} <= set(words(drawn(figure)))


def test_panels_lie_where_their_axes_are() -> None:
    upper, lower = (points(line) for line in drawn(two_panels()).iter(f"{SVG}polyline"))
    assert upper[:, 1].max() < lower[:, 1].min()
    assert "Wealth and drawdown" in words(drawn(two_panels()))


def test_areas_stand_on_each_other() -> None:
    figure = go.Figure([go.Scatter(y=[1, 1], stackgroup="a"), go.Scatter(y=[3, 3], stackgroup="a")])
    lower, upper = (points(area) for area in drawn(figure).iter(f"{SVG}polygon"))
    assert upper[:, 1].max() == lower[:, 1].min()
    assert np.ptp(upper[:, 1]) == pytest.approx(3 * np.ptp(lower[:, 1]), abs=0.5)


def test_bars_that_say_where_they_begin_lie_over_each_other_between_their_times() -> None:
    """As the splits of a cross-validation are drawn: lengths in milliseconds, on an axis of days."""
    day = 86_400_000
    figure = go.Figure()
    figure.add_bar(orientation="h", y=["1", "2"], base=["2024-01-01", "2024-01-03"], x=[2 * day, 2 * day])
    figure.add_bar(orientation="h", y=["1", "2"], base=["2024-01-03", "2024-01-01"], x=[2 * day, 2 * day])
    figure.update_xaxes(type="date").update_layout(barmode="overlay")
    svg = drawn(figure)
    first, second, third, fourth = (
        tuple(float(bar.get(name, "nan")) for name in ("x", "y", "width", "height")) for bar in svg.iter(f"{SVG}rect")
        if bar.get("fill") != LIGHT.background and bar.get("fill")
    )  # fmt: skip
    assert (first[1], first[3], second[1]) == (third[1], third[3], fourth[1])  # one row for each split
    assert first[0] == fourth[0] < second[0] == third[0]
    assert first[2] == pytest.approx(second[0] - first[0], abs=0.11) == second[2]
    assert {"2024-01-01", "2024-01-05"} <= set(words(svg))


def test_a_long_title_ends_in_the_picture() -> None:
    (title,) = [
        word for word in words(drawn(go.Figure(go.Scatter(y=[1, 2]), {"title": "word " * 40}))) if "word" in word
    ]
    assert len(title) <= 50
    assert title.endswith("word…")


def test_gaps_break_a_line() -> None:
    svg = drawn(go.Figure(go.Scatter(y=[1, 2, None, 3, 4], mode="lines")))
    assert len(list(svg.iter(f"{SVG}polyline"))) == 2


def test_what_is_not_drawn_is_counted() -> None:
    figure = go.Figure(
        [go.Scatter(y=[1, 2]), go.Table(), go.Surface(z=[[1, 2], [3, 4]]), go.Scatter(y=[1], visible=False)]
    )
    assert "2 of 3 traces not drawn" in words(drawn(figure))
    many = go.Figure([go.Scatter(y=[n, n]) for n in range(70)])
    assert "10 of 70 traces not drawn" in words(drawn(many))


NOTHING: list[dict[str, Any]] = [
    {},
    {"data": []},
    {"data": 5},
    {"data": [{"type": "surface", "z": [[1]]}]},
    {"data": [{"y": "x"}, 7]},
    {"data": [{"type": "pie", "values": [0, -1]}]},
    {"data": [{"type": "heatmap", "z": [[None]]}]},
]


@pytest.mark.parametrize("figure", NOTHING)
def test_a_figure_of_nothing_has_no_picture(figure: dict[str, Any]) -> None:
    assert sketch(figure) == ""


HOSTILE = "</text><script>alert(1)</script>\"'&"


def test_nothing_in_a_figure_acts() -> None:
    figure = {
        "data": [
            {"y": [1, 2], "name": HOSTILE, "line": {"color": '"/><script>alert(1)</script>', "dash": HOSTILE}},
            {"type": "bar", "x": [HOSTILE, "b"], "y": [1, 2], "marker": {"color": "url(https://example.com/x)"}},
            {"type": "heatmap", "z": [[1, 2]], "colorscale": [[0, "url(x)"], [1, HOSTILE]], "xaxis": f"x2{HOSTILE}"},
        ],
        "layout": {"title": {"text": HOSTILE}, "colorway": ["red' onload='x"], "xaxis": {"domain": [HOSTILE, 1]}},
    }
    text = sketch(figure)
    svg = ET.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} <= {
        "svg", "rect", "path", "polyline", "polygon", "text", "g", "clipPath", "circle",
    }  # fmt: skip
    assert "alert" not in text.replace("alert(1)", "", 2) or "<script" not in text
    assert not re.search(r"url\((?!#panel)|https?://(?!www\.w3\.org)|href|\bon\w+=", text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "layout", "type", "x", "y", "z", "values", "mode", "fill", "marker", "line", "color", "xaxis",
                 "yaxis", "domain", "range", "bdata", "dtype", "shape", "title", "orientation", "open", "close"]
            ),
            inner | st.sampled_from(["bar", "heatmap", "pie", "box", "histogram", "ohlc", "x2", "h", "log", "f8"]),
            max_size=6,
        ),
        max_leaves=20,
    )
)  # fmt: skip
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
def test_whatever_a_figure_holds_the_picture_is_an_svg_or_none(content: Any) -> None:
    for figure in ({"data": [content], "layout": content}, {"data": content, "layout": {"xaxis": content}}):
        text = sketch(figure)
        if text:
            ET.fromstring(text)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_packed_numbers_are_read(kind: str) -> None:
    given_ = np.array([[1, 2, 3], [4, 5, 6]], dtype=kind)
    packed = {"dtype": kind, "bdata": base64.b64encode(given_.tobytes()).decode(), "shape": "2, 3"}
    np.testing.assert_array_equal(values_of(packed), given_)


UNPACKED = [
    {"dtype": "O", "bdata": ""},
    {"dtype": "f8", "bdata": 5},
    {"dtype": "f8", "bdata": "AA=="},
    "text",
    5,
    None,
]


@pytest.mark.parametrize("given_", UNPACKED)
def test_what_is_not_packed_as_plotly_does_is_refused(given_: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values_of(given_)


def test_times_of_any_writing_are_placed() -> None:
    axis = Axis({})
    values = np.array(["2020-01-01", "2020-01-02T12:00:00Z", "2020-01-03T00:00:00.123456789", None], dtype=object)
    placed = axis.place(values)
    assert axis.kind == "date"
    assert np.isnan(placed[3])
    assert (np.diff(placed[:3]) > 0).all()


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    target = io.BytesIO()
    Image.new(mode, (width, height), 128 if mode == "P" else None).save(target, kind)
    return target.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "L"), ("JPEG", "CMYK")]
)
def test_pictures_become_small_pngs(kind: str, mode: str) -> None:
    with Image.open(io.BytesIO(scaled(picture(2000, 1000, kind, mode)))) as small:
        assert (small.format, small.size) == ("PNG", (480, 240))
    with Image.open(io.BytesIO(scaled(picture(100, 50, kind, mode)))) as small:
        assert small.size == (100, 50)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", picture(50, 50)[:60], b"GIF89a", picture(20_000, 5_000, mode="1")]
)
def test_what_is_no_picture_or_a_bomb_has_none(content: bytes) -> None:
    assert scaled(content) == b""


def executed(*data: Any) -> Any:
    cell = nbformat.v4.new_code_cell("1")
    cell.outputs = [nbformat.v4.new_output("display_data", one) for one in data]
    cell.outputs.append(nbformat.v4.new_output("stream", text="x"))
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("x"), cell])


def test_figures_of_a_notebook_in_their_order() -> None:
    figure = json.loads(FIGURES["lines"][0].to_json())
    png = base64.b64encode(picture(900, 300)).decode()
    found = thumbnails(
        executed(
            {"text/plain": "no picture"},
            {"application/vnd.plotly.v1+json": {"data": []}, "image/png": png},
            {"image/png": [png[:50], png[50:]]},
            {"image/png": "!!!"},
            {"application/vnd.plotly.v1+json": figure},
        )
    )
    assert list(found) == ["1.png", "2.svg"]
    assert found["2.svg"].startswith(b"<svg")
    assert len(thumbnails(executed(*[{"image/png": png}] * 20))) == MOST
