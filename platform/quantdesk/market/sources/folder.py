"""A directory of a user's own CSV or Parquet files as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.market.admission import SOURCE_NAME, SYMBOL
from quantdesk.market.checks import problems
from quantdesk.market.series import Description, Flags
from quantdesk.market.sessions import time_zone
from quantdesk.market.sources.bundle import bundled
from quantdesk.market.sources.mapping import MAPPING_FILE, FolderMapping, read_mapping
from quantdesk.market.sources.protocol import RawSeries
from quantdesk.market.sources.tables import parse

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FolderSource"]


@dataclass(frozen=True)
class _File:
    """A file as it was read: path below the folder, bytes, hash."""

    name: str
    content: bytes
    sha256: str


class FolderSource:
    """The files of one directory, under one mapping.

    Parameters
    ----------
    path
        The directory.
    mapping
        How to read it; its ``series.toml`` when left out, and guesses from the column names when there is none.

    Raises
    ------
    BadInput
        There is no such directory, the mapping cannot be used, or the name belongs to a bundled package.

    Examples
    --------
    >>> from quantdesk.market import FolderSource, load
    >>> load([FolderSource(Path("prices"))])          # doctest: +SKIP
    """

    def __init__(self, path: Path, mapping: FolderMapping | None = None) -> None:
        self.path = Path(path).expanduser().resolve()
        if not self.path.is_dir():
            raise BadInput(f"{self.path} is not a directory.", "Name the directory that holds the files.")
        if mapping is None:
            own = self.path / MAPPING_FILE
            mapping = read_mapping(own) if own.is_file() else FolderMapping()
        self.mapping = mapping
        self.name = mapping.name or self.path.name.lower()
        if not SOURCE_NAME.fullmatch(self.name):
            remedy = f'Set name = "…" in {MAPPING_FILE}: up to 32 of a-z 0-9 _ -, a letter or a digit first.'
            raise BadInput(f"The folder's name {self.name!r} cannot be a source's name.", remedy)
        if self.name in {source.name for source in bundled()}:
            raise BadInput(f"The name {self.name!r} belongs to a bundled package.", "Set another name in the mapping.")

    def __repr__(self) -> str:
        return f"FolderSource({str(self.path)!r}, name={self.name!r})"

    def fingerprint(self) -> str:
        """A hash of the mapping and of every file's name and bytes."""
        digest = hashlib.sha256(self.mapping.model_dump_json().encode())
        for path in self._paths():
            digest.update(f"\n{path.relative_to(self.path).as_posix()} {_read(self.path, path).sha256}".encode())
        return digest.hexdigest()

    def series(self) -> Iterator[RawSeries]:
        """Every series of every file.

        Raises
        ------
        DataError
            Names the file, the line or row, the column, the value, and what would be right.
        """
        where: dict[str, str] = {}
        version = self.mapping.version or f"files {self.fingerprint()[:12]}"
        for path in self._paths():
            file = _read(self.path, path)
            for symbol, rows, fields in self._split(file):
                if symbol in where:
                    raise DataError(
                        f"{self.path / file.name} holds {symbol}, which {where[symbol]} holds too.",
                        "Put all rows of a symbol into one file.",
                    )
                where[symbol] = file.name
                yield self._described(symbol, rows, fields, file, version)

    def _paths(self) -> list[Path]:
        found = {path for pattern in self.mapping.files for path in self.path.glob(pattern) if path.is_file()}
        if not found:
            raise DataError(
                f"{self.path} holds no file like {', '.join(self.mapping.files)}.", "Add one, or set files."
            )
        return sorted(found)

    def _split(self, file: _File) -> Iterator[tuple[str, pd.DataFrame, list[str]]]:
        """The rows of each symbol of a file."""
        where = str(self.path / file.name)
        frame, fields = parse(where, file.content, self.mapping, self._zone)
        if "symbol" not in frame:
            name = Path(file.name).name
            yield self._symbol(where, name.removesuffix(".gz").rpartition(".")[0]), frame, fields
            return
        for given, rows in frame.groupby("symbol", sort=True):
            yield self._symbol(where, str(given)), rows.drop(columns="symbol"), fields

    @property
    def _zone(self) -> str | None:
        """The zone that all calendars of the folder share."""
        calendars = {
            self.mapping.calendar,
            *(given.calendar for given in self.mapping.series.values() if given.calendar),
        }
        zones = {time_zone(calendar) for calendar in calendars}
        return zones.pop() if len(zones) == 1 else None

    def _symbol(self, where: str, given: str) -> str:
        symbol = self.mapping.symbols.get(given, given)
        if not SYMBOL.fullmatch(symbol):
            raise DataError(
                f"{where}: the symbol {symbol[:60]!r} cannot be used.",
                "Up to 32 of A-Z a-z 0-9 . ^ = _ - are allowed, a letter, a digit or ^ first. "
                f'Rename it in {MAPPING_FILE}: [symbols] "BRK/B" = "BRK.B", for example.',
            )
        return symbol

    def _described(self, symbol: str, rows: pd.DataFrame, fields: list[str], file: _File, version: str) -> RawSeries:
        about: dict[str, Any] = {
            name: getattr(self.mapping, name)
            for name in ("kind", "unit", "calendar", "adjustment", "survivors_only", "note")
        }
        if symbol in self.mapping.series:
            about |= self.mapping.series[symbol].model_dump(exclude_none=True)
        flags = Flags(
            real=self.mapping.real,
            adjusted_with_hindsight=about["adjustment"] != "none" or "adj_close" in fields,
            survivors_only=about.pop("survivors_only"),
        )
        description = Description(
            symbol=symbol,
            source=self.name,
            fields=tuple(fields),
            package=self.name,
            version=version,
            licence=self.mapping.licence,
            sha256=file.sha256,
            flags=flags,
            publication=self.mapping.publication,
            publication_lag=self.mapping.lag,
            **about,
        )
        return RawSeries(description, self._checked(description, rows, file))

    def _checked(self, description: Description, rows: pd.DataFrame, file: _File) -> pd.DataFrame:
        """Rows in ascending order, without those that hold nothing; refused when something is wrong with them."""
        kept = rows.dropna(subset=list(description.fields), how="all")
        if kept["session"].is_monotonic_decreasing and kept["session"].is_unique:
            kept = kept.iloc[::-1]
        found = problems(description, kept, strict=self.mapping.strict)
        if found:
            first = found[0]
            unit = "row" if file.name.endswith(".parquet") else "line"
            place = f", {unit} {first.row}" if first.row is not None else ""
            more = f" {len(found) - 1} more rows are refused." if len(found) > 1 else ""
            raise DataError(
                f"{self.path / file.name}{place}: of {description.symbol}, {first}.{more}",
                "Correct the file, or the mapping of its columns.",
            )
        return kept.reset_index(drop=True)


def _read(folder: Path, path: Path) -> _File:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be read ({error.strerror}).", "Make it readable.") from error
    return _File(path.relative_to(folder).as_posix(), content, hashlib.sha256(content).hexdigest())
