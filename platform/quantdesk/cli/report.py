"""``quantdesk report``: run notebooks as reports, and find what earlier runs left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantdesk.cli.terminal import Json, emit, out, progress, table

__all__ = ["app"]

app = typer.Typer(help="Notebooks as reports: list, run, find.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the reports with their parameters."""
    from quantdesk import reports

    found = reports.list_reports()
    if as_json:
        emit(found)
        return
    for one in found:
        out.print(f"[bold]{one.name}[/]  {one.title}")
        for parameter in one.parameters:
            out.print(f"    {parameter.name}: {parameter.type} = {parameter.default!r}", markup=False, style="dim")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A report's name, a unique beginning of it, or the path of a notebook.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value; the value as JSON, or as plain text.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="A new folder for the finished run, in place of state/reports/runs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a report: the executed notebook and a page that is complete in itself."""
    from quantdesk import reports

    with progress(quiet=as_json) as shown:
        done = reports.run(name, parameter or [], output=output, progress=shown)
    if as_json:
        emit(done)
        return
    out.print(f"[green]✓[/] {done.report} in {done.duration_s:.1f} s")
    out.print(f"  page      {done.page}", markup=False)
    out.print(f"  notebook  {done.executed}", markup=False)


@app.command()
def runs(as_json: Json = False) -> None:
    """List finished runs, newest first."""
    from quantdesk import reports

    found = reports.list_runs()
    if as_json:
        emit(found)
        return
    rows = [
        (one.started.strftime("%Y-%m-%d %H:%M:%S"), one.report, one.status, f"{one.duration_s:.1f}", one.id)
        for one in found
    ]
    table(f"{len(rows)} runs", ("started (UTC)", "report", "status", "seconds", "run"), rows, numeric=["seconds"])


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's name, or a unique beginning of it.")], as_json: Json = False
) -> None:
    """Show what a run was given, what it used, and how it ended."""
    from quantdesk import reports

    found = reports.find_run(run)
    record = found.to_dict()
    if as_json:
        emit(record)
        return
    table(found.id, ("", ""), [(key, value) for key, value in record.items() if value not in (None, {}, [])])
