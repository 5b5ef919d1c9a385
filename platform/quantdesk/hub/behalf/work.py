"""The worker of jobs, under an account of its own: ``python -m quantdesk.hub.behalf.work SOCKET``. An edge module."""

from __future__ import annotations

import logging
import os
import socket
import sys
from functools import partial

from quantdesk.hub.behalf.errands import Errands
from quantdesk.reports.dispatch import Worker, WorkerConfig
from quantdesk.reports.dispatch.here import carry_out
from quantdesk.reports.ledger import RunLedger

__all__ = ["main"]


def main() -> None:
    """The process."""
    number = int(sys.argv[1])
    os.set_inheritable(number, False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    door = socket.socket(fileno=number)
    config = WorkerConfig.from_env()
    with RunLedger.open() as ledger:
        worker = Worker(ledger, execute=partial(carry_out, begin=Errands(door)), config=config)
        with worker.on_signals():
            worker.run()


if __name__ == "__main__":
    main()
