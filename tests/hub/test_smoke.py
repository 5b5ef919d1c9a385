"""`quantdesk smoke`: a platform as it is used from outside, one that lacks its service, and one that is gone."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

from quantdesk.cli import app
from quantdesk.errors import BadParameter
from quantdesk.hub.smoke import Part, Visit, visit

PARTS = ["hub", "login", "server", "cell", "report", "halt", "clean up"]


def smoke(*arguments: str, **env: str) -> tuple[int, dict[str, Part]]:
    done = CliRunner().invoke(app, ["smoke", "--json", *arguments], env=env)
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["parts"]] == PARTS
    assert found["works"] == all(one["ok"] for one in found["parts"]) == (done.exit_code == 0)
    return done.exit_code, {one["name"]: Part(**one) for one in found["parts"]}


def test_where_nobody_listens_nothing_else_is_tried() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    code, parts = smoke("--url", address, "--user", "ana", QUANTDESK_SMOKE_PASSWORD="x")
    assert code == 6
    assert parts["hub"].ok is False
    assert "ConnectError" in parts["hub"].told
    assert {name: parts[name].ok for name in PARTS[1:]} == {**dict.fromkeys(PARTS[1:-1]), "clean up": True}
    assert parts["report"].told == "not tried: login failed"


@pytest.mark.parametrize(
    ("url", "given", "said"),
    [
        ("desk.example", {"token": "t"}, "'desk.example' is no address"),
        ("file:///etc/passwd", {"token": "t"}, "is no address"),
        ("https://desk.example", {"user": "ana"}, "Nobody is named"),
    ],
)
def test_what_cannot_be_visited_is_refused_at_once(url: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(BadParameter, match=said):
        Visit(url, **given)  # type: ignore[arg-type]


@pytest.mark.xdist_group("hub")
def test_each_part_is_said_and_what_was_made_is_taken_back(desk: Any, real: Any) -> None:
    """A hub without the service: report and halt fail, and the rest is found to work."""
    code, parts = smoke("--url", desk.hub.url, "--user", "ana", QUANTDESK_SMOKE_PASSWORD=real.PASSWORD)
    assert code == 6
    assert {name: part.ok for name, part in parts.items()} == {
        **dict.fromkeys(PARTS, True), "report": False, "halt": False,
    }  # fmt: skip
    assert parts["server"].told == "was running"
    assert parts["cell"].told.startswith("42, by quantdesk ")
    assert "/services/quantdesk/api/v1/halts/AAPL answered 404" in parts["halt"].told
    left = desk.ana.api("GET", "users/ana/tokens").json()["api_tokens"]
    assert [one["note"] for one in left if "smoke" in one["note"]] == []
    assert desk.ana.server("GET", "api/status").status_code == 200  # it was not started here, and goes on
    refused = visit(Visit(desk.hub.url, user="ana", password="not her password"))
    assert [part.ok for part in refused] == [True, False, None, None, None, None, True]
    assert "refused" in refused[1].told


@pytest.mark.slow
@pytest.mark.xdist_group("hub")
def test_a_whole_platform(fresh: Any, real: Any, ground: Any) -> None:
    real.need_root()
    folder = Path(ground.folder) / "smoke-notebooks"
    folder.mkdir(exist_ok=True)
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell("n = 1", id="parameters"), nbformat.v4.new_code_cell("n + 1", id="sum")]
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, folder / "tiny.ipynb")
    folder.chmod(0o755)
    hub = fresh(
        QUANTDESK_NOTEBOOKS=str(folder),
        QUANTDESK_SERVICE="true",
        QUANTDESK_WORKER="true",
        QUANTDESK_HALTS_FEEDS="false",
    )
    with hub:
        admin = hub.first_login()
        ana = hub.user("ana", admin)
        real.until(hub.service_answers, 120, lambda: hub.service_log)
        code, parts = smoke("--url", hub.url, "--user", "ana", QUANTDESK_SMOKE_PASSWORD=real.PASSWORD)
        assert code == 0, parts
        assert parts["server"].told == "started"
        assert parts["report"].told == "tiny completed"
        assert parts["halt"].told.startswith("AAPL is ")
        assert ana.api("GET", "users/ana").json()["servers"] == {}  # what was started here is stopped
        made = ana.api("POST", "users/ana/tokens", json={"note": "mine", "expires_in": 600}).json()["token"]
        code, parts = smoke("--url", hub.url, "--report", "tiny", QUANTDESK_SMOKE_TOKEN=made)
        assert code == 0, parts
        assert parts["login"].told.startswith("ana, with ")
        assert parts["report"].told.startswith("tiny completed")
