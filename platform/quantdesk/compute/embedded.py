"""A Dask cluster on this machine for as long as there is work. An edge module: it starts processes."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from quantdesk.compute.cluster import Dask
from quantdesk.errors import BadParameter

if TYPE_CHECKING:
    from distributed import Client, WorkerPlugin

__all__ = ["LocalDask"]


class LocalDask(Dask):
    """Workers that are processes of this machine, one thread each, each with a nanny that starts it again when it dies.

    It listens on 127.0.0.1 alone, shows no dashboard, and says nothing. Every call of :meth:`map` and :meth:`each`
    starts a cluster (some seconds) and ends it; as a context manager, one serves all calls within:

    >>> with LocalDask(2) as place:                          # doctest: +SKIP
    ...     list(place.map(abs, [3, -1, 2]))
    [3, 1, 2]

    Parameters
    ----------
    workers
        How many; 1 or more.
    """

    def __init__(self, workers: int) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise BadParameter(f"A cluster of {workers!r} workers cannot compute.", "Give 1 or more.")
        super().__init__("")
        self.workers = workers
        self._held = ExitStack()
        self._client: Client | None = None

    def __str__(self) -> str:
        return f"The cluster of {self.workers} workers on this machine"

    def __enter__(self) -> LocalDask:
        self._client = self._held.enter_context(self._started())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client = None
        self._held.close()

    @property
    def _is_kept(self) -> bool:
        return self._client is not None

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the cluster, which is started if there is none."""
        if self._client is not None:
            yield self._client
            return
        with self._started() as client:
            yield client

    @contextmanager
    def _started(self) -> Iterator[Client]:
        from distributed import Client, LocalCluster

        options: dict[str, Any] = {
            "n_workers": self.workers,
            "threads_per_worker": 1,
            "processes": True,
            "host": "127.0.0.1",
            "dashboard_address": "127.0.0.1:0",  # of what is left without a dashboard: health and metrics
            "scheduler_kwargs": {"dashboard": False},
            "silence_logs": logging.CRITICAL,
        }
        with (
            LocalCluster(**options) as cluster,  # type: ignore[no-untyped-call]
            Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
        ):
            client.register_plugin(_plugin(), name="quantdesk-interrupts")
            yield client


def _plugin() -> WorkerPlugin:
    """Ctrl-C is for the one who started the workers, and ends them: by themselves they would answer with tracebacks."""
    from distributed import WorkerPlugin

    class Unmoved(WorkerPlugin):
        def setup(self, worker: object) -> None:  # noqa: ARG002
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Unmoved()
