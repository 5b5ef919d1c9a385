"""What `quantdesk data` does, as plain functions whose results can be printed or turned into JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantdesk.market.series import Series
from quantdesk.market.spans import Bound
from quantdesk.market.store.read import MarketStore

if TYPE_CHECKING:
    from quantdesk.market.quality import Report
    from quantdesk.market.store.load import Loaded, Progress

__all__ = ["check_quality", "list_series", "load_data", "show"]


def load_data(
    folders: Sequence[Path] = (),
    root: Path | None = None,
    *,
    only_folders: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Load the bundled packages, and folders of the user's own.

    Parameters
    ----------
    folders
        Directories of CSV or Parquet files.
    root
        The store's folder; the configured one when left out.
    only_folders
        Leave the bundled packages as they are.
    progress
        Called with (what, done, total).

    Raises
    ------
    BadInput, DataError, EnvironmentProblem
        As :func:`quantdesk.market.load` and :class:`quantdesk.market.FolderSource`.
    """
    from quantdesk.market.sources import FolderSource, Source, bundled
    from quantdesk.market.store.load import load

    own: list[Source] = [FolderSource(folder) for folder in folders]
    return load([*(() if only_folders else bundled()), *own], root, progress=progress)


def list_series(root: Path | None = None) -> tuple[Series, ...]:
    """Every series of the store, sorted by symbol."""
    return MarketStore(root).series()


def show(
    symbol: str, start: Bound = None, end: Bound = None, root: Path | None = None, *, rows: int = 10
) -> dict[str, Any]:
    """One series: what it is, its label, and its last rows.

    Parameters
    ----------
    symbol, start, end
        As :meth:`quantdesk.market.MarketStore.bars`.
    root
        The store's folder; the configured one when left out.
    rows
        How many of the last rows of the range.

    Returns
    -------
    dict
        JSON values: ``series``, ``label``, ``sources`` (every series of the same symbol, the preferred one first),
        ``rows_in_range`` and ``rows`` (timestamps in ISO form; null where there is no value).
    """
    import math

    from quantdesk.market.provenance import label

    store = MarketStore(root)
    bars = store.bars(symbol, start, end)
    shown = []
    last = bars.frame.tail(max(rows, 0)).reset_index()
    for number in range(len(last)):
        values = last.iloc[number]
        row: dict[str, Any] = {
            "timestamp": values["timestamp"].isoformat(),
            "session": values["session"].date().isoformat(),
        }
        row |= {name: None if math.isnan(values[name]) else float(values[name]) for name in bars.series.fields}
        shown.append(row)
    return {
        "series": bars.series.to_dict(),
        "label": label([bars.series]).to_dict(),
        "sources": [other.id for other in store.series() if other.symbol == bars.series.symbol],
        "rows_in_range": len(bars.frame),
        "rows": shown,
    }


def check_quality(
    symbols: Sequence[str] = (), root: Path | None = None, *, progress: Progress | None = None
) -> tuple[Report, ...]:
    """Run the quality checks.

    Parameters
    ----------
    symbols
        Which series; all when empty.
    root
        The store's folder; the configured one when left out.
    progress
        Called with (what, done, total), one step per series.

    Returns
    -------
    tuple of Report
        In the order asked for, or sorted by symbol.
    """
    from quantdesk.market.quality import check
    from quantdesk.market.sessions import sessions_between

    store = MarketStore(root)
    wanted = [store.resolve(symbol) for symbol in symbols] if symbols else list(store.series())
    reports = []
    for number, series in enumerate(wanted):
        if progress is not None:
            progress(series.id, number, len(wanted))
        bars = store.bars(series.id)
        reports.append(check(series, bars.frame, sessions_between(series.calendar, series.start, series.end)))
    if progress is not None:
        progress("done", len(wanted), len(wanted))
    return tuple(reports)
