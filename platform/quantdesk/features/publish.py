"""Telling Feast: the registry and the online store of a build. An edge module; Feast is imported on first use.

Both are SQLite files. They are written as copies beside the current ones and renamed over them, so that a reader,
under whatever account, sees the old ones or the new ones, is never locked out, and finds no journal to roll back.
A stamp beside each says what it was made from; while that is unchanged, there is nothing to do.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantdesk.errors import DataError
from quantdesk.features.build import CURRENT, Progress, current, definitions_version
from quantdesk.features.definitions import VIEWS
from quantdesk.features.manifest import read_manifest
from quantdesk.records import atomic_write, exclusive

__all__ = ["ONLINE", "REGISTRY", "apply", "filled_until", "materialize", "open_feast", "release"]

REGISTRY, ONLINE = "registry.db", "online.db"
_BEGINNING = dt.datetime(1678, 1, 1, tzinfo=dt.UTC)


def apply(root: Path, *, progress: Progress | None = None) -> bool:
    """Write the definitions into the registry; False where they are there already.

    Raises
    ------
    EnvironmentProblem
        The disk is full or read-only, or another process holds the lock.
    """
    tell = progress or (lambda what, done, total: None)
    stamp = {"definitions": _definitions(root)}
    done = _stamped(root / REGISTRY, stamp)
    if not done:
        tell("registry", 0, 1)
        with exclusive(root / ".lock"):
            with (
                _replaced(root / REGISTRY) as registry,
                _scratch(root / f".{ONLINE}.apply") as online,
                _opened(registry, online) as store,
                _quiet(),
            ):
                store.apply(_objects(root))
            _set_stamp(root / REGISTRY, stamp)
    tell("registry", 1, 1)
    return not done


def materialize(root: Path, now: dt.datetime, *, progress: Progress | None = None) -> bool:
    """Fill the online store with each symbol's latest known row; False where it holds the current build already.

    Parameters
    ----------
    root
        The feature store's folder.
    now
        Rows that were not known by then are left out.
    progress
        Called with (what, done, total), one step per view.

    Raises
    ------
    DataError
        Nothing has been built, or the definitions have not been applied.
    """
    tell = progress or (lambda what, done, total: None)
    stamp = {"build": read_manifest(current(root)).key, "definitions": _definitions(root)}
    if _stamped(root / ONLINE, stamp):
        tell("online store", len(VIEWS), len(VIEWS))
        return False
    if not (root / REGISTRY).is_file():
        raise DataError(f"There is no registry in {root} yet.", "Run `quantdesk features build`.")
    with exclusive(root / ".lock"):
        # Read again: a build that held the lock until now has changed what there is to fill from.
        stamp = {"build": read_manifest(current(root)).key, "definitions": _definitions(root)}
        with (
            _replaced(root / REGISTRY) as registry,
            _replaced(root / ONLINE) as online,
            _opened(registry, online) as store,
        ):
            views = [store.get_feature_view(name) for name in VIEWS]
            tables = store._get_provider().online_store
            # Our own tables start empty: a symbol that is gone must not answer. Views of others keep their rows.
            tables.update(store.config, views, [], [], [], partial=True)
            tables.update(store.config, [], views, [], [], partial=True)
            for number, name in enumerate(VIEWS):
                tell(f"online {name}", number, len(VIEWS))
                with _quiet():
                    store.materialize(_BEGINNING, now, feature_views=[name])
        _set_stamp(root / ONLINE, {**stamp, "until": now.isoformat()})
    tell("online store", len(VIEWS), len(VIEWS))
    return True


def filled_until(root: Path) -> dt.datetime:
    """Up to when the online store was filled.

    Raises
    ------
    DataError
        It has not been filled.
    """
    try:
        return dt.datetime.fromisoformat(json.loads(_stamp_of(root / ONLINE).read_text(encoding="utf-8"))["until"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"The online store in {root} has not been filled.", "Run `quantdesk features build`."
        ) from error


def _definitions(root: Path) -> str:
    """What the registry depends on: the definitions, how they become Feast objects, and where the data are."""
    from importlib.metadata import version

    code = Path(__file__).with_name("repository.py").read_bytes()
    said = f"{definitions_version()}|{hashlib.sha256(code).hexdigest()}|{root / CURRENT}|feast {version('feast')}"
    return hashlib.sha256(said.encode()).hexdigest()


def _objects(root: Path) -> list[Any]:
    from quantdesk.features.repository import objects

    return objects(root)


def open_feast(registry: Path, online: Path) -> Any:
    """Feast's own store on two SQLite files."""
    from feast import FeatureStore

    from quantdesk.features.repository import repo_config

    return FeatureStore(config=repo_config(registry, online))


@contextlib.contextmanager
def _opened(registry: Path, online: Path) -> Iterator[Any]:
    store = open_feast(registry, online)
    try:
        yield store
    finally:
        release(store)


def release(store: Any) -> None:
    """Close both files."""
    store.registry.write_engine.dispose()
    store.registry.read_engine.dispose()
    store._get_provider().online_store.close_connection()


@contextlib.contextmanager
def _replaced(target: Path) -> Iterator[Path]:
    """Yield a copy of a SQLite file (or a new one); when the block ends well, it takes the file's place."""
    with atomic_write(target) as temporary:
        if target.is_file():
            shutil.copyfile(target, temporary)
        yield temporary
        with contextlib.closing(sqlite3.connect(temporary)) as connection:
            # No write-ahead log: its side files could not be made in a folder that the reader may not write to.
            connection.execute("PRAGMA journal_mode=DELETE")


@contextlib.contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A file that is gone afterwards: applying creates tables in an online store, and the real one is not touched."""
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints and draws bars of its own; ours are enough."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _stamp_of(target: Path) -> Path:
    return target.with_suffix(".json")


def _stamped(target: Path, stamp: dict[str, str]) -> bool:
    try:
        there = json.loads(_stamp_of(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return target.is_file() and all(there.get(name) == value for name, value in stamp.items())


def _set_stamp(target: Path, stamp: dict[str, str]) -> None:
    with atomic_write(_stamp_of(target)) as temporary:
        temporary.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n", encoding="utf-8")
