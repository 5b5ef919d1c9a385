"""One function over many items: the same results, in the same order, wherever it ran."""

from __future__ import annotations

import itertools
import math
import operator
import os

import pytest

from quantdesk.compute import ComputeConfig, Dask, InProcess, Processes, chosen
from quantdesk.errors import BadParameter, EnvironmentProblem

HERE = os.getpid()


def test_here_is_lazy_and_in_order():
    assert list(itertools.islice(InProcess().map(math.factorial, itertools.count()), 4)) == [1, 1, 2, 6]


def test_an_error_stands_where_its_result_would_have_stood():
    results = InProcess().map(math.sqrt, [1, 4, -3, 9])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="math domain error"):
        next(results)


def test_the_environment_chooses(monkeypatch):
    assert isinstance(chosen(), InProcess)
    monkeypatch.setenv("QUANTDESK_COMPUTE_PROCESSES", "3")
    assert chosen().workers == 3
    monkeypatch.setenv("QUANTDESK_COMPUTE_SCHEDULER", "tcp://127.0.0.1:1")
    assert chosen().scheduler == "tcp://127.0.0.1:1"


def test_no_processes_and_no_scheduler_are_refused():
    with pytest.raises(BadParameter, match="0 processes"):
        Processes(0)
    with pytest.raises(EnvironmentProblem, match=r"No Dask scheduler answers at tcp://127.0.0.1:1"):
        next(Dask("tcp://127.0.0.1:1", timeout=0.3).map(abs, [1]))
    with pytest.raises(EnvironmentProblem, match="No Dask scheduler answers at nonsense://x"):
        next(Dask("nonsense://x", timeout=0.3).map(abs, [1]))
    assert ComputeConfig(scheduler="", processes=0).scheduler == ""


def test_a_process_gives_the_same():
    assert list(Processes(1).map(abs, [3, -1, -2])) == [3, 1, 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scheduler_gives_the_same():
    """A real scheduler and a real worker, in threads of this process: the slow tests start processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        protocol="tcp",
        host="127.0.0.1",
    ) as cluster:
        place = chosen(ComputeConfig(scheduler=cluster.scheduler_address))
        assert list(place.map(math.factorial, range(9))) == [math.factorial(n) for n in range(9)]
        with pytest.raises(ValueError, match="math domain error"):
            list(place.map(math.sqrt, [4, -1]))


@pytest.mark.slow
def test_processes_are_others_and_give_the_same():
    assert list(Processes(2).map(math.factorial, range(20))) == [math.factorial(n) for n in range(20)]
    assert HERE not in set(Processes(2).map(operator.call, [os.getpid] * 4))
    taken = []

    def counted():
        for number in itertools.count():
            taken.append(number)
            yield number

    results = Processes(2).map(math.factorial, counted())
    assert [next(results) for _ in range(3)] == [1, 1, 2]
    assert len(taken) <= 3 + 4, "items are taken as room becomes free"
    results.close()
    results = Processes(1).map(math.sqrt, range(3, -6, -1))
    with pytest.raises(ValueError, match="math domain error"):
        list(results)
    with pytest.raises(EnvironmentProblem, match="died"):
        list(Processes(1).map(os._exit, [9]))


@pytest.fixture(scope="module")
def cluster():
    """A real scheduler and a real worker, in processes of their own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as found:
        yield found.scheduler_address


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_dask_cluster_gives_the_same(cluster):
    assert list(Dask(cluster).map(math.factorial, range(20))) == [math.factorial(n) for n in range(20)]
    assert HERE not in set(Dask(cluster).map(operator.call, [os.getpid] * 4))
    results = Dask(cluster).map(math.sqrt, range(3, -6, -1))
    with pytest.raises(ValueError, match="math domain error"):
        list(results)
    endless = Dask(cluster).map(math.factorial, itertools.cycle([3]))
    assert next(endless) == 6
    endless.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_call_that_kills_its_worker_is_an_error(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    with pytest.raises(EnvironmentProblem, match="lost a call"):
        list(Dask(cluster).map(os._exit, [9]))
