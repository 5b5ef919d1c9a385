"""``quantdesk report``: run notebooks as reports, and find what earlier runs left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantdesk.cli import report_compare, report_deliver
from quantdesk.cli.terminal import Json, emit, err, fail, out, plain, progress, table

if TYPE_CHECKING:
    from quantdesk.errors import QuantdeskError
    from quantdesk.reports import Parameter, Report, Run, Step

__all__ = ["app"]

app = typer.Typer(help="Notebooks as reports: list, run, find.", no_args_is_help=True)
report_compare.register(app)
report_deliver.register(app)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the reports with their parameters and what they declare.

    One that cannot be read is told after the others, and ends the command with 3.
    """
    from quantdesk import reports

    if as_json:
        emit(reports.list_reports())
        return
    broken: list[QuantdeskError] = []
    for one in reports.list_reports(broken=lambda _, error: broken.append(error)):
        out.print(f"[bold]{one.name}[/]  ", end="")
        out.print(one.title, markup=False)
        for line in _declared(one):
            out.print(f"    {line}", markup=False)
        for parameter in one.parameters:
            out.print(f"    {_parameter(parameter)}", markup=False, style="dim")
    for error in broken[1:]:
        err.print(f"✗ {error}", markup=False)
    if broken:
        fail(broken[0], as_json=False)


def _declared(report: Report) -> list[str]:
    """What a report declares beyond its parameters, a line each."""
    declared = report.declaration
    facts = [
        f"owner {declared.owner}" if declared.owner else "",
        "private" if declared.visibility == "private" else "",
        f"tags {', '.join(declared.tags)}" if declared.tags else "",
        f"after {', '.join(declared.after)}" if declared.after else "",
        f"at most {declared.timeout_s:g} s" if declared.timeout_s else "",
        f"at most {declared.memory_mb:,} MB" if declared.memory_mb else "",
        f"{declared.retries} retries" if declared.retries else "",
    ]
    lines = [" · ".join(filter(None, facts))]
    lines += [
        f"runs {one.trigger} ({one.timezone}){'' if one.enabled else ', switched off'}" for one in declared.schedules
    ]
    if declared.metrics:
        lines.append(f"records {', '.join(one.name for one in declared.metrics)}")
    return [line for line in lines if line]


def _parameter(parameter: Parameter) -> str:
    value = f"{parameter.default!r}" + (f" {parameter.unit}" if parameter.unit else "")
    allowed = f"  [{parameter.range}]" if parameter.range else ""
    return f"{parameter.name}: {parameter.type} = {value}{allowed}" + (
        f"  # {parameter.help}" if parameter.help else ""
    )


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A report's name, a unique beginning of it, or the path of a notebook.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value; the value as JSON, or as plain text.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="A new folder for the finished run, in place of state/reports/runs.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds that it may take, in place of what it declares.")
    ] = None,
    memory_mb: Annotated[
        int | None, typer.Option(min=64, help="Megabytes that it may use, in place of what it declares.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run it even where nothing has changed since an earlier run.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a report: the executed notebook and a page that is complete in itself.

    Where notebook, parameters, data, features, packages and code are those of an earlier run on this disk, that run is
    the answer, and it is marked so. With --output it always runs.
    """
    from quantdesk import reports

    report = reports.find_report(name)
    if not no_cache and output is None:
        from quantdesk.reports.earlier import earlier_run

        earlier = earlier_run(report, parameter or [])
        if earlier is not None:
            _serve(earlier, as_json=as_json)
            return
    from quantdesk.reports.runner import limits_for

    limits = limits_for(report, total_s=timeout, memory_mb=memory_mb)
    with progress(quiet=as_json) as shown:

        def tell(step: Step) -> None:
            left = f" · about {step.remaining_s:.0f} s left" if step.remaining_s and step.remaining_s >= 1 else ""
            shown(f"{step.what}{left}", step.done, step.total)

        done = reports.run(report, parameter or [], output=output, limits=limits, steps=tell)
    if as_json:
        emit({**plain(done), "cached_from": None})
        return
    out.print(f"[green]✓[/] {done.report} in {done.duration_s:.1f} s")
    _left(done)


def _serve(run: Run, *, as_json: bool) -> None:
    """Answer with an earlier run, and say so."""
    if as_json:
        emit({**plain(run), "cached_from": run.id})
        return
    out.print(f"[green]⟲[/] {run.report}, from cache")
    out.print(
        f"  Nothing has changed since {run.started:%Y-%m-%d %H:%M} UTC: these are the files of {run.id}.", markup=False
    )
    out.print("  --no-cache runs it again.", markup=False)
    _left(run)


def _left(run: Run) -> None:
    _recorded(run)
    out.print(f"  page      {run.page}", markup=False)
    out.print(f"  notebook  {run.executed}", markup=False)


def _recorded(run: Run) -> None:
    """The metrics of a run with their standing, what is missing, and what a reader has to know."""
    for metric in run.metrics:
        why = f" ({metric.reason})" if metric.value is None else ""
        standing = f"  ✕ outside: {metric.bounds} ({metric.severity})" if metric.breach else ""
        out.print(f"  {metric.name} = {metric.words}{why}{standing}", markup=False)
    for name in run.missing:
        out.print(f"  ? {name} was not recorded", markup=False)
    for note in run.notes:
        out.print(f"  ! {note}", markup=False)


@app.command()
def runs(as_json: Json = False) -> None:
    """List finished runs, newest first."""
    from quantdesk import reports

    found = reports.list_runs()
    if as_json:
        emit(found)
        return
    rows = [
        (
            one.started.strftime("%Y-%m-%d %H:%M:%S"),
            one.report,
            one.status,
            f"{one.duration_s:.1f}",
            f"{one.peak_memory_bytes / 1e6:,.0f}" if one.peak_memory_bytes else "",
            len(one.metrics) or "",
            len(one.breaches) + len(one.missing) or "",
            one.id,
        )
        for one in found
    ]
    columns = ("started (UTC)", "report", "status", "seconds", "MB", "metrics", "doubts", "run")
    table(f"{len(rows)} runs", columns, rows, numeric=["seconds", "MB", "metrics", "doubts"])


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's name, or a unique beginning of it.")], as_json: Json = False
) -> None:
    """Show what a run was given, what it used, what it recorded, and how it ended."""
    from quantdesk import reports

    found = reports.find_run(run)
    record = found.to_dict()
    if as_json:
        emit(record)
        return
    apart = {"metrics", "tables", "missing", "notes", "cells", "thumbnail_files"}
    rows: list[tuple[str, Any]] = [
        (key, value) for key, value in record.items() if key not in apart and value not in (None, {}, [], ())
    ]
    rows += [("folder", found.folder)]
    rows += [(f"table {one.name}", f"{one.rows:,} rows: {', '.join(one.columns)}") for one in found.tables]
    table(found.id, ("", ""), rows)
    if found.metrics:
        rows_of = [
            (one.name, one.words, one.bounds, (f"✕ {one.severity}" if one.breach else "✓") if one.bounds else "")
            for one in found.metrics
        ]
        table("metrics", ("metric", "value", "bounds", "standing"), rows_of, numeric=["value"])
    for name in found.missing:
        out.print(f"? {name} was not recorded", markup=False)
    for note in found.notes:
        out.print(f"! {note}", markup=False)


@app.command()
def push(as_json: Json = False) -> None:
    """Send to the team's store the finished runs that it does not have yet.

    Ends with 4 when some could not be sent; they stay on this disk.
    """
    from quantdesk.errors import BadInput
    from quantdesk.reports.runs import RunsConfig
    from quantdesk.reports.storage import StoreConfig, push_pending

    config = StoreConfig.from_env()
    if not config.store:
        raise BadInput("No store is set.", "Set QUANTDESK_REPORTS_STORE to an address such as s3://bucket/prefix.")
    done = push_pending(RunsConfig.from_env().reports_root, config)
    if as_json:
        emit(done)
    else:
        for name in done.sent:
            out.print(f"✓ {name}", markup=False)
        for name, why in done.failed.items():
            out.print(f"✗ {name}: {why}", markup=False)
    if done.failed:
        raise SystemExit(4)


@app.command()
def adopt(as_json: Json = False) -> None:
    """Note in the ledger, and so in the gallery, finished runs of this disk that it does not know.

    A worker does so by itself every few seconds. Ends with 3 when there are folders that are no runs.
    """
    from quantdesk.reports.dispatch.adopt import Adoption
    from quantdesk.reports.ledger import RunLedger
    from quantdesk.reports.runs import RunsConfig

    with RunLedger.open() as ledger:
        adoption = Adoption(ledger, RunsConfig.from_env().runs)
        noted = adoption.step()
    if as_json:
        emit({"noted": noted, "refused": adoption.refused})
    else:
        for name in noted:
            out.print(f"✓ {name}", markup=False)
        for name in adoption.refused:
            out.print(f"✗ {name} is no run", markup=False)
    if adoption.refused:
        raise SystemExit(3)
