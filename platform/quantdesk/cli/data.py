"""``quantdesk data``: load, list, show and check the market history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantdesk.cli.terminal import Json, emit, out, progress, table

__all__ = ["app"]

app = typer.Typer(help="Market history: load, list, show, check.", no_args_is_help=True)
Start = Annotated[str | None, typer.Option(help="First session, YYYY-MM-DD.", show_default=False)]
End = Annotated[str | None, typer.Option(help="Last session, YYYY-MM-DD.", show_default=False)]


@app.command()
def load(
    folder: Annotated[
        list[Path] | None, typer.Option(help="A folder of your own CSV or Parquet files; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the store up to date: the bundled packages and, where named, folders of your own files."""
    from quantdesk.market.commands import load_data

    with progress(quiet=as_json) as shown:
        done = load_data(folder or [], only_folders=bool(folder), progress=shown)
    if as_json:
        emit(done)
        return
    out.print(f"{done.series} series, {done.rows:,} rows · store {done.version[:12]}")
    out.print(f"read: {', '.join(done.loaded) or 'nothing'} · unchanged: {', '.join(done.unchanged) or 'nothing'}")
    for repaired in done.repaired:
        out.print(f"repaired: {repaired}", markup=False)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every series, with its source and labels. ● marks the one that the plain symbol means."""
    from quantdesk.market.commands import list_series
    from quantdesk.market.provenance import label

    series = list_series()
    if as_json:
        emit(series)
        return
    rows = [
        (
            "●" if one.preferred else " ",
            one.symbol,
            one.source,
            one.kind,
            one.start,
            one.end,
            f"{one.rows:,}",
            " ".join(one.fields),
            ", ".join(label([one]).words),
        )
        for one in series
    ]
    columns = ("", "symbol", "source", "kind", "first", "last", "rows", "fields", "labels")
    table(f"{len(rows)} series", columns, rows, numeric=["rows"])


@app.command()
def show(symbol: str, start: Start = None, end: End = None, as_json: Json = False) -> None:
    """Show a series: where it comes from, what must be said of it, and its last bars."""
    from quantdesk.market import commands

    found = commands.show(symbol, start, end)
    if as_json:
        emit(found)
        return
    series, fields = found["series"], found["series"]["fields"]
    out.print(f"{series['symbol']}@{series['source']} · {series['kind']}, {series['unit']}", style="bold")
    out.print(found["label"]["describe"], markup=False)
    origin = f"{series['package']} {series['version']}, {series['licence']} · SHA-256 {series['sha256'][:16]}…"
    out.print(origin, markup=False, style="dim")
    if series["note"]:
        out.print(series["note"], markup=False, style="dim")
    rows = [(row["session"], *(figure(row[name]) for name in fields)) for row in found["rows"]]
    title = f"the last {len(rows)} of {found['rows_in_range']:,} bars"
    table(title, ("session", *fields), rows, numeric=fields)


@app.command()
def quality(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="Symbols or SYMBOL@source; all when none is given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report gaps, stale runs, spikes, non-positive prices and duplicates against the exchange's own sessions."""
    from quantdesk.market.commands import check_quality

    with progress(quiet=as_json) as shown:
        found = check_quality(symbols or [], progress=shown)
    if as_json:
        emit(found)
        return
    rows = [
        (one.series, finding.degree, finding.check, f"{finding.count:,}", f"{finding.share:.2%}", finding.says)
        for one in found
        for finding in one.findings
    ]
    columns = ("series", "degree", "check", "count", "share", "what it means")
    table(f"{len(rows)} findings on {len(found)} series", columns, rows, numeric=["count", "share"])


def figure(value: float | None) -> str:
    """A price or a volume: grouped digits, and nothing where there is no value."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:,.4f}".rstrip("0").rstrip(".")
