"""What Prometheus asks of a worker: runs under way and ended, and its warm kernels. An edge module: a port, the clock.

It has a port of its own only where the settings name one, and tells counts, never names or parameters of reports.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from quantdesk.errors import EnvironmentProblem, QuantdeskError
from quantdesk.reports.dispatch.active import Ended
from quantdesk.reports.dispatch.config import WorkerConfig
from quantdesk.reports.dispatch.work import Outcome
from quantdesk.reports.dispatch.worker import Worker
from quantdesk.reports.kernels import overview
from quantdesk.reports.ledger import Recorded, State

__all__ = ["Figures"]

_log = logging.getLogger(__name__)
BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds."""
_RECENT = timedelta(hours=1)


class Figures(Collector):
    """Counts the ends of runs, and looks at worker and kernels when it is asked.

    Parameters
    ----------
    config
        Of the worker.
    ended
        Who else wants to be told of ends (see :data:`~quantdesk.reports.dispatch.active.Ended`).
    """

    def __init__(self, config: WorkerConfig, ended: Ended | None = None) -> None:
        self._config, self._more = config, ended
        self._lock = threading.Lock()
        self._ended: Counter[State] = Counter()
        self._seconds, self._within = 0.0, [0] * (len(BUCKETS) + 1)
        self._worker: Worker | None = None

    def ended(self, run: Recorded, outcome: Outcome) -> None:
        """Count an end; for the worker's ``ended``."""
        with self._lock:
            self._ended[outcome.state] += 1
            if run.started is not None:
                took = max(0.0, time.time() - run.started.timestamp())
                self._seconds += took
                self._within[bisect_left(BUCKETS, took)] += 1
        if self._more is not None:
            self._more(run, outcome)

    @contextlib.contextmanager
    def served(self, worker: Worker) -> Iterator[None]:
        """Answer Prometheus for the time of the block, where the settings name a port.

        Raises
        ------
        EnvironmentProblem
            The port cannot be had.
        """
        self._worker = worker
        port, host = self._config.metrics_port, self._config.metrics_host
        if port is None:
            yield
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            raise EnvironmentProblem(
                f"Port {port} of {host} cannot be had for the worker's figures ({error.strerror}).",
                "Name another one: QUANTDESK_REPORTS_WORKER_METRICS_PORT.",
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment."""
        yield from self._runs()
        try:
            yield from list(_kernels())
        except (QuantdeskError, OSError) as error:  # no figure is better than an old one
            _log.warning("warm kernels cannot be counted: %s", error)

    def _runs(self) -> Iterator[Metric]:
        under_way = self._worker.under_way if self._worker is not None else 0
        room = GaugeMetricFamily("quantdesk_worker_processes", "Runs that this worker carries out at once.")
        room.add_metric([], self._config.processes)
        yield room
        yield GaugeMetricFamily("quantdesk_worker_runs", "Runs that are under way here.", value=under_way)
        with self._lock:
            counted, seconds, within = self._ended.copy(), self._seconds, list(self._within)
        ended = CounterMetricFamily("quantdesk_worker_runs_ended", "Runs that ended here.", labels=["state"])
        for state in State:
            if state.is_final:  # also where it is nought: a figure that comes and goes cannot be watched
                ended.add_metric([state.value], counted[state])
        yield ended
        buckets, so_far = [], 0
        for upper, count in zip((*map(str, BUCKETS), "+Inf"), within, strict=True):
            so_far += count
            buckets.append((upper, so_far))
        yield HistogramMetricFamily(
            "quantdesk_worker_run_seconds", "Seconds from the start of a run to its end.", buckets, seconds
        )


def _kernels() -> Iterator[Metric]:
    """Zygotes of this account, what they have forked, and what started cold because there was none."""
    found, since = overview.status(), datetime.now(UTC) - _RECENT
    yield GaugeMetricFamily(
        "quantdesk_kernels_ready", "Processes that hand out warm kernels.", sum(one.state == "ready" for one in found)
    )
    yield GaugeMetricFamily(
        "quantdesk_kernels_cold_last_hour",
        "Kernels that started cold in the last hour, though they should have been warm.",
        sum(reason.at > since for one in found for reason in one.cold),
    )
    alive = GaugeMetricFamily("quantdesk_kernels", "Warm kernels that are alive.", labels=["kind", "use"])
    counted = Counter((fork.kind, fork.waiting) for one in found for fork in one.forks)
    for kind in ("kernel", "worker"):
        for waiting in (True, False):
            alive.add_metric([kind, "waiting" if waiting else "at work"], counted[kind, waiting])
    yield alive
    memory = sum((one.pss_bytes or 0) + sum(fork.pss_bytes or 0 for fork in one.forks) for one in found)
    yield GaugeMetricFamily("quantdesk_kernels_bytes", "Memory of all of them, shared pages by their share.", memory)
