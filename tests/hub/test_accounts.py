"""System accounts: one per user, never taken over, never used twice."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub import accounts
from quantdesk.hub.accounts import Accounts, own_account, prepare_state
from quantdesk.hub.config import HubFiles, valid_user


class Machine:
    """An account table as useradd would change it."""

    def __init__(self) -> None:
        self.table: dict[str, pwd.struct_passwd] = {}
        self.next = 20000

    def add(self, name: str, home: str | Path, uid: int | None = None) -> None:
        assert name not in self.table
        assert len(name) <= 32
        number = uid or self.next
        self.next = max(self.next, number) + 1
        self.table[name] = pwd.struct_passwd((name, "x", number, number, "", str(home), accounts.NO_SHELL))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(pwd, "getpwnam", lambda name: made.table[name])
    monkeypatch.setattr(accounts, "_useradd", made.add)
    monkeypatch.setattr(accounts, "_own_home", lambda account: Path(account.home).mkdir(exist_ok=True))
    return made


@pytest.fixture
def files(tmp_path: Path) -> HubFiles:
    made = HubFiles(tmp_path)
    made.homes.mkdir()
    return made


def test_a_user_gets_one_account_and_keeps_it(files: HubFiles, machine: Machine) -> None:
    first = Accounts(files).open("ana")
    assert (first.name, first.home) == ("qd-ana", str(files.homes / "ana"))
    assert Accounts(files).open("ana") == first
    assert Accounts(files).find("ana") == first
    assert Accounts(files).find("bob") is None
    assert Accounts(files).open("bob").uid != first.uid
    assert stat.S_IMODE(files.accounts.stat().st_mode) == 0o600


def test_two_hubs_on_one_machine_never_share_an_account(tmp_path: Path, machine: Machine) -> None:
    hubs = [HubFiles(tmp_path / name) for name in ("one", "two")]
    for hub in hubs:
        hub.homes.mkdir(parents=True)
    one, two = (Accounts(hub).open("ana") for hub in hubs)
    assert one.uid != two.uid
    assert one.name != two.name


def test_an_account_from_before_is_found_again_by_its_home(files: HubFiles, machine: Machine) -> None:
    """The ledger was lost with its directory, or useradd worked and the write did not."""
    first = Accounts(files).open("ana")
    files.accounts.unlink()
    assert Accounts(files).open("ana").uid == first.uid
    assert len(machine.table) == 1


def test_somebody_elses_account_is_never_taken_over(files: HubFiles, machine: Machine) -> None:
    machine.add("qd-ana", "/home/somebody")
    account = Accounts(files).open("ana")
    assert account.name != "qd-ana"
    assert account.uid != machine.table["qd-ana"].pw_uid


def test_a_retired_account_and_its_number_are_not_used_again(files: HubFiles, machine: Machine) -> None:
    first = Accounts(files).open("ana")
    (Path(first.home) / "work.txt").touch()
    closed = Accounts(files).retire("ana")
    assert closed is not None
    assert closed.retired
    assert (Path(closed.home) / "work.txt").exists()
    assert Accounts(files).find("ana") is None
    second = Accounts(files).open("ana")
    assert second.uid != first.uid
    assert list(Path(second.home).iterdir()) == []
    third = Accounts(files).retire("ana")
    assert third is not None
    assert third.home != closed.home
    assert Accounts(files).retire("ana") is None


def test_a_service_has_an_account_that_no_user_can_have(files: HubFiles, machine: Machine) -> None:
    proxy = Accounts(files).service("proxy")
    assert Accounts(files).service("proxy") == proxy
    assert Accounts(files).open("proxy").uid != proxy.uid
    with pytest.raises(BadInput):
        Accounts(files).open("@proxy")


def test_an_account_that_the_machine_lost_comes_back_with_its_number(files: HubFiles, machine: Machine) -> None:
    first = Accounts(files).open("ana")
    Accounts(files).open("bob")
    del machine.table["qd-ana"]
    assert Accounts(files).open("ana") == first
    assert machine.table["qd-ana"].pw_uid == first.uid


def test_a_number_that_is_another_on_this_machine_is_not_believed(files: HubFiles, machine: Machine) -> None:
    first = Accounts(files).open("ana")
    del machine.table["qd-ana"]
    machine.add("qd-ana", first.home, uid=first.uid + 7)
    with pytest.raises(EnvironmentProblem, match=rf"{first.uid + 7}.*{first.uid}.*another machine"):
        Accounts(files).open("ana")


@pytest.mark.parametrize("name", ["", "../ana", "Ana", "a/b", "root\n", "@proxy"])
def test_a_bad_name_reaches_neither_disk_nor_machine(files: HubFiles, machine: Machine, name: str) -> None:
    with pytest.raises(BadInput, match="is no user name"):
        Accounts(files).open(name)
    assert not machine.table
    assert list(files.homes.iterdir()) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"accounts": [{"user": "ana"}]}', '{"accounts": [{"more": 1}]}'])
def test_a_damaged_ledger_stops_everything(files: HubFiles, machine: Machine, damage: str) -> None:
    """Without it nobody knows which home is whose."""
    Accounts(files).open("ana")
    files.accounts.write_text(damage)
    with pytest.raises(DataError, match=r"accounts\.json is damaged"):
        Accounts(files).open("ana")
    assert files.accounts.read_text() == damage


def test_an_account_with_a_number_of_the_systems_own_is_refused(files: HubFiles, machine: Machine) -> None:
    machine.next = 5
    with pytest.raises(EnvironmentProblem, match="which is not a user's"):
        Accounts(files).open("ana")


@given(user=st.from_regex(r"[a-z][a-z0-9_-]{0,30}", fullmatch=True), taken=st.sets(st.integers(0, 31), max_size=10))
def test_the_names_of_accounts_are_valid_and_free(user: str, taken: set[int]) -> None:
    assert valid_user(user)
    desk = Accounts(HubFiles(Path("/nowhere")))
    names = {f"qd-{user}", desk._free_name(user, Path("/nowhere/homes", user), {f"qd-{user}"})}
    free = desk._free_name(user, Path("/nowhere/homes", user), names)
    assert free not in names
    assert len(free) <= 32


def run_as(uid: int, code: str) -> str:
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", code],
        user=uid,
        group=uid,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
    )
    return done.stdout + done.stderr


@pytest.fixture
def real(ground: Any) -> HubFiles:
    if os.geteuid() != 0:
        pytest.skip("only root can make accounts")
    made = HubFiles(ground.state())
    prepare_state(made, isolated=True)
    return made


def test_on_a_real_machine_a_home_is_its_users_alone(real: HubFiles) -> None:
    desk = Accounts(real)
    ana, bob = desk.open("ana"), desk.open("bob")
    for account in (ana, bob):
        home = Path(account.home)
        assert (home.stat().st_uid, home.stat().st_gid) == (account.uid, account.gid)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert 20000 <= account.uid <= 29999
        assert pwd.getpwnam(account.name).pw_dir == account.home
        shadow = next(
            line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(f"{account.name}:")
        )
        assert shadow.split(":")[1].startswith(("!", "*")), "no password opens it"
    Path(ana.home).chmod(0o755)
    assert desk.open("ana") == ana
    assert stat.S_IMODE(Path(ana.home).stat().st_mode) == 0o700
    assert "Permission denied" in run_as(bob.uid, f"import os; os.listdir({ana.home!r})")
    assert "Permission denied" in run_as(bob.uid, f"open({str(real.accounts)!r})")
    assert "Permission denied" in run_as(bob.uid, f"import os; os.listdir({str(real.homes)!r})")
    assert run_as(bob.uid, f"import os; print(os.listdir({bob.home!r}))").strip() == "[]"


def test_a_home_that_is_a_link_or_another_accounts_is_not_touched(real: HubFiles) -> None:
    desk = Accounts(real)
    ana = desk.open("ana")
    home = Path(ana.home)
    home.rmdir()
    elsewhere = real.state / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    home.symlink_to(elsewhere)
    with pytest.raises(EnvironmentProblem, match="is not a directory"):
        desk.open("ana")
    home.unlink()
    home.mkdir(mode=0o755)
    with pytest.raises(EnvironmentProblem, match=r"belongs to the number 0.*chown"):
        desk.open("ana")
    for folder in (home, elsewhere):
        assert folder.stat().st_uid == 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    home.rmdir()
    home.write_text("a file")
    with pytest.raises(EnvironmentProblem, match="is not a directory"):
        desk.open("ana")


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (None, "no useradd"),
        ("#!/bin/sh\necho 'cannot open /etc/passwd' >&2; exit 1", "cannot open /etc/passwd"),
        ("#!/bin/sh\nexit 12", "exit code 12"),
    ],
)
def test_a_machine_without_accounts_is_said(
    tool: str | None, says: str, files: HubFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "useradd"
    if tool:
        program.write_text(tool)
        program.chmod(0o755)
    monkeypatch.setattr(accounts.shutil, "which", lambda *names, **settings: str(program) if tool else None)
    with pytest.raises(EnvironmentProblem, match=says) as caught:
        Accounts(files).open("ana")
    assert "ordinary user" in caught.value.remedy
    assert list(files.homes.iterdir()) == []
    assert not files.accounts.exists()


def test_a_locked_account_table_is_waited_for(files: HubFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "useradd"
    flag = tmp_path / "second"
    locked = f"[ -e {flag} ] && exit 0\ntouch {flag}; echo 'cannot lock /etc/passwd' >&2; exit 1"
    program.write_text(f"#!/bin/sh\n{locked}")
    program.chmod(0o755)
    monkeypatch.setattr(accounts.shutil, "which", lambda *names, **settings: str(program))
    accounts._useradd("qd-ana", files.homes / "ana")
    assert flag.exists()


def test_modes_of_an_isolated_state(tmp_path: Path) -> None:
    files = HubFiles(tmp_path / "state")
    files.root.mkdir(parents=True, mode=0o755)
    prepare_state(files, isolated=True)
    modes = {
        path.relative_to(files.state).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in files.state.iterdir()
    }
    assert modes == {"hub": 0o700, "homes": 0o711, "proxy": 0o755, "reports": 0o700, "lab": 0o755}


def test_a_state_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(EnvironmentProblem, match="cannot be prepared"):
        prepare_state(HubFiles(tmp_path / "state"), isolated=False)


def test_one_person_keeps_the_own_account(tmp_path: Path) -> None:
    account = own_account("ana", HubFiles(tmp_path))
    assert (account.uid, account.gid) == (os.geteuid(), os.getegid())
    assert stat.S_IMODE(Path(account.home).stat().st_mode) == 0o700
    assert json.loads(json.dumps(account.home)) == str(tmp_path / "homes" / "ana")
