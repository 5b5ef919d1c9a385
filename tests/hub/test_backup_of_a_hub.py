"""A hub that runs is backed up, lost with its machine's accounts, and put back: its people notice nothing. And a hub on
PostgreSQL, whose server goes away for a while.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import requests

from quantdesk.reports.runs import Provenance, Run, Status, publish

pytestmark = pytest.mark.xdist_group("hub")
SERVICE = "/services/quantdesk"
QUANTDESK = str(Path(sys.executable).with_name("quantdesk"))
NAME, LATER = "20261101T120000.000Z-small-0000aa", "20261101T130000.000Z-small-0000bb"


def program(state: Path, *line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command line, as the machine's administrator calls it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUANTDESK_")}
    known = {**kept, "QUANTDESK_STATE": str(state), **env}
    return subprocess.run([QUANTDESK, *line], env=known, cwd="/", capture_output=True, text=True, check=False)


def published(state: Path, templates: Path, name: str = NAME) -> Run:
    """A run of `make up`, which the worker takes into the ledger."""
    now, notebook = datetime(2026, 11, 1, 12, tzinfo=UTC), templates / "small.ipynb"
    made = Run(
        id=name, report="small", title="Small", status=Status.COMPLETED, parameters={}, given=(), seed=None,
        notebook=str(notebook), notebook_sha256=hashlib.sha256(notebook.read_bytes()).hexdigest(), started=now,
        ended=now, problem=None, labels=(), provenance=Provenance(user="root"),
        folder=state / "reports" / "runs" / name,
    )  # fmt: skip
    return publish(made, notebook="{}", page="<p>What root ran.</p>", log=None)


def settings(templates: Path, **more: str) -> dict[str, str]:
    """Of a hub with its service, on the small folder of notebooks."""
    return {
        "QUANTDESK_SERVICE": "true",
        "QUANTDESK_SERVICE_WORKERS": "1",
        "QUANTDESK_NOTEBOOKS": str(templates),
        "QUANTDESK_HALTS_FEEDS": "false",
        **more,
    }


def page(browser: Any, path: str) -> requests.Response:
    """A page of the gallery."""
    url = f"{browser.hub.url}{SERVICE}{path}"
    found: requests.Response = browser.session.get(url, timeout=60, headers={"Accept": "text/html"})
    return found


def owners(state: Path) -> dict[str, tuple[str, str, int]]:
    """Whose each file is, by name, with its mode."""
    found = {}
    for path in sorted((state / "homes").rglob("*")) + sorted((state / "reports").rglob("*")):
        facts = path.lstat()
        if stat.S_ISSOCK(facts.st_mode) or ".cache" in path.parts or path.name.endswith((".lock", "-wal", "-shm")):
            continue
        names = tuple(pwd.getpwuid(one).pw_name for one in (facts.st_uid, facts.st_gid))
        found[str(path.relative_to(state))] = (*names, stat.S_IMODE(facts.st_mode))
    return found


@pytest.mark.slow
def test_people_find_everything_again_after_the_machine_was_lost(ground: Any, real: Any, templates: Path) -> None:
    real.need_root()
    state = Path(ground.state())
    published(state, templates)
    kept = state.parent / "kept.tar"
    with real.RealHub(ground, state, env=settings(templates)) as hub:
        ana = hub.user("ana", hub.first_login())
        real.until(lambda: page(ana, f"/runs/{NAME}").status_code == 200, 240, lambda: hub.service_log)
        ana.start_server()
        ana.run("open('idea.txt', 'w').write('buy low')")
        done = program(state, "backup", str(kept))
        assert done.returncode == 0, done.stderr
        assert page(ana, f"/runs/{NAME}").status_code == 200  # nobody was turned out
        refused = program(state, "restore", "--replace", str(kept))
        assert (refused.returncode, "is running" in refused.stderr) == (4, True)
    before = owners(state)
    numbers = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall() if entry.pw_dir.startswith(f"{state}/")}
    # Another hub of this machine may have had the plain name before.
    own = next(entry.pw_name for entry in pwd.getpwall() if entry.pw_dir == f"{state}/homes/ana")
    assert own.startswith("qd-ana")

    shutil.rmtree(state)
    for name in numbers:
        subprocess.run(["userdel", name], check=True, capture_output=True)
    done = program(state, "restore", str(kept))
    assert done.returncode == 0, done.stderr
    again = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall() if entry.pw_dir.startswith(f"{state}/")}
    assert again == numbers
    found = owners(state)
    assert {name: before[name] for name in found} == found
    assert {"homes/ana/idea.txt", f"reports/runs/{NAME}/run.json"} <= found.keys()
    assert found["homes/ana/idea.txt"][0] == own

    shutil.copytree(ground.proxy, state / "proxy", copy_function=os.link)  # what `quantdesk up` installs
    with real.RealHub(ground, state, env=settings(templates)) as hub:
        assert hub.secret is None, "the administrator has a password"
        ana = hub.browser()
        assert ana.login("ana", "a wrong password 1").status_code != 302
        assert ana.login("ana", real.PASSWORD, follow=False).status_code == 302
        ana.name = "ana"
        real.until(lambda: page(ana, f"/runs/{NAME}").status_code == 200, 120, lambda: hub.service_log)
        assert page(ana, f"/runs/{NAME}/page").text == "<p>What root ran.</p>"
        ana.start_server()
        assert ana.run("print(open('idea.txt').read())") == "buy low\n"


@pytest.mark.slow
def test_a_hub_on_postgresql_outlives_its_server_for_a_while(
    ground: Any, real: Any, templates: Path, postgres: Any
) -> None:
    """One setting; the server refuses and drops everybody for a while, and all goes on when it is back."""
    real.need_root()
    state, url = Path(ground.state()), str(postgres())
    secret, name = urlsplit(url).password or "", url.rpartition("/")[2]
    published(state, templates)

    def server(allowed: bool) -> None:
        with psycopg.connect(postgres.admin(), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(allowed).lower()}")
            if not allowed:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    with real.RealHub(ground, state, env=settings(templates, QUANTDESK_DATABASE=url)) as hub:
        admin = hub.first_login()
        ana = hub.user("ana", admin)
        real.until(lambda: page(ana, f"/runs/{NAME}").status_code == 200, 240, lambda: hub.service_log)
        shown = _seen_by_others(secret)
        assert shown == [], "it is there to be read"
        server(allowed=False)
        try:
            refused = hub.browser().login("ana", real.PASSWORD, follow=False)
            assert refused.status_code in {500, 503}, "a login cannot be looked up now"
            assert page(ana, f"/runs/{NAME}").status_code in {500, 503}
            published(state, templates, LATER)
            time.sleep(20)  # hub, service and worker ask several times, and get no answer
        finally:
            server(allowed=True)
        real.until(lambda: ana.get("home").status_code == 200, 60, lambda: hub.log[-3000:])
        real.until(lambda: page(ana, f"/runs/{NAME}").status_code == 200, 60, lambda: hub.service_log)
        assert hub.browser().login("ana", real.PASSWORD, follow=False).status_code == 302
        real.until(lambda: page(ana, f"/runs/{LATER}").status_code == 200, 240, lambda: hub.service_log)  # the worker's
        bob = hub.user("bob", admin)
        assert bob.get("home").status_code == 200
        said = hub.log + (hub.files.root / "service.log").read_text()
        assert secret not in said
        assert url.partition("://")[2].partition("@")[0] not in said
    assert not list(state.rglob("jupyterhub.sqlite"))
    with psycopg.connect(url) as connection:
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'quantdesk%'").fetchall()
    assert {"quantdesk_hub", "quantdesk_service", "quantdesk_reports"} <= {row[0] for row in schemas}


def _seen_by_others(secret: str) -> list[str]:
    """Processes that show a password in their command line, or have it and are of an account that others reach."""
    found = []
    for process in psutil.process_iter():
        try:
            line, environment = " ".join(process.cmdline()), "\n".join(process.environ().values())
            account = process.username()
        except psutil.Error:
            continue
        low = account.startswith(("qd-proxy", "qd-ana"))
        if secret in line or (low and "%40ss" in environment):
            found.append(f"{account} {line[:100]}")
    return found


ALONE = """
import os, shutil, stat, sys
from pathlib import Path
from quantdesk.hub import backup as backups
from quantdesk.hub.accounts import prepare_state
from quantdesk.hub.config import HubFiles
files = HubFiles()
prepare_state(files, isolated=False)
closed = files.homes / "solo" / "closed"
closed.mkdir(parents=True)
(closed / "notes").write_text("mine")
closed.chmod(0o500)
kept = files.state.parent / "kept.tar"
backups.backup(kept)
closed.chmod(0o700)
shutil.rmtree(files.state)
backups.restore(kept)
backups.restore(kept, replace=True)
print(os.geteuid(), (closed / "notes").read_text(), oct(stat.S_IMODE(closed.stat().st_mode)), closed.stat().st_uid)
closed.chmod(0o700)
(closed / "secret").write_text("")
(closed / "secret").chmod(0)
try:
    backups.backup(kept.with_name("second.tar"))
except Exception as error:
    print(type(error).__name__, error)
print(sorted(path.name.split("-")[0] for path in kept.parent.iterdir()))
"""


def test_one_person_does_it_without_root(ground: Any, real: Any) -> None:
    real.need_root()
    place = Path(ground.state()).parent
    shutil.rmtree(place / "state")
    uid = 23456
    os.chown(place, uid, uid)
    env = {"QUANTDESK_STATE": str(place / "state"), "HOME": str(place), "PATH": os.environ["PATH"]}
    line = [str(ground.python), "-P", "-c", ALONE]
    done = subprocess.run(
        line, env=env, cwd=place, user=uid, group=uid, extra_groups=[], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, left = done.stdout.splitlines()
    assert first == f"{uid} mine 0o500 {uid}"
    assert second.startswith("EnvironmentProblem")
    assert "closed/secret cannot be read (Permission denied)" in second
    assert left == "['kept.tar', 'state', 'state.before']"
