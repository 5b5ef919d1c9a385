"""The runs of a report, all runs, and one run: state, page, what it was made from. An edge module: FastAPI, SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from quantdesk.hub.app.access import Right, User
from quantdesk.hub.app.catalogue import Catalogue
from quantdesk.hub.app.gallery.lab import home_of, opening
from quantdesk.hub.app.gallery.leavings import cells, kept, log_tail, record_of
from quantdesk.hub.app.gallery.library import Books, Look, viewer_of
from quantdesk.hub.app.gallery.look import GROUPS
from quantdesk.hub.app.gallery.shelf import next_due
from quantdesk.hub.app.gallery.show import fragment, show
from quantdesk.reports.banner import sentence
from quantdesk.reports.ledger import Filter, Recorded, State, Verdict
from quantdesk.reports.notebooks import Report
from quantdesk.reports.result import Metric, Run

__all__ = ["metrics_of", "router", "run_page"]

router = APIRouter(include_in_schema=False)
Word = Annotated[str, Query(max_length=200)]
_PAGE = 50
_COLUMNS = 4


@dataclass(frozen=True)
class Listing:
    """What a list of runs is asked for."""

    status: str
    by: str
    q: str
    cursor: str

    @property
    def states(self) -> tuple[State, ...]:
        """Those of a group, or one; none where everything is wanted."""
        if self.status in GROUPS:
            return GROUPS[self.status]
        return (State(self.status),) if self.status in set(State) else ()

    def filter(self, report: str | None = None) -> Filter:
        """As the ledger takes it."""
        return Filter(report=report, states=self.states, requested_by=self.by or None, text=self.q.strip())


def asked(status: Word = "", by: Word = "", q: Word = "", cursor: Word = "") -> Listing:
    """What a list of runs is asked for, from the address."""
    return Listing(status, by.strip(), q, cursor)


Asked = Annotated[Listing, Depends(asked)]


@router.get("/runs")
def all_runs(request: Request, user: Look, books: Books, wanted: Asked) -> Response:
    """Runs of all reports, the newest first."""
    page = books.ledger.search.runs(wanted.filter(), viewer_of(user), limit=_PAGE, cursor=wanted.cursor or None)
    return show(request, "runs.html", now=books.now(), page=page, wanted=wanted, groups=tuple(GROUPS),
                states=tuple(State), columns=())  # fmt: skip


@router.get("/reports/{name}")
def report(name: str, request: Request, user: Look, books: Books, wanted: Asked) -> Response:
    """A report and its runs."""
    viewer, now = viewer_of(user), books.now()
    found = books.reports(user).get(name)
    page = books.ledger.search.runs(wanted.filter(name), viewer, limit=_PAGE, cursor=wanted.cursor or None)
    if found is None and not page.runs and not (wanted.states or wanted.by or wanted.q or wanted.cursor):
        books.report(name, user)  # there is neither a notebook nor a run: says so, and what is near
    schedules = books.ledger.schedules.list(viewer, report=name)
    return show(
        request, "report.html", now=now, name=name, report=found, page=page, wanted=wanted, groups=tuple(GROUPS),
        states=tuple(State), columns=_columns(found, page.runs), headings=_headings(found),
        due=next_due(books, schedules, now), schedules=schedules, may_run=user.may(Right.RUN),
        lab=opening(found.path, home_of(user.name)) if found else None,
    )  # fmt: skip


def _columns(found: Report | None, runs: tuple[Recorded, ...]) -> tuple[str, ...]:
    """The metrics that are worth a column: the declared ones first."""
    declared = [one.name for one in found.declaration.metrics] if found else []
    recorded = [name for run in runs for name in run.metrics]
    return tuple(dict.fromkeys(name for name in (*declared, *recorded) if name in recorded))[:_COLUMNS]


def _headings(found: Report | None) -> dict[str, str]:
    """What the report calls its metrics, where it gives them a label."""
    return {one.name: one.label for one in found.declaration.metrics if one.label} if found else {}


@router.get("/runs/{run_id}")
def one_run(run_id: str, request: Request, user: Look, books: Books) -> Response:
    """One run."""
    return run_page(run_id, request, user, books)


@router.get("/runs/{run_id}/live")
def live(run_id: str, request: Request, user: Look, books: Books) -> Response:
    """How far a run is, for its page's script."""
    run = books.ledger.search.run(run_id, viewer_of(user))
    return fragment(request, "run_standing.html", **_standing(run, books.now(), user))


def run_page(run_id: str, request: Request, user: User, books: Catalogue, status: int = 200, **values: Any) -> Response:
    """The page of a run; `values` say what was wrong with a form on it, and what was typed."""
    ledger, viewer, now = books.ledger, viewer_of(user), books.now()
    run = ledger.search.run(run_id, viewer)
    made = record_of(run)
    spoken = cells(run)
    names = {cell.id: cell.name for cell in spoken}
    comments = ledger.remarks.comments(run.id)
    standing = ledger.remarks.standing(run.id)
    found = books.reports(user).get(run.report)
    given = {"problem": "", "remedy": "", "typed": {}} | values
    if run.removed is not None and status == 200:
        status = 410  # what was asked for is gone for good; the page says when, and what is still known
    return show(
        request, "run.html", status, report=found, made=made, names=names, spoken=spoken, comments=comments,
        sign_offs=ledger.remarks.sign_offs(run.id), standing=standing, verdicts=Verdict, log=log_tail(run),
        attempts=ledger.queue.attempts(run.id), has_page=kept(run, "page") is not None,
        has_notebook=kept(run, "notebook") is not None, metrics=metrics_of(run, made), facts=facts(run, made),
        packages=dict(made.provenance.packages) if made else {},
        parameters=parameters_of(run, made, found), lab=_lab(made, found, user),
        deeds=ledger.remarks.trail(run.id, limit=50), **_standing(run, now, user), **given,
    )  # fmt: skip


def _standing(run: Recorded, now: datetime, user: User) -> dict[str, Any]:
    elapsed = (now - run.started).total_seconds() if run.started and not run.state.is_final else run.duration_s
    # Whoever asked for it, or owns the report, may stop it; so may an administrator.
    mine = user.name in (run.requested_by, run.owner) or user.may(Right.ADMIN)
    made = record_of(run)
    what = sentence(made) if made is not None and made.problem is not None else run.problem
    return {"run": run, "now": now, "what": what, "elapsed": elapsed, "may_run": user.may(Right.RUN),
            "may_cancel": mine and user.may(Right.RUN) and not run.state.is_final}  # fmt: skip


def metrics_of(run: Recorded, made: Run | None) -> tuple[Metric, ...]:
    """What a run recorded: by its record, which knows labels and bounds; otherwise by the ledger."""
    if made is not None and made.metrics:
        return made.metrics
    return tuple(Metric(name, value, unit) for name, (value, unit) in run.metrics.items())


def parameters_of(run: Recorded, made: Run | None, found: Report | None) -> list[tuple[str, Any, str, bool]]:
    """Each parameter: name, value, unit, and whether it was given."""
    known = {one.name: one for one in found.parameters} if found else {}
    if made is not None:
        # The ledger keeps them by name; the report has them in the order in which they are read.
        values: Mapping[str, Any] = {name: made.parameters[name] for name in (*known, *made.parameters)
                                     if name in made.parameters}  # fmt: skip
        given: Any = made.given
    else:
        values = {name: one.default for name, one in known.items()} | dict(run.parameters)
        given = run.parameters
    return [(name, value, known[name].unit if name in known else "", name in given) for name, value in values.items()]


def facts(run: Recorded, made: Run | None) -> list[tuple[str, str]]:
    """What a run was made from, as far as anybody knows; each a word and a value."""
    found: list[tuple[str, str]] = []
    if made is not None:
        source = made.provenance
        found += [
            ("Notebook", f"{made.notebook_sha256}"),
            ("Data", source.data_version or ""),
            ("Code", source.git_commit or source.code_version or ""),
            ("Packages", source.lock_sha256 or ""),
            ("Python", source.python),
            ("Host", source.host),
            ("Account", source.user),
            ("Seed", "" if made.seed is None else str(made.seed)),
        ]
    found += [("Cache key", run.cache_key or ""), ("Worker", run.holder)]
    return [(word, text) for word, text in found if text]


def _lab(made: Run | None, found: Report | None, user: User) -> Any:
    if found is not None:
        return opening(found.path, home_of(user.name))
    return opening(Path(made.notebook), home_of(user.name)) if made is not None and made.notebook else None
