"""What a worker does beside its runs: it keeps ledger, folders and store at one. An edge module: threads, disk.

::

    every 5 s       runs that were made without the ledger are noted
    every minute    runs that the team's store does not have yet are sent; once more at the end
    every 10 min    runs that are past their report's retention are removed

Sending and removing is done by one worker of a disk at a time, by a lock of the file system.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from quantdesk.errors import QuantdeskError
from quantdesk.records import LockHeld, exclusive
from quantdesk.reports.dispatch.adopt import Adoption
from quantdesk.reports.dispatch.removal import Removal
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.runs import RunsConfig
from quantdesk.reports.storage import push_pending

__all__ = ["Upkeep"]

_log = logging.getLogger(__name__)
ROUND_S = 5.0
PUSH_S = 60.0
REMOVE_S = 600.0
AWAY = 3
"""After so many runs in a row that could not be sent, the store is taken to be away until the next time."""


class Upkeep:
    """The rounds of a worker.

    Parameters
    ----------
    ledger
        Of the runs.
    config
        Where their folders are.
    """

    def __init__(self, ledger: RunLedger, config: RunsConfig) -> None:
        self._config = config
        self._adoption, self._removal = Adoption(ledger, config.runs), Removal(ledger, config)
        self._push_at = self._remove_at = float("-inf")
        self._said: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set, and send once more then. What goes wrong is logged, and tried again."""
        while not stop.is_set():
            self._tried("runs cannot be noted", lambda: self._adoption.step(stop.is_set))
            if time.monotonic() >= min(self._push_at, self._remove_at):
                self._tried("runs cannot be sent or removed", lambda: self.alone(stop.is_set))
            stop.wait(ROUND_S)
        self._push_at, self._remove_at = float("-inf"), float("inf")
        self._tried("runs cannot be sent", self.alone)

    def alone(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Send and remove what is due; nothing where another worker is at it.

        Raises
        ------
        EnvironmentProblem
            The database or the disk cannot be used.
        """
        now = time.monotonic()
        try:
            with exclusive(self._config.reports_root / ".upkeep.lock", timeout=0):
                if now >= self._push_at:
                    self._push_at = now + PUSH_S
                    self._push(is_over)
                if now >= self._remove_at and not is_over():
                    self._remove_at = now + REMOVE_S
                    self._removal.step(is_over)
        except LockHeld:
            return

    def _push(self, is_over: Callable[[], bool]) -> None:
        done = push_pending(self._config.reports_root, is_over=is_over, most_failures=AWAY)
        for name in done.sent:
            _log.info("run %s is in the store now", name)
        for name, why in done.failed.items():
            if self._said.get(name) != why:
                _log.warning("run %s is not in the store yet: %s", name, why)
        self._said = dict(done.failed)

    @staticmethod
    def _tried(what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except QuantdeskError as error:
            _log.warning("%s: %s", what, error)
        except Exception:  # noqa: BLE001 (whatever it is, the next round may work)
            _log.exception("%s", what)
