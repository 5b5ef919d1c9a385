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
        Path | None, typer.Option(help="A folder of your own CSV or Parquet files with a quantdesk-data.toml.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the store up to date: the bundled packages, or one folder of your own files."""
    from quantdesk import market

    sources = market.bundled() if folder is None else [market.FolderSource(folder)]
    with progress(quiet=as_json) as shown:
        done = market.load(sources, progress=shown)
    if as_json:
        emit(done)
        return
    out.print(f"{done.series} series, {done.rows:,} rows · store {done.version[:12]}")
    out.print(f"read: {', '.join(done.loaded) or 'nothing'} · unchanged: {', '.join(done.unchanged) or 'nothing'}")
    for repaired in done.repaired:
        out.print(f"repaired: {repaired}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every series, with its source and labels. ● marks the one that the plain symbol means."""
    from quantdesk.market import MarketStore

    series = MarketStore().series()
    if as_json:
        emit([one.to_dict() for one in series])
        return
    rows = [
        (
            ("●" if one.preferred else " "),
            one.symbol,
            one.source,
            one.kind,
            one.start,
            one.end,
            f"{one.rows:,}",
            " ".join(one.fields),
            ", ".join(labels(one.flags)),
        )
        for one in series
    ]
    columns = ("", "symbol", "source", "kind", "first", "last", "rows", "fields", "labels")
    table(f"{len(rows)} series", columns, rows, numeric=["rows"])


@app.command()
def show(symbol: str, start: Start = None, end: End = None, as_json: Json = False) -> None:
    """Show a series: where it comes from, what must be said of it, and its last bars."""
    from quantdesk.market import MarketStore

    bars = MarketStore().bars(symbol, start, end)
    series, frame = bars.series, bars.frame
    if as_json:
        rows = frame.reset_index().to_dict("records")
        emit({"series": series.to_dict(), "bars": rows})
        return
    out.print(f"[bold]{series.id}[/] · {series.kind}, {series.unit} · {', '.join(labels(series.flags))}")
    out.print(f"{series.package} {series.version}, {series.licence} · SHA-256 {series.sha256[:16]}…", style="dim")
    if series.note:
        out.print(series.note, markup=False, style="dim")
    shown = frame.tail(10)
    columns = ("session", *series.fields)
    cells = [(row.session, *(f"{getattr(row, name):,.6g}" for name in series.fields)) for row in shown.itertuples()]
    table(f"the last {len(shown)} of {len(frame):,} bars", columns, cells, numeric=series.fields)


@app.command()
def quality(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="Symbols or SYMBOL@source; all when none is given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report gaps, stale runs, spikes, non-positive prices and duplicates against the exchange's own sessions."""
    from quantdesk.market import MarketStore
    from quantdesk.market.quality import examine

    with progress(quiet=as_json) as shown:
        report = examine(MarketStore(), symbols or None, progress=shown)
    if as_json:
        emit(report.to_dict())
        return
    frame = report.to_frame()
    columns = [str(column) for column in frame.columns]
    table(f"{len(frame)} series", columns, frame.astype(str).to_numpy().tolist(), numeric=columns[1:])


def labels(flags: object) -> list[str]:
    """The names of the flags that are set, in words."""
    return [name.replace("_", " ") for name, value in vars(flags).items() if value]
