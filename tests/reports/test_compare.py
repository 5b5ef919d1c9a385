"""Two runs side by side: what differs is seen, and what says nothing is not."""

from __future__ import annotations

import base64
import copy
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.reports import banner
from quantdesk.reports.compare import Tolerance, compare_runs
from quantdesk.reports.compare.cells import compare_cells
from quantdesk.reports.compare.outputs import differing_outputs, pieces
from quantdesk.reports.compare.values import cleaned, differing_json, differing_text, is_close
from quantdesk.reports.result import Metric, Problem, Provenance, Run, Status

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
RULE = Tolerance()
PLOTLY = "application/vnd.plotly.v1+json"


def run_of(**changes: Any) -> Run:
    made = Run(
        id="20261127T090000.000Z-risk-aaaaaa",
        report="risk",
        title="Risk",
        status=Status.COMPLETED,
        parameters={"window": 250},
        given=(),
        seed=0,
        notebook="/n/risk.ipynb",
        notebook_sha256="0" * 64,
        started=NOW,
        ended=NOW + timedelta(seconds=5),
        problem=None,
        labels=(),
        provenance=Provenance(data_version="d1", packages={"numpy": "2.3"}, python="3.11.9"),
        folder=Path("/nowhere"),
    )
    return replace(made, **changes)


def text(said: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": said}


def data(**forms: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": forms}


def shown(mime: str, content: Any, **more: Any) -> dict[str, Any]:
    return data(**{mime: content, **more})


def book(*cells: tuple[str, list[dict[str, Any]]] | str, ids: list[str] | None = None) -> Any:
    """An executed notebook: a pair is code with its outputs, a text is prose."""
    made = nbformat.v4.new_notebook()
    for number, cell in enumerate(cells):
        name = ids[number] if ids else f"cell-{number}"
        if isinstance(cell, str):
            made.cells.append(nbformat.v4.new_markdown_cell(cell, id=name))
        else:
            outputs = [nbformat.from_dict(copy.deepcopy(node)) for node in cell[1]]
            made.cells.append(nbformat.v4.new_code_cell(cell[0], id=name, outputs=outputs, execution_count=number + 1))
    return made


def kinds(before: Any, after: Any) -> list[str]:
    cells, _ = compare_cells(before, after)
    return [cell.kind for cell in cells]


# Values


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<A object at 0x7f00aa11bb22>", "<A object at 0x7f99aa11bb22>"),
        ("took 3.1 s", "took 12 s"),
        ("250 ms, 1.5 seconds", "3 ms, 2 seconds"),
        ("0.123456789012", "0.123456789013"),
        ("-0.0", "0.0"),
        ("x \n", "x"),
        ("10%|#   | 1/4\r100%|####| 4/4", "100%|####| 4/4"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("in /tmp/a/state-1/market/x", "in /home/b/state/market/x"),
        ('<div id="6b1f2c9e-3b1c-4a57-9f0e-0a1b2c3d4e5f">', '<div id="00000000-3b1c-4a57-9f0e-0a1b2c3d4e5f">'),
        ('<table id="T_1a2b3">', '<table id="T_fffff">'),
        ("nan", "nan"),
        ("1e-320", "0.0"),
    ],
)
def test_what_says_nothing_is_not_a_difference(before: str, after: str) -> None:
    assert differing_text(before, after, RULE) is None


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("0.1234", "0.1235", "the number differs: 0.1234 is now 0.1235"),
        ("a 1.0 b 2.0", "a 1.0 b 2.5", "1 of 2 numbers differ: 2.0 is now 2.5"),
        ("1.0 2.0", "1.1 3.0", "2 of 2 numbers differ: 1.0 is now 1.1, by 0.5 of the value at most"),
        ("1,234,567", "1,234,568", "the number differs: 1,234,567 is now 1,234,568"),
        ("9007199254740993", "9007199254740992", "the number differs"),
        ("a\nb", "a\nc", "line 2: 'b' is now 'c'"),
        ("a", "a\nb", "it had 1 lines and has 2"),
        ("nan", "1.0", "line 1: 'nan' is now '1.0'"),
        ("1.0", "-1.0", "the number differs: 1.0 is now -1.0"),
        ("took 3 days", "took 4 days", "the number differs: 3 is now 4"),
        ("x" * 100, "y" * 100, "…'"),
        ("\u202ea", "b", r"'\u202ea' is now 'b'"),
    ],
)
def test_what_differs_is_said(before: str, after: str, says: str) -> None:
    assert says in str(differing_text(before, after, RULE))


@given(st.text(max_size=200))
def test_a_text_is_like_itself(said: str) -> None:
    assert differing_text(said, said, RULE) is None
    assert cleaned(cleaned(said)) == cleaned(said) or "\r" in said


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_closeness_is_mutual(a: float, b: float) -> None:
    assert is_close(a, b, RULE) is is_close(b, a, RULE)
    assert is_close(a, a, RULE)


@given(st.floats(1e-3, 1e9), st.floats(1e-7, 1.0))
def test_a_number_outside_of_the_tolerance_is_seen(value: float, share: float) -> None:
    assert differing_text(f"x = {value!r}", f"x = {value * (1 + share)!r}", RULE) is not None
    assert (
        differing_text(f"x = {value!r}", f"x = {value * (1 + share)!r}", Tolerance(2 * share + 1e-9)) is None
        or (value * (1 + share)).is_integer()
        or value.is_integer()
    )


def packed(*numbers: float) -> dict[str, Any]:
    return {"dtype": "f8", "bdata": base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-13]}, None),
        ({"uid": "x"}, {"uid": "y"}, None),
        ({"y": packed(1.0, 2.0)}, {"y": packed(1.0, 2.0 + 1e-13)}, None),
        ({"y": packed(1.0, 2.0)}, {"y": [1.0, 2.0]}, None),
        ({"y": packed(1.0, 2.0)}, {"y": packed(1.0, 2.1)}, "y[1]: 2.0 is now 2.1"),
        ({"y": packed(1.0)}, {"y": packed(1.0, 2.0)}, "y: length: 1 is now 2"),
        ({"a": 1}, {}, "a: 1 is now nothing"),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, "a.b: 'x' is now 'y'"),
        ({"a": 1, "b": 2}, {"a": 2, "b": 3}, "2 values differ, first a: 1 is now 2"),
        ({"a": True}, {"a": 1}, "a: True is now 1"),
        ([None], [0], "[0]: None is now 0"),
        (1, 2, "it: 1 is now 2"),
        ({"bdata": "no", "dtype": "f8"}, {"bdata": "not", "dtype": "f8"}, "bdata: 'no' is now 'not'"),
    ],
)
def test_trees(before: Any, after: Any, says: str | None) -> None:
    assert differing_json(before, after, RULE) == says


def test_a_tree_of_a_thousand_levels_ends_nothing() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert differing_json(deep, copy.deepcopy(deep), RULE) is None
    assert differing_json(deep, [deep], RULE) is not None


# Outputs


def said(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one.kind, one.what) for one in differing_outputs(pieces(before), pieces(after), RULE)]


def test_outputs_that_are_the_same_in_other_words() -> None:
    png = base64.b64encode(b"picture").decode()
    before = [text("a"), text("b\n"), text("warned", "stderr"), shown("image/png", png, **{"text/plain": "<Figure>"})]
    after = [text("ab\n"), shown("image/png", png + "\n", **{"text/plain": "<Other>"})]
    assert said(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "kind", "what"),
    [
        ([text("1.5")], [text("1.6")], "text", "the number differs: 1.5 is now 1.6"),
        ([text("x")], [], "text", "a piece of kind text is gone"),
        ([], [text("x")], "text", "a piece of kind text is new"),
        (
            [shown("text/html", "<table><tr><td>a</td><td>1.5</td></tr></table>")],
            [shown("text/html", "<table><tr><td>a</td><td>1.7</td></tr></table>")],
            "table",
            "the number differs: 1.5 is now 1.7",
        ),
        (
            [shown("text/html", '<p class="good">a</p>')],
            [shown("text/html", '<p class="bad">a</p>')],
            "table",
            "line 1: '<p class=\"good\">a</p>' is now '<p class=\"bad\">a</p>'",
        ),
        ([shown("image/png", "YQ==")], [shown("image/png", "Yg==")], "image", "another picture (SHA-256 ca978112ca1b"),
        ([shown("image/png", "YQ==")], [shown("image/jpeg", "YQ==")], "image", "it was image/png and is image/jpeg"),
        ([shown("image/png", "YQ==")], [text("a")], "text", "it was of kind image and is of kind text"),
        (
            [shown("image/svg+xml", '<svg><path id="m0123456789" d="1"/></svg>')],
            [shown("image/svg+xml", '<svg><path id="m9876543210" d="2"/></svg>')],
            "image",
            "1 is now 2",
        ),
        (
            [shown(PLOTLY, {"data": [{"y": [1.0]}], "layout": {}})],
            [shown(PLOTLY, {"data": [{"y": [2.0]}], "layout": {}})],
            "figure",
            "data[0].y[0]: 1.0 is now 2.0",
        ),
        (
            [shown("application/vnd.quantdesk.metric+json", {"name": "a", "value": 1.0})],
            [shown("application/vnd.quantdesk.metric+json", {"name": "a", "value": 2.0})],
            "record",
            "value: 1.0 is now 2.0",
        ),
        ([shown("text/markdown", "**a**")], [shown("text/markdown", "**b**")], "prose", "line 1"),
        (
            [{"output_type": "error", "ename": "ValueError", "evalue": "a", "traceback": ["x"]}],
            [{"output_type": "error", "ename": "ValueError", "evalue": "b", "traceback": ["x"]}],
            "error",
            "line 1: 'ValueError: a' is now 'ValueError: b'",
        ),
    ],
)
def test_outputs_that_differ(before: Any, after: Any, kind: str, what: str) -> None:
    ((found_kind, found),) = said(before, after)
    assert found_kind == kind
    assert what in found


def test_a_picture_that_is_no_base64_and_forms_that_nobody_knows() -> None:
    assert said([shown("image/png", "?")], [shown("image/png", "?")]) == []
    assert pieces([shown("application/x-unknown", "a"), {"output_type": "display_data"}]) == ()
    widget = "application/vnd.jupyter.widget-view+json"
    (piece,) = pieces([shown(widget, {"model_id": "x"}, **{"text/plain": "IntSlider()"})])
    assert (piece.kind, piece.content) == ("text", "IntSlider()")
    assert pieces([shown("text/plain", ["a", "b"])])[0].content == "ab"


def test_a_piece_that_came_in_between_is_one_difference() -> None:
    before = [text("1"), shown("image/png", "YQ==")]
    after = [text("1"), shown("text/markdown", "note"), shown("image/png", "YQ==")]
    assert said(before, after) == [("prose", "a piece of kind prose is new")]


# Cells


def test_notebooks_that_are_the_same() -> None:
    made = book("# Risk", ("a = 1", [text("1\n")]), ("b", []))
    again = copy.deepcopy(made)
    again.cells[1].execution_count = 77
    again.cells[1].metadata["papermill"] = {"duration": 3.1}
    assert kinds(made, again) == ["same", "same", "same"]


def test_what_a_run_puts_in_is_left_out() -> None:
    plain = book("# Risk", ("a = 1", [text("1\n")]))
    injected = book("# Risk", ("window = 3", []), ("a = 1", [text("1\n")]), ids=["cell-0", "new", "cell-1"])
    injected.cells[1].metadata["tags"] = ["injected-parameters"]
    failed = run_of(status=Status.FAILED, problem=Problem("x"))
    banner.mark(failed, injected)
    cells, _ = compare_cells(plain, injected)
    assert [cell.kind for cell in cells] == ["same", "same"]
    assert [cell.after for cell in cells] == [1, 1]  # where the prose is in the file; which code cell it is


def test_sources_and_outputs_are_told_apart() -> None:
    before = book("# Risk", ("a = 1\nb = 2", [text("1\n")]), ("c", [text("3\n")]), ("d", []))
    after = book("# Risk", ("a = 1\nb = 3", [text("1\n")]), ("c", [text("4\n")]), ("d", []))
    cells, _ = compare_cells(before, after)
    assert [cell.kind for cell in cells] == ["same", "changed", "changed", "same"]
    assert cells[1].source == ("@@ -1,2 +1,2 @@", " a = 1", "-b = 2", "+b = 3")
    assert cells[1].outputs == ()
    assert not cells[1].is_result
    assert cells[2].source == ()
    assert cells[2].outputs[0].what == "the number differs: 3 is now 4"
    assert cells[2].is_result
    assert (cells[2].before, cells[2].after, cells[2].heading) == (2, 2, "Risk")


def test_cells_that_came_and_went() -> None:
    before = book(("a = load()", []), ("b = clean(a)", []), ("plot(b)", []), ids=["a", "b", "c"])
    after = book(("a = load()", []), ("check(a)\nmore(a)", []), ("b = clean(a)", []), ids=["a", "n", "b"])
    cells, _ = compare_cells(before, after)
    assert [(cell.kind, cell.id) for cell in cells] == [("same", "a"), ("added", "n"), ("same", "b"), ("removed", "c")]
    assert [(cell.before, cell.after) for cell in cells] == [(1, 1), (None, 2), (2, 3), (3, None)]


def test_a_cell_that_was_written_anew_keeps_its_partner_by_its_id() -> None:
    before = book(("import numpy", []), ("x = 1", [text("1.0")]), ("y", []), ids=["a", "b", "c"])
    after = book(
        ("import numpy", []), ("for k in range(10):\n    print(k ** 2)", [text("2.0")]), ("y", []), ids=["a", "b", "c"]
    )
    cells, _ = compare_cells(before, after)
    assert [(cell.kind, cell.id) for cell in cells] == [("same", "a"), ("changed", "b"), ("same", "c")]
    assert cells[1].outputs[0].what == "the number differs: 1.0 is now 2.0"


def test_a_cell_that_went_stands_before_the_one_that_was_written_anew() -> None:
    before = book(("import numpy", []), ("gone = 1", []), ("x = 1", []), ("last", []), ids=["a", "g", "b", "c"])
    after = book(("import numpy", []), ("for k in range(9):\n    print(k)", []), ("last", []), ids=["a", "b", "c"])
    cells, _ = compare_cells(before, after)
    assert [(cell.kind, cell.id) for cell in cells] == [
        ("same", "a"),
        ("removed", "g"),
        ("changed", "b"),
        ("same", "c"),
    ]


def test_a_cell_that_ran_on_one_side_alone_is_a_result() -> None:
    before = book(("a", []), ("b", []))
    after = copy.deepcopy(before)
    after.cells[1].execution_count = None
    cells, _ = compare_cells(before, after)
    assert [cell.kind for cell in cells] == ["same", "changed"]
    assert cells[1].ran == (True, False)
    assert cells[1].is_result


def test_a_source_that_differs_in_its_end_and_one_that_is_long() -> None:
    (cell,), _ = compare_cells(book(("a", [])), book(("a\n", [])))
    assert cell.source == ("(white space at the end)",)
    (cell,), _ = compare_cells(book(("\n".join("ab" * 300), [])), book(("\n".join("cd" * 300), [])))
    assert cell.source[-1].startswith("… ")


sources = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x = 1", "y = 2", "", "z"])), max_size=6)


@given(sources, sources)
def test_every_cell_is_told_once(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    def made(cells: list[tuple[str, str]]) -> Any:
        return book(*[(source, []) for _, source in cells], ids=[f"{name}{n}" for n, (name, _) in enumerate(cells)])

    cells, _ = compare_cells(made(first), made(second))
    assert sorted(cell.before for cell in cells if cell.before) == list(range(1, len(first) + 1))
    assert [cell.after for cell in cells if cell.after] == list(range(1, len(second) + 1))


def test_figures_stand_side_by_side() -> None:
    one, two = shown("image/png", "YQ=="), shown("image/png", "Yg==")
    plot = shown(PLOTLY, {"data": [], "layout": {}})
    before = book("# Risk", ("a", [text("x"), one]), ("b", [plot]))
    after = book("# Risk", ("a", [two, one]), ("b", [plot]))
    _, figures = compare_cells(before, after)
    told = [
        (pair.number, pair.before and pair.before.output, pair.after and pair.after.output, pair.is_same)
        for pair in figures
    ]
    assert told == [(1, 1, 0, False), (1, None, 1, False), (2, 0, 0, True)]
    assert figures[2].after is not None
    assert (figures[2].after.cell, figures[2].after.kind, figures[2].after.mime) == (2, "figure", PLOTLY)


# Runs


def metric(name: str, value: Any, unit: str = "USD", **more: Any) -> Metric:
    return Metric(name, value, unit, **more)


def test_runs_that_are_the_same_but_for_their_time() -> None:
    made = book(("a", [text("1")]))
    again = run_of(
        id="20261128T090000.000Z-risk-bbbbbb", started=NOW + timedelta(days=1), ended=NOW + timedelta(days=2)
    )
    found = compare_runs(run_of(), again, (made, made))
    assert found.has_same_results
    assert found.has_same_sources
    assert (found.parameters, found.provenance) == ((), ())
    assert found.to_dict()["cells"] == []
    json.dumps(found.to_dict(), allow_nan=False)


def test_parameters_metrics_and_provenance() -> None:
    before = run_of(
        parameters={"window": 250, "old": 1, "same": [1]},
        metrics=(
            metric("var", 200.0, direction="lower"),
            metric("gone", 1.0),
            metric("zero", 0.0),
            metric("word", "a"),
        ),
    )
    after = run_of(
        id="b",
        parameters={"window": 250.0, "new": None, "same": [1]},
        metrics=(
            metric("var", 100.0, direction="lower"),
            metric("new", 2),
            metric("zero", 5.0, direction="higher"),
            metric("word", "b"),
        ),
        provenance=replace(before.provenance, data_version="d2", packages={"numpy": "2.4", "scipy": "1.15"}),
        notebook_sha256="1" * 64,
    )
    found = compare_runs(before, after, (book(), book()))
    assert [(one.name, one.kind, one.before, one.after) for one in found.parameters] == [
        ("window", "changed", 250, 250.0),
        ("new", "added", None, None),
        ("old", "removed", 1, None),
    ]
    metrics = {one.name: one for one in found.metrics}
    assert list(metrics) == ["var", "new", "zero", "word", "gone"]
    assert (metrics["var"].difference, metrics["var"].ratio, metrics["var"].better) == (-100.0, 0.5, True)
    assert (metrics["zero"].difference, metrics["zero"].ratio, metrics["zero"].better) == (5.0, None, True)
    assert (metrics["word"].difference, metrics["word"].is_same) == (None, False)
    assert (metrics["gone"].after, metrics["gone"].is_same) == (None, False)
    assert {one.name for one in found.provenance} == {
        "notebook_sha256",
        "data_version",
        "package numpy",
        "package scipy",
    }
    assert not found.has_same_results
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("before", "after", "is_same", "difference"),
    [
        (metric("m", 1.0), metric("m", 1.0 + 1e-13), True, pytest.approx(0.0)),
        (metric("m", 1.0), metric("m", 1.0, "EUR"), False, None),
        (metric("m", -1.0), metric("m", 1.0), False, 2.0),
        (metric("m", None, reason="NaN"), metric("m", None, reason="NaN"), True, None),
        (metric("m", True), metric("m", True), True, None),
        (metric("m", 3), metric("m", 3), True, 0.0),
    ],
)
def test_metrics_that_count_as_one(before: Metric, after: Metric, is_same: bool, difference: Any) -> None:
    (found,) = compare_runs(run_of(metrics=(before,)), run_of(metrics=(after,)), (book(), book())).metrics
    assert (found.is_same, found.difference) == (is_same, difference)
    assert found.ratio is None or before.value * after.value > 0


def test_another_end_is_another_result() -> None:
    failed = run_of(status=Status.FAILED, problem=Problem("x"))
    assert not compare_runs(run_of(), failed, (book(), book())).has_same_results


def test_the_package_gives_its_names_lazily() -> None:
    from quantdesk.reports import compare

    package: Any = compare
    assert {name for name in compare.__all__ if getattr(package, name) is None} == set()
    assert dir(compare) == compare.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
