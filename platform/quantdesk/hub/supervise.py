"""Keep commands running: start them, start them again when they end, end them in order. An edge module: processes.

Each command is tethered to the process that supervises it, so that none outlives it, and is started again after a wait
that doubles while it keeps failing. Only the standard library is imported: this runs as root where the hub does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from quantdesk.hub.rotation import bounded
from quantdesk.hub.tether import tethered

__all__ = ["Command", "Supervisor"]

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT, _WELL_AFTER = 0.25, 30.0, 30.0
_STEP = 0.05
_LOOK_EVERY = 60.0


@dataclass(frozen=True)
class Command:
    """A command that shall run.

    Attributes
    ----------
    name
        For the log.
    line
        Program and arguments. Secrets do not belong here: everybody can read them.
    environment
        What it has in its environment besides that of this process.
    account
        Number and group to run under; None is the present account.
    descriptors
        Open files that it gets.
    """

    name: str
    line: Sequence[str]
    environment: Mapping[str, str]
    account: tuple[int, int] | None = None
    descriptors: tuple[int, ...] = ()


@dataclass
class _Kept:
    command: Command
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    wait: float = 0.0
    next: float = field(default=0.0)


class Supervisor:
    """Keeps commands running.

    It must be driven by one thread that lives as long as the commands shall: the system ends them with that thread.

    Parameters
    ----------
    commands
        What shall run.
    ended
        Called with the number of each process that has ended.
    grace
        Seconds between asking a command to end and ending it.
    log
        File that the commands' output is added to; that of this process when None. Nobody else may read it. It is kept
        within bounds (:mod:`quantdesk.hub.rotation`).
    """

    def __init__(
        self,
        commands: Sequence[Command],
        ended: Callable[[int], None] = lambda process: None,
        grace: float = 10.0,
        log: Path | None = None,
    ) -> None:
        self._kept = [_Kept(command) for command in commands]
        self._ended, self._grace, self._log_file = ended, grace, log
        self._look_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then end all of them."""
        try:
            while not stop.wait(_STEP):
                self.step(time.monotonic())
        finally:
            self.end()

    def step(self, now: float) -> None:
        """Start what does not run and may be started. `now` in seconds that only go forward."""
        if self._log_file is not None and now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            try:
                bounded(self._log_file)
            except OSError as error:
                _log.warning("%s cannot be begun anew: %s", self._log_file, error.strerror)
        for one in self._kept:
            if one.process is not None and one.process.poll() is not None:
                self._noted(one, now)
            if one.process is None and now >= one.next:
                self._start(one, now)

    @property
    def running(self) -> dict[str, int]:
        """The numbers of the processes that run, by the names of their commands."""
        return {one.command.name: one.process.pid for one in self._kept if one.process is not None}

    def end(self) -> None:
        """Ask all to end, wait for `grace` seconds, then end what is left."""
        alive = [one.process for one in self._kept if one.process is not None and one.process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for one in self._kept:
            if one.process is not None:
                self._ended(one.process.pid)
                one.process = None

    def _noted(self, one: _Kept, now: float) -> None:
        assert one.process is not None  # noqa: S101  (asked by who knows it)
        was_well = now - one.began > _WELL_AFTER
        one.wait = _FIRST_WAIT if was_well else min(_LONGEST_WAIT, max(_FIRST_WAIT, 2 * one.wait))
        one.next = now + one.wait
        _log.warning(
            "%s (process %d) ended with %s; it starts again in %.2f s",
            one.command.name, one.process.pid, one.process.returncode, one.wait,
        )  # fmt: skip
        self._ended(one.process.pid)
        one.process = None

    def _start(self, one: _Kept, now: float) -> None:
        command = one.command
        one.began = now
        try:
            with self._output() as output:
                one.process = subprocess.Popen(
                    tethered(list(command.line), command.account),
                    env={**os.environ, **command.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=command.descriptors,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError:
            _log.exception("%s does not start", command.name)
            one.wait = min(_LONGEST_WAIT, max(_FIRST_WAIT, 2 * one.wait))
            one.next = now + one.wait

    def _output(self) -> contextlib.AbstractContextManager[BinaryIO | None]:
        if self._log_file is None:
            return contextlib.nullcontext()
        return os.fdopen(os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
