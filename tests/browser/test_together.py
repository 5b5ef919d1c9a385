"""Two people, two browsers, one document: on a server that its owner shares, and whose profile allows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from quantdesk.hub.lab import COLLABORATION

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]
PROFILES = """
[[profiles]]
name = "alone"
title = "Alone"
cpu = 1
memory_gib = 2
is_default = true

[[profiles]]
name = "together"
title = "Together"
cpu = 1
memory_gib = 2
collaboration = true
"""
CELL = '{"cell_type": "code", "id": "one", "metadata": {}, "execution_count": null, "outputs": [], "source": "start"}'
NOTEBOOK = (
    '{"cells": [' + CELL + '], "metadata": {"kernelspec": {"name": "quantdesk", "display_name": "quantdesk"}}, '
    '"nbformat": 4, "nbformat_minor": 5}'
)


@pytest.fixture
def shared(ground: Any, real: Any, tmp_path: Path) -> Any:
    """A hub with ana's server, whose profile lets people edit together, and bob's, whose does not."""
    real.need_root()
    file = tmp_path / "profiles.toml"
    file.write_text(PROFILES)
    (notebooks := Path(ground.folder) / "together").mkdir(mode=0o755)
    env = {"QUANTDESK_NOTEBOOKS": str(notebooks), "QUANTDESK_HUB_PROFILES": str(file), "QUANTDESK_SHARING": "true"}
    env["QUANTDESK_SHARING_BELIEVED_S"] = "1"  # so that connections are asked about while people type
    with real.RealHub(ground, ground.state(), env=env) as hub:
        admin = hub.first_login()
        people = {name: hub.user(name, admin) for name in ("ana", "bob")}
        for name, profile in (("ana", "together"), ("bob", "alone")):
            one = people[name]
            assert one.get("home").status_code == 200
            assert one.api("POST", f"users/{name}/server", json={"profile": profile}).status_code in (201, 202)
            one.token = one.api("POST", f"users/{name}/tokens", json={"note": "test"}).json()["token"]
            one.await_server()
        for path, kind, content in (("plan.txt", "file", "buy low\n"), ("plan.ipynb", "notebook", NOTEBOOK)):
            body: dict[str, Any] = {"type": "file", "format": "text", "content": content}
            assert people["ana"].server("PUT", f"api/contents/{path}", json=body).status_code == 201, kind
        yield hub, people


EDITORS = {"plan.txt": ".jp-FileEditor .cm-content", "plan.ipynb": ".jp-Notebook .jp-CodeCell .cm-content"}


def test_what_one_types_the_other_sees(shared: Any, real: Any, visit: Any) -> None:
    hub, people = shared
    for name, on in (("ana", True), ("bob", False)):
        page = people[name].server("GET", "lab").text
        told = json.loads(page.split('id="jupyter-config-data" type="application/json">')[1].split("</script>")[0])
        assert (set(COLLABORATION) & set(told["disabledExtensions"]) == set()) is on, name
    room = {"format": "text", "type": "file"}
    answer = people["ana"].server("PUT", "api/collaboration/session/plan.txt", json=room)
    assert answer.status_code in (200, 201), answer.text

    ana, bob = visit(hub.url), visit(hub.url)
    for one, name in ((ana, "ana"), (bob, "bob")):
        one.log_in(name, real.PASSWORD)
        one.page.wait_for_url(lambda url: "/hub/login" not in url)
    ana.go("share")
    ana.page.get_by_label("User name").fill("bob")
    ana.page.locator("#knows_user").check()
    ana.page.get_by_role("button", name="Share with this person").click()
    expect(ana.page.get_by_role("button", name="Take it back from bob")).to_be_visible()
    bob.go("home")
    bob.page.get_by_role("link", name="Open the server of ana").click()
    bob.shot("open-the-server-of-another")
    bob.page.get_by_role("button", name="Open it").click()
    bob.page.wait_for_url("**/user/ana/lab**")

    for path, said in (("plan.txt", "buy low"), ("plan.ipynb", "start")):
        hers, his = (one.page.locator(EDITORS[path]).first for one in (ana, bob))
        for one in (ana, bob):
            one.page.goto(f"{hub.url}/user/ana/lab/tree/{path}")
            expect(one.page.locator(EDITORS[path]).first).to_contain_text(said, timeout=30_000)
        hers.click()
        ana.page.keyboard.press("Control+End")
        ana.page.keyboard.type(" ana was here")
        expect(his).to_contain_text("ana was here")
        his.click()
        bob.page.keyboard.press("Control+End")
        bob.page.keyboard.type(" and bob too")
        expect(hers).to_contain_text("ana was here and bob too")
        expect(his).to_contain_text("ana was here and bob too")
        assert hers.inner_text() == his.inner_text(), "nothing twice, nothing lost"
        ana.shot(f"together-{path}")
    kept = people["ana"]
    real.until(
        lambda: "and bob too" in str(kept.server("GET", "api/contents/plan.txt").json()["content"]), 30
    )  # it is saved by the server itself

    sockets: list[Any] = []
    bob.page.on("websocket", lambda one: sockets.append(one))
    bob.page.goto(f"{hub.url}/user/ana/lab/tree/plan.txt")
    expect(bob.page.locator(EDITORS["plan.txt"]).first).to_contain_text("and bob too", timeout=30_000)
    bob.page.wait_for_timeout(3_000)  # he is asked about, and may stay
    rooms = [one for one in sockets if "/api/collaboration/room/" in one.url]
    assert any(not one.is_closed() for one in rooms), "an invited visitor stays connected"
    ana.go("share")
    ana.page.get_by_role("button", name="Take it back from bob").click()
    expect(ana.page.get_by_role("status")).to_contain_text("It is taken back")
    real.until(lambda: bool(bob.page.wait_for_timeout(200)) or all(one.is_closed() for one in rooms), 30)
    assert bob.context.request.get(f"{hub.url}/user/ana/api/contents/plan.txt").status in (403, 404)
    assert ana.context.request.get(f"{hub.url}/user/ana/api/contents/plan.txt").status == 200
