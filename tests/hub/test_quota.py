"""A home that holds too much gets no server, and its user is told why; nothing is removed and nothing is followed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from loops import Loop
from quantdesk.cli import main
from quantdesk.errors import BadParameter
from quantdesk.hub import quota
from quantdesk.hub.accounts import Account, Accounts, prepare_state
from quantdesk.hub.config import HubFiles
from quantdesk.hub.fullness import HomeWatch, told
from quantdesk.hub.quota import HomeFull, QuotaConfig, Usage


@pytest.fixture
def loop() -> Iterator[Loop]:
    with Loop() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Account:
    """A home with three things, the largest of 3 MB."""
    folder = tmp_path / "state" / "homes" / "ada"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "prices.bin").write_bytes(os.urandom(3_000_000))
    (folder / "model.bin").write_bytes(os.urandom(1_000_000))
    (folder / "notes.txt").write_text("small")
    return Account("ada", "ada", os.geteuid(), os.getegid(), str(folder))


def test_who_is_above_the_limit_is_refused_and_told_why(home: Account) -> None:
    quota.check(home, QuotaConfig(quota_gb=0.005))
    with pytest.raises(HomeFull) as caught:
        quota.check(home, QuotaConfig(quota_gb=0.003))
    assert "Your home holds 4 MB, and 0.003 GB are allowed. The largest: data with 3 MB, model.bin with 1 MB" in str(
        caught.value
    )
    assert "nothing of yours was removed" in str(caught.value)
    quota.check(home, QuotaConfig())  # no limit


def test_what_a_profile_allows_counts_where_the_hub_has_no_limit_of_its_own(home: Account) -> None:
    quota.check(home, QuotaConfig(), of_profile=5_000_000)
    with pytest.raises(HomeFull, match="Your home holds 4 MB, and 3 MB in this profile are allowed"):
        quota.check(home, QuotaConfig(), of_profile=3_000_000)
    quota.check(home, QuotaConfig(quota_gb=0.005), of_profile=3_000_000)


def test_links_are_not_followed_and_holes_not_counted(home: Account, tmp_path: Path) -> None:
    before = quota.measured(home, None, 20).used
    assert before is not None
    assert 4_000_000 <= before < 4_200_000
    (tmp_path / "large").write_bytes(os.urandom(5_000_000))
    (Path(home.home) / "link").symlink_to(tmp_path / "large")
    (Path(home.home) / "folder").symlink_to("/usr")
    with (Path(home.home) / "hole").open("wb") as stream:
        stream.truncate(10**12)
    after = quota.measured(home, None, 20).used
    assert after is not None
    assert after - before < 50_000


def test_a_name_cannot_pretend_to_be_the_sum(home: Account) -> None:
    forged = Path(home.home) / "x\n1\t."
    forged.mkdir()
    (forged / "large").write_bytes(os.urandom(2_000_000))
    found = quota.measured(home, 5_000_000, 20)
    assert found.is_over
    assert all("\n" not in name for name, _ in found.largest)


def test_what_cannot_be_measured_in_time_starts(home: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "bin" / "du"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent) + os.pathsep + os.environ["PATH"])
    quota.check(home, QuotaConfig(quota_gb=0.001, patience_s=0.2))
    shutil.rmtree(slow.parent)
    monkeypatch.setenv("PATH", str(tmp_path))
    quota.check(home, QuotaConfig(quota_gb=0.001))  # a machine without du


@pytest.mark.parametrize(
    ("gigabytes", "says"),
    [
        (0.5, ""),
        (0.899, ""),
        (0.9, "Your home holds 900 MB of 1.0 GB. Above that your server will not start again."),
        (1.0, "Your home holds 1.0 GB of 1.0 GB. Above that your server will not start again."),
        (1.5, "Your home holds 1.5 GB, and 1.0 GB are allowed: once it is stopped, your server will not start. "
              "Make room while it runs."),
    ],
)  # fmt: skip
def test_a_user_is_told_before_the_home_is_full(gigabytes: float, says: str) -> None:
    assert told(Usage("ana", round(gigabytes * 10**9), 10**9, (("x", 800_000_000),))) == (
        says and f"{says} The largest: x with 800 MB."
    )
    assert told(Usage("ana", None, 10**9)) == ""
    assert told(Usage("ana", 10**12, None)) == ""


@pytest.mark.parametrize(("name", "value"), [("QUOTA_GB", "much"), ("QUOTA_GB", "-1"), ("LOOK_EVERY_S", "1.5")])
def test_a_setting_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"QUANTDESK_HOME_{name}", value)
    with pytest.raises(BadParameter, match=rf"QUANTDESK_HOME_{name} will not do \('{value}'\)"):
        QuotaConfig.from_env()


class Measuring:
    """Stands for du: says how much each home holds, and notes who was measured and how many at once."""

    def __init__(self) -> None:
        self.held = {"ana": 950_000_000, "bob": 10}
        self.asked: list[str] = []
        self.at_once = self.most = 0

    def __call__(self, account: Account, limit: int, patience: float) -> Usage:
        assert (limit, patience) == (900_000_000, 600.0)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        time.sleep(0.02)  # long enough that another would come in between
        self.at_once -= 1
        self.asked.append(account.user)
        if account.user == "eve":
            raise OSError("the home is away")
        return Usage(account.user, self.held[account.user], limit)


def test_homes_of_servers_that_run_are_measured_one_at_a_time_and_now_and_then(loop: Loop) -> None:
    now, du = [0.0], Measuring()
    homes = HomeWatch(QuotaConfig(quota_gb=1, look_every_s=60), clock=lambda: now[0], measure=du)
    ana, bob, eve = (Account(name, name, 1, 1, "/nowhere") for name in ("ana", "bob", "eve"))

    async def look(*accounts: Account) -> None:
        for one in (*accounts, *accounts):  # each poll says so
            homes.runs(one)
        while homes._working and not homes._working.done():
            await asyncio.sleep(0.01)

    loop.run(look(eve, ana, bob))
    assert du.asked == ["eve", "ana", "bob"]
    assert du.most == 1
    noted = homes.note("ana")
    assert noted
    assert "950 MB of 1.0 GB" in noted[1]
    assert homes.note("bob") is homes.note("eve") is None
    assert REGISTRY.get_sample_value("quantdesk_homes_full", {"how": "nearly"}) == 1
    now[0] = 59
    loop.run(look(ana, bob))
    assert len(du.asked) == 3, "it was not due"
    now[0], du.held["ana"] = 61, 1_100_000_000
    loop.run(look(ana))
    noted = homes.note("ana")
    assert noted
    assert "1.0 GB are allowed" in noted[1]
    assert REGISTRY.get_sample_value("quantdesk_homes_full", {"how": "over"}) == 1
    homes.ended("ana")
    assert homes.note("ana") is None
    assert REGISTRY.get_sample_value("quantdesk_homes_full", {"how": "over"}) == 0
    loop.run(look(ana))
    assert du.asked.count("ana") == 3, "a new server is looked at"


def test_the_home_of_a_server_with_a_profile_is_held_to_that(loop: Loop) -> None:
    du = Measuring()
    homes = HomeWatch(QuotaConfig(look_every_s=60), measure=du)

    async def look() -> None:
        homes.runs(Account("ana", "ana", 1, 1, "/nowhere"), 1_000_000_000)
        while homes._working and not homes._working.done():
            await asyncio.sleep(0.01)

    loop.run(look())
    noted = homes.note("ana")
    assert noted
    assert "950 MB of 1.0 GB" in noted[1]


@pytest.mark.parametrize("config", [QuotaConfig(), QuotaConfig(quota_gb=1, look_every_s=0)])
def test_without_a_limit_or_a_rate_nothing_is_measured(loop: Loop, config: QuotaConfig) -> None:
    du = Measuring()
    homes = HomeWatch(config, measure=du)

    async def look() -> None:
        homes.runs(Account("ana", "ana", 1, 1, "/nowhere"))
        await asyncio.sleep(0.05)

    loop.run(look())
    assert du.asked == []


def test_measuring_gently_measures_the_same(home: Account) -> None:
    assert quota.measured(home, None, 20, gently=True) == quota.measured(home, None, 20)


@pytest.mark.parametrize(("limit", "code"), [("0.003", 6), ("1", 0), ("0", 0)])
def test_the_command_names_who_is_above(
    home: Account,
    limit: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    for name in list(os.environ):
        if name.startswith("QUANTDESK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("QUANTDESK_HOME_QUOTA_GB", limit)
    if os.geteuid() == 0:
        table = HubFiles().accounts
        table.parent.mkdir()
        table.write_text(json.dumps({"version": 1, "accounts": [home.__dict__]}))
    for line in (["homes", "--json"], ["homes"]):
        monkeypatch.setattr(sys, "argv", ["quantdesk", *line])
        with pytest.raises(SystemExit) as ended:
            main()
        assert int(ended.value.code or 0) == code
        said = capsys.readouterr().out
        if "--json" in line:
            (one,) = json.loads(said)
            assert (one["user"], one["is_over"]) == ("ada", code == 6)
        else:
            assert "ada\t4.0 MB" in said
            assert ("above the limit" in said) == (code == 6)


def test_root_measures_as_the_user(ground: Any, real: Any) -> None:
    """What the user could not read is not counted, and cannot be spied out through a home."""
    real.need_root()
    files = HubFiles(ground.state())
    prepare_state(files, isolated=True)
    account = Accounts(files).open("ana")
    hidden = Path(account.home) / "roots"
    hidden.mkdir(mode=0o700)
    (hidden / "large").write_bytes(os.urandom(2_000_000))
    found = quota.measured(account, None, 20)
    assert found.used is not None
    assert found.used < 1_000_000


@pytest.mark.slow
def test_the_page_says_what_is_too_much(ground: Any, real: Any, templates: Path) -> None:
    real.need_root()
    env = {"QUANTDESK_NOTEBOOKS": str(templates), "QUANTDESK_HOME_QUOTA_GB": "0.2", "QUANTDESK_HOME_LOOK_EVERY_S": "5"}
    with real.RealHub(ground, ground.state(), env=env) as hub:
        ana = hub.user("ana", hub.first_login())
        ana.start_server()
        ana.run("import os; open('prices.bin', 'wb').write(os.urandom(250_000_000))")
        real.until(lambda: "once it is stopped, your server will not start" in ana.get("home").text, 90)
        assert ana.api("DELETE", "users/ana/server").status_code in {202, 204}
        real.until(lambda: not ana.api("GET", "users/ana").json()["servers"], 60)
        refused = ana.get("spawn")
        assert refused.status_code == 403
        assert "Your home holds" in refused.text
        assert "prices.bin with 250 MB" in refused.text
        (Path(hub.state) / "homes" / "ana" / "prices.bin").unlink()
        ana.start_server()
