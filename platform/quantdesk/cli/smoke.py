"""``quantdesk smoke``: whether a running platform works, tried from outside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from quantdesk.cli.terminal import Json, emit, out, plain, table

if TYPE_CHECKING:
    from quantdesk.hub.smoke import Part

__all__ = ["register"]

PASSWORD, TOKEN = "QUANTDESK_SMOKE_PASSWORD", "QUANTDESK_SMOKE_TOKEN"


def register(app: typer.Typer) -> None:
    """Add the command to the top level."""
    app.command()(smoke)


def smoke(
    url: str = typer.Option("http://127.0.0.1:8000", "--url", help="The hub's public address."),
    user: str = typer.Option("", "--user", help=f"Who logs in, with the password in {PASSWORD}."),
    report: str = typer.Option("", "--report", help="The report to run; otherwise the first that needs no parameter."),
    symbol: str = typer.Option("AAPL", "--symbol", help="Whose halts are read."),
    timeout: float = typer.Option(180.0, "--timeout", min=1.0, help="Seconds for each part."),
    as_json: Json = False,
) -> None:
    """Log in, start a server, run a cell and a report, read a halt; say which part works, and put all of it back.

    Where logins are at a provider, put a token of the hub's token page into QUANTDESK_SMOKE_TOKEN. Exit code 6 when a
    part does not work.
    """
    from quantdesk.hub.smoke import Visit, visit

    one = Visit(
        url, user=user, password=os.environ.get(PASSWORD, ""), token=os.environ.get(TOKEN, ""), report=report,
        symbol=symbol, seconds=timeout,
    )  # fmt: skip
    shown = not as_json and out.is_terminal

    def tell(part: Part) -> None:
        if shown:
            shape, style = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "dim")}[part.ok]
            out.print(f"[{style}]{shape}[/] {part.name:<9}", end="")
            out.print(f"{part.seconds:6.1f} s  {part.told}", markup=False, highlight=False)

    found = visit(one, tell=tell)
    works = all(part.ok for part in found)
    if as_json:
        emit({"url": url, "works": works, "parts": [plain(part) for part in found]})
    elif not shown:
        word = {True: "ok", False: "failed", None: "not tried"}
        rows = [(part.name, word[part.ok], f"{part.seconds:.1f}", part.told) for part in found]
        table("", ("part", "result", "seconds", "what was seen"), rows)
    if not works:
        raise typer.Exit(6)
