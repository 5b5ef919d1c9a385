"""``quantdesk features``: list, build and read features, and look after them."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from quantdesk.cli import features_explain, features_verify, features_watch
from quantdesk.cli.terminal import Json, emit, out, progress, table

__all__ = ["app"]

app = typer.Typer(help="Features: list, build, read, watch, explain.", no_args_is_help=True)
Symbols = Annotated[list[str], typer.Option("--symbol", "-s", help="Once for each symbol.")]
Names = Annotated[list[str], typer.Option("--feature", "-f", help="Once for each feature.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every feature with its unit, look-back, inputs and formula."""
    from quantdesk.features import FeatureStore

    found = FeatureStore().features()
    if as_json:
        emit(found)
        return
    rows = [(one.name, one.unit, one.look_back, " ".join(one.inputs), one.formula) for one in found]
    table(f"{len(rows)} features", ("feature", "unit", "look-back", "inputs", "formula"), rows, numeric=["look-back"])


@app.command()
def build(as_json: Json = False) -> None:
    """Compute all features from the market store, register them with Feast, and fill the online store."""
    from quantdesk.features import FeatureStore

    store = FeatureStore()
    with progress(quiet=as_json) as shown:
        built = store.build(progress=shown)
        store.apply(progress=shown)
        store.materialize(progress=shown)
    if as_json:
        emit(built)
    else:
        names = len(store.features())
        out.print(
            f"{names} features of {built.series} series, {built.rows:,} rows" + ("" if built.changed else ": as before")
        )


@app.command()
def apply(as_json: Json = False) -> None:
    """Write the definitions into the registry. `diff` shows beforehand what that would change."""
    from quantdesk.features import FeatureStore

    store = FeatureStore()
    with progress(quiet=as_json) as shown:
        changed = store.apply(progress=shown)
    if as_json:
        emit({"changed": changed, "features": len(store.features())})
    else:
        out.print("✓ applied" if changed else "✓ the registry holds these definitions already")


@app.command()
def materialize(
    afresh: Annotated[bool, typer.Option("--afresh", help="Write every row again, whatever is there.")] = False,
    as_json: Json = False,
) -> None:
    """Fill the online store with the latest known row of each symbol and view."""
    from quantdesk.features import FeatureStore

    store = FeatureStore()
    with progress(quiet=as_json) as shown:
        changed = store.materialize(progress=shown, afresh=afresh)
    if as_json:
        emit({"changed": changed, "symbols": len(store.symbols())})
    else:
        symbols = f"{len(store.symbols())} symbols"
        out.print(f"✓ filled: {symbols}" if changed else f"✓ the online store holds this build already: {symbols}")


@app.command()
def get(
    symbol: Symbols,
    feature: Names,
    start: Annotated[str, typer.Option(help="First session, YYYY-MM-DD.")],
    end: Annotated[str, typer.Option(help="Last session, YYYY-MM-DD.")],
    as_of: Annotated[str | None, typer.Option(help="Only what was known at this time (with its time zone).")] = None,
    save: Annotated[Path | None, typer.Option(help="Also write the rows and their proof into this file.")] = None,
    as_json: Json = False,
) -> None:
    """Read features as they were known, with the evidence for that."""
    from quantdesk.features import FeatureStore

    frame = FeatureStore().get_historical_features(
        symbols=symbol, feature_names=feature, start_date=start, end_date=end, as_of=as_of
    )
    if save is not None:
        frame.save(save)
    rows = frame.to_pandas().reset_index()
    if as_json:
        evidence = frame.evidence.to_dict()
        emit({"is_pit_validated": frame.is_pit_validated, "evidence": evidence, "rows": rows.to_dict("records")})
        return
    verdict = "point-in-time: checked" if frame.is_pit_validated else "point-in-time: NOT validated"
    out.print(f"{len(rows):,} rows · {verdict} · {', '.join(frame.labels.words)}", style="bold")
    for reason in frame.doubts:
        out.print(reason, markup=False)
    columns = ("timestamp", "symbol", *feature)
    cells = [(row[0], row[1], *map(figure, row[2:])) for row in rows.tail(20).itertuples(index=False)]
    table(f"the last {len(cells)}", columns, cells, numeric=feature)
    missing = frame.reasons()[["symbol", "feature", "reason"]]
    for (name, column, reason), count in Counter(missing.itertuples(index=False, name=None)).items():
        out.print(f"null: {column} of {name}, {count:,} times: {reason}", markup=False)


@app.command()
def online(symbol: Symbols, feature: Names, as_json: Json = False) -> None:
    """Read the newest value of features from the online store."""
    from quantdesk.features import FeatureStore

    found = FeatureStore().get_online_features(symbols=symbol, feature_names=feature)
    rows = found.to_pandas().reset_index()
    if as_json:
        emit(rows.to_dict("records"))
        return
    cells = [(row[0], *map(figure, row[1:])) for row in rows.itertuples(index=False)]
    table("newest values", ("symbol", *feature), cells, numeric=feature)


@app.command()
def append(
    view: Annotated[str, typer.Argument(help="A view of your own, as it was applied.")],
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file with its keys, times and features.")],
    again: Annotated[bool, typer.Option("--again", help="Append even a batch that was appended before.")] = False,
    as_json: Json = False,
) -> None:
    """Append rows to a view of your own: all of them, or none. Nothing is overwritten."""
    from quantdesk.features import FeatureStore
    from quantdesk.features.intake import read_rows

    store = FeatureStore()
    own = store.declared.views.get(view)
    done = store.append(view, None if own is None else read_rows(file, own), again=again)
    if as_json:
        emit(done)
    elif done.repeated:
        out.print("✓ this batch was appended before: nothing to do")
    else:
        out.print(f"✓ {done.added:,} rows added, {done.restated:,} restated, {done.unchanged:,} were there already")


@app.command()
def revisions(
    symbol: Annotated[str, typer.Argument(help="The symbol.")],
    feature: Annotated[str, typer.Argument(help="The feature.")],
    all_: Annotated[bool, typer.Option("--all", help="Also sessions of which there is one version only.")] = False,
    as_json: Json = False,
) -> None:
    """Show every version that was ever loaded of a feature of one symbol: nothing is overwritten."""
    from quantdesk.features import FeatureStore

    chain = FeatureStore().revisions(symbol, feature)
    several = chain[chain["event_timestamp"].duplicated(keep=False)]
    rows = chain if all_ else several
    if as_json:
        emit({"versions": len(chain), "revised": several["event_timestamp"].nunique(), "rows": rows.to_dict("records")})
        return
    out.print(
        f"{len(chain):,} versions of {chain['event_timestamp'].nunique():,} sessions, "
        f"{several['event_timestamp'].nunique():,} of them revised"
    )
    columns = ("event", "known since", "value", "null because", "load", "loaded at")
    cells = [
        (
            f"{row[0]:%Y-%m-%d %H:%M}",
            f"{row[1]:%Y-%m-%d %H:%M}",
            figure(row[2]),
            row[3] or "",
            row[4],
            f"{row[5]:%Y-%m-%d}",
        )
        for row in rows.tail(40).itertuples(index=False)
    ]
    if cells:
        table(f"the last {len(cells)}", columns, cells, numeric=["value", "load"])


features_watch.register(app)
features_explain.register(app)
features_verify.register(app)


def minute(when: dt.datetime) -> str:
    """A time to the minute, UTC."""
    return f"{when:%Y-%m-%d %H:%M}"


def figure(value: float) -> str:
    """A value of a feature: six digits, and a dash for null."""
    return "–" if math.isnan(value) else f"{value:,.6g}"
