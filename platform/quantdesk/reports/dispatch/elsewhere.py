"""Carries runs out where there is room: on a Dask cluster, or any place that computes. An edge module: disk, threads.

The far side does what :mod:`~quantdesk.reports.dispatch.here` does, on the same folders under the same paths. The two
sides talk through files in ``control/<run>``::

    alive       touched by the worker: when it stops, the far side breaks the run off
    cancel      made by the worker: break it off
    step.json   how far the run is, by the far side
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput, EnvironmentProblem
from quantdesk.reports.dispatch.here import carry_out, checked
from quantdesk.reports.dispatch.work import Execute, Outcome, Work
from quantdesk.reports.ledger.entry import Attempt, Recorded, State
from quantdesk.reports.progress import Step
from quantdesk.reports.runs import RunsConfig

if TYPE_CHECKING:
    from quantdesk.compute import Compute

__all__ = ["ComputeConfig", "Elsewhere", "Errand", "there"]

_log = logging.getLogger(__name__)
LOOK_S = 0.5
TOUCH_S = 2.0
SILENCE_S = 60.0
"""Seconds without a touch of ``alive`` after which the worker counts as gone."""
PATIENCE_S = 150.0
"""Seconds that the far side has to end a run that was broken off; then it is let go."""
LONGEST_WAIT_S = 30.0


class ComputeConfig(BaseSettings):
    """Where runs are carried out.

    Attributes
    ----------
    compute
        ``QUANTDESK_REPORTS_COMPUTE``: on this machine when left out or ``here``; ``compute`` for the place that
        scenarios use (``QUANTDESK_COMPUTE_...``); ``dask://host:8786`` for a Dask scheduler. Workers of
        a cluster must have this version of quantdesk, the same settings, and see the same files under the same paths.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_REPORTS_", frozen=True)

    compute: str = "here"

    @classmethod
    def from_env(cls) -> ComputeConfig:
        """Read the environment."""
        return cls()

    def execute(self) -> Execute:
        """What carries a run out.

        Raises
        ------
        BadInput
            The setting names no place.
        """
        if self.compute in ("", "here"):
            return carry_out
        if self.compute == "compute":
            from quantdesk.compute import chosen

            return Elsewhere(chosen())
        scheme, divider, rest = self.compute.partition("://")
        if scheme in ("dask", "tcp", "tls") and divider and rest:
            from quantdesk.compute import Dask

            return Elsewhere(Dask(f"{'tcp' if scheme == 'dask' else scheme}://{rest}"))
        raise BadInput(
            f"QUANTDESK_REPORTS_COMPUTE is {self.compute[:80]!r}.", "Set here, compute, or dask://host:8786."
        )


@dataclass(frozen=True)
class Errand:
    """What travels to the far side.

    Attributes
    ----------
    run, previous
        See :class:`~quantdesk.reports.dispatch.work.Work`.
    control
        The folder through which the sides talk.
    """

    run: Recorded
    previous: tuple[Attempt, ...]
    control: str


class Elsewhere:
    """Carries runs out in a place of :mod:`quantdesk.compute`.

    Parameters
    ----------
    compute
        The place.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def __call__(self, work: Work) -> Outcome:
        """Carry a run out. A place that is away is waited for: that is no failure of the run."""
        wait = 1.0
        while not work.cancel.is_set():
            with _control(work) as control:
                try:
                    return self._called(work, Errand(work.run, work.previous, str(control)))
                except EnvironmentProblem as error:
                    _log.warning("run %s: %s", work.run.id, error)
                    work.tell(Step("waiting for the cluster", 0, 0, 0.0, None))
            work.cancel.wait(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)
        return Outcome(State.CANCELLED, "It was cancelled before it began.")

    def _called(self, work: Work, errand: Errand) -> Outcome:
        from quantdesk.compute import Lost

        cancelled_at: list[float] = []

        def is_let_go() -> bool:
            if work.cancel.is_set() and not cancelled_at:
                cancelled_at.append(time.monotonic())
            return bool(cancelled_at) and time.monotonic() - cancelled_at[0] > PATIENCE_S

        for _, found in self._compute.each(there, [errand], stop=is_let_go):
            if isinstance(found, Lost):
                return Outcome(State.LOST, found.why, retry_after_s=60.0)
            if found.folder and not Path(found.folder).is_dir():
                return Outcome(
                    State.FAILED,
                    f"It was carried out elsewhere, and this worker does not see its files: {found.folder}.",
                )
            return found
        return Outcome(State.CANCELLED, "It was cancelled, and did not end in time.")


@contextlib.contextmanager
def _control(work: Work) -> Iterator[Path]:
    """The folder of a run, and a thread that keeps its files up to date."""
    folder = RunsConfig.from_env().reports_root / "control" / checked(work.run.id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cancel").unlink(missing_ok=True)
        (folder / "alive").touch()
    except OSError as error:
        raise EnvironmentProblem(f"{folder} cannot be written ({error.strerror}).", "Make it writable.") from error
    over = threading.Event()
    thread = threading.Thread(target=_keep, args=(folder, work, over), name=f"control-{work.run.id}", daemon=True)
    thread.start()
    try:
        yield folder
    finally:
        over.set()
        thread.join()
        shutil.rmtree(folder, ignore_errors=True)


def _keep(folder: Path, work: Work, over: threading.Event) -> None:
    told, touched = "", time.monotonic()
    while not over.wait(LOOK_S):
        with contextlib.suppress(OSError, ValueError, TypeError):
            if work.cancel.is_set():
                (folder / "cancel").touch()
            if time.monotonic() - touched > TOUCH_S:
                (folder / "alive").touch()
                touched = time.monotonic()
            step = (folder / "step.json").read_text("utf-8")
            if step != told:
                told = step
                work.tell(Step(**json.loads(step)))


# ---------------------------------------------------------------------------------------------------- on the far side


def there(errand: Errand) -> Outcome:
    """Carry a run out, on the far side. Calling it again does no harm: a run that is finished is found."""
    folder = Path(errand.control)
    cancel, over = threading.Event(), threading.Event()
    steps: list[Step] = []
    thread = threading.Thread(target=_listen, args=(folder, cancel, over, steps), name="control", daemon=True)
    thread.start()
    try:
        return carry_out(Work(errand.run, errand.previous, steps.append, cancel))
    finally:
        over.set()
        thread.join()


def _listen(folder: Path, cancel: threading.Event, over: threading.Event, steps: list[Step]) -> None:
    """Pass cancellations on, and how far the run is; break it off where its worker is gone."""
    seen, seen_at = 0.0, time.monotonic()
    while not over.wait(LOOK_S):
        alive = 0.0
        with contextlib.suppress(OSError):
            alive = (folder / "alive").stat().st_mtime
        if alive and alive != seen:
            seen, seen_at = alive, time.monotonic()
        if (folder / "cancel").exists() or time.monotonic() - seen_at > SILENCE_S:
            cancel.set()
        if steps:
            last = steps[-1]
            steps.clear()
            with contextlib.suppress(OSError):  # not `atomic_write`, which would make a folder that is gone
                (folder / ".step").write_text(json.dumps(asdict(last)), "utf-8")
                os.replace(folder / ".step", folder / "step.json")
