"""A job of JupyterLab under its user's own account: ``python -m quantdesk.reports.lab.errand``. An edge module.

What to do stands in the variable ``QUANTDESK_LAB_ORDER``, written by who started this process and checked before. The
standard input holds the notebook, and then stays open as long as the job shall go on; frames go to the standard output.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from quantdesk.errors import DataError, QuantdeskError
from quantdesk.reports.lab.frames import Sender, files_of
from quantdesk.reports.lab.here import check_folder, texts
from quantdesk.reports.lab.job import LabJob
from quantdesk.reports.progress import Step

__all__ = ["ORDER", "RUNTIME", "main"]

ORDER = "QUANTDESK_LAB_ORDER"
RUNTIME = "QUANTDESK_LAB_RUNTIME"
"""A private folder with a short path, for sockets."""


def main() -> int:
    """Carry the order out; the exit code says nothing that the frames do not."""
    order = json.loads(os.environ.pop(ORDER))
    tempfile.tempdir = os.environ.pop(RUNTIME)
    frames = Sender(os.fdopen(os.dup(1), "wb", 0))
    os.dup2(2, 1)  # whatever prints writes no frame
    try:
        _carry_out(order, frames)
    except QuantdeskError as error:
        frames.event("problem", problem=error.problem, remedy=error.remedy)
    except BrokenPipeError:
        return 1
    return 0


def _carry_out(order: dict[str, Any], frames: Sender) -> None:
    job, asked = LabJob.of({"lab": order["lab"]}), sys.stdin.buffer
    content = asked.read(int(asked.readline()))
    if hashlib.sha256(content).hexdigest() != job.sha256:
        raise DataError(f"The notebook {job.filename} of this job was changed since.", "Make the job again.")
    cancel = threading.Event()
    threading.Thread(target=_until_end, args=(cancel,), daemon=True).start()
    base = Path.home() / ".cache" / "quantdesk"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="job-", dir=base))
    os.environ["QUANTDESK_REPORTS_ROOT"] = str(root)
    try:
        notebook = root / job.filename
        notebook.write_bytes(content)
        folder = _run(order, job, notebook, cancel, frames)
        for name, path in files_of(folder):
            frames.file(name, path)
        frames.event("done")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run(order: dict[str, Any], job: LabJob, notebook: Path, cancel: threading.Event, frames: Sender) -> Path:
    from quantdesk.reports.runner import ReportFailed, run

    def told(step: Step) -> None:
        with contextlib.suppress(BrokenPipeError):
            frames.event("progress", what=step.what[:200], done=step.done, total=step.total, elapsed_s=step.elapsed_s)

    try:
        done = run(
            str(notebook),
            texts(order["parameters"]),
            cancel=cancel,
            steps=told,
            identity=order["run"],
            attempt=order["attempt"],
            requested_by=order["user"],
            working_directory=check_folder(job),
        )
    except ReportFailed as error:
        done = error.run
    return done.folder


def _until_end(cancel: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    cancel.set()


if __name__ == "__main__":
    sys.exit(main())
