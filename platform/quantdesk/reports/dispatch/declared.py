"""The schedules that notebooks declare, kept in the ledger. An edge module: it reads notebooks and asks the database.

Each has a name made of the report and its place in the declaration, so that it is the same schedule after an edit. What
people change in the ledger (a pause, another time) stays until the declaration itself changes. One that is not declared
any more is paused and not removed: its runs stay its runs.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import replace

from quantdesk.reports.ledger.entry import Schedule
from quantdesk.reports.ledger.schedules import Schedules
from quantdesk.reports.ledger.tables import as_json
from quantdesk.reports.notebooks import Report

__all__ = ["SOURCE", "declared_schedules", "keep_declared"]

_log = logging.getLogger(__name__)
SOURCE = "declaration"
DIGEST = "declared"
"""The key in a schedule's details: a hash of the declaration that it was made from; empty when it is gone."""


def declared_schedules(report: Report) -> tuple[Schedule, ...]:
    """The schedules that a report declares."""
    declared = report.declaration
    found = []
    for number, entry in enumerate(declared.schedules, start=1):
        digest = hashlib.sha256(as_json(entry.model_dump(mode="json")).encode()).hexdigest()
        found.append(
            Schedule(
                id=f"{report.name}-declared-{number}",
                report=report.name,
                trigger=entry.trigger,
                timezone=entry.timezone,
                created_by=declared.owner,
                parameters=dict(entry.parameters),
                catch_up=entry.catch_up,
                is_enabled=entry.enabled,
                is_private=declared.visibility == "private",
                source=SOURCE,
                details={DIGEST: digest},
            )
        )
    return tuple(found)


def keep_declared(schedules: Schedules, reports: Iterable[Report], unreadable: Iterable[str] = ()) -> int:
    """Bring the ledger up to what the notebooks declare.

    Parameters
    ----------
    schedules
        Of the ledger.
    reports
        All that can be read.
    unreadable
        Names of notebooks that cannot be read at present: their schedules stay as they are.

    Returns
    -------
    int
        How many schedules were added, changed or paused.
    """
    declared = {one.id: one for report in reports for one in declared_schedules(report)}
    kept = {one.id: one for one in schedules.list() if one.source == SOURCE}
    changes = 0
    for name, wanted in declared.items():
        present = kept.get(name)
        if present is None:
            schedules.add(wanted)
        elif present.details.get(DIGEST) != wanted.details[DIGEST] or present.is_private != wanted.is_private:
            schedules.change(replace(wanted, version=present.version))
        else:
            continue
        _log.info("schedule %s: %s (%s)", name, wanted.trigger, wanted.timezone)
        changes += 1
    stays = set(unreadable)
    for name, present in kept.items():
        if name not in declared and present.report not in stays and present.details.get(DIGEST):
            schedules.change(replace(present, is_enabled=False, details={DIGEST: ""}))
            _log.info("schedule %s is not declared any more: paused", name)
            changes += 1
    return changes
