"""What a worker does beside its runs: it keeps the ledger and the folders of runs at one. An edge module: threads.

::

    every 5 s       runs that were made without the ledger are noted
"""

from __future__ import annotations

import logging
import threading

from quantdesk.errors import QuantdeskError
from quantdesk.reports.dispatch.adopt import Adoption
from quantdesk.reports.ledger import RunLedger
from quantdesk.reports.runs import RunsConfig

__all__ = ["Upkeep"]

_log = logging.getLogger(__name__)
ROUND_S = 5.0


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
        self._adoption = Adoption(ledger, config.runs)

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set. What goes wrong is logged, and tried again."""
        while not stop.is_set():
            try:
                self._adoption.step(stop.is_set)
            except QuantdeskError as error:
                _log.warning("runs cannot be noted: %s", error)
            except Exception:  # noqa: BLE001 (whatever it is, the next round may work)
                _log.exception("runs cannot be noted")
            stop.wait(ROUND_S)
