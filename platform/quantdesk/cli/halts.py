"""``quantdesk halts``: what trades, what the feeds say, and the price bands of a stock."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantdesk.cli.terminal import Json, emit, out, table

if TYPE_CHECKING:
    from quantdesk.orders.halts.feeds import Halt

__all__ = ["app"]

app = typer.Typer(help="What trades: status of symbols, feeds of halts, price bands.", no_args_is_help=True)

MARKS = {"TRADING": "●", "HALTED": "■", "UNKNOWN": "?"}
STYLES = {"TRADING": "green", "HALTED": "bold red", "UNKNOWN": "yellow"}


@app.command()
def status(
    symbols: Annotated[list[str], typer.Argument(help="Symbols, for example AAPL BRK.B.")], as_json: Json = False
) -> None:
    """Say of each symbol whether it is TRADING (●), HALTED (■) or UNKNOWN (?), who says so, and how old that is."""
    from quantdesk.orders.halts.commands import ask_status

    found = ask_status(symbols)
    if as_json:
        emit(found)
        return
    if not out.is_terminal:
        rows = [
            (one["symbol"], one["status"], one["halt_type"], one["source"], age(one["age_s"]), one["message"])
            for one in found
        ]
        table("", ("symbol", "status", "code", "source", "age", "message"), rows)
        return
    width = max(len(one["symbol"]) for one in found)
    for one in found:
        word = str(one["status"])
        out.print(f"{MARKS[word]} {one['symbol']:{width}}  [{STYLES[word]}]{word}[/]", end="")
        out.print(f"  {facts(one)}", style="dim", markup=False)
        out.print(f"  {'':{width}}  {one['message']}", markup=False)


@app.command()
def feed(
    file: Annotated[Path | None, typer.Option(help="A file of either feed.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="An address of either feed.", show_default=False)] = None,
    day: Annotated[
        str | None, typer.Option(help="A past day, YYYY-MM-DD, from Nasdaq's feed.", show_default=False)
    ] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only halts that hold now.")] = False,
    as_json: Json = False,
) -> None:
    """List trade halts: of both feeds as they are now, or of a file, an address, a past day. ■ marks what holds."""
    from quantdesk.orders.halts.commands import FeedView, show_feed

    found = show_feed(file, url, day)
    if only_open:
        holding = tuple(halt for halt in found.halts if halt.is_halted(found.at))
        found = FeedView(found.origin, holding, found.at, found.problem)
    if as_json:
        emit(found)
        return
    rows = [row(halt, found.at, short=out.is_terminal) for halt in found.halts]
    title = f"{len(rows)} halts · {found.origin} · times are New York's"
    if rows or not found.problem:
        table(title, ("", "symbol", "halted", "resumes", "code", "listed", "why"), rows)
    if found.problem:
        out.print(f"? {'not heard' if rows else 'UNKNOWN'}: {found.problem}", markup=False)


@app.command()
def bands(
    reference: Annotated[str, typer.Option(help="Reference price, dollars.")],
    previous_close: Annotated[str, typer.Option(help="Previous close on the primary exchange, dollars.")],
    tier: Annotated[int, typer.Option(help="1 (S&P 500, Russell 1000, listed products) or 2.")],
    at: Annotated[
        str | None, typer.Option(help="When, YYYY-MM-DDTHH:MM, New York's time; now when left out.", show_default=False)
    ] = None,
    leverage: Annotated[str, typer.Option(help="Of a leveraged product.")] = "1",
    as_json: Json = False,
) -> None:
    """Say between which prices a stock may trade (limit up / limit down)."""
    from quantdesk.orders.halts.commands import show_bands

    found = show_bands(reference, previous_close, tier, at, leverage)
    if as_json:
        emit(found)
        return
    out.print(f"${found.lower:,.2f} to ${found.upper:,.2f}", style="bold", highlight=False)
    doubled = ", doubled at this time of day" if found.doubled else ""
    out.print(f"{found.parameter:.2%} around a reference of ${found.reference:,.4f}{doubled}", markup=False)


def row(halt: Halt, now: dt.datetime, *, short: bool) -> tuple[Any, ...]:
    """A halt as a row of the table; short for a terminal, where the year goes without saying."""
    from quantdesk.orders.halts.hours import NEW_YORK

    began, year = halt.halted_at.astimezone(NEW_YORK), now.astimezone(NEW_YORK).year

    def when(at: dt.datetime | None) -> str:
        if at is None:
            return "–"
        local = at.astimezone(NEW_YORK)
        if not short:
            return f"{local:%Y-%m-%d %H:%M:%S}"
        if local.date() == began.date() and at is not halt.halted_at:
            return f"{local:%H:%M:%S}"
        return f"{local:%m-%d %H:%M:%S}" if local.year == year else f"{local:%Y-%m-%d}"

    resumes = when(halt.trading_resumes_at)
    if halt.trading_resumes_at is None and halt.quoting_resumes_at is not None:
        resumes = f"quotes {when(halt.quoting_resumes_at)}"
    code = halt.code if halt.code == halt.latest else f"{halt.code}→{halt.latest}"
    mark = "■" if halt.is_halted(now) else " "
    return mark, halt.symbol, when(halt.halted_at), resumes, code, halt.exchange, halt.means


def facts(one: dict[str, Any]) -> str:
    """Code, source and age of a status, as far as there are any."""
    said = f"{one['source']}, {age(one['age_s'])}" if one["source"] != "none" else ""
    return " · ".join(text for text in (one["halt_type"], said) if text)


def age(seconds: float | None) -> str:
    """How old something is, for people."""
    if seconds is None:
        return "never heard"
    if seconds < 120:
        return f"{seconds:.0f} s old"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min old"
    return f"{seconds / 3600:.0f} h old" if seconds < 172_800 else f"{seconds / 86_400:.0f} days old"
