"""When a report runs by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """When a report runs by itself.

    Attributes
    ----------
    id
        Its name, for ever; given by the ledger when empty.
    report, parameters
        What runs.
    trigger, timezone
        When, as text (:mod:`quantdesk.reports.schedule`), and in which zone.
    catch_up
        What of missed due times is run: ``skip``, ``latest`` or ``all``.
    is_enabled
        Whether it runs at present.
    after
        Names of reports whose runs of the same day must be completed before.
    created_by
        Whose it is; its runs are asked for by this user.
    is_private
        Whether others may not see it and its runs.
    source
        ``user``, ``declaration`` (of the notebook) or ``lab``.
    details
        What else is needed for its runs, as JSON.
    handled
        Every due time up to this one (UTC) has its run, or was passed over by policy.
    version
        Counts the changes: who edits an older version is refused.
    """

    id: str
    report: str
    trigger: str
    timezone: str
    created_by: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    catch_up: str = "latest"
    is_enabled: bool = True
    after: tuple[str, ...] = ()
    is_private: bool = False
    source: str = "user"
    details: Mapping[str, Any] = field(default_factory=dict)
    handled: datetime | None = None
    version: int = 0
