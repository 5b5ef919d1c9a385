"""A folder for each team: its members share it whatever their umask, and nobody else comes in."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.hub import backup as backups
from quantdesk.hub.accounts import Account, Accounts, prepare_state
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.teams import TEAM, Team, Teams, recorded


@pytest.fixture
def site(ground: Any, real: Any) -> Iterator[SimpleNamespace]:
    """A state as root has it, with the accounts of ana, bob and eve."""
    real.need_root()
    files = HubFiles(ground.state())
    prepare_state(files, isolated=True)
    accounts = {name: Accounts(files).open(name) for name in ("ana", "bob", "eve")}
    yield SimpleNamespace(files=files, teams=Teams(files), python=str(ground.python), **accounts)
    states = (files.state, files.state.parent / "another")  # others run beside
    own = tuple(f"qt-{hashlib.sha256(str(one).encode()).hexdigest()[:6]}-" for one in states)
    for entry in grp.getgrall():
        if entry.gr_name.startswith(own):
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["groupdel", entry.gr_name], check=True, capture_output=True)


def does(site: SimpleNamespace, who: Account, teams: tuple[Team, ...], code: str) -> str:
    """What code prints that runs as a user's server does: his number, his teams' numbers, umask 077."""
    done = subprocess.run(
        [site.python, "-I", "-S", "-c", code], cwd=who.home, user=who.uid, group=who.gid,
        extra_groups=[team.gid for team in teams], umask=0o077, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def test_members_share_a_folder_and_others_stay_outside(site: SimpleNamespace) -> None:
    teams = site.teams.open(["alpha", "quantdesk-members", "No Team!", "../up"])
    assert [team.name for team in teams] == ["alpha"]
    for member in (site.ana, site.bob):
        site.teams.link(member, teams)
    made = "import os; os.makedirs('shared/alpha/deep'); open('shared/alpha/deep/idea', 'w').write('buy'); print('ok')"
    assert does(site, site.ana, teams, made) == "ok\n"
    changed = "f = open('shared/alpha/deep/idea', 'a'); f.write(' low'); f.close(); print(open(f.name).read())"
    assert does(site, site.bob, teams, changed) == "buy low\n"
    assert does(site, site.bob, teams, "import os; os.remove('shared/alpha/deep/idea'); print('gone')") == "gone\n"

    folder = site.files.state / "shared" / "alpha"
    inner = (folder / "deep").stat()
    assert (inner.st_gid, stat.S_IMODE(inner.st_mode)) == (teams[0].gid, 0o2770)
    for inside in (folder, folder / "deep"):
        look = f"import os; print(os.listdir({str(inside)!r}))"
        assert "PermissionError" in does(site, site.eve, (), look)
        assert "PermissionError" in does(site, site.ana, (), look), "without the number there is no way in"
    assert "PermissionError" in does(site, site.eve, (), f"import os; os.listdir({str(folder.parent)!r})")
    assert "PermissionError" in does(site, site.eve, (), f"open({str(folder.parent / 'mine')!r}, 'w')")


def test_who_leaves_a_team_loses_the_way_and_keeps_what_is_his_own(site: SimpleNamespace) -> None:
    alpha, beta = site.teams.open(["alpha", "beta"])
    site.teams.link(site.ana, (alpha, beta))
    own = "import os; os.symlink('/tmp', 'shared/mine'); open('shared/notes', 'w').close(); "
    own += "print(sorted(os.listdir('shared')))"
    assert does(site, site.ana, (alpha, beta), own) == "['alpha', 'beta', 'mine', 'notes']\n"
    site.teams.link(site.ana, (beta,))
    assert (
        does(site, site.ana, (beta,), "import os; print(sorted(os.listdir('shared')))") == "['beta', 'mine', 'notes']\n"
    )
    assert (Path(site.ana.home) / "shared").stat().st_uid == site.ana.uid


def test_a_home_that_tricks_root_gets_no_link(site: SimpleNamespace) -> None:
    """``shared`` is a link to a folder of root's: what makes links runs as the user, who may not write there."""
    target = site.files.state / "roots-own"
    target.mkdir(mode=0o755)
    (Path(site.eve.home) / "shared").symlink_to(target)
    site.teams.link(site.eve, site.teams.open(["alpha"]))
    assert list(target.iterdir()) == []


def test_a_team_keeps_its_number_and_is_not_taken_over(site: SimpleNamespace) -> None:
    (first,) = site.teams.open(["alpha"])
    assert site.teams.open(["alpha"]) == (first,)
    assert 30000 <= first.gid <= 39999
    assert stat.S_IMODE(site.teams.record.stat().st_mode) == 0o600
    other = Teams(HubFiles(site.files.state.parent / "another"))
    other._files.root.mkdir(parents=True)
    (theirs,) = other.open(["alpha"])
    assert (theirs.group == first.group, theirs.gid == first.gid) == (False, False)
    folder = site.files.state / "shared" / "alpha"
    os.chown(folder, site.eve.uid, first.gid)
    with pytest.raises(EnvironmentProblem, match="If it is this team's, run: chown"):
        site.teams.open(["alpha"])
    shutil.rmtree(folder)
    folder.symlink_to("/etc")
    with pytest.raises(EnvironmentProblem, match="is not a directory"):
        site.teams.open(["alpha"])


def test_teams_come_back_with_their_folders_and_rights(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUANTDESK_STATE", str(site.files.state))
    teams = site.teams.open(["alpha"])
    site.teams.link(site.ana, teams)
    made = "import os; os.makedirs('shared/alpha/deep'); open('shared/alpha/deep/idea', 'w').write('buy'); print('ok')"
    assert does(site, site.ana, teams, made) == "ok\n"
    idea = site.files.state / "shared" / "alpha" / "deep" / "idea"
    before = (idea.stat().st_uid, idea.stat().st_gid, stat.S_IMODE(idea.stat().st_mode))
    kept = backups.backup(tmp_path / "kept.tar", config=HubConfig.from_env(), files=site.files)
    shutil.rmtree(site.files.state)
    subprocess.run(["groupdel", teams[0].group], check=True)
    backups.restore(kept.path, config=HubConfig.from_env(), files=site.files)
    assert (idea.stat().st_uid, idea.stat().st_gid, stat.S_IMODE(idea.stat().st_mode)) == before
    assert site.teams.open(["alpha"]) == teams
    again = (
        "import os; open('shared/alpha/deep/more', 'w').close(); print(oct(os.stat('shared/alpha/deep/more').st_mode))"
    )
    assert (
        does(site, site.bob, teams, f"import os; os.symlink({str(idea.parents[2])!r}, 'shared'); {again}")
        == "0o100660\n"
    )


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    for text in ("{", '{"teams": [{"name": "../up", "group": "x", "gid": 1}]}', '{"teams": [1]}'):
        (tmp_path / "teams.json").write_text(text)
        with pytest.raises(DataError, match=r"teams\.json is damaged"):
            recorded(tmp_path / "teams.json")
    assert recorded(tmp_path / "nothing") == {}


def test_names_of_teams_are_those_that_a_login_may_give() -> None:
    from quantdesk.hub.auth import groups

    assert groups.TEAM.pattern == TEAM.pattern


@pytest.mark.slow
def test_a_team_in_jupyterlab(ground: Any, real: Any, templates: Path) -> None:
    """Two members and one who is none, in their own servers; one leaves."""
    real.need_root()
    state = Path(ground.state())
    hub = real.RealHub(ground, state, env={"QUANTDESK_NOTEBOOKS": str(templates)})
    try:
        with hub:
            admin = hub.first_login()
            people = [hub.user(name, admin) for name in ("ana", "bob", "eve")]
            assert admin.api("POST", "groups/alpha").status_code == 201
            assert admin.api("POST", "groups/alpha/users", json={"users": ["ana", "bob"]}).status_code == 200
            for one in people:
                one.start_server()
            ana, bob, eve = people
            ana.run("open('shared/alpha/idea.txt', 'w').write('buy low')")
            assert bob.run("print(open('shared/alpha/idea.txt').read())") == "buy low\n"
            listed = bob.server("GET", "api/contents/shared/alpha").json()
            assert [one["name"] for one in listed["content"]] == ["idea.txt"]
            saved = bob.server("PUT", "api/contents/shared/alpha/plan.txt",
                               json={"type": "file", "format": "text", "content": "sell high"})  # fmt: skip
            assert saved.status_code == 201
            assert (
                ana.run("open('shared/alpha/plan.txt', 'a').write('!'); print(open('shared/alpha/plan.txt').read())")
                == "sell high!\n"
            )
            with pytest.raises(AssertionError, match="PermissionError"):
                eve.run(f"open({str(state / 'shared' / 'alpha' / 'idea.txt')!r}).read()")
            assert admin.api("DELETE", "groups/alpha/users", json={"users": ["bob"]}).status_code == 200
            assert bob.api("DELETE", "users/bob/server").status_code in {202, 204}
            real.until(lambda: not bob.api("GET", "users/bob").json()["servers"], 60)
            bob.start_server()
            with pytest.raises(AssertionError, match=r"FileNotFoundError|PermissionError"):
                bob.run("open('shared/alpha/idea.txt').read()")
    finally:
        hub.end()
        for team in recorded(state / "hub" / "teams.json").values():
            subprocess.run(["groupdel", team.group], check=True, capture_output=True)
