"""How many runs at once, and how patiently. An edge module: it reads the environment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.reports.lab.job import TRIGGER

__all__ = ["WorkerConfig"]


class WorkerConfig(BaseSettings):
    """Settings of the worker, each from ``QUANTDESK_REPORTS_WORKER_`` and its name in capitals.

    Attributes
    ----------
    processes
        Runs that this worker carries out at once.
    at_most
        Runs that all workers of the ledger carry out at once; no limit when left out.
    poll_s
        Seconds between two looks at the queue and at the schedules.
    claim_s
        Seconds after which a run of a worker that died is taken over by another.
    drain_s
        Seconds that runs have to end after SIGTERM; what is not done then is put back.
    grace_s
        Seconds for which a due time counts as on time; after that the schedule's catch-up policy decides.
    catch_up_limit
        How many missed due times of one schedule are run at most.
    lab
        Whether jobs from JupyterLab are carried out, under the account of this worker: ``never``, ``also``, or ``only``
        them. Theirs are notebooks of single users, so it is for a platform with one user alone; the hub sets it.
    alive
        A file whose time is set at each look at the queue, for who watches whether this worker hangs; none when left
        out.
    metrics_port, metrics_host
        Where Prometheus is answered; nowhere without a port. It is told to whoever asks: let nobody else reach it.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_REPORTS_WORKER_", frozen=True)

    processes: int = Field(default=2, ge=1, le=256)
    at_most: int | None = Field(default=None, ge=1)
    poll_s: float = Field(default=1.0, gt=0, le=60)
    claim_s: float = Field(default=30.0, gt=0, le=3600)
    drain_s: float = Field(default=60.0, ge=0)
    grace_s: float = Field(default=300.0, ge=0)
    catch_up_limit: int = Field(default=100, ge=1, le=100_000)
    lab: Literal["never", "also", "only"] = "never"
    alive: Path | None = None
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    metrics_host: str = "127.0.0.1"

    @classmethod
    def from_env(cls) -> WorkerConfig:
        """Read the environment."""
        return cls()

    @property
    def grace(self) -> timedelta:
        """How late is still on time."""
        return timedelta(seconds=self.grace_s)

    @property
    def triggers(self) -> dict[str, str]:
        """Which runs are claimed, as :meth:`.Queue.claim` takes it."""
        return {"also": {}, "never": {"never": TRIGGER}, "only": {"only": TRIGGER}}[self.lab]

    @property
    def renew_s(self) -> float:
        """Seconds between two heartbeats of a run without news; so long does a cancellation take to arrive."""
        return min(self.claim_s / 4, 3.0)
