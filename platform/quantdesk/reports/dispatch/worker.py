"""The worker of reports: claims runs, keeps time, drains. An edge module: threads, signals.

::

    main thread     claims runs while there is room; starts a thread for each
    scheduler       due times, runs that waited, runs whose worker died
    heart           claims stay alive; progress and cancellations travel

A signal (SIGTERM, SIGINT) drains: nothing more is claimed, what is under way has ``drain_s`` seconds to end, and is put
back then. A second signal puts it back at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.dispatch.active import LONGEST_WAIT_S, Carriers, Ended
from quantdesk.reports.dispatch.config import WorkerConfig
from quantdesk.reports.dispatch.due import Scheduler
from quantdesk.reports.dispatch.here import carry_out
from quantdesk.reports.dispatch.wake import Wake
from quantdesk.reports.dispatch.work import Execute
from quantdesk.reports.ledger import RunLedger

__all__ = ["Worker"]

_log = logging.getLogger(__name__)
BEAT_S = 1.0
BREAK_OFF_S = 15.0
"""Seconds that runs have to end once they are broken off; their kernels end with this process in any case."""


class Worker:
    """Carries out the runs of a ledger, until it is told to stop.

    Parameters
    ----------
    ledger
        Whose runs.
    execute
        What carries one out.
    config
        That of the environment when None.
    ended
        Told of the end of each run (see :data:`~quantdesk.reports.dispatch.active.Ended`).
    """

    def __init__(
        self,
        ledger: RunLedger,
        *,
        execute: Execute = carry_out,
        config: WorkerConfig | None = None,
        ended: Ended | None = None,
    ) -> None:
        self._ledger = ledger
        self._config = config or WorkerConfig.from_env()
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._wake = Wake()
        self._orders_to_stop = 0
        self._over = threading.Event()
        self._carriers = Carriers(ledger, execute, self._config, self._wake.ring, ended)
        self._scheduler = Scheduler(ledger, self.name, self._config)

    @property
    def under_way(self) -> int:
        """How many runs are under way here."""
        return len(self._carriers)

    def stop(self) -> None:
        """Drain; a second time: put back at once. Safe in a signal handler."""
        self._orders_to_stop += 1
        self._wake.ring()

    def run(self) -> None:
        """Work until :meth:`stop`. What is under way then ends or is put back before this returns.

        Raises
        ------
        DataError
            The ledger is damaged.
        """
        _log.info("worker %s: %d at once", self.name, self._config.processes)
        threads = [
            threading.Thread(target=self._heart, name="heart", daemon=True),
            threading.Thread(target=self._schedule, name="scheduler", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            self._claim()
            self._drain()
        finally:
            self._over.set()
            for thread in threads:
                thread.join(BREAK_OFF_S)
        _log.info("worker %s ends", self.name)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, for the time of the block. In the main thread alone."""

        def told(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _claim(self) -> None:
        wait = 0.0
        while not self._orders_to_stop:
            self._tell_alive()
            try:
                while not self._orders_to_stop and len(self._carriers) < self._config.processes:
                    config = self._config
                    claim = self._ledger.queue.claim(self.name, config.claim_s, config.at_most, **config.triggers)
                    if claim is None:
                        break
                    self._carriers.begin(claim)
                wait = 0.0
            except EnvironmentProblem as error:
                wait = min(max(1.0, wait * 2), LONGEST_WAIT_S)
                _log.warning("no run can be claimed: %s", error)
            self._wake.wait(wait or self._config.poll_s)

    def _tell_alive(self) -> None:
        """Also while the database is away: then another process would be no better."""
        if self._config.alive is None:
            return
        try:
            self._config.alive.touch()
        except OSError as error:
            _log.warning("%s cannot be touched: %s", self._config.alive, error.strerror)

    def _drain(self) -> None:
        if len(self._carriers):
            _log.info("draining: %d under way", len(self._carriers))
        self._wait_for_ends(self._config.drain_s, lambda: self._orders_to_stop > 1)
        if len(self._carriers):
            _log.warning("%d under way are put back", len(self._carriers))
            self._carriers.put_back()
            self._wait_for_ends(BREAK_OFF_S, lambda: False)
        self._carriers.leave()
        self._carriers.give_back_rest()

    def _wait_for_ends(self, seconds: float, hurried: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while len(self._carriers) and not hurried() and (left := deadline - time.monotonic()) > 0:
            self._wake.wait(left)

    def _heart(self) -> None:
        while not self._over.wait(BEAT_S if self._config.claim_s > 4 * BEAT_S else self._config.claim_s / 4):
            try:
                self._carriers.beat()
            except EnvironmentProblem as error:
                _log.warning("no heartbeat: %s", error)
            except Exception:  # noqa: BLE001 (the next beat may work)
                _log.exception("no heartbeat")

    def _schedule(self) -> None:
        wait = self._config.poll_s
        while not self._orders_to_stop:
            try:
                if self._scheduler.step():
                    self._wake.ring()
                wait = self._config.poll_s
            except EnvironmentProblem as error:
                _log.warning("no schedule can be looked at: %s", error)
                self._scheduler.was_out()
                wait = min(max(1.0, wait * 2), LONGEST_WAIT_S)
            except Exception:  # noqa: BLE001 (what nobody thought of must not stop the clock for good)
                _log.exception("no schedule can be looked at")
                wait = LONGEST_WAIT_S
            if self._over.wait(wait):
                break
        with contextlib.suppress(EnvironmentProblem):
            self._scheduler.end()
