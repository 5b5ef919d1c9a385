"""Many calls on a Dask cluster; and which place the environment names. An edge module: it talks to the network."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.compute.places import Compute, InProcess, Lost
from quantdesk.compute.processes import Processes
from quantdesk.errors import EnvironmentProblem

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["ComputeConfig", "Dask", "chosen"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_LOOK_S = 0.2
_COUNT_S = 2.0
_RETRIES = 2


class ComputeConfig(BaseSettings):
    """Where many calls are made. Of several places the first one named here is taken.

    Attributes
    ----------
    scheduler
        ``QUANTDESK_COMPUTE_SCHEDULER``: the address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``. Its workers
        must have this version of quantdesk, and see the same files under the same paths.
    gateway
        ``QUANTDESK_COMPUTE_GATEWAY``: the address of a Dask Gateway, such as ``https://hub.example/services/gateway``.
        A cluster is asked for, used and given back. Who asks is said in Dask's own settings (``gateway.auth``).
    local
        ``QUANTDESK_COMPUTE_LOCAL``: workers of a Dask cluster on this machine, which is started and ended with the work.
    processes
        ``QUANTDESK_COMPUTE_PROCESSES``: without a cluster, in how many processes of this machine; 0 for
        this one alone.
    workers
        ``QUANTDESK_COMPUTE_WORKERS``: how many a gateway is asked for.
    timeout
        ``QUANTDESK_COMPUTE_TIMEOUT``: seconds to wait for the scheduler.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_COMPUTE_", frozen=True)

    scheduler: str | None = None
    gateway: str | None = None
    local: int = Field(default=0, ge=0)
    processes: int = Field(default=0, ge=0)
    workers: int = Field(default=2, ge=1)
    timeout: float = Field(default=10.0, gt=0)

    @classmethod
    def from_env(cls) -> ComputeConfig:
        """Read the environment."""
        return cls()


def chosen(config: ComputeConfig | None = None, *, local: int = 0) -> Compute:
    """The place that the environment names: a Dask scheduler, a gateway, a cluster of this machine, processes, or here.

    Parameters
    ----------
    config
        The environment's when None.
    local
        Where it names none: workers of a Dask cluster on this machine; 0 for here.
    """
    config = config or ComputeConfig.from_env()
    if config.scheduler:
        return Dask(config.scheduler, timeout=config.timeout)
    if config.gateway:
        from quantdesk.compute.gateway import DaskGateway

        return DaskGateway(config.gateway, config.workers)
    workers = config.local or (0 if config.processes else local)
    if workers:
        from quantdesk.compute.embedded import LocalDask

        return LocalDask(workers)
    return Processes(config.processes) if config.processes else InProcess()


class Dask:
    """The workers of a Dask cluster.

    Parameters
    ----------
    scheduler
        Its address.
    timeout
        Seconds to wait for it.
    """

    def __init__(self, scheduler: str, *, timeout: float = 10.0) -> None:
        self.scheduler = scheduler
        self.timeout = timeout

    def __str__(self) -> str:
        return f"The cluster at {self.scheduler}"

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the cluster, while it is used.

        Raises
        ------
        EnvironmentProblem
            There is no scheduler at the address.
        """
        from distributed import Client

        try:
            client = Client(self.scheduler, timeout=self.timeout, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(
                f"No Dask scheduler answers at {self.scheduler} ({error}).",
                "Start it (dask scheduler), or name another in QUANTDESK_COMPUTE_SCHEDULER.",
            ) from error
        with client:
            yield client

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`quantdesk.compute.Compute.map`.

        Raises
        ------
        EnvironmentProblem
            There is no scheduler at the address, or the cluster was lost.
        """
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        source = iter(items)
        waiting: deque[Any] = deque()
        with self.client() as client:
            room = 2 * _threads(client)

            def send(count: int) -> None:
                # Not `pure`: two equal items are two calls, and no result is kept beyond its use.
                waiting.extend(client.submit(function, item, pure=False) for item in islice(source, count))

            try:
                send(room)
                while waiting:
                    result = waiting.popleft().result()
                    send(1)
                    yield result
            except (KilledWorker, FutureCancelledError) as error:
                raise self._lost(error) from error
            finally:
                client.cancel(list(waiting))  # type: ignore[no-untyped-call]

    def each(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        limit_s: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See :meth:`quantdesk.compute.Compute.each`.

        The scheduler makes a call again whose worker died, until `distributed.scheduler.allowed-failures` of them did;
        one that raised is tried again twice, on whatever worker, before its error is believed.

        Raises
        ------
        EnvironmentProblem
            There is no scheduler at the address, or the cluster was lost.
        """
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        source = enumerate(items)
        running: dict[Future, tuple[int, float]] = {}
        ready: queue.SimpleQueue[Future] = queue.SimpleQueue()
        with self.client() as client:
            room, counted = _threads(client), time.monotonic()
            try:
                while not stop():
                    # As many calls as threads: what is sent is begun, and its time runs from then.
                    while len(running) < room and (task := next(source, None)):
                        future = client.submit(function, task[1], pure=False, retries=_RETRIES)
                        running[future] = (task[0], time.monotonic())
                        future.add_done_callback(ready.put)  # type: ignore[no-untyped-call]
                    if not running:
                        return
                    try:
                        future = ready.get(timeout=_LOOK_S)
                    except queue.Empty:
                        pass
                    else:
                        if future in running:
                            place, _ = running.pop(future)
                            try:
                                yield place, future.result()
                            except KilledWorker:
                                yield place, Lost("It ended every worker that it was given to.")
                    now = time.monotonic()
                    for future in [one for one, (_, begun) in running.items() if now - begun > (limit_s or now)]:
                        place, _ = running.pop(future)
                        _end(client, future)
                        yield place, Lost(f"It took longer than {limit_s:g} s, and its worker was ended.")
                    if now - counted > _COUNT_S:
                        room, counted = _threads(client), now
            except FutureCancelledError as error:
                raise self._lost(error) from error
            finally:
                client.cancel(list(running), force=True)  # type: ignore[no-untyped-call]

    def _lost(self, error: Exception) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"{self} lost a call ({error}).",
            "A worker may have run out of memory: give it more, or ask for smaller parts.",
        )


def _threads(client: Client) -> int:
    return max(1, sum(client.nthreads().values()))  # type: ignore[no-untyped-call]


def _end(client: Client, future: Future) -> None:
    """Give a call up, and end the process that it is in; a worker without a nanny goes on with it."""
    at = [worker for worker, keys in client.processing().items() if future.key in keys]  # type: ignore[no-untyped-call]
    client.cancel([future], force=True)  # type: ignore[no-untyped-call]
    try:
        client.restart_workers(at, timeout=5, raise_for_error=False)
    except ValueError:
        return  # it has no nanny
