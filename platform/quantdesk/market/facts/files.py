"""The facts of one source as one Parquet file of the store: replaced whole, only ever added to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.records import atomic_write, exclusive

__all__ = ["FactFile"]

_FORMAT = b"1"


@dataclass(frozen=True)
class FactFile:
    """``<store>/<kind>/<name>.parquet``.

    Attributes
    ----------
    root
        The market store's folder.
    kind
        ``"actions"`` or ``"universes"``.
    key
        The columns that name a fact at one time of knowledge.
    """

    root: Path
    kind: str
    key: tuple[str, ...]

    def names(self) -> list[str]:
        """What is there, sorted."""
        return sorted(path.stem for path in (self.root / self.kind).glob("*.parquet") if not path.name.startswith("."))

    def read(self, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of one source, in the order in which they were added, and what was said about all of them.

        Raises
        ------
        UnknownName
            There is none of that name.
        DataError
            The file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if name not in self.names():
            raise UnknownName(self.kind.removesuffix("s"), name, self.names())
        path = self._path(name)
        try:
            table = pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)
            metadata = table.schema.metadata or {}
            if metadata[b"format"] != _FORMAT:
                raise DataError(f"{path} has format {metadata[b'format']!r}; this version reads {_FORMAT!r}.")
            return table.to_pylist(), json.loads(metadata[b"about"])
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            remedy = f"Remove it and load the {self.kind} again from their file."
            raise DataError(f"{path} is damaged ({type(error).__name__}: {error}).", remedy) from error

    def add(self, name: str, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> int:
        """Add facts; returns how many are new. What is there already stays as it is.

        Raises
        ------
        BadInput
            A fact with the same key is there with another content: what was known cannot be rewritten.
        """
        with exclusive(self.root / ".lock"):
            before = self.read(name)[0] if name in self.names() else []
            known = {self._key(row): row for row in before}
            fresh = []
            for row in rows:
                there = known.get(self._key(row))
                if there is None:
                    known[self._key(row)] = row
                    fresh.append(row)
                elif there != row:
                    changed = next(column for column in row if there[column] != row[column])
                    said = ", ".join(str(row[column]) for column in self.key)
                    raise BadInput(
                        f"The {self.kind} {name!r} hold {changed} = {there[changed]} for {said}, and the file says"
                        f" {row[changed]}.",
                        "A correction is a fact of its own: give it the time at which it became known.",
                    )
            self._write(name, [*before, *fresh], about)
        return len(fresh)

    def remove(self, name: str) -> None:
        """Take all facts of one source out of the store."""
        with exclusive(self.root / ".lock"):
            if name not in self.names():
                raise UnknownName(self.kind.removesuffix("s"), name, self.names())
            self._path(name).unlink()

    def _key(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[column] for column in self.key)

    def _path(self, name: str) -> Path:
        return self.root / self.kind / f"{name}.parquet"

    def _write(self, name: str, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(list(rows))
        table = table.replace_schema_metadata({b"format": _FORMAT, b"about": json.dumps(about).encode()})
        with atomic_write(self._path(name)) as temporary:
            pq.write_table(table, temporary, compression="lz4", write_page_checksum=True)
