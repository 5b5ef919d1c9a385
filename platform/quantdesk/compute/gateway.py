"""A cluster of a team's Dask Gateway, for as long as there is work. An edge module: it talks to the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from quantdesk.compute.cluster import Dask
from quantdesk.errors import EnvironmentProblem

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskGateway"]


class DaskGateway(Dask):
    """Workers that a Dask Gateway starts for us: on Kubernetes, or wherever it runs.

    Every call of :meth:`map` and :meth:`each` asks for a cluster and gives it back. Who asks is said in Dask's own
    settings (``gateway.auth``); in JupyterHub, ``DASK_GATEWAY__AUTH__TYPE=jupyterhub`` takes the token of the user's
    server.

    Parameters
    ----------
    address
        Of the gateway.
    workers
        How many to ask for.
    """

    def __init__(self, address: str, workers: int = 2) -> None:
        super().__init__(address)
        self.workers = workers

    def __str__(self) -> str:
        return f"The cluster of the gateway at {self.scheduler}"

    @property
    def _is_kept(self) -> bool:
        return False

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of a new cluster, which is given back at the end.

        Raises
        ------
        EnvironmentProblem
            The package dask-gateway is not installed, or no gateway answers.
        """
        try:
            from dask_gateway import (  # type: ignore[import-not-found, unused-ignore]
                Gateway,
                GatewayClusterError,
                GatewayServerError,
            )
        except ImportError as error:
            raise EnvironmentProblem(
                f"The gateway at {self.scheduler} needs the package dask-gateway, which is not installed.",
                "Install it: pip install dask-gateway. Or name a scheduler in QUANTDESK_COMPUTE_SCHEDULER.",
            ) from error
        try:
            cluster = Gateway(address=self.scheduler).new_cluster()
        except (OSError, ValueError, GatewayClusterError, GatewayServerError) as error:
            raise EnvironmentProblem(
                f"The Dask Gateway at {self.scheduler} gives no cluster ({type(error).__name__}: {error}).",
                "Look at its address (QUANTDESK_COMPUTE_GATEWAY) and at who may ask (gateway.auth of Dask).",
            ) from error
        with cluster:
            cluster.scale(self.workers)
            with cluster.get_client(set_as_default=False) as client:
                client.wait_for_workers(1, timeout=300)
                yield client
