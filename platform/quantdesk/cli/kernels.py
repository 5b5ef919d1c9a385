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
    for number, one in enumerate(found):
        if number:
            out.print()
        _show(one)
    sizes = [size for one in found for size in (one.pss_bytes, *(fork.pss_bytes for fork in one.forks)) if size]
    if len(sizes) > 1:
        out.print(f"\n{sum(sizes) / 1e6:,.0f} MB in all, what they have in common counted once", style="dim")


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
    shape, style = {"ready": ("✓", "green"), "starting": ("…", "cyan")}.get(one.state, ("✗", "red"))
    since = f" since {one.since:%Y-%m-%d %H:%M:%S} UTC · {one.served} handed out" if one.since else ""
    out.print(f"[bold {style}]{shape} {one.state}[/]{since}")
    out.print(f"  {one.folder}", markup=False, style="dim")
    if one.reason:
        out.print(f"  {one.reason}", markup=False)
    if one.current is False:
        out.print("  Packages, or quantdesk itself, have changed since it started: the next one to ask starts another.")
    rows = [("zygote", one.pid, "forks the others", _mb(one.pss_bytes), "–")] if one.pid else []
    rows += [
        (
            fork.kind,
            fork.pid,
            "waits to be used" if fork.waiting else "at work",
            _mb(fork.pss_bytes),
            _mb(fork.private_bytes),
        )
        for fork in one.forks
    ]
    if rows:
        columns = ("process", "number", "what it does", "memory, MB", "of its own, MB")
        table("", columns, rows, numeric=["number", "memory, MB", "of its own, MB"])
    cold = [(reason.at.strftime("%Y-%m-%d %H:%M:%S"), reason.kind, reason.reason) for reason in one.cold[-5:]]
    if cold:
        table("last cold starts", ("when (UTC)", "what", "because"), cold, whole=["when (UTC)"])


def _mb(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.0f}"
