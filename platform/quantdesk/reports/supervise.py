"""The parent's side of a run: start the worker, listen, and step in when it cannot speak any more. An edge module."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantdesk.errors import DataError, EnvironmentProblem, QuantdeskError
from quantdesk.reports import processes
from quantdesk.reports.environment import STEADY
from quantdesk.reports.kernels.children import Forked
from quantdesk.reports.kernels.client import Zygotes, ordered
from quantdesk.reports.kernels.order import WORKER as KIND
from quantdesk.reports.publish import Outcome
from quantdesk.reports.runs import Problem, Run, Status, read_run
from quantdesk.reports.scratch import Place, publish_checkpoint

__all__ = ["Progress", "supervise"]

Progress = Callable[[str, int, int], None]
"""Told what is going on, how many code cells are done, and of how many (0: not known yet)."""

_OWN = (sys.executable, "-P", "-m", "quantdesk.reports.worker")
WORKER = _OWN
"""The command of a worker; two descriptors follow, of the pipe for its events and of the lock."""
PATIENCE_S = 120.0
"""Seconds that a worker has, after its limits or a cancellation, to end its kernel and write the page."""


def supervise(place: Place, environment: Mapping[str, str], progress: Progress, cancel: threading.Event | None) -> Run:
    """Run a prepared report in a worker, to its published end.

    Parameters
    ----------
    place
        The prepared run.
    environment
        For worker and kernel; what this module needs is added.
    progress
        Called in this thread.
    cancel
        Cancels the run when set. Ctrl-C does the same; a second Ctrl-C does not wait for the worker.

    Returns
    -------
    Run
        As published, complete or not.

    Raises
    ------
    EnvironmentProblem, DataError
        The run could not be published.
    """
    worker = _Worker(place, environment)
    try:
        return worker.work(progress, cancel)
    finally:
        worker.close()


class _Worker:
    """One worker process and the pipe on which it tells what it does."""

    def __init__(self, place: Place, environment: Mapping[str, str]) -> None:
        self._place = place
        self._request = place.request
        self._process: subprocess.Popen[bytes] | Forked
        self._stopped: Status | None = None
        self._heard: dict[str, Any] = {}
        self._events, theirs = os.pipe()
        own = _environment(place, environment)
        try:
            with (place.folder / "log.txt").open("ab") as log:
                self._process = _forked(place, own, log.fileno(), theirs) or subprocess.Popen(
                    [*WORKER, str(theirs), str(place.lock)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=place.folder,
                    env=own,
                    pass_fds=(theirs, place.lock),
                    # A Ctrl-C in the terminal is for the parent, which cancels in an orderly way.
                    start_new_session=True,
                )
        except OSError:
            os.close(self._events)
            raise
        finally:
            os.close(theirs)

    def work(self, progress: Progress, cancel: threading.Event | None) -> Run:
        """Listen until the worker has ended, and return what was published."""
        self._deadline = time.monotonic() + self._request.total_s + PATIENCE_S
        try:
            self._ask()
            self._listen(progress, cancel)
        except KeyboardInterrupt:
            self._stop()
            with contextlib.suppress(KeyboardInterrupt):
                self._listen(progress, None)
        self._process.kill()
        code = self._process.wait()
        processes.end_all(self._request.id)
        return self._outcome(code)

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            processes.end_all(self._request.id)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        os.close(self._events)

    def _ask(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 (it is a pipe)
        with contextlib.suppress(BrokenPipeError):  # it died at once; the outcome tells
            self._process.stdin.write(json.dumps(asdict(self._request)).encode() + b"\n")
            self._process.stdin.flush()

    def _stop(self) -> None:
        self._stopped = Status.CANCELLED
        self._deadline = time.monotonic() + PATIENCE_S
        self._process.terminate()

    def _listen(self, progress: Progress, cancel: threading.Event | None) -> None:
        """Read events until the worker closes its end, or its time is over."""
        rest = b""
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._stopped = self._stopped or Status.TIMED_OUT
                return
            if cancel is not None and cancel.is_set() and self._stopped is None:
                self._stop()
            # Without an event to look after, the pipe alone wakes this thread.
            readable, _, _ = select.select([self._events], [], [], left if cancel is None else min(left, 0.2))
            if not readable:
                continue
            chunk = os.read(self._events, 65536)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["event"] == "progress":
                    progress(event["what"], event["done"], event["total"])
                else:
                    self._heard = event

    def _outcome(self, code: int) -> Run:
        if self._heard.get("event") == "published":
            return read_run(Path(self._heard["folder"]))
        if self._heard.get("event") == "problem":
            kinds: dict[str, type[QuantdeskError]] = {"EnvironmentProblem": EnvironmentProblem, "DataError": DataError}
            kind = kinds.get(self._heard["kind"], QuantdeskError)
            raise kind(self._heard["problem"], self._heard["remedy"])
        if Path(self._request.folder).exists():
            return read_run(Path(self._request.folder))  # killed between the last step and its word
        from quantdesk.reports import provenance

        status = self._stopped or Status.LOST
        outcome = Outcome(status, Problem(_last_words(status, code)), datetime.now(UTC), provenance.collect())
        return publish_checkpoint(self._request, outcome)


def _forked(place: Place, environment: Mapping[str, str], log: int, events: int) -> Forked | None:
    """A worker that is a fork of this account's zygote, in a session of its own as well; None to start it cold."""
    if WORKER is not _OWN:
        return None
    arguments = ("3", "4")  # what events and lock become
    ask, request = os.pipe()
    try:
        order = ordered(arguments, (*WORKER, *arguments), environment, place.folder)
        child = Zygotes(environment).fork(KIND, order, [ask, log, log, events, place.lock])
    finally:
        os.close(ask)
    if child is None:
        os.close(request)
    else:
        child.stdin = os.fdopen(request, "wb")
    return child


def _last_words(status: Status, code: int) -> str:
    if status is Status.CANCELLED:
        return "It was cancelled." if code != -signal.SIGKILL else "It was cancelled, and its worker had to be killed."
    if status is Status.TIMED_OUT:
        return "Its worker did not end in time."
    if code == -signal.SIGKILL:
        return "Its worker was killed (SIGKILL). The usual cause is that the machine ran out of memory."
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"Its worker ended without a result ({name}); log.txt has its last words."


def _environment(place: Place, environment: Mapping[str, str]) -> dict[str, str]:
    own = {
        processes.MARK: place.request.id,
        # Kernel, configuration and start-up files of this run alone, not those of the account.
        "JUPYTER_PATH": str(place.folder / "share" / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(place.folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(place.sockets),
        "IPYTHONDIR": str(place.folder / "ipython"),
    }
    return {**STEADY, **environment, **own}
