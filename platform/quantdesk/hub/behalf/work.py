"""The worker of jobs, under an account of its own: ``python -m quantdesk.hub.behalf.work SOCKET``. An edge module."""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
from collections.abc import Callable
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
        threading.Thread(target=_until_gone, args=(number, worker.stop), daemon=True).start()
        with worker.on_signals():
            worker.run()


def _until_gone(door: int, stop: Callable[[], None]) -> None:
    """Drain once the door is gone: who keeps this process running starts both anew."""
    look = select.poll()
    look.register(door, 0)
    look.poll()
    stop()


if __name__ == "__main__":
    main()
