"""A hub that does not run as root serves the person who runs it, and says why it refuses everybody else."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("hub")
NOBODY = 65534


@pytest.fixture(scope="module")
def solo(ground: Any, templates: Path, real: Any) -> Iterator[Any]:
    """A hub of an ordinary account."""
    state = ground.state()
    account = None
    if os.geteuid() == 0:
        account = NOBODY
        for path in [state.parent, state, *state.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    env = {"QUANTDESK_NOTEBOOKS": str(templates), "QUANTDESK_ADMIN": "solo"}
    hub = real.RealHub(ground, state, env=env, account=account)
    with hub:
        yield SimpleNamespace(hub=hub, solo=hub.first_login())


def test_the_one_person_logs_in_and_gets_a_server(solo: Any) -> None:
    solo.solo.name = "solo"
    solo.solo.start_server()
    home = solo.hub.files.homes / "solo"
    where, number = solo.solo.run("import os; print(os.getcwd(), os.getuid())").split()
    assert where == str(home)
    assert number == str(solo.hub.state.stat().st_uid)


def test_a_second_person_is_refused_with_the_reason(solo: Any) -> None:
    browser = solo.hub.browser()
    page = browser.get("signup")
    assert page.status_code == 403
    told = html.unescape(page.text)
    assert "serves solo alone: only root can give each person an account of their own" in told
    assert "Run quantdesk as root to serve several people" in told
    assert 'name="new_password"' not in page.text

    guard = {"_xsrf": browser.session.cookies.get("_xsrf", path="/hub/")}
    form = {"username": "second", "new_password": "orange tiger 77 moon", "confirmation": "orange tiger 77 moon"}
    answer = browser.session.post(f"{solo.hub.url}/hub/signup", data=form | guard, timeout=30)
    assert answer.status_code == 403
    assert "serves solo alone" in answer.text

    answer = browser.login("second", "orange tiger 77 moon")
    assert answer.status_code == 403
    assert "serves solo alone" in answer.text


def test_a_user_added_by_hand_gets_no_server_either(solo: Any) -> None:
    assert solo.solo.api("POST", "users/second").status_code == 201
    answer = solo.solo.api("POST", "users/second/server")
    assert answer.status_code == 403
    assert "serves solo alone" in answer.text
    assert not (solo.hub.files.homes / "second").exists()


@pytest.mark.slow
def test_an_idle_server_is_stopped_and_a_busy_one_is_not(ground: Any, templates: Path, real: Any) -> None:
    """A kernel that computes is not idle, although it says nothing for longer than the timeout."""
    real.need_root()
    env = {"QUANTDESK_NOTEBOOKS": str(templates), "QUANTDESK_IDLE_TIMEOUT": "10"}
    with real.RealHub(ground, ground.state(), env=env) as hub:
        admin = hub.first_login()
        admin.name = "admin"
        admin.start_server()
        assert admin.run("import time; time.sleep(16); print('done')") == "done\n"
        real.until(lambda: admin.api("GET", "users/admin").json()["servers"] == {}, 60)
        assert "Culling server admin" in hub.log
        assert not [line for line in hub.left() if "singleuser" in line or "ipykernel" in line]
