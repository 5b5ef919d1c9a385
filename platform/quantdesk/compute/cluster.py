"""Many calls on a Dask cluster; and which place the environment names. An edge module: it talks to the network."""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

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
        ``QUANTDESK_COMPUTE_LOCAL``: workers of a Dask cluster on this machine, started and ended with the work.
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
        one that raised is tried again twice, on whatever worker, before its error is believed. A worker that is in the
        middle of a call that nobody waits for any more is started afresh, where nothing of anybody else is on it.

        Raises
        ------
        EnvironmentProblem
            There is no scheduler at the address, or the cluster was lost.
        """
        source = enumerate(items)
        suspects: list[tuple[int, Item]] = []
        with self.client() as client:
            calls = _Calls(client, function)
            try:
                while not stop():
                    # As many calls as threads, so that what is sent is begun, and a death is nobody else's.
                    while len(calls.sent) < calls.threads() and (task := next(source, None)):
                        calls.send(*task)
                    if not calls.sent:
                        if not suspects:
                            return
                        calls.send(*suspects.pop(), is_alone=True)
                    for call, future in calls.ready():
                        found = self._result(future)
                        if isinstance(found, Lost) and not call.is_alone and calls.is_shared:
                            suspects.append((call.place, call.item))  # another call in its process may have done it
                        else:
                            yield call.place, found
                    for call in calls.late(limit_s):
                        yield call.place, Lost(f"It took longer than {limit_s:g} s, and its worker was ended.")
            finally:
                calls.drop(is_kept=self._is_kept)

    @property
    def _is_kept(self) -> bool:
        """Whether the cluster goes on when the client is closed."""
        return True

    def _result(self, future: Future[Any]) -> Any:
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker:
            return Lost("It ended every worker that it was given to.")
        except FutureCancelledError as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"{self} lost a call ({error}).",
            "A worker may have run out of memory: give it more, or ask for smaller parts.",
        )


def _threads(client: Client) -> int:
    return max(1, sum(client.nthreads().values()))  # type: ignore[no-untyped-call]


class _Call(NamedTuple):
    place: int
    item: Any
    begun: float
    is_alone: bool


class _Calls:
    """The calls that are on a cluster now.

    Attributes
    ----------
    sent
        By their futures.
    is_shared
        Whether a worker makes several calls at once.
    """

    def __init__(self, client: Client, function: Callable[[Any], Any]) -> None:
        self._client = client
        self._function = function
        self._ready: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._name, self._numbers = f"each-{uuid.uuid4().hex}-", itertools.count()
        self._counted = -_COUNT_S
        self._threads = 1
        self.sent: dict[Future[Any], _Call] = {}
        self.is_shared = False

    def threads(self) -> int:
        """How many there are, looked up every few seconds: workers come and go."""
        if time.monotonic() - self._counted > _COUNT_S:
            found = self._client.nthreads().values()  # type: ignore[no-untyped-call]
            self._threads, self._counted = max(1, sum(found)), time.monotonic()
            self.is_shared |= max(found, default=1) > 1  # once known, it holds: there may be no worker just now
        return self._threads

    def send(self, place: int, item: Any, *, is_alone: bool = False) -> None:
        """Begin a call."""
        # Two equal items are two calls. The name tells ours from those of others on the same worker.
        key = f"{self._name}{next(self._numbers)}"
        future = self._client.submit(self._function, item, key=key, retries=_RETRIES)
        self.sent[future] = _Call(place, item, time.monotonic(), is_alone)
        future.add_done_callback(self._ready.put)  # type: ignore[no-untyped-call]

    def ready(self) -> Iterator[tuple[_Call, Future[Any]]]:
        """One that is done, if one is soon."""
        with contextlib.suppress(queue.Empty):
            future = self._ready.get(timeout=_LOOK_S)
            if future in self.sent:
                yield self.sent.pop(future), future

    def late(self, limit_s: float | None) -> Iterator[_Call]:
        """Those that take longer than they may. The worker of each is ended; one without a nanny goes on with it."""
        now = time.monotonic()
        for future, call in list(self.sent.items()):
            if limit_s is not None and now - call.begun > limit_s:
                processing = self._client.processing()  # type: ignore[no-untyped-call]
                workers = [worker for worker, keys in processing.items() if future.key in keys]
                del self.sent[future]
                self._client.cancel([future], force=True)  # type: ignore[no-untyped-call]
                with contextlib.suppress(ValueError):  # it has no nanny
                    self._client.restart_workers(workers, timeout=5, raise_for_error=False)
                yield call

    def drop(self, *, is_kept: bool) -> None:
        """Let go of what is not done. In a cluster that goes on, workers that it alone holds are started afresh.

        A call that has begun cannot be ended otherwise: its worker would look free to the scheduler, and be busy until
        the call ends, if ever.
        """
        if not self.sent:
            return
        held = self._held() if is_kept else []
        self._client.cancel(list(self.sent), force=True)  # type: ignore[no-untyped-call]
        if held:
            with contextlib.suppress(ValueError):  # they have no nanny
                self._client.restart_workers(held, timeout=5, raise_for_error=False)

    def _held(self) -> list[str]:
        """The workers that have calls of ours, and neither calls nor results of anybody else."""
        processing = self._client.processing()  # type: ignore[no-untyped-call]
        kept = self._client.has_what()  # type: ignore[no-untyped-call]
        return [
            worker
            for worker, keys in processing.items()
            if keys and all(str(key).startswith(self._name) for key in (*keys, *kept.get(worker, ())))
        ]
