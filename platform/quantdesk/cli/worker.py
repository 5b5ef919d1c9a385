"""``quantdesk worker`` and ``quantdesk schedule``: carry reports out on time."""

from __future__ import annotations

import getpass
import logging
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantdesk.cli.terminal import Json, emit, out, table
from quantdesk.errors import BadParameter, QuantdeskError

if TYPE_CHECKING:
    from quantdesk.reports.ledger import Schedule
    from quantdesk.reports.schedule import Trigger

__all__ = ["register", "schedules", "worker"]

schedules = typer.Typer(help="When reports run by themselves: list, add, pause, resume, remove.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A schedule's name, as `schedule list` shows it.")]
Zone = Annotated[str, typer.Option(help="The time zone in which clock times are meant, such as Europe/Berlin.")]
MOST_SHOWN = 1000
WIDE = 110
"""Columns of a terminal in which everything has room."""


def register(app: typer.Typer) -> None:
    """Add the command and the group to the top level."""
    app.command()(worker)
    app.add_typer(schedules, name="schedule")


def worker(
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Reports at once; QUANTDESK_REPORTS_WORKER_PROCESSES, else 2."),
    ] = None,
) -> None:
    """Carry out reports: those that are due, and those that people asked for.

    It works until it is told to stop. SIGTERM and Ctrl-C let what is under way end and put back what does not; a second
    one puts it back at once. Several workers share one ledger.
    """
    from quantdesk.hub.app.logs import LogConfig, set_up
    from quantdesk.reports.deliver import DeliveryConfig
    from quantdesk.reports.dispatch import Worker, WorkerConfig
    from quantdesk.reports.dispatch.elsewhere import ComputeConfig
    from quantdesk.reports.dispatch.figures import Figures
    from quantdesk.reports.dispatch.served import FromCache
    from quantdesk.reports.dispatch.tell import Teller
    from quantdesk.reports.dispatch.upkeep import Upkeep
    from quantdesk.reports.lab.here import JobsOfLab
    from quantdesk.reports.ledger import RunLedger
    from quantdesk.reports.runs import RunsConfig

    if LogConfig.from_env().format == "json":
        set_up("quantdesk-worker")
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        for chatty in ("alembic", "httpx"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    config = WorkerConfig.from_env()
    if processes is not None:
        config = config.model_copy(update={"processes": processes})
    stop = threading.Event()
    with RunLedger.open() as ledger:
        teller = Teller(ledger, DeliveryConfig.from_env())
        beside = [
            threading.Thread(target=teller.run, args=(stop,), name="deliver", daemon=True),
            threading.Thread(
                target=Upkeep(ledger, RunsConfig.from_env()).run, args=(stop,), name="upkeep", daemon=True
            ),
        ]
        execute = JobsOfLab(FromCache(ledger, ComputeConfig.from_env().execute()))
        figures = Figures(config, teller.ended)
        at_work = Worker(ledger, execute=execute, config=config, ended=figures.ended)
        with at_work.on_signals(), figures.served(at_work):
            for thread in beside:
                thread.start()
            at_work.run()
        stop.set()
        for thread in beside:
            thread.join(30)


@schedules.command("list")
def list_(as_json: Json = False) -> None:
    """List schedules, and when each is due next."""
    from quantdesk.reports.ledger import RunLedger

    with RunLedger.open() as ledger:
        found, now = ledger.schedules.list(), ledger.schedules.now()
    told = [_told(one, now) for one in found]
    if as_json:
        emit(told)
        return
    rows = [
        [
            one["id"],
            one["report"],
            f"{one['trigger']} ({one['timezone']})",
            _shown(one),
            one["catch_up"],
            one["created_by"],
        ]
        for one in told
    ]
    columns = ["schedule", "report", "when", "next (UTC)", "missed", "of"]
    if out.is_terminal and out.width < WIDE and all(row[0].startswith(f"{row[1]}-") for row in rows):
        for line in (columns, *rows):
            del line[1]  # the name begins with it
    title = "no schedules" if not rows else f"{len(rows)} schedule{'s' if len(rows) != 1 else ''}"
    table(title, columns, rows, whole=("schedule", "next (UTC)"))


@schedules.command()
def add(
    report: Annotated[str, typer.Argument(help="A report's name, or a unique beginning of it.")],
    when: Annotated[
        str, typer.Argument(help='"30 minutes after the NYSE close", "first session of the month at 08:00", or cron.')
    ],
    timezone: Zone = "UTC",
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value; the value as JSON, or as plain text.")
    ] = None,
    missed: Annotated[str, typer.Option(help="What of missed times is run: skip, latest or all.")] = "latest",
    after: Annotated[
        list[str] | None, typer.Option(help="A report whose run of the same day has to be complete before.")
    ] = None,
    name: Annotated[str, typer.Option(help="The schedule's name; made where it is left out.")] = "",
    as_json: Json = False,
) -> None:
    """Add a schedule. Due times count from now on; a `quantdesk worker` carries them out."""
    from quantdesk.reports.ledger import RunLedger, Schedule
    from quantdesk.reports.notebooks import find_report
    from quantdesk.reports.schedule import CatchUp, parse
    from quantdesk.reports.spec import parse as read_parameters

    if missed not in list(CatchUp):
        raise BadParameter(f"{missed!r} is no policy for missed times.", f"Give one of {', '.join(CatchUp)}.")
    found = find_report(report)
    trigger = parse(when, timezone)
    values = read_parameters(found.parameters, parameter or [], report=found.name)
    wanted = Schedule(
        id=name,
        report=found.name,
        trigger=trigger.text,
        timezone=timezone,
        created_by=_user(),
        parameters=values,
        catch_up=missed,
        after=tuple(find_report(one).name for one in after or []),
        is_private=found.declaration.visibility == "private",
    )
    with RunLedger.open() as ledger:
        added, now = ledger.schedules.add(wanted), ledger.schedules.now()
    if as_json:
        emit(_told(added, now))
        return
    out.print(f"[green]✓[/] {added.id}: {added.report}")
    out.print(f"  {trigger.describe()}", markup=False)
    _print_next(trigger, now, 3)


@schedules.command()
def pause(name: Name) -> None:
    """Let nothing be due until `resume`."""
    _switch(name, on=False)


@schedules.command()
def resume(name: Name) -> None:
    """Go on. What would have been due in the pause is not caught up."""
    _switch(name, on=True)


@schedules.command()
def remove(name: Name) -> None:
    """Take a schedule away. Its runs stay."""
    from quantdesk.reports.ledger import RunLedger

    with RunLedger.open() as ledger:
        ledger.schedules.remove(name)
        ledger.remarks.trace(_user(), "removed", name)
    out.print(f"[green]✓[/] {name} is removed.")


@schedules.command("next")
def next_(
    what: Annotated[str, typer.Argument(help="A schedule's name, or a time in words or cron, to try it out.")],
    timezone: Zone = "UTC",
    count: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="How many times.")] = 5,
    as_json: Json = False,
) -> None:
    """Show when a schedule is due next, or what a text means. Nothing is changed."""
    from quantdesk.reports.ledger import RunLedger
    from quantdesk.reports.schedule import parse

    with RunLedger.open() as ledger:
        known = {one.id: one for one in ledger.schedules.list()}
        now = ledger.schedules.now()
    one = known.get(what)
    trigger = parse(one.trigger, one.timezone) if one is not None else parse(what, timezone)
    if as_json:
        emit(
            {
                "text": trigger.text,
                "timezone": trigger.timezone,
                "says": trigger.describe(),
                "next": _next(trigger, now, count),
            }
        )
        return
    out.print(trigger.describe(), markup=False)
    _print_next(trigger, now, count)


def _switch(name: str, *, on: bool) -> None:
    from quantdesk.reports.ledger import RunLedger

    with RunLedger.open() as ledger:
        one = ledger.schedules.get(name)
        if one.is_enabled != on:
            ledger.schedules.change(replace(one, is_enabled=on))
            ledger.remarks.trace(_user(), "resumed" if on else "paused", name)
    out.print(f"[green]✓[/] {name} {'runs' if on else 'is paused'}.")


def _next(trigger: Trigger, now: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    at = trigger.next_after(now)
    while at is not None and len(found) < count:
        found.append(at)
        at = trigger.next_after(at)
    return found


def _print_next(trigger: Trigger, now: datetime, count: int) -> None:
    from zoneinfo import ZoneInfo

    where = ZoneInfo(trigger.timezone)
    rows = [(f"{at:%Y-%m-%d %H:%M}", f"{at.astimezone(where):%a %Y-%m-%d %H:%M}") for at in _next(trigger, now, count)]
    table("next", ("UTC", trigger.timezone), rows)


def _told(schedule: Schedule, now: datetime) -> dict[str, Any]:
    """A schedule as JSON, with its next due time, or why there is none."""
    from dataclasses import asdict

    from quantdesk.reports.schedule import parse

    told: dict[str, Any] = {**asdict(schedule), "next": None, "problem": ""}
    try:
        trigger = parse(schedule.trigger, schedule.timezone)
        told["says"] = trigger.describe()
        if schedule.is_enabled:
            told["next"] = trigger.next_after(max(now, schedule.handled or now))
    except QuantdeskError as error:
        told["problem"] = error.problem
    return told


def _shown(told: dict[str, Any]) -> str:
    if not told["is_enabled"]:
        return "paused"
    due: datetime | None = told["next"]
    return f"{due.astimezone(UTC):%Y-%m-%d %H:%M}" if due is not None else told["problem"] or "never"


def _user() -> str:
    return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
