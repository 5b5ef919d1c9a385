"""The list of what a store holds, and the rule that says which series a plain symbol means. Pure.

Where several sources hold a symbol, the one with the most sessions is preferred: a longer history carries more
regimes. Between equals, the one with more fields; then the source whose name sorts first. The rule looks at the data
alone, so the answer does not depend on the order in which sources were loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from quantdesk.errors import DataError, UnknownName
from quantdesk.market.series import Series

__all__ = ["FORMAT", "Catalogue", "Entry", "prefer"]

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One series and its file.

    Attributes
    ----------
    series
        What it is.
    file
        Path below the store's root.
    sha256, size
        Of that file, bytes.
    """

    series: Series
    file: str
    sha256: str
    size: int


def prefer(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Mark the preferred series of each symbol, and sort by symbol, preferred first."""

    def rank(entry: Entry) -> tuple[str, int, int, str]:
        series = entry.series
        return series.symbol, -series.rows, -len(series.fields), series.source

    marked, seen = [], set()
    for entry in sorted(entries, key=rank):
        first = entry.series.symbol not in seen
        seen.add(entry.series.symbol)
        marked.append(replace(entry, series=replace(entry.series, preferred=first)))
    return tuple(marked)


@dataclass(frozen=True)
class Catalogue:
    """Everything in a store.

    Attributes
    ----------
    entries
        Sorted by symbol, the preferred series of a symbol first.
    sources
        Per source the fingerprint of what was loaded from it.
    """

    entries: tuple[Entry, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, Entry]:
        named = {entry.series.id: entry for entry in self.entries}
        return named | {entry.series.symbol: entry for entry in self.entries if entry.series.preferred}

    @cached_property
    def version(self) -> str:
        """A hash of all content: equal versions hold equal numbers under equal descriptions."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def find(self, name: str) -> Entry:
        """The entry that a plain symbol (the preferred series) or a ``SYMBOL@source`` means.

        Raises
        ------
        UnknownName
            There is none; the message offers the nearest names.
        """
        try:
            return self._by_name[name]
        except (KeyError, TypeError):
            raise UnknownName("symbol", str(name)[:80], self._by_name) from None

    def fingerprint(self, source: str) -> str | None:
        """What was loaded from a source, or None."""
        return dict(self.sources).get(source)

    def of(self, source: str) -> tuple[Entry, ...]:
        """The entries of one source."""
        return tuple(entry for entry in self.entries if entry.series.source == source)

    def with_source(self, source: str, fingerprint: str, entries: Iterable[Entry]) -> Catalogue:
        """A catalogue in which everything of one source is replaced."""
        others = [entry for entry in self.entries if entry.series.source != source]
        fingerprints = dict(self.sources) | {source: fingerprint}
        return Catalogue(prefer([*others, *entries]), tuple(sorted(fingerprints.items())))

    def without_source(self, source: str) -> Catalogue:
        """A catalogue without one source."""
        kept = [entry for entry in self.entries if entry.series.source != source]
        return Catalogue(prefer(kept), tuple(pair for pair in self.sources if pair[0] != source))

    def to_json(self) -> str:
        """As text; equal catalogues give equal bytes."""
        content = {
            "format": FORMAT,
            "sources": dict(self.sources),
            "entries": [
                {"file": entry.file, "sha256": entry.sha256, "size": entry.size, "series": entry.series.to_dict()}
                for entry in self.entries
            ],
        }
        return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Catalogue:
        """The inverse of :meth:`to_json`; `where` is named when the text is not one of ours.

        Raises
        ------
        DataError
            The text is damaged, or of a format that this version does not read.
        """
        remedy = f"Delete {where} and run `quantdesk data load`; the data files are rebuilt from their sources."
        try:
            content: dict[str, Any] = json.loads(text)
            if content["format"] != FORMAT:
                raise DataError(f"{where} has format {content['format']!r}; this version reads {FORMAT}.", remedy)
            entries = tuple(
                Entry(Series.from_dict(given["series"]), given["file"], given["sha256"], given["size"])
                for given in content["entries"]
            )
            return cls(entries, tuple(sorted(content["sources"].items())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where} is damaged ({type(error).__name__}: {error}).", remedy) from error
