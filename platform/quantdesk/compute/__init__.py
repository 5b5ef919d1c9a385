"""Compute: one function over many items, wherever there is room, with the same results in the same order.

>>> from quantdesk.compute import InProcess
>>> list(InProcess().map(abs, [3, -1, 2]))
[3, 1, 2]

What is where::

    places                        the Protocol; here, one after the other                       (pure)
    processes, workers            in processes of this machine                                  (edge)
    cluster                       on a Dask cluster, or on whatever the environment names       (edge)
    embedded, gateway             a Dask cluster of this machine's own; one of a Dask Gateway   (edge)
    machine_code                  how loops are compiled, and where that is kept                (edge)
    inherited                     copies of it for an account that cannot write there           (edge)

Nothing heavy is imported before it is used: Dask takes a second, and most questions never leave the process.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.compute.cluster import ComputeConfig, Dask, chosen
    from quantdesk.compute.embedded import LocalDask
    from quantdesk.compute.gateway import DaskGateway
    from quantdesk.compute.places import Compute, InProcess, Lost
    from quantdesk.compute.processes import Processes

_HOMES = {
    "Compute": "places",
    "ComputeConfig": "cluster",
    "Dask": "cluster",
    "DaskGateway": "gateway",
    "InProcess": "places",
    "LocalDask": "embedded",
    "Lost": "places",
    "Processes": "processes",
    "chosen": "cluster",
}

__all__ = [
    "Compute",
    "ComputeConfig",
    "Dask",
    "DaskGateway",
    "InProcess",
    "LocalDask",
    "Lost",
    "Processes",
    "chosen",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
