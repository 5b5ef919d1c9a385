"""Many calls on a Dask cluster; and which place the environment names. An edge module: it talks to the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.compute.places import Compute, InProcess
from quantdesk.compute.processes import Processes
from quantdesk.errors import EnvironmentProblem

__all__ = ["ComputeConfig", "Dask", "chosen"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class ComputeConfig(BaseSettings):
    """Where many calls are made.

    Attributes
    ----------
    scheduler
        ``QUANTDESK_COMPUTE_SCHEDULER``: the address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``. Its workers
        must have this version of quantdesk, and see the same files under the same paths.
    processes
        ``QUANTDESK_COMPUTE_PROCESSES``: without a scheduler, in how many processes of this machine; 0 for
        this one alone.
    timeout
        ``QUANTDESK_COMPUTE_TIMEOUT``: seconds to wait for the scheduler.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_COMPUTE_", frozen=True)

    scheduler: str | None = None
    processes: int = Field(default=0, ge=0)
    timeout: float = Field(default=10.0, gt=0)

    @classmethod
    def from_env(cls) -> ComputeConfig:
        """Read the environment."""
        return cls()


def chosen(config: ComputeConfig | None = None) -> Compute:
    """The place that the environment names: a Dask scheduler, processes, or here."""
    config = config or ComputeConfig.from_env()
    if config.scheduler:
        return Dask(config.scheduler, timeout=config.timeout)
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

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :meth:`quantdesk.compute.Compute.map`.

        Raises
        ------
        EnvironmentProblem
            There is no scheduler at the address, or the cluster was lost.
        """
        from distributed import Client
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        try:
            client = Client(self.scheduler, timeout=self.timeout, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(
                f"No Dask scheduler answers at {self.scheduler} ({error}).",
                "Start it (dask scheduler), or name another in QUANTDESK_COMPUTE_SCHEDULER.",
            ) from error
        source = iter(items)
        waiting: deque[Any] = deque()
        with client:
            room = 2 * max(1, sum(client.nthreads().values()))  # type: ignore[no-untyped-call]

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
                raise EnvironmentProblem(
                    f"The cluster at {self.scheduler} lost a call ({error}).",
                    "A worker may have run out of memory: give it more, or ask for smaller parts.",
                ) from error
            finally:
                client.cancel(list(waiting))  # type: ignore[no-untyped-call]
