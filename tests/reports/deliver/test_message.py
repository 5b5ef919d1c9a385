"""Messages: what they say of a run, and that nothing that somebody wrote acts in one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.reports.deliver.alerts import Alert
from quantdesk.reports.deliver.message import Message, link_of, of_alerts, of_run, one_line
from quantdesk.reports.deliver.payload import payload, quoted
from quantdesk.reports.deliver.recipients import EMAIL, WEBHOOK, Recipient, is_address, recipient
from quantdesk.reports.result import Metric, Problem, Status

from .conftest import NOW, run_of

ANA = Recipient(EMAIL, "ana@example.org")


class Tags(HTMLParser):
    """The elements of a document, with their attributes' names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[tuple[str, tuple[str, ...]]] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, tuple(sorted(name for name, _ in attrs))))


def test_a_complete_run() -> None:
    told = of_run(run_of(Path("/runs/1")), ANA, link="https://hub.example.org/1")
    assert told.subject == "✓ Daily risk: completed"
    assert told.page == "/runs/1/report.html"
    assert told.at == NOW
    for words in ("Daily risk", "30.0 s", "● real", "window", "250", "https://hub.example.org/1"):
        assert words in told.text
    assert "symbols" not in told.text  # a default: nobody gave it


def test_a_failed_run_says_where_and_why() -> None:
    run = run_of(status=Status.FAILED, problem=Problem("ValueError: no data", 7, "id", "Returns"))
    told = of_run(run, ANA)
    assert told.subject == "✕ Daily risk: failed"
    assert "In cell 7, under “Returns”: ValueError: no data" in told.text
    assert told.link is None
    assert "Open the run" not in told.html


def test_metrics_what_is_missing_and_notes_are_told() -> None:
    metrics = (Metric("var_99", 1234567.8, "USD"), Metric("regime", "calm"), Metric("beta", None, reason="NaN"))
    run = run_of(metrics=metrics, missing=("alpha",), notes=("Outputs\nwere cut.", *["x"] * 9))
    told = of_run(run, ANA).text
    for words in ("var_99   1,234,568 USD", "regime   calm", "beta     none", "missing  alpha", "Outputs were cut."):
        assert words in told
    assert told.count("note") == 5


def test_parameters_are_listed_up_to_a_number() -> None:
    many = {f"p{number}": number for number in range(25)}
    told = of_run(run_of(parameters=many, given=tuple(many)), ANA)
    assert "p19" in told.text
    assert "p20" not in told.text
    assert "and 5 more parameters" in told.text


def test_the_same_fact_to_the_same_person_has_one_id() -> None:
    run = run_of()
    alert = Alert("run", False, "It failed.")
    ids = [
        of_run(run, ANA).id,
        of_run(run, Recipient(EMAIL, "bob@example.org")).id,
        of_run(run, Recipient(WEBHOOK, "#risk")).id,
        of_alerts([alert], run, ANA).id,
        of_run(replace(run, id="another"), ANA).id,
    ]
    assert of_run(run, ANA, link="https://x").id == ids[0]
    assert len(set(ids)) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


def test_alerts_tell_what_began_and_what_is_over() -> None:
    began = Alert("metric:var_99", False, "var_99 has left its bounds: 1.2 USD, allowed 1 USD or less.")
    over = Alert("run", True, "The report is complete again.")
    told = of_alerts([over, began], run_of(), ANA)
    assert told.subject.startswith("▲ Daily risk: var_99 has left its bounds")
    assert told.subject.endswith("(and 1 more)")
    assert "✓ over: The report is complete again." in told.text
    assert "▲ warning: var_99 has left its bounds" in told.text
    assert told.page is None
    assert of_alerts([over], run_of(), ANA).subject == "✓ Daily risk: over: The report is complete again."


def test_a_message_survives_json() -> None:
    told = of_run(run_of(), ANA, link="https://hub.example.org/1")
    assert Message.from_dict(json.loads(json.dumps(told.to_dict()))) == told


hostile = st.text(max_size=80) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "a\r\nBcc: eve@example.org",
        "<!channel> @here [x](https://evil.example)",
        "{{ 7 * 7 }}{% raw %}",
        "\u202egnp.exe",
        "&lt;b&gt;",
        "\x00\x1b[31m",
    ]
)


@given(title=hostile, problem=hostile, name=hostile, value=hostile)
def test_nothing_in_a_message_acts(title: str, problem: str, name: str, value: str) -> None:
    run = run_of(title=title, problem=Problem(problem), status=Status.FAILED, parameters={name: value}, given=(name,))
    told = of_run(run, ANA, link="https://hub.example.org/1")
    alert = of_alerts([Alert("run", False, problem or "x")], run, ANA, link="https://hub.example.org/1")
    plain = of_run(run_of(status=Status.FAILED, problem=Problem("x")), ANA, link="https://hub.example.org/1")
    known = Tags(plain.html).found | {("ul", ("style",)), ("li", ("style",))}
    for one in (told, alert):
        assert one.subject.isprintable()
        assert Tags(one.html).found <= known
        assert all(sign.isprintable() or sign == "\n" for sign in one.text)
        sent = payload(replace(one, to=Recipient(WEBHOOK, "#risk")))
        fallback = sent["text"].removesuffix("\n<https://hub.example.org/1>")
        assert not re.search(r"<[!@#]|@\w|\]\(|https?://", fallback)
        kinds = [block["text"]["type"] for block in sent["blocks"]]
        assert kinds == ["plain_text", "plain_text", "mrkdwn"]
        assert len(sent["blocks"][0]["text"]["text"]) <= 150
        assert len(sent["blocks"][1]["text"]["text"]) <= 3000


def test_a_link_cannot_leave_its_brackets(message: Message) -> None:
    sent = payload(replace(message, link="https://x/a|b>c<d e\n"))
    assert sent["blocks"][2]["text"]["text"] == "<https://x/a%7Cb%3Ec%3Cd%20e%0A|Open the run>"
    assert len(payload(replace(message, link=None))["blocks"]) == 2


def test_quoted_text_looks_the_same() -> None:
    shown = quoted("Ask @here: *now* <b> https://x & [a](b)").replace("\u200b", "")
    assert shown == "Ask @here: *now* &lt;b&gt; https://x &amp; [a](b)"


def test_a_long_text_is_cut(message: Message) -> None:
    assert payload(replace(message, text="x" * 4000))["blocks"][1]["text"]["text"].endswith("x…")


def test_the_link_of_a_run() -> None:
    assert link_of("https://hub/runs/{run}", "a/../b?c") == "https://hub/runs/a%2F..%2Fb%3Fc"
    assert link_of(None, "a") is None


def test_one_line() -> None:
    assert one_line(" a\r\n\tb\u202e\0c ") == "a b c"
    assert one_line("x" * 200, 10) == "xxxxxxxxx…"


def test_recipients() -> None:
    assert recipient("ana@example.org") == ANA
    assert recipient("#risk") == Recipient(WEBHOOK, "#risk")
    for wrong in ("", "ana", "#Risk", "# risk", "https://hooks.example.org/x", "a@b\nc", "@", "#" + "x" * 81):
        with pytest.raises(BadInput, match="is no recipient"):
            recipient(wrong)
    assert is_address("o'neil+desk@mail.example.org")
    assert not is_address("a..b@example.org")


def test_durations_of_a_run_are_those_of_its_record() -> None:
    assert "1,800.0 s" in of_run(run_of(started=NOW - timedelta(minutes=30)), ANA).text
