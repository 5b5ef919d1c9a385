"""One file of facts as checked columns, with the place of whatever cannot be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.market.admission import SOURCE_NAME, SYMBOL
from quantdesk.market.facts.mapping import FactMapping, mapping_beside
from quantdesk.market.sessions import open_times, time_zone
from quantdesk.market.sources.tables import Table, dates, numbers, parquet_table, text_table, written_times

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FactTable", "read_facts"]


@dataclass(frozen=True)
class FactTable:
    """The rows of a file, one column at a time.

    Attributes
    ----------
    name
        What the facts are called in the store.
    mapping
        How the file was read.
    table
        The file's own content, for errors that name line, column and value.
    columns
        From our names to the file's.
    """

    name: str
    mapping: FactMapping
    table: Table
    columns: Mapping[str, str]

    @property
    def rows(self) -> Sequence[Any]:
        """The line (CSV) or row number of each row."""
        return list(self.table.frame.index)

    def wrong(self, row: Any, column: str, said: str, remedy: str) -> DataError:
        """An error about one value."""
        name = self.columns[column]
        return self.table.wrong(row, name, self.table.frame[name][row], said, remedy)

    def symbols(self) -> list[str]:
        """The symbols, renamed as the mapping says."""
        found = []
        for row, given in zip(self.rows, self._words("symbol"), strict=True):
            symbol = self.mapping.symbols.get(given, given)
            if not SYMBOL.fullmatch(symbol):
                remedy = "Up to 32 of A-Z a-z 0-9 . ^ = _ - are allowed, a letter, a digit or ^ first."
                raise self.wrong(row, "symbol", "cannot be used as a symbol", remedy)
            found.append(symbol)
        return found

    def words(self, column: str, default: str = "") -> list[str]:
        """Text, stripped; `default` where there is none."""
        if column not in self.columns:
            return [default] * len(self.table.frame)
        return [word or default for word in self._words(column)]

    def _words(self, column: str) -> list[str]:
        values = self.table.frame[self.columns[column]].astype("string").fillna("").str.strip()
        return ["" if word in self.mapping.missing else str(word) for word in values]

    def numbers(self, column: str) -> list[float]:
        """Numbers; NaN where there is none."""
        if column not in self.columns:
            return [float("nan")] * len(self.table.frame)
        return [float(value) for value in numbers(self.table, self.columns[column], self.mapping)]

    def dates(self, column: str) -> list[dt.date | None]:
        """Local dates; None where there is none."""
        return [None if value is None else value.date() for value in self._present(column, self._dates)]

    def _dates(self, table: Table, column: str) -> pd.Series:
        return dates(table, column, self.mapping, time_zone(self.mapping.calendar))

    def instants(self, column: str) -> list[dt.datetime | None]:
        """Moments in UTC; None where there is none.

        A date without a time of day means its end in the calendar's zone: most announcements come after the close.
        """
        return [None if value is None else value.to_pydatetime() for value in self._present(column, self._instants)]

    def _instants(self, table: Table, column: str) -> pd.Series:
        import pandas as pd

        written, instants = written_times(table, column, self.mapping)
        bad = written.isna()
        if bad.any():
            raise table.wrong(bad.idxmax(), column, table.frame[column][bad.idxmax()], "is no time", "Write ISO times.")
        if instants is not None:
            there: pd.Series = instants.dt.tz_convert("UTC")
            return there
        whole = written == written.dt.normalize()
        zone = self.mapping.time_zone
        if not whole.all() and zone is None:
            row = (~whole).idxmax()
            remedy = 'Write it with its offset, or say time_zone = "America/New_York", for example.'
            raise table.wrong(row, column, table.frame[column][row], "has a time of day but no time zone", remedy)
        ends = written.where(~whole, written + pd.Timedelta(days=1) - pd.Timedelta(1, "us"))
        local = ends.dt.tz_localize(zone or time_zone(self.mapping.calendar), ambiguous="NaT", nonexistent="NaT")
        if local.isna().any():
            row = local.isna().idxmax()
            said = "is skipped or repeated by a clock change"
            raise table.wrong(row, column, table.frame[column][row], said, "Write such a time with its offset.")
        found: pd.Series = local.dt.tz_convert("UTC")
        return found

    def opens(self, days: Sequence[dt.date]) -> list[dt.datetime]:
        """When trading opened on each day: what counts where a file says no time of knowledge."""
        import pandas as pd

        index = pd.DatetimeIndex(list(days)).as_unit("ns")
        return [moment.to_pydatetime() for moment in open_times(self.mapping.calendar, index)]

    def _present(self, column: str, read: Any) -> list[Any]:
        """Read the cells that hold something; None for the others."""
        import pandas as pd

        if column not in self.columns:
            return [None] * len(self.table.frame)
        name = self.columns[column]
        frame = self.table.frame
        text = frame[name].astype("string").str.strip()
        there = ~(text.isna() | text.isin(self.mapping.missing))
        if not there.any():
            return [None] * len(frame)
        found = read(Table(self.table.where, self.table.unit, frame[there]), name)
        for row, value in found.items():
            if not 1886 <= value.year <= 2200:
                raise self.wrong(row, column, "lies outside of 1886 to 2200", "Give a date that an exchange knows.")
        return [value if pd.notna(value) else None for value in found.reindex(frame.index).astype(object)]


def read_facts(
    path: Path, names: Mapping[str, Sequence[str]], required: Sequence[str], mapping: FactMapping | None = None
) -> FactTable:
    """Read one CSV or Parquet file.

    Parameters
    ----------
    path
        Ends in .parquet, .csv or .csv.gz.
    names
        From our column names to what files call them, in lower case.
    required
        Those of our names that must be there.
    mapping
        How to read it; ``<name>.toml`` beside the file when left out, and guesses where there is none.

    Raises
    ------
    BadInput
        There is no such file, or the mapping cannot be used.
    DataError
        The file is not whole, or a required column is not there.
    """
    path = Path(path).expanduser()
    mapping = mapping if mapping is not None else mapping_beside(path)
    name = mapping.name or path.name.split(".")[0].lower()
    if not SOURCE_NAME.fullmatch(name):
        raise BadInput(f"The file's name {name!r} cannot name its facts.", 'Set name = "…" in a mapping beside it.')
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}.", "Name a CSV or Parquet file.") from None
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be read ({error.strerror}).", "Make it readable.") from error
    where = str(path)
    table = parquet_table(where, content) if where.endswith(".parquet") else text_table(where, content, mapping)
    if table.frame.empty:
        raise DataError(f"{where} holds no rows.", "Give it a header and rows.")
    return FactTable(name, mapping, table, _columns(table, names, required, mapping.columns))


def _columns(
    table: Table, names: Mapping[str, Sequence[str]], required: Sequence[str], given: Mapping[str, str]
) -> dict[str, str]:
    there = [str(name) for name in table.frame.columns]
    has = f"It has: {', '.join(there)[:200]}."
    twice = sorted({name for name in there if there.count(name) > 1})
    if twice:
        raise DataError(f"{table.where} has two columns called {twice[0]!r}.", "Rename one of them.")
    for ours, theirs in given.items():
        if ours not in names:
            raise BadInput(f"The mapping names a column {ours!r}.", f"There are: {', '.join(names)}.")
        if theirs not in there:
            raise DataError(f"{table.where} has no column {theirs!r}, which the mapping names for {ours}.", has)
    lower = {name.lower(): name for name in reversed(there)}
    found = dict(given)
    for ours, options in names.items():
        match = next((lower[name] for name in options if name in lower), None)
        if not given and match is not None:
            found[ours] = match
    lacking = [name for name in required if name not in found]
    if lacking:
        raise DataError(
            f"{table.where} has no column that looks like {lacking[0]}.", f"{has} Name its columns in the mapping."
        )
    return found
