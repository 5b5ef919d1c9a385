"""Which processes belong to jobs that run on behalf of a user. An edge module: it asks the system.

A job descends from its warden, a process of root's, also where a parent in between has ended: the warden adopts it. No
process of a user can come to have such an ancestor.
"""

from __future__ import annotations

import contextlib

import psutil

from quantdesk.hub.accounts import Accounts
from quantdesk.hub.config import HubFiles
from quantdesk.hub.sweep import clear, of_account
from quantdesk.reports.processes import GONE

__all__ = ["ACCOUNT", "MODULE", "end_jobs", "is_on_behalf"]

MODULE = "quantdesk.hub.behalf"
ACCOUNT = "QUANTDESK_BEHALF_ACCOUNT"
"""Number and group of the account that the worker of jobs takes on: ``uid:gid``."""


def is_on_behalf(process: psutil.Process) -> bool:
    """Whether a process belongs to a job; one that has ended meanwhile does not."""
    with contextlib.suppress(*GONE):
        for parent in process.parents():
            with contextlib.suppress(*GONE):
                if parent.uids().real == 0 and parent.cmdline()[-2:] == ["-m", MODULE]:
                    return True
    return False


def end_jobs(files: HubFiles, user: str) -> None:
    """End the jobs of a user who is not let in any more, and whatever else runs under the account."""
    account = Accounts(files).find(user)
    if account is not None:
        clear(lambda: of_account(account.uid))
