"""The worker's side: an order goes through the door, and what comes back is published. An edge module: pipes, the disk.

What comes back was made by a process that its user rules over. So it is data of his, for his own eyes: the record is
read strictly and its name, its user and its report are those of the order.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.hub.behalf.door import LARGEST
from quantdesk.records import atomic_directory
from quantdesk.reports.dispatch.work import Outcome, Work, outcome_of
from quantdesk.reports.lab import kept
from quantdesk.reports.lab.frames import received
from quantdesk.reports.lab.job import SEAL, TRIGGER, LabJob
from quantdesk.reports.ledger.entry import State
from quantdesk.reports.limits import RunnerConfig
from quantdesk.reports.progress import Step
from quantdesk.reports.result import Run
from quantdesk.reports.runs import RunsConfig, read_run

__all__ = ["Errands"]

PATIENCE_S = 60.0
"""Seconds that a job has to end by itself once it shall, and beyond its time."""
_LOOK_S = 0.2
_LARGEST_RECORD = 5_000_000


class Errands:
    """Has jobs carried out under their users' accounts; see :data:`quantdesk.reports.dispatch.Execute`.

    Parameters
    ----------
    door
        A socket to the door.
    """

    def __init__(self, door: socket.socket) -> None:
        self._door, self._lock = door, threading.Lock()

    def __call__(self, work: Work) -> Outcome:
        """Carry one job out, from its start to its published end."""
        run = work.run
        content = kept.read(LabJob.of(run.details))
        order = {
            "run": run.id,
            "user": run.requested_by,
            "attempt": run.attempt,
            "parameters": dict(run.parameters),
            "lab": run.details[TRIGGER],
            "seal": run.details.get(SEAL, ""),
        }
        folder = RunsConfig.from_env().runs / run.id
        last: dict[str, Any] = {}
        try:
            with atomic_directory(folder) as fresh, self._started(order) as job:
                last = job.carry_out(work, content, fresh)
                if last.get("event") != "done":
                    raise _NoResultError
                _settle(work, fresh)
            _share(folder)
        except _NoResultError:
            return _failed(work, last)
        return outcome_of(read_run(folder))

    @contextlib.contextmanager
    def _started(self, order: dict[str, Any]) -> Iterator[_Job]:
        """A job that runs. Nothing of it runs any more afterwards."""
        with contextlib.ExitStack() as stack:
            pipes = [os.pipe() for _ in range(3)]
            asked, told, leash = (
                stack.enter_context(os.fdopen(ends[at], mode, buffering))
                for ends, at, mode, buffering in zip(pipes, (1, 0, 1), ("wb", "rb", "wb"), (0, -1, 0), strict=True)
            )
            theirs = [pipes[0][0], pipes[1][1], pipes[2][0]]
            try:
                answer = self._ask(order, theirs)
            finally:
                for one in theirs:
                    os.close(one)
            if answer:
                raise BadInput(answer["problem"], answer["remedy"])
            yield _Job(asked, told, leash)

    def _ask(self, order: dict[str, Any], handles: list[int]) -> dict[str, str]:
        message = json.dumps(order).encode()
        if len(message) > LARGEST:
            raise BadInput("The order of this job is too long.", "Make it again with shorter parameters.")
        try:
            with self._lock:
                socket.send_fds(self._door, [message], handles)
                answer = self._door.recv(LARGEST)
        except OSError as error:
            raise EnvironmentProblem(f"No job can be started ({error.strerror}).", "The hub starts again.") from error
        if not answer:
            raise EnvironmentProblem("No job can be started: its door is gone.", "Start the hub again.")
        found: dict[str, str] = json.loads(answer)
        return found


class _NoResultError(Exception):
    """The job left nothing to publish."""


@dataclass(frozen=True)
class _Job:
    """A job that runs: where it reads, what it writes, and its leash, whose end ends it."""

    asked: IO[bytes]
    told: IO[bytes]
    leash: IO[bytes]

    def carry_out(self, work: Work, content: bytes, folder: Path) -> dict[str, Any]:
        """The last that it said; its files are in `folder`."""
        over, handed = threading.Event(), threading.Event()
        watch = threading.Thread(target=self._watch, args=(work, handed, over), daemon=True)
        watch.start()
        last: dict[str, Any] = {}
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended already; what it said tells why
                _write(self.asked, f"{len(content)}\n".encode() + content)
            handed.set()
            for event in received(self.told, folder):
                if event.get("event") == "progress":
                    work.tell(_step(event))
                else:
                    last = event
        except DataError as error:
            last = {"event": "problem", "problem": error.problem, "remedy": error.remedy}
        finally:
            over.set()
            watch.join()
        return last

    def _watch(self, work: Work, handed: threading.Event, over: threading.Event) -> None:
        """Ask it to end when it is cancelled or too late, and end it when it does not."""
        # Its own limits are kept in its own processes, over which its user rules.
        end = time.monotonic() + RunnerConfig.from_env().timeout_s + PATIENCE_S
        asked = False
        while not over.wait(_LOOK_S):
            late = time.monotonic() > end
            if asked and late:
                self.leash.close()
                return
            if not asked and (late or work.cancel.is_set()):
                asked, end = True, time.monotonic() + (PATIENCE_S if handed.is_set() else 0)
                if handed.is_set():
                    self.asked.close()


def _write(pipe: IO[bytes], content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[pipe.write(left) :]


def _step(event: dict[str, Any]) -> Step:
    what, done, total, elapsed = (event.get(name) for name in ("what", "done", "total", "elapsed_s"))
    numbers = [one if isinstance(one, (int, float)) and 0 <= one < 1e9 else 0 for one in (done, total, elapsed)]
    return Step(str(what)[:200], int(numbers[0]), int(numbers[1]), float(numbers[2]), None)


def _settle(work: Work, folder: Path) -> None:
    """Write the record anew: strictly read, and with what the order says.

    Raises
    ------
    DataError
        It is none.
    """
    run, path = work.run, folder / "run.json"
    try:
        if path.stat().st_size > _LARGEST_RECORD:
            raise ValueError("too long")
        text = path.read_bytes().decode("utf-8", "replace")
        plain = json.dumps(json.loads(text), allow_nan=False, ensure_ascii=False)
        record = json.loads(plain.encode("utf-8", "replace"))  # without halves of characters, which no database takes
        made = Run.from_dict(record, folder)
        for one in made.metrics:
            if not (isinstance(one.name, str) and isinstance(one.unit, str)) or isinstance(one.value, (dict, list)):
                raise TypeError("a metric that is none")
        problem = None if made.problem is None else replace(made.problem, message=_plain(made.problem.message))
        told = replace(
            made, id=run.id, report=run.report, title=_plain(made.title),
            requested_by=run.requested_by, attempt=run.attempt, problem=problem,
        )  # fmt: skip
        path.write_text(json.dumps(told.to_dict(), indent=1, allow_nan=False) + "\n", "utf-8")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"The job left no record that can be read ({type(error).__name__}).", "Run it again."
        ) from error


def _plain(text: Any) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in str(text)[:2000])


def _share(folder: Path) -> None:
    """Let the group of the reports clear it away one day, and nobody else look at it."""
    for root, _, names in os.walk(folder):
        Path(root).chmod(0o2770)
        for name in names:
            Path(root, name).chmod(0o660)


def _failed(work: Work, last: dict[str, Any]) -> Outcome:
    if last.get("event") == "problem":
        return Outcome(State.FAILED, _plain(f"{last.get('problem')} {last.get('remedy')}").strip())
    if work.cancel.is_set():
        return Outcome(State.CANCELLED, "It was cancelled, and had to be ended.")
    return Outcome(State.KERNEL_DIED, "Its processes ended without a result, or its time was over.")
