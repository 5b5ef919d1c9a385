"""How long PostgreSQL takes for a question to the feature store, evidence included, against LATERAL written by hand.

    python benchmarks/features_postgres.py [--json] [--times 3] [--symbols 20]

The question: 10 features of three views for given rows, one per symbol and session of some thirty years; the rows go
to the server, the table comes back as a DataFrame. By hand it is asked of plain tables on the same server, with the
index that the join wants, and nothing is proven:

    psycopg     rows in by COPY into a temporary table, answers out by fetchall in binary, as one writes it
    copy        the same, answers out by COPY as CSV, read by pyarrow: the fastest way that we found to write it
    server      the same, answers counted at the server and not fetched: what the LATERAL itself takes

A server of its own is started for it and thrown away; the store must have been built (``quantdesk data load``,
``quantdesk features build``). All ways run turn by turn; the figure is the median of the turns.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pyarrow.csv
from psycopg import sql

from quantdesk.features import FeatureStore
from quantdesk.features.postgres import load

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

NAMES = ("sma_20", "sma_200", "rsi_14", "macd", "ret_1d", "mom_12_1", "vol_21d", "bollinger_z_20",
         "beta_252d", "sentiment_z")  # fmt: skip
VIEWS = {"technical": NAMES[:8], "market_model": NAMES[8:9], "sentiment": NAMES[9:]}
TTL = "15 days"


def plain_tables(connection: psycopg.Connection) -> None:
    """The same rows as somebody would keep them by hand: one table per view, one index."""
    for view in VIEWS:
        query = 'SELECT "table" FROM quantdesk.part WHERE view = %s LIMIT 1'
        (name,) = connection.execute(query, (view,)).fetchone()  # type: ignore[misc]
        key = "" if view == "sentiment" else "symbol, "
        given = {"to": sql.Identifier(view), "of": sql.Identifier("quantdesk", name), "key": sql.SQL(key)}
        connection.execute(sql.SQL("CREATE TABLE {to} AS SELECT * FROM {of} ORDER BY _part, _seq").format(**given))
        index = "CREATE INDEX ON {to} ({key}event_timestamp DESC, created_timestamp DESC, _seq DESC)"
        connection.execute(sql.SQL(index).format(**given))
        connection.execute(sql.SQL("ANALYZE {to}").format(**given))


def by_hand() -> str:
    """The join, one LATERAL per view."""
    joins, columns = [], []
    for view, names in VIEWS.items():
        own = "" if view == "sentiment" else "f.symbol = a.symbol AND "
        joins.append(
            f"LEFT JOIN LATERAL (SELECT {', '.join(names)}, event_timestamp FROM {view} f"
            f" WHERE {own}f.event_timestamp <= a.at AND f.created_timestamp <= a.at"
            " ORDER BY f.event_timestamp DESC, f.created_timestamp DESC, f._seq DESC LIMIT 1)"
            f" {view} ON {view}.event_timestamp >= a.at - interval '{TTL}'"
        )
        columns += [f"{view}.{name}" for name in names]
    return f"SELECT {', '.join(columns)} FROM asked a {' '.join(joins)} ORDER BY a.row"


def rows_in(connection: psycopg.Connection, rows: pd.DataFrame) -> None:
    """The asking rows into a temporary table."""
    connection.execute("DROP TABLE IF EXISTS asked")
    connection.execute('CREATE TEMP TABLE asked (row int, symbol text COLLATE "C", at timestamptz)')
    times = rows["event_timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    text = pd.DataFrame({"row": np.arange(len(rows)), "symbol": rows["symbol"], "at": times}).to_csv(
        index=False, header=False
    )
    with connection.cursor().copy("COPY asked FROM STDIN (FORMAT csv)") as copy:
        copy.write(text)
    connection.execute("ANALYZE asked")


def by_psycopg(connection: psycopg.Connection, rows: pd.DataFrame) -> pd.DataFrame:
    """Answers out by fetchall."""
    rows_in(connection, rows)
    cursor = connection.cursor(binary=True)
    return pd.DataFrame(cursor.execute(by_hand()).fetchall(), columns=list(NAMES), dtype=float)


def by_copy(connection: psycopg.Connection, rows: pd.DataFrame) -> pd.DataFrame:
    """Answers out by COPY."""
    rows_in(connection, rows)
    buffer = io.BytesIO()
    with connection.cursor().copy(f"COPY ({by_hand()}) TO STDOUT (FORMAT csv, HEADER)") as copy:
        for piece in copy:
            buffer.write(piece)
    return pyarrow.csv.read_csv(io.BytesIO(buffer.getvalue())).to_pandas()


def at_the_server(connection: psycopg.Connection, rows: pd.DataFrame) -> pd.DataFrame:
    """Answers counted."""
    rows_in(connection, rows)
    counts = ", ".join(f"count({name})" for name in NAMES)
    connection.execute(f"SELECT {counts} FROM ({by_hand()}) answers").fetchone()
    return pd.DataFrame()


def measure(times: int, symbols: int) -> tuple[int, dict[str, float]]:
    """How many rows asked, and the median seconds of each way."""
    from postgresql import Cluster, find_postgres

    files = FeatureStore()
    whole = files.snapshot()
    stocks = [one for one in whole.manifest.series if one.kind == "equity" and one.source == "skfolio"]
    names = [one.key for one in sorted(stocks, key=lambda one: (one.start, one.key))[:symbols]]
    programs = find_postgres()
    if programs is None:
        sys.exit("no PostgreSQL on this machine")
    cluster = Cluster(programs)
    try:
        url = cluster()
        load(Path(whole.origin), whole.manifest, url)
        store = FeatureStore(url)
        asked = files.get_historical_features(names, ["ret_1d"]).to_pandas().index.to_frame(index=False)
        rows = asked.rename(columns={"timestamp": "event_timestamp"})

        def ours() -> pd.DataFrame:
            frame = store.get_historical_features(entity_df=rows, feature_names=NAMES)
            if not frame.is_pit_validated:
                sys.exit(f"not validated: {frame.doubts[0]}")
            return frame.to_pandas()

        with psycopg.connect(url, autocommit=True) as connection:
            plain_tables(connection)
            ways: dict[str, Callable[[], pd.DataFrame]] = {
                "ours": ours,
                "psycopg": lambda: by_psycopg(connection, rows),
                "copy": lambda: by_copy(connection, rows),
                "server": lambda: at_the_server(connection, rows),
            }
            expected = ways["ours"]().to_numpy()
            for name in ("psycopg", "copy"):
                if not np.array_equal(ways[name]().to_numpy(dtype=float), expected, equal_nan=True):
                    sys.exit(f"{name} gives another table")
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(times):
                for name, way in ways.items():
                    began = time.perf_counter()
                    way()
                    taken[name].append(time.perf_counter() - began)
        store.close()
    finally:
        cluster.stop()
    return len(rows), {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print one line per alternative, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=3, help="how often each way is taken")
    options.add_argument("--symbols", type=int, default=20, help="how many symbols are asked for")
    given = options.parse_args()
    count, seconds = measure(given.times, given.symbols)
    what = f"PostgreSQL, {count:,} rows x 10 features, with evidence"
    named = {
        "psycopg": "LATERAL by hand, psycopg, no evidence",
        "copy": "LATERAL by hand, COPY and pyarrow, no evidence",
        "server": "LATERAL by hand, not fetched, no evidence",
    }
    rows = [
        {"what": what, "seconds": seconds["ours"], "alternative": said, "alternative_seconds": seconds[name]}
        for name, said in named.items()
    ]
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        ratio = row["seconds"] / row["alternative_seconds"]
        figures = f"{row['seconds']:.3f} s against {row['alternative_seconds']:.3f} s, ratio {ratio:.2f}"
        print(f"{row['what']}: {figures}: {row['alternative']}")


if __name__ == "__main__":
    main()
