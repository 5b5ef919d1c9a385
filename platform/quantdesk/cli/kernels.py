"""``quantdesk kernels``: the processes that kernels and reports are forked from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from quantdesk.cli.terminal import Json, emit, out, table

if TYPE_CHECKING:
    from quantdesk.reports.kernels import Status

__all__ = ["app"]

app = typer.Typer(
    help="Warm kernels: what they cost, why something started cold; start them anew.", no_args_is_help=True
)


@app.command()
def status(as_json: Json = False) -> None:
    """Show the processes that kernels and reports are forked from, their memory, and the last cold starts."""
    from quantdesk.reports import kernels

    found = kernels.status()
    if as_json:
        emit(found)
        return
    if not found:
        out.print("No kernel or report has asked for a fork yet: the first one does, and starts cold.")
    for one in found:
        _show(one)


@app.command()
def restart(as_json: Json = False) -> None:
    """Start new ones, for kernels and for reports, and wait until they are ready; what runs goes on."""
    from quantdesk.reports import kernels

    done = [kernels.restart(kind) for kind in ("kernel", "worker")]
    if as_json:
        emit(done)
        return
    for one in done:
        _show(one)


def _show(one: Status) -> None:
    since = f" since {one.since:%Y-%m-%d %H:%M:%S} UTC, {one.served} handed out" if one.since else ""
    out.print(f"[bold]{one.state}[/]{since}")
    out.print(f"  {one.folder}", markup=False, style="dim")
    if one.reason:
        out.print(f"  {one.reason}", markup=False)
    if one.current is False:
        out.print("  Packages have changed since it started: the next kernel starts another one.")
    rows = [("zygote", one.pid, "", _mb(one.pss_bytes), "")] if one.pid else []
    rows += [
        (fork.kind, fork.pid, "waits" if fork.waiting else "at work", _mb(fork.pss_bytes), _mb(fork.private_bytes))
        for fork in one.forks
    ]
    if rows:
        table("processes", ("what", "pid", "", "share MB", "own MB"), rows, numeric=["pid", "share MB", "own MB"])
    cold = [(reason.at.strftime("%Y-%m-%d %H:%M:%S"), reason.kind, reason.reason) for reason in one.cold[-5:]]
    if cold:
        table("last cold starts", ("when (UTC)", "what", "because"), cold)


def _mb(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.0f}"
