"""Lines of JSON: whom they belong to, and that nothing breaks one."""

from __future__ import annotations

import json
import logging

import pytest

from quantdesk.errors import BadParameter
from quantdesk.hub.app.logs import JsonLines, LogConfig, request_id


def line(message: str, *args: object) -> dict[str, object]:
    record = logging.LogRecord("quantdesk.x", logging.INFO, __file__, 1, message, args, None)
    written = JsonLines("quantdesk-worker").format(record)
    assert "\n" not in written
    return dict(json.loads(written))


def test_a_line_names_its_run_and_only_that() -> None:
    told = line("run %s: attempt %d begins", "20261127-a1b2", 2)
    assert told["run_id"] == "20261127-a1b2"
    assert told["message"] == "run 20261127-a1b2: attempt 2 begins"
    assert "request_id" not in told
    assert "run_id" not in line("worker %s: %d at once", "host:1:ab", 2)
    assert "run_id" not in line("run of nobody")


def test_what_a_name_holds_cannot_end_the_line_or_forge_another() -> None:
    told = line("run %s: begins", 'a"}\n{"level": "info"')
    assert told["run_id"] == 'a"}\n{"level": "info"'


def test_a_line_names_its_request() -> None:
    token = request_id.set("abcd1234")
    try:
        assert line("request")["request_id"] == "abcd1234"
    finally:
        request_id.reset(token)


def test_the_format_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LogConfig.from_env().format == "text"
    monkeypatch.setenv("QUANTDESK_LOG_FORMAT", "json")
    assert LogConfig.from_env().format == "json"
    monkeypatch.setenv("QUANTDESK_LOG_FORMAT", "xml")
    with pytest.raises(BadParameter, match=r"'xml'. Give text or json"):
        LogConfig.from_env()
