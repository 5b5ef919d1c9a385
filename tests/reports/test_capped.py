"""Output without end: what is kept has a bound, what is left out is told, and a metric is never pushed out."""

from __future__ import annotations

from typing import Any

from quantdesk.reports.capped import OutputCap
from quantdesk.reports.recorded import METRIC

CELL = 100_000


def stream(text: str) -> dict[str, Any]:
    return {"msg_type": "stream", "content": {"name": "stdout", "text": text}}


def display(data: dict[str, Any], kind: str = "display_data") -> dict[str, Any]:
    return {"msg_type": kind, "content": {"data": data, "metadata": {"a": 1}}}


def test_what_fits_is_not_touched() -> None:
    cap = OutputCap(CELL)
    for message in (stream("x" * 1000), display({"text/plain": "y"}), {"msg_type": "status", "content": {}}):
        before = repr(message)
        assert cap.admit(message, 3)
        assert repr(message) == before
    assert cap.notes({}) == ()


def test_a_flood_of_text_is_cut_once_and_counted() -> None:
    cap = OutputCap(CELL)
    kept = ""
    for _ in range(50):
        message = stream("x" * 10_000)
        if cap.admit(message, 4):
            kept += message["content"]["text"]
    assert kept.count("The rest is left out.") == 1
    assert 0.9 * CELL < kept.count("x") <= CELL
    assert cap.notes({4: 2}) == ("Cell 2 gave 0.5 MB of output; 0.1 MB are kept.",)


def test_the_next_cell_has_room_of_its_own_until_the_run_is_full() -> None:
    cap = OutputCap(CELL)
    sizes = []
    for cell in range(8):
        message = stream("x" * 10 * CELL)
        cap.admit(message, cell)
        sizes.append(message["content"]["text"].count("x"))
    assert all(0.9 * CELL < size <= CELL for size in sizes[:4])
    assert sum(sizes) <= 5 * CELL
    assert sizes[-1] < 100


def test_an_output_that_is_too_large_becomes_a_sentence() -> None:
    cap = OutputCap(CELL)
    for kind in ("display_data", "execute_result", "update_display_data"):
        message = display({"image/png": "A" * 2 * CELL, "text/plain": "<Figure>"}, kind)
        assert cap.admit(message, 0)
        assert message["content"]["data"]["text/plain"].startswith("An output of 0.2 MB is left out.")
        assert message["content"]["metadata"] == {}
    small = display({"text/plain": "fits"})
    assert cap.admit(small, 0)
    assert small["content"]["data"] == {"text/plain": "fits"}
    figure = display({"application/vnd.plotly.v1+json": {"data": [{"x": list(range(CELL))}]}})
    assert cap.admit(figure, 0)
    assert "left out" in figure["content"]["data"]["text/plain"]


def test_sentences_have_an_end_too() -> None:
    cap = OutputCap(CELL)
    assert sum(cap.admit(display({"text/plain": "A" * 2 * CELL}), 0) for _ in range(1000)) == 50


def test_a_metric_after_a_flood_is_kept() -> None:
    cap = OutputCap(CELL)
    for cell in range(10):
        cap.admit(stream("x" * 10 * CELL), cell)
    message = display({METRIC: {"name": "sharpe", "value": 1.0}, "text/plain": "sharpe = 1"})
    assert cap.admit(message, 9)
    assert METRIC in message["content"]["data"]
    # What calls itself a record has a bound as well.
    claims = [display({METRIC: "A" * 1_000_000}) for _ in range(40)]
    for claim in claims:
        cap.admit(claim, 9)
    assert sum(METRIC in claim["content"]["data"] for claim in claims) < 31


def test_a_bar_that_clears_itself_counts_once() -> None:
    cap = OutputCap(CELL)
    for _ in range(100):
        message = stream("x" * 50_000)
        assert cap.admit(message, 0)
        assert message["content"]["text"] == "x" * 50_000
        assert cap.admit({"msg_type": "clear_output", "content": {"wait": True}}, 0)


def test_a_huge_exception_keeps_both_ends() -> None:
    content = {"ename": "E" * 20_000, "evalue": "v" * 10**7, "traceback": ["first"] + ["x" * 10**6] * 5 + ["last"]}
    assert OutputCap(CELL).admit({"msg_type": "error", "content": content}, 0)
    assert len(content["ename"]) < 11_000
    assert len(content["evalue"]) < 11_000
    assert content["traceback"][0].startswith("first")
    assert content["traceback"][-1].endswith("last")
    assert sum(map(len, content["traceback"])) < 101_000


def test_what_is_not_text_passes() -> None:
    cap = OutputCap(CELL)
    assert cap.admit({"msg_type": "stream", "content": {"text": None}}, 0)
    assert cap.admit({"msg_type": "display_data", "content": {"data": None, "metadata": {}}}, 0)
