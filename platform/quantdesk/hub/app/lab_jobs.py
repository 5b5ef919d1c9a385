"""What the service does for jobs of JupyterLab: orders and schedules of one user's own. An edge module: SQL, the disk.

A job of somebody else's is as unknown as one that never was, for administrators as well: they have the gallery.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.hub.app.access import User
from quantdesk.hub.app.api.reports import artefact
from quantdesk.hub.app.problems import Refusal
from quantdesk.hub.app.replays import Turn
from quantdesk.hub.app.signing import Signer
from quantdesk.reports.lab import kept
from quantdesk.reports.lab.job import ATTEMPTS, HIDDEN, PURPOSE, SEAL, TRIGGER, LabJob, report_name, run_id, sealed_text
from quantdesk.reports.ledger import Filter, Order, Recorded, RunLedger, Schedule
from quantdesk.reports.runs import new_id
from quantdesk.reports.schedule import parse

__all__ = ["LabJobs", "When", "handed_in"]

_MOST_LOOKED_AT = 20_000
"""The newest jobs of a user among which he finds his own; earlier ones are in the gallery."""
_FILES = {"ipynb": "notebook.ipynb", "html": "report.html"}


@dataclass(frozen=True)
class When:
    """When a job definition is due: cron or words, and the zone of its clock times."""

    schedule: str
    timezone: str


def handed_in(text: str) -> bytes:
    """The bytes of a notebook that was handed in.

    Raises
    ------
    BadInput
        It is no notebook of format 4. What is in its cells is not looked at here.
    """
    try:
        document = json.loads(text)
        content = text.encode()
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The notebook is no JSON ({type(error).__name__}).", "Save it again in JupyterLab.") from error
    if not isinstance(document, dict) or document.get("nbformat") != 4 or not isinstance(document.get("cells"), list):
        raise BadInput("What was handed in is no notebook of format 4.", "Save it again in JupyterLab.")
    return content


class LabJobs:
    """The jobs of one user.

    Parameters
    ----------
    ledger
        Of runs.
    signer
        Seals what is ordered.
    user
        Whose.

    Raises
    ------
    Refusal
        403: it is a service of the hub and no person, so it has no account to run anything under.
    """

    def __init__(self, ledger: RunLedger, signer: Signer, user: User) -> None:
        if ":" in user.name:
            raise Refusal(403, "no_person", f"{user.name} is no person.", "Send the token of a user.")
        self._ledger, self._signer, self._user = ledger, signer, user.name

    # ----------------------------------------------------------------------------------------------------------- jobs

    def add(self, job: LabJob, content: bytes, parameters: Mapping[str, str], turn: Turn) -> Recorded:
        """Have a notebook run once."""
        with kept.handing_in():
            kept.keep(job, content)
            return self._order(job, parameters, turn)

    def all(self) -> list[Recorded]:
        """Those that were not taken off the list, the newest first."""
        found: list[Recorded] = []
        cursor = None
        while len(found) < _MOST_LOOKED_AT:
            wanted = Filter(requested_by=self._user, trigger=TRIGGER)
            page = self._ledger.search.runs(wanted, limit=1000, cursor=cursor)
            found += page.runs
            cursor = page.cursor
            if cursor is None:
                break
        return [one for one in found if self._is_mine(one)]

    def one(self, job_id: str) -> Recorded:
        """One of them.

        Raises
        ------
        UnknownName
            He has none of this name.
        """
        name = run_id(job_id)
        found = self._ledger.search.run(name)
        if not self._is_mine(found):
            raise UnknownName("run", name[:200], [])
        return found

    def stop(self, job_id: str) -> Recorded:
        """Stop one: at once where it waits, in a moment where it is under way."""
        return self._ledger.queue.cancel(self.one(job_id).id, f"It was stopped by {self._user}.")

    def hide(self, job_id: str) -> None:
        """Stop one, and take it off the list; the ledger keeps that it was. Its notebook goes within an hour."""
        self._ledger.queue.note_detail(self.stop(job_id).id, HIDDEN, True)

    def file(self, job_id: str, kind: str) -> Path:
        """A file of a job: ``input``, ``ipynb`` or ``html``.

        Raises
        ------
        UnknownName
            It is not there, or not yet.
        """
        run = self.one(job_id)
        if kind != "input":
            return artefact(run, _FILES[kind])
        try:
            kept.read(LabJob.of(run.details))
        except DataError as error:
            raise UnknownName("file", kind, []) from error
        return kept.path_of(LabJob.of(run.details))

    # ---------------------------------------------------------------------------------------------------- definitions

    def schedule(self, job: LabJob, content: bytes, parameters: Mapping[str, str], when: When, turn: Turn) -> Schedule:
        """Have a notebook run again and again. Due times count from now on.

        Raises
        ------
        BadInput
            The schedule cannot be read, or there is no such zone.
        """
        trigger, name = parse(when.schedule, when.timezone), str(uuid.UUID(turn.mark))
        again = [one for one in self.definitions() if one.id == name]
        if again:
            return again[0]
        made = Schedule(
            id=name,
            report=report_name(job.filename),
            trigger=trigger.text,
            timezone=trigger.timezone,
            created_by=self._user,
            parameters=dict(parameters),
            is_private=True,
            source=TRIGGER,
            details=self._details(job, parameters),
        )
        with kept.handing_in():
            kept.keep(job, content)
            return self._ledger.schedules.add(made)

    def definitions(self) -> list[Schedule]:
        """All of his."""
        return [one for one in self._ledger.schedules.list() if self._is_his(one)]

    def definition(self, definition_id: str) -> Schedule:
        """One of them.

        Raises
        ------
        UnknownName
            He has none of this name.
        """
        try:
            found = self._ledger.schedules.get(definition_id)
        except UnknownName:
            found = None  # its message would tell the names of others'
        if found is None or not self._is_his(found):
            raise UnknownName("job definition", definition_id[:200], [])
        return found

    def change(self, definition_id: str, changed: Mapping[str, Any], content: bytes | None) -> Schedule:
        """Change one for the runs to come; `changed` has ``schedule``, ``timezone``, ``active``, ``parameters`` and
        fields of :class:`LabJob`, each where it becomes different.

        Raises
        ------
        BadInput
            The schedule cannot be read, a field is none, or it was changed by somebody else meanwhile.
        """
        before = self.definition(definition_id)
        trigger = parse(changed.get("schedule", before.trigger), changed.get("timezone", before.timezone))
        parameters = changed.get("parameters", before.parameters)
        fields = {name: changed[name] for name in ("name", "filename", "folder", "formats", "tags") if name in changed}
        job = replace(LabJob.of(before.details), **fields)
        if content is not None:
            job = replace(job, sha256=hashlib.sha256(content).hexdigest())
        details = self._details(job, parameters)
        after = replace(
            before,
            trigger=trigger.text,
            timezone=trigger.timezone,
            parameters=dict(parameters),
            report=report_name(job.filename),
            is_enabled=changed.get("active", before.is_enabled),
            details=details,
        )
        with kept.handing_in():
            if content is not None or "filename" in fields:
                kept.keep(job, content if content is not None else kept.read(LabJob.of(before.details)))
            return self._ledger.schedules.change(after)

    def remove(self, definition_id: str) -> None:
        """Delete one. Its jobs stay."""
        self._ledger.schedules.remove(self.definition(definition_id).id)

    def run(self, definition_id: str, parameters: Mapping[str, str] | None, turn: Turn) -> Recorded:
        """Have one run now, besides its schedule; with other parameters where they are given."""
        with kept.handing_in():
            of = self.definition(definition_id)
            job = replace(LabJob.of(of.details), definition=of.id, made=now_ms())
            return self._order(job, of.parameters if parameters is None else parameters, turn)

    # -------------------------------------------------------------------------------------------------------- private

    def _order(self, job: LabJob, parameters: Mapping[str, Any], turn: Turn) -> Recorded:
        report = report_name(job.filename)
        made = new_id(report, turn.at)
        order = Order(
            id=f"{made[:-6]}{turn.mark[:6]}" if turn.number else made,
            report=report,
            title=job.name,
            parameters=dict(parameters),
            requested_by=self._user,
            is_private=True,
            trigger=TRIGGER,
            attempts=ATTEMPTS,
            details=self._details(job, parameters),
        )
        return self._ledger.queue.add(order)[0]

    def _details(self, job: LabJob, parameters: Mapping[str, Any]) -> dict[str, Any]:
        seal = self._signer.token(PURPOSE, sealed_text(self._user, parameters, job.to_dict()))
        return {TRIGGER: job.to_dict(), SEAL: seal}

    def _is_mine(self, run: Recorded) -> bool:
        return run.trigger == TRIGGER and run.requested_by == self._user and not run.details.get(HIDDEN)

    def _is_his(self, schedule: Schedule) -> bool:
        return schedule.source == TRIGGER and schedule.created_by == self._user


def now_ms() -> int:
    """Milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000
