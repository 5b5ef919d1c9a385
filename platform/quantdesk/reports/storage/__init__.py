"""The store of a team: finished runs go there and come back from there, whatever fsspec can reach. An edge module.

``QUANTDESK_REPORTS_STORE`` names it: ``s3://bucket/prefix``, ``gs://...``, ``file:///mnt/team/reports``. Without it
runs stay on this disk. A run is always published here first; then its files are sent, ``run.json`` last, so that a run
is in the store whole or not at all. What could not be sent stays here and is sent by :func:`push_pending`.

::

    state/reports/store/<hash of the address>/
        sent/<run-id>       an empty file: the store has it
        records/<run-id>.json   records that were read from the store; they never change
        runs/<run-id>/      runs that were fetched; the least recently used go when they have too many bytes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantdesk.errors import DataError, EnvironmentProblem
from quantdesk.reports.storage.config import StoreConfig
from quantdesk.reports.storage.store import Store

__all__ = ["Pushed", "Store", "StoreConfig", "current", "push_pending"]


@dataclass(frozen=True)
class Pushed:
    """What became of the runs that the store did not have.

    Parameters
    ----------
    sent
        Ids of those that it has now.
    failed
        Why the others could not be sent, by id.
    """

    sent: tuple[str, ...]
    failed: Mapping[str, str]


def current(root: Path, config: StoreConfig | None = None) -> Store | None:
    """The store that the environment names; None without one.

    Parameters
    ----------
    root
        The folder of reports, for what is kept here of the store.
    config
        From the environment when left out.
    """
    config = config or StoreConfig.from_env()
    return Store(config, root) if config.store else None


def push_pending(
    root: Path,
    config: StoreConfig | None = None,
    *,
    is_over: Callable[[], bool] = lambda: False,
    most_failures: int = 0,
) -> Pushed:
    """Send every finished run of this disk that the store does not have yet.

    Parameters
    ----------
    root
        The folder of reports; runs lie in ``runs/`` below it.
    config
        From the environment when left out.
    is_over
        Asked before each; True ends it.
    most_failures
        After so many in a row that could not be sent the store is taken to be away; 0 for trying all.

    Returns
    -------
    Pushed
        One that cannot be sent keeps no other from being sent. Nothing without a store.
    """
    store = current(root, config)
    if store is None:
        return Pushed((), {})
    sent: list[str] = []
    failed: dict[str, str] = {}
    in_a_row = 0
    for name in store.pending(root / "runs"):
        if is_over() or 0 < most_failures <= in_a_row:
            break
        try:
            store.push(root / "runs" / name)
            sent.append(name)
            in_a_row = 0
        except EnvironmentProblem as error:
            failed[name] = str(error)
            in_a_row += 1
        except DataError as error:
            failed[name] = str(error)
    return Pushed(tuple(sent), failed)
