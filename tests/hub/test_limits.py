"""What a server may use of one machine: as arithmetic, on real processes, and for kernels of a real hub's server."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput, BadParameter
from quantdesk.hub import lab
from quantdesk.hub.accounts import Account
from quantdesk.hub.limits.limited import ADDRESSED, limited
from quantdesk.hub.limits.limiting import Refused, chosen
from quantdesk.hub.limits.quotas import parse_quotas, refusal
from quantdesk.hub.limits.share import GIB, Machine, Process, Share, fitting, offender, share
from quantdesk.hub.limits.watch import GRACE_S, Watchdog, listens, machine, owned
from quantdesk.hub.profiles import PROFILES, Profile
from quantdesk.hub.spawner import DeskSpawner

DESK = Machine(tuple(range(4)), 16 * GIB)


# A profile on a machine


@given(st.lists(st.sampled_from((0.5, 1.0, 2.0, 3.0)), max_size=12))
def test_cores_are_shared_out_evenly(wanted: list[float]) -> None:
    given_out: list[Share] = []
    for cpu in wanted:
        got = share(Profile("any", "Any", cpu=cpu), DESK, given_out)
        assert len(got.cores) == max(1, int(cpu))
        assert set(got.cores) <= set(DESK.cores)
        given_out.append(got)
    load = [sum(core in one.cores for one in given_out) for core in DESK.cores]
    # The next core is always one that fewest have; a server of several cores takes each once.
    assert max(load) - min(load) <= 1


def test_what_this_machine_has_not_is_not_offered() -> None:
    assert [one.name for one in fitting(PROFILES, DESK)] == ["small", "medium"]
    with pytest.raises(BadParameter, match=r"No profile fits this machine \(small: 2 cores of 1; .*gpu: 8 cores"):
        fitting(PROFILES, Machine((0,), 16 * GIB))
    with pytest.raises(BadParameter, match="gpu: 1 GPU of 0"):
        fitting([Profile("gpu", "GPU", gpus=1)], DESK)
    with_two = Machine(DESK.cores, DESK.memory_bytes, gpus=(0, 1))
    assert [one.gpus for one in fitting([Profile("a", "A", gpus=2), Profile("b", "B", gpus=3)], with_two)] == [2]


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 7), unique=True, max_size=4))
def test_a_gpu_is_one_servers_own(wanted: list[int], there: list[int]) -> None:
    machine = Machine((0, 1), 16 * GIB, tuple(there))
    given_out: list[Share] = []
    for gpus in wanted:
        got = share(Profile("any", "Any", cpu=1, gpus=gpus), machine, given_out)
        free = len(there) - sum(len(one.gpus) for one in given_out)
        assert len(got.gpus) == min(gpus, free)
        given_out.append(got)
    taken = [gpu for one in given_out for gpu in one.gpus]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(there)


def test_a_server_sees_its_gpus_and_no_others_and_waits_for_one_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantdesk.hub.limits.limiting.machine", lambda: Machine((0,), 16 * GIB, gpus=(3, 5)))
    profiles = (Profile("plain", "Plain", storage_gib=2), Profile("gpu", "GPU", gpus=1))
    made = {name: spawner_of(name, tmp_path, profiles=profiles) for name in ("ana", "bob", "cyd", "di")}
    try:
        seen = {}
        for name, profile in (("ana", "gpu"), ("bob", "gpu"), ("di", "plain")):
            made[name].user_options = {"profile": profile}
            made[name].take_share(["jupyterhub-singleuser"])
            seen[name] = made[name].user_env({})["CUDA_VISIBLE_DEVICES"]
        assert seen == {"ana": "3", "bob": "5", "di": ""}
        made["cyd"].user_options = {"profile": "gpu"}
        with pytest.raises(Refused, match="'gpu' has 1 of this machine's GPUs, and 0 are free"):
            made["cyd"].take_share(["jupyterhub-singleuser"])
        assert "cyd" not in made["cyd"].shares
        told = made["bob"].get_state()  # a hub that was started again knows whose it is
        again = spawner_of("bob", tmp_path, profiles=profiles)
        again.load_state(told)
        assert again.share == made["bob"].share
        assert made["di"].share.home_bytes == 2 * GIB
        made["ana"].clear_state()
        made["cyd"].take_share(["jupyterhub-singleuser"])
        assert made["cyd"].share.gpus == (3,)
    finally:
        for name in made:
            made[name].shares.pop(name, None)


def spawner_of(name: str, folder: Path, **settings: Any) -> DeskSpawner:
    """A spawner of somebody, as the hub makes it."""
    made = DeskSpawner(
        user=SimpleNamespace(name=name, groups=[], admin=False),
        orm_spawner=SimpleNamespace(user_options={}, server=None, name=""),
        state_directory=str(folder),
        **settings,
    )
    made.account = Account(name, f"qd-{name}", 20001, 20001, str(folder / name))
    return made


@given(st.lists(st.integers(0, 1000), max_size=6), st.booleans())
def test_the_largest_is_ended_and_the_server_only_when_it_is_alone(sizes: list[int], is_server: bool) -> None:
    processes = [Process(1, 500, is_server=is_server), *(Process(at, size) for at, size in enumerate(sizes, 2))]
    guilty = offender(processes)
    assert guilty is not None
    others = [one for one in processes if not one.is_server and one.bytes]
    assert guilty.is_server == (is_server and not others)
    assert guilty.bytes == max(one.bytes for one in (others or processes))


def taken(groups: set[str], cpu: float, gib: int) -> Share:
    return Share("any", (), gib * GIB, cpu=cpu, groups=frozenset(groups))


@pytest.mark.parametrize(
    ("everywhere", "profile", "on"), [(False, "alone", False), (False, "together", True), (True, "alone", True)]
)
def test_a_profile_lets_people_edit_together(everywhere: bool, profile: str, on: bool, tmp_path: Path) -> None:
    several = (
        Profile("alone", "Alone", cpu=1, memory_gib=0.5),
        Profile("together", "Together", cpu=1, memory_gib=0.5, collaboration=True),
    )
    spawner = spawner_of("ana", tmp_path, profiles=several, collaboration=everywhere)
    spawner.user_options = {"profile": profile}
    try:
        spawner.take_share(["jupyterhub-singleuser"])
        env = spawner.user_env({})
    finally:
        spawner.shares.pop("ana")
    assert env["QUANTDESK_COLLABORATION"] == str(on).lower()
    assert (str(lab.HERE / "alone") in env["JUPYTER_CONFIG_PATH"].split(":")) is not on


def test_a_group_uses_no_more_than_its_quota() -> None:
    quotas = parse_quotas({"quotas": [{"group": "desk", "servers": 2, "memory_gib": 12}, {"group": "ml", "cpu": 4}]})
    small, large = (taken({"desk", "staff"}, cpu, gib) for cpu, gib in ((2, 4), (4, 10)))
    assert refusal(quotas, small, []) is None
    assert refusal(quotas, small, [small, taken({"staff"}, 64, 512)]) is None
    for wanted, others, said in (
        (small, [small, small], "may use 2 servers, and would have 3 with this server"),
        (large, [small], "may use 12 GiB of memory, and would have 14 with this server"),
        (taken({"ml"}, 4.5, 1), [], "The group ml may use 4 cores, and would have 4.5 with this server"),
    ):
        found = refusal(quotas, wanted, others)
        assert found is not None
        assert said in found[0]


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        ({"servers": 1}, "Quota 1 is for the group None"),
        ({"group": "../x", "servers": 1}, "Quota 1 is for the group"),
        ({"group": "desk"}, "limits nothing"),
        ({"group": "desk", "servers": 1.5}, "servers = 1.5"),
        ({"group": "desk", "cpu": -1}, "cpu = -1"),
        ({"group": "desk", "memory_gib": True}, "memory_gib = True"),
        ({"group": "desk", "memory": 4}, "memory"),
        ("desk", "Quota 1"),
    ],
)
def test_a_quota_that_cannot_be_one_is_named(quota: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_quotas({"quotas": [quota]})
    with pytest.raises(BadParameter, match="several quotas"):
        parse_quotas({"quotas": [{"group": "desk", "cpu": 1}] * 2})
    with pytest.raises(BadParameter, match="quotas is 'none'"):
        parse_quotas({"quotas": "none"})


def test_what_a_browser_sends_is_one_short_name() -> None:
    assert chosen({"profile": ["x" * 100, "y"]}) == {"profile": "x" * 60}
    assert chosen({}) == {"profile": ""}


# Real processes


def test_a_command_and_what_it_starts_have_the_limits() -> None:
    code = "import os, resource; print(sorted(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_DATA))"
    twice = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    core = machine().cores[0]
    line = limited([sys.executable, "-c", twice], [core], 10**9)
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    most = 10**9 + ADDRESSED
    assert told == f"[{core}] ({most}, {most})\n"
    assert resource.getrlimit(resource.RLIMIT_DATA) != (most, most)


HOG = """
import os, signal, sys, time
held = bytearray({bytes}); held[::4096] = b"x" * len(held[::4096])
if {polite}:
    def asked(*_):
        global held
        held = b""
        print("asked", flush=True)
    signal.signal(signal.SIGUSR1, asked)
print("held", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts processes that hold so many bytes, and know or ignore the question to become smaller."""
    started: list[subprocess.Popen[str]] = []

    def begin(size: int, *, polite: bool = False) -> subprocess.Popen[str]:
        code = HOG.format(bytes=size, polite=polite)
        one = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(one)
        assert one.stdout is not None
        assert one.stdout.readline() == "held\n"
        return one

    yield begin
    for one in started:
        one.kill()
        one.communicate()


def test_only_the_largest_is_killed_and_the_sentence_names_it(start: Any) -> None:
    server, small, large = start(1_000_000), start(20_000_000), start(120_000_000)
    watched = [server.pid, small.pid, large.pid]
    dog = Watchdog(300_000_000, server.pid, lambda: watched)
    assert dog.step() is None
    dog = Watchdog(100_000_000, server.pid, lambda: watched)
    act = dog.step()
    assert act is not None
    assert (act.pid, act.killed) == (large.pid, True)
    assert act.used > 140_000_000
    assert "may use 0.0931 GiB: its largest process (python" in act.told(100_000_000)
    assert large.wait(10) == -signal.SIGKILL
    assert dog.step() is None
    assert [one.poll() for one in (server, small)] == [None, None]


def test_who_listens_is_asked_first_and_killed_after_a_while(start: Any) -> None:
    polite, deaf = start(120_000_000, polite=True), start(1_000_000)
    assert (listens(polite.pid), listens(deaf.pid)) == (True, False)
    now = 0.0
    dog = Watchdog(60_000_000, 0, lambda: [polite.pid, deaf.pid], clock=lambda: now)
    act = dog.step()
    assert act is not None
    assert not act.killed
    assert "was asked to stop" in act.told(60_000_000)
    assert polite.stdout is not None
    assert polite.stdout.readline() == "asked\n"
    assert dog.step() is None  # it has become smaller
    # One that stays as large is asked once, left its time, and then killed.
    os.kill(deaf.pid, signal.SIGKILL)
    stubborn = start(120_000_000, polite=False)
    dog = Watchdog(60_000_000, 0, lambda: [stubborn.pid], clock=lambda: now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quantdesk.hub.limits.watch.listens", lambda _: True)
        patch.setattr("quantdesk.hub.limits.watch.PLEA", signal.SIGCONT)  # which it does not notice
        asked = dog.step()
        assert asked is not None
        assert not asked.killed
        now = GRACE_S / 2
        assert dog.step() is None
        now = GRACE_S + 1
        killed = dog.step()
    assert killed is not None
    assert killed.killed
    assert stubborn.wait(10) == -signal.SIGKILL


def test_the_processes_of_an_account_are_found() -> None:
    found = owned(os.getuid())
    assert os.getpid() in found
    own = {one.pid for one in psutil.process_iter() if _uid(one) == os.getuid()}
    assert set(found) & own >= {os.getpid(), os.getppid()}


def _uid(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.uids().effective)
    return -1


# A real hub


PROFILES_FILE = """
[[profiles]]
name = "tiny"
title = "Tiny"
cpu = 1
memory_gib = 0.75
is_default = true

[[profiles]]
name = "larger"
title = "Larger"
description = "For administrators in this test."
cpu = 1
memory_gib = 2
groups = ["nobody-is-in-it"]

[[quotas]]
group = "quantdesk-administrators"
memory_gib = 1
"""
FACTS = """
import json, os, resource
print(json.dumps([len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_DATA)[0], os.environ["MEM_LIMIT"]]))
"""
GROW = """
import time
held = []
while True:
    held.append(bytearray(b"x") * 20_000_000)
    time.sleep(0.01)
"""
STUBBORN = """
import time
held = []
while True:
    try:
        if len(held) < 50:
            held.append(bytearray(b"x") * 20_000_000)
        time.sleep(0.01)
    except MemoryError:
        pass
"""


@pytest.mark.xdist_group("hub")
def test_only_the_offender_dies_and_its_user_is_told_why(fresh: Any, tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(PROFILES_FILE)
    hub = fresh(QUANTDESK_HUB_PROFILES=str(file))
    with hub:
        admin = hub.first_login()
        page = admin.get("spawn").text
        assert [f'value="{name}"' in page for name in ("tiny", "larger")] == [True, True]
        admin.name = hub.admin
        place = html.unescape(re.findall(r'<form[^>]* action="([^"]+)"', page)[-1])
        shown = admin.session.post(f"{hub.url}{place}", data={"profile": "larger"}, timeout=60).text
        assert "<p>The group quantdesk-administrators may use 1 GiB of memory" in shown  # the sentence alone
        spent = admin.api("POST", f"users/{hub.admin}/server", json={"profile": "larger"})
        assert spent.status_code == 403, spent.text
        assert "may use 1 GiB of memory, and would have 2 with this server" in spent.text
        ana = hub.user("ana", admin)
        refused = ana.api("POST", "users/ana/server", json={"profile": "larger"})
        assert refused.status_code == 403, refused.text
        assert "is no profile that you may take" in refused.text
        ana.start_server()
        cores, addressed, told = json.loads(ana.run(FACTS))
        limit = int(0.75 * GIB)
        assert (cores, addressed, int(told)) == (1, limit + ADDRESSED, limit)
        with pytest.raises(AssertionError, match="MemoryError"):  # at once, where it is asked for
            ana.run("bytearray(8 * 2**30)")
        with ana.kernel() as quiet:
            assert quiet("kept = 41 + 1; print(kept)") == "42\n"
            with pytest.raises(AssertionError, match=r"Your server may use 0\.75 GiB of memory in all and used more"):
                ana.run(GROW)
            with pytest.raises(AssertionError, match="the kernel has died"):  # it does not listen
                ana.run(STUBBORN)
            assert quiet("print(kept)") == "42\n"
        home = ana.get("home").text
        assert "its largest process (" in home
        assert "was ended. The others go on." in home
        assert "1 core, 0.75 GiB of memory (tiny)" in home
