"""Writing: from sources to files and a new catalogue, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.market.admission import SOURCE_NAME, admit
from quantdesk.market.catalogue import Catalogue, Entry
from quantdesk.market.series import Series
from quantdesk.market.sources import Source
from quantdesk.market.store.config import MarketConfig
from quantdesk.market.store.files import CATALOGUE, encode, partition, read_catalogue
from quantdesk.records import atomic_write, exclusive, sha256_of

__all__ = ["GRACE", "Loaded", "Progress", "load", "remove"]

GRACE = 3600.0
"""Seconds for which a file that no catalogue names any more is kept: a reader may be about to open it."""

Progress = Callable[[str, int, int], None]
"""What is being done, how many steps are done, how many there are."""


@dataclass(frozen=True)
class Loaded:
    """What a load did.

    Attributes
    ----------
    loaded
        Sources that were read, in order.
    unchanged
        Sources whose files and series were already in the store.
    repaired
        Files of the store that were damaged or missing, and were written again.
    series, rows
        What the store holds now, over all sources.
    written
        Bytes of new files.
    seconds
        How long it took.
    version
        The store's version now.
    """

    loaded: tuple[str, ...]
    unchanged: tuple[str, ...]
    repaired: tuple[str, ...]
    series: int
    rows: int
    written: int
    seconds: float
    version: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def load(sources: Sequence[Source], root: Path | None = None, *, progress: Progress | None = None) -> Loaded:
    """Bring the store up to date with `sources`; series of other sources stay as they are.

    A source whose bytes have not changed is not read again. When anything goes wrong, the store keeps what it had.

    Parameters
    ----------
    sources
        For example :func:`quantdesk.market.bundled` and folders of your own.
    root
        The store's folder; the configured one when left out.
    progress
        Called with (what, done, total), one step per source.

    Raises
    ------
    DataError
        A source's file is corrupt or holds what cannot be; the message names it.
    BadInput
        Two sources have the same name, or a name cannot be used.
    EnvironmentProblem
        The disk is full or read-only, or another load has held the lock for ten minutes.
    """
    started = time.monotonic()
    root = root if root is not None else MarketConfig.from_env().root
    tell = progress or (lambda what, done, total: None)
    _named_well(sources)
    loaded: list[str] = []
    unchanged: list[str] = []
    repaired: list[Path] = []
    with exclusive(root / ".lock"), _Writer(root) as writer:
        catalogue = before = read_catalogue(root)
        for number, source in enumerate(sources):
            tell(source.name, number, len(sources))
            fingerprint = _fingerprint(source)
            damaged = _damaged(root, catalogue.of(source.name))
            if catalogue.fingerprint(source.name) == fingerprint and not damaged:
                unchanged.append(source.name)
                continue
            entries = _write_series(source, writer)
            catalogue = catalogue.with_source(source.name, fingerprint, entries)
            loaded.append(source.name)
            repaired += damaged
        if catalogue != before:
            _publish(catalogue, root)
        _sweep(catalogue, root)
    tell("done", len(sources), len(sources))
    return Loaded(
        loaded=tuple(loaded),
        unchanged=tuple(unchanged),
        repaired=tuple(path.relative_to(root).as_posix() for path in repaired),
        series=len(catalogue.entries),
        rows=sum(entry.series.rows for entry in catalogue.entries),
        written=writer.written,
        seconds=time.monotonic() - started,
        version=catalogue.version,
    )


def remove(source: str, root: Path | None = None) -> int:
    """Take all series of a source out of the store; returns how many there were.

    Raises
    ------
    UnknownName
        Nothing was loaded from a source of this name.
    """
    root = root if root is not None else MarketConfig.from_env().root
    with exclusive(root / ".lock"):
        catalogue = read_catalogue(root)
        if catalogue.fingerprint(source) is None:
            raise UnknownName("source", source, dict(catalogue.sources))
        gone = len(catalogue.of(source))
        catalogue = catalogue.without_source(source)
        _publish(catalogue, root)
        _sweep(catalogue, root)
    return gone


def _named_well(sources: Sequence[Source]) -> None:
    names = [source.name for source in sources]
    for name in names:
        if not SOURCE_NAME.fullmatch(name):
            raise BadInput(
                f"The source name {name!r} cannot be used.",
                "Up to 32 of a-z 0-9 _ - are allowed, and the first is a letter or a digit.",
            )
        if names.count(name) > 1:
            raise BadInput(f"Two sources are called {name!r}.", "Give one of them another name.")


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the code and the calendars that turn a source's bytes into rows: new code reads everything again."""
    stage = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(stage.rglob("*.py")):
        digest.update(path.read_bytes())
    for package in ("exchange-calendars", "holidays"):
        digest.update(metadata.version(package).encode())
    return digest.hexdigest()


def _fingerprint(source: Source) -> str:
    return hashlib.sha256(f"{_code()} {source.name} {source.fingerprint()}".encode()).hexdigest()


def _damaged(root: Path, entries: Iterable[Entry]) -> list[Path]:
    """Files that the catalogue names and that are not there as it says."""
    found = []
    for entry in entries:
        path = root / entry.file
        try:
            fine = path.stat().st_size == entry.size and sha256_of(path) == entry.sha256
        except OSError:
            fine = False
        if not fine:
            found.append(path)
    return found


class _Writer:
    """Puts files into a store. When the load fails, what it put there goes again; nothing names it yet.

    Files are named by their content, so none that a catalogue names is ever changed, only mended.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written = 0
        self._new: list[Path] = []

    def put(self, series: Series, content: bytes) -> Entry:
        """Write one series, if its file is not there already."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.root / partition(series.id) / f"{digest[:16]}.parquet"
        there = path.is_file()
        if not there or sha256_of(path) != digest:
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
            self.written += len(content)
            if not there:
                self._new.append(path)
        return Entry(series, path.relative_to(self.root).as_posix(), digest, len(content))

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for path in self._new if kind is not None else ():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()


def _write_series(source: Source, writer: _Writer) -> list[Entry]:
    """Check and write every series of one source."""
    entries: dict[str, Entry] = {}
    for description, frame in source.series():
        if description.source != source.name or description.id in entries:
            raise DataError(
                f"The source {source.name!r} yields {description.id} "
                f"{'twice' if description.id in entries else 'under the name of another source'}.",
                "Give each series its own symbol, and the source's own name.",
            )
        series, stamped = admit(description, frame)
        entries[series.id] = writer.put(series, encode(stamped))
    return list(entries.values())


def _publish(catalogue: Catalogue, root: Path) -> None:
    """The one step that readers see."""
    with atomic_write(root / CATALOGUE) as temporary:
        temporary.write_text(catalogue.to_json(), encoding="utf-8")


def _sweep(catalogue: Catalogue, root: Path) -> None:
    """Remove what earlier loads left behind: files that nothing names, and halves from a crash, once they are old."""
    named = {root / entry.file for entry in catalogue.entries}
    old = time.time() - GRACE
    for path in [*root.glob("series=*/*"), *root.glob(f".{CATALOGUE}.*.tmp")]:
        if path not in named and path.stat().st_mtime < old:
            path.unlink(missing_ok=True)
    for folder in root.glob("series=*"):
        if not any(folder.iterdir()):
            folder.rmdir()
