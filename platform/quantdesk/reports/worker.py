"""One report in one process: ``python -m quantdesk.reports.worker EVENTS LOCK``. An edge module.

It reads a request as one JSON line from the standard input, runs the notebook, publishes the run and tells its parent
through the pipe EVENTS, one JSON object a line: ``progress`` (what, done, total), ``published`` (folder) or
``problem`` (an error in words). The standard input stays open as long as the parent lives; its end cancels the run.
Whatever worker and kernel write to their standard output and error goes to the log of the run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantdesk.compute.inherited import inherit
from quantdesk.errors import QuantdeskError
from quantdesk.reports import grammar
from quantdesk.reports.publish import Request

__all__ = ["main"]

ADDRESSED = 1_500_000_000
"""Bytes that a kernel with the stack may address beyond what it uses. The watch counts what is used; the limit of
addresses is there for one huge allocation, which would be over before the watch looks again."""


class _Events:
    """The pipe to the parent. A parent that is gone is no error here: the watch has noticed."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def send(self, event: str, **values: Any) -> None:
        line = json.dumps({"event": event, **values}) + "\n"
        with contextlib.suppress(BrokenPipeError):
            os.write(self._handle, line.encode())

    def progress(self, what: str, done: int, total: int) -> None:
        self.send("progress", what=what[:200], done=done, total=total)


def main(arguments: list[str] | None = None) -> int:
    """Run one request; the exit code is 0 when a run was published, whatever became of the notebook."""
    handles = [int(text) for text in (sys.argv[1:] if arguments is None else arguments)]
    for handle in handles:
        os.set_inheritable(handle, False)  # or the kernel would hold the pipe and the lock open
    faulthandler.enable()
    events = _Events(handles[0])
    request = Request(**json.loads(sys.stdin.buffer.readline()))
    try:
        run = _run(request, events)
    except QuantdeskError as error:
        events.send("problem", kind=type(error).__name__, problem=error.problem, remedy=error.remedy)
        return error.exit_code
    events.send("published", folder=run)
    return 0


def _run(request: Request, events: _Events) -> str:
    events.progress("starting", 0, 0)
    grammar.spare()
    inherit()  # before the kernel, which is of the same account
    # Imported here, so that the parent hears at once that the worker lives.
    import papermill
    from papermill.execute import remove_error_markers

    from quantdesk.reports import processes, provenance
    from quantdesk.reports.capped import OutputCap
    from quantdesk.reports.engine import ENGINE, Session
    from quantdesk.reports.kernelspec import NAME
    from quantdesk.reports.memory import Meter
    from quantdesk.reports.publish import Outcome, finish
    from quantdesk.reports.watch import Limits, Watch

    scratch = Path(request.scratch)
    session: Session | None = None
    watch = Watch(
        Limits(request.total_s, request.cell_s, request.memory_bytes),
        parent=sys.stdin.fileno(),
        signal_kernel=lambda number: session.signal_kernel(number) if session is not None else None,
        meter=Meter(request.id),
    )
    session = Session(
        watch=watch,
        progress=events.progress,
        checkpoint=scratch / "notebook.ipynb",
        folder=Path(request.working_directory),
        sockets=Path(os.environ["JUPYTER_RUNTIME_DIR"]),
        cap=OutputCap(request.largest_output),
        limits={"RLIMIT_DATA": request.memory_bytes + ADDRESSED} if request.memory_bytes else {},
    )
    watch.start()
    asked = ThreadPoolExecutor(1, thread_name_prefix="provenance")  # while the kernel starts
    made_from = asked.submit(provenance.collect)
    # Papermill raises what it found in the outputs; the session knows better what happened.
    with contextlib.suppress(papermill.PapermillExecutionError):
        papermill.execute_notebook(
            "input.ipynb",
            None,
            parameters=request.given,
            engine_name=ENGINE,
            kernel_name=NAME,
            language="python",
            progress_bar=False,
            session=session,
        )
    watch.close()
    remove_error_markers(session.notebook)
    events.progress("writing the page", session.ran, session.ran)  # no further cell will run, also after a failure
    outcome = Outcome(
        session.status,
        session.problem,
        datetime.now(UTC),
        provenance.settled(made_from.result()),
        peak_memory_bytes=watch.peak_memory_bytes,
        notes=session.notes(),
    )

    def over() -> None:
        session.kernel_ended()
        processes.end_all(request.id)  # what a cell started and left running

    run = finish(request, session.notebook, outcome, before=over)
    return str(run.folder)


if __name__ == "__main__":
    sys.exit(main())
