"""The zygote that tests share: one for all processes of a run, with the whole stack and its machine code.

A test that only needs reports or kernels, and not that they start in one way or the other, takes the fixture ``warm``:
what is forked behaves as what is started cold, which tests/reports/kernels and tests/reports/test_run.py show. Coverage
does not follow into forks; the same two folders start workers and kernels under it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantdesk.records import exclusive
from quantdesk.reports.environment import STEADY, cleaned
from quantdesk.reports.kernels import KernelsConfig, restart, status
from quantdesk.reports.kernels.client import Cold, Zygotes
from quantdesk.reports.kernels.order import WORKER

PATIENCE_S = 60.0
IDLE_S = 900.0
"""When a run of the tests is killed, its zygote ends by itself."""


class Shared:
    """The zygote of a folder, started when it is first needed.

    Parameters
    ----------
    folder
        Where it has its own folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings(self) -> dict[str, str]:
        """Variables with which reports and kernels are forked from it."""
        return {
            "QUANTDESK_KERNELS_WARM": "true",
            "QUANTDESK_KERNELS_FOLDER": str(self.folder),
            "QUANTDESK_KERNELS_ANSWER_S": str(PATIENCE_S),
            "QUANTDESK_KERNELS_IDLE_S": str(IDLE_S),
            "QUANTDESK_KERNELS_MODULES": "",
        }

    @property
    def config(self) -> KernelsConfig:
        return KernelsConfig(warm=True, folder=self.folder, answer_s=PATIENCE_S, idle_s=IDLE_S, modules=())

    @property
    def environment(self) -> dict[str, str]:
        """That of whoever asks for forks: this process's own, steady, without coverage and pytest."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        return {**kept, **STEADY, **self.settings}

    def start(self) -> None:
        """Have it ready; one process starts it, others wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / ".lock"):
            given = cleaned(self.environment)
            try:
                Zygotes(given, self.config).connected().close()
            except Cold:
                restart(WORKER, given, self.config)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Within this block, everything that this process starts is forked from it."""
        self.start()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("COV")]:
                patch.delenv(name)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            yield

    def cold(self) -> list[str]:
        """Why something started cold that should not have."""
        return [one.reason for found in status(self.config) for one in found.cold]

    def end(self) -> None:
        """End every zygote of the folder, and wait; what they forked has ended with the tests that asked for it."""
        for found in status(self.config) if self.folder.is_dir() else ():
            zygotes = Zygotes.at(found.folder, self.config)
            deadline = time.monotonic() + PATIENCE_S
            while zygotes.held() and time.monotonic() < deadline:
                if pid := zygotes.noted().get("pid"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
