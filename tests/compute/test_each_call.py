"""Calls of uneven length: results as they come, deaths that change nothing, and calls that never end."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import subprocess
import sys
import threading
import time
import types
import urllib.request
from pathlib import Path

import pytest

from quantdesk.compute import ComputeConfig, Dask, DaskGateway, InProcess, LocalDask, Lost, Processes, chosen
from quantdesk.errors import BadParameter, EnvironmentProblem

# The calls are expressions: what another process evaluates needs no module of ours there.
SQUARES = [f"{number} * {number}" for number in range(12)]
DIES = "__import__('os')._exit(9)"
HANGS = "__import__('time').sleep(600)"  # one long call of C: nothing of Python ends it

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.xdist_group("each-call")]


def dies_once(marker):
    """A call that kills its process with SIGKILL the first time, and gives 16 the second."""
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"
    return f"16 if __import__('os').path.exists({str(marker)!r}) else open({str(marker)!r}, 'w') and {kill}"


@pytest.fixture(scope="module")
def local():
    with LocalDask(2) as place:
        yield place


@pytest.fixture(params=["processes", "dask"])
def place(request):
    return Processes(2) if request.param == "processes" else request.getfixturevalue("local")


def test_here_results_come_in_order_until_somebody_stops():
    asked = itertools.count()
    found = InProcess().each(eval, SQUARES, stop=lambda: next(asked) == 3)
    assert list(found) == [(0, 0), (1, 1), (2, 4)]


def test_every_place_gives_what_the_call_gives(place):
    assert dict(place.each(eval, SQUARES)) == {number: number**2 for number in range(12)}
    assert list(place.each(eval, [])) == []


def test_a_killed_process_changes_no_result(place, tmp_path):
    calls = [*SQUARES[:4], dies_once(tmp_path / "died"), *SQUARES[5:]]
    assert dict(place.each(eval, calls)) == {number: number**2 for number in range(12)}
    assert (tmp_path / "died").exists(), "it did die"


@pytest.mark.parametrize("make", [lambda: contextlib.nullcontext(Processes(2)), lambda: LocalDask(2)])
def test_who_stops_gets_what_is_done(make):
    seen = []
    began = time.monotonic()
    with make() as place:  # one of its own: what hangs keeps a cluster's worker for as long as it does
        for number, result in place.each(eval, [*SQUARES[:3], HANGS, HANGS], stop=lambda: len(seen) == 3):
            seen.append((number, result))
    assert sorted(seen) == [(0, 0), (1, 1), (2, 4)]
    assert time.monotonic() - began < 60


def test_an_error_of_a_call_is_raised(place):
    with pytest.raises(ZeroDivisionError):
        list(place.each(eval, ["1", "1 / 0"]))


def test_a_call_without_an_end_is_ended_alone(local):
    found = dict(local.each(eval, [HANGS, *SQUARES[1:5]], limit_s=3))
    assert found.pop(0) == Lost("It took longer than 3 s, and its worker was ended.")
    assert found == {1: 1, 2: 4, 3: 9, 4: 16}


@pytest.mark.slow
def test_processes_that_die_or_hang_are_ended_alone():
    found = dict(Processes(2).each(eval, [HANGS, DIES, *SQUARES[2:5]], limit_s=4))
    assert found[0] == Lost("It took longer than 4 s, and its process was ended.")
    assert found[1] == Lost("Its process died 3 times.")
    assert [found[number] for number in (2, 3, 4)] == [4, 9, 16]
    with pytest.raises(TypeError, match="cannot travel between processes"):
        list(Processes(1).each(eval, ["__import__('threading').Lock()"]))


@pytest.mark.slow
def test_a_call_that_ends_every_worker_is_lost_alone(local):
    found = dict(local.each(eval, [DIES, *SQUARES[1:5]]))
    assert found == {0: Lost("It ended every worker that it was given to."), 1: 1, 2: 4, 3: 9, 4: 16}


def cluster_of(workers, threads):
    """A cluster of a test's own, which goes on when a client is closed."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers, threads_per_worker=threads, processes=True, dashboard_address=None, host="127.0.0.1",
        silence_logs=50,
    )  # fmt: skip


def hangs_after(marker):
    return f"open({str(marker)!r}, 'w').close() or {HANGS}"


@pytest.mark.slow
def test_a_call_without_an_end_that_was_let_go_keeps_no_worker(tmp_path):
    markers = [tmp_path / "one", tmp_path / "two"]
    with cluster_of(2, 1) as cluster:
        place = Dask(cluster.scheduler_address)
        have_begun = lambda: all(one.exists() for one in markers)  # noqa: E731
        assert list(place.each(eval, [hangs_after(one) for one in markers], stop=have_begun)) == []
        found = dict(place.each(eval, SQUARES, limit_s=30))
    assert found == {number: number**2 for number in range(12)}, "both workers were kept busy"


@pytest.mark.slow
def test_who_lets_go_ends_nothing_of_anybody_else(tmp_path):
    from distributed import Client

    count = f"open({str(tmp_path / 'count')!r}, 'a').write('x')"
    with cluster_of(1, 3) as cluster, Client(cluster, set_as_default=False) as other:
        kept = other.submit(eval, "(__import__('os').getpid(), 7)", pure=False)
        pid, _ = kept.result()
        slow = other.submit(eval, f"{count} and __import__('time').sleep(4) or 8", pure=False)
        call = hangs_after(tmp_path / "begun")
        have_begun = lambda: (tmp_path / "begun").exists() and (tmp_path / "count").exists()  # noqa: E731
        assert list(Dask(cluster.scheduler_address).each(eval, [call], stop=have_begun)) == []
        assert slow.result() == 8
        assert other.submit(eval, "__import__('os').getpid()", pure=False).result() == pid
    assert (tmp_path / "count").read_text() == "x", "it was made twice"


@pytest.mark.slow
def test_who_shares_a_worker_with_one_that_kills_it_is_not_blamed():
    with cluster_of(1, 3) as cluster:
        calls = [DIES, *[f"__import__('time').sleep(1) or {number}" for number in range(1, 4)]]
        found = dict(Dask(cluster.scheduler_address).each(eval, calls))
    assert found == {0: Lost("It ended every worker that it was given to."), 1: 1, 2: 2, 3: 3}


def test_a_cluster_of_this_machine_starts_and_ends_with_its_work():
    place = LocalDask(1)
    assert str(place) == "The cluster of 1 workers on this machine"
    pids = set(dict(place.each(eval, ["__import__('os').getpid()"] * 2)).values())
    assert os.getpid() not in pids
    assert len(pids) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids if sys.platform == "linux")
    for workers in (0, -1, True, 1.5):
        with pytest.raises(BadParameter, match="cannot compute"):
            LocalDask(workers)


def test_the_environment_chooses_a_cluster_of_its_own_or_a_gateway(monkeypatch):
    assert isinstance(chosen(), InProcess)
    assert chosen(local=3).workers == 3
    monkeypatch.setenv("QUANTDESK_COMPUTE_PROCESSES", "4")
    assert isinstance(chosen(local=3), Processes)
    monkeypatch.setenv("QUANTDESK_COMPUTE_LOCAL", "2")
    assert isinstance(found := chosen(), LocalDask)
    assert found.workers == 2
    monkeypatch.setenv("QUANTDESK_COMPUTE_GATEWAY", "http://gateway")
    monkeypatch.setenv("QUANTDESK_COMPUTE_WORKERS", "7")
    assert isinstance(found := chosen(), DaskGateway)
    assert (found.scheduler, found.workers) == ("http://gateway", 7)
    monkeypatch.setenv("QUANTDESK_COMPUTE_SCHEDULER", "tcp://127.0.0.1:1")
    assert type(chosen()) is Dask


def test_a_gateway_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_gateway", None)
    with pytest.raises(EnvironmentProblem, match="pip install dask-gateway"):
        list(chosen(ComputeConfig(gateway="http://gateway")).each(eval, SQUARES))


def test_a_gateway_is_asked_for_workers_that_are_given_back(monkeypatch, local):
    """A stand-in for the package; the slow test below asks a real gateway."""
    said = []

    class Cluster:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            said.append("given back")

        def scale(self, workers):
            said.append(workers)

        def get_client(self, set_as_default):
            return contextlib.nullcontext(local._client)

    class Gateway:
        def __init__(self, address):
            if address == "http://nobody":
                raise ConnectionRefusedError("nobody")

        def new_cluster(self):
            return Cluster()

    package = types.SimpleNamespace(Gateway=Gateway, GatewayClusterError=KeyError, GatewayServerError=KeyError)
    monkeypatch.setitem(sys.modules, "dask_gateway", package)
    assert dict(DaskGateway("http://g", 3).each(eval, SQUARES[:3])) == {0: 0, 1: 1, 2: 4}
    assert said == [3, "given back"]
    with pytest.raises(EnvironmentProblem, match="gives no cluster"):
        list(DaskGateway("http://nobody").each(eval, SQUARES))


SERVER = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{private}"
c.Proxy.address = "127.0.0.1:{public}"
c.ClusterConfig.scheduler_cmd = [{python!r}, "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = [{python!r}, "-m", "distributed.cli.dask_worker"]
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dask-gateway closes itself twice
def test_a_real_gateway_gives_the_same(tmp_path):
    pytest.importorskip("dask_gateway_server", reason="no dask-gateway-server: pip install dask-gateway-server")
    pytest.importorskip("dask_gateway")
    import socket

    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        private, public = one.getsockname()[1], two.getsockname()[1]
    config = tmp_path / "gateway.py"
    config.write_text(SERVER.format(private=private, public=public, python=sys.executable))
    with open(tmp_path / "log", "w") as log:
        command = [sys.executable, "-m", "dask_gateway_server", "-f", str(config)]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        for _ in range(150):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{public}/api/health", timeout=1).close()
                break
            threading.Event().wait(0.2)
        place = DaskGateway(f"http://127.0.0.1:{public}", 2)
        assert dict(place.each(eval, SQUARES)) == {number: number**2 for number in range(12)}
        gc.collect()
    finally:
        server.terminate()
        server.wait(20)
