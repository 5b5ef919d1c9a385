"""Telling Feast, and filling the online store from a build. An edge module; Feast is imported on first use.

The registry is a SQLite file. It is written as a copy beside the current one and renamed over it, so that a reader,
under whatever account, sees the old one or the new one, is never locked out, and finds no journal to roll back. A stamp
beside it says what it was made from; while that is unchanged, there is nothing to do.

The online store keeps its own marks of what it was filled from: see :mod:`quantdesk.features.online.fill`.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quantdesk import __version__
from quantdesk.errors import DataError, QuantdeskError
from quantdesk.features import declared
from quantdesk.features.build import CURRENT, Progress, current, definitions_version
from quantdesk.features.definitions import VIEWS
from quantdesk.features.manifest import Manifest, read_manifest
from quantdesk.features.online.address import ONLINE, OnlineConfig, connect
from quantdesk.features.online.backend import Backend
from quantdesk.features.online.fill import Pace, Partition, Plan, fill, is_filled
from quantdesk.features.online.own_views import plan_of
from quantdesk.features.online.reader import Reader, table
from quantdesk.features.online.rows import Schema
from quantdesk.features.retrieval import partition
from quantdesk.records import atomic_write, exclusive

__all__ = [
    "ONLINE",
    "REGISTRY",
    "applied",
    "apply",
    "definitions",
    "filled_until",
    "materialize",
    "objects_of",
    "online_store",
    "open_feast",
    "plans",
    "reader",
    "release",
]

REGISTRY = "registry.db"
PROJECT = "quantdesk"
_BEGINNING = dt.datetime(1678, 1, 1, tzinfo=dt.UTC)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def online_store(root: Path) -> Backend:
    """The configured online store; the embedded one lies in the feature store's folder."""
    url = OnlineConfig.from_env().url
    return connect(url.get_secret_value() if url is not None else None, root / ONLINE)


def reader(root: Path) -> tuple[Reader, str]:
    """What reads the configured online store, and what the age of a row is counted against."""
    return Reader(online_store(root), PROJECT), OnlineConfig.from_env().clock


def apply(root: Path, repo: Path | None = None, *, progress: Progress | None = None) -> bool:
    """Write the definitions into the registry, the user's own among them; False where they are there already.

    Parameters
    ----------
    root
        The feature store's folder.
    repo
        A folder with Feast definitions of one's own, or None.
    progress
        Called with (what, done, total).

    Raises
    ------
    BadInput
        A file of `repo` cannot be run, or declares what cannot be.
    DataError
        The registry is damaged, or another version of Feast wrote it.
    EnvironmentProblem
        The disk is full or read-only, or another process holds the lock.
    """
    tell = progress or (lambda what, done, total: None)
    stamp = {"definitions": definitions(root, repo), "feast": version("feast"), "quantdesk": __version__}
    done = _stamped(root / REGISTRY, stamp) and (root / declared.DECLARED).is_file()
    if not done:
        tell("registry", 0, 1)
        with exclusive(root / ".lock"), _understood(root):
            builtin, own, noted = objects_of(root, repo)
            with (
                _replaced(root / REGISTRY) as registry,
                _opened(registry, root / ONLINE) as store,
                _quiet(),
            ):
                store.apply([*builtin, *own])
            declared.write(root, noted)
            _set_stamp(root / REGISTRY, stamp)
    else:
        done = not _adopted(root)
    tell("registry", 1, 1)
    return not done


def applied(root: Path, repo: Path | None = None) -> bool:
    """Whether the registry holds the definitions as they are now, those of `repo` among them."""
    return _stamped(root / REGISTRY, {"definitions": definitions(root, repo)})


def _adopted(root: Path) -> bool:
    """Take the user's own files as they are now for what was declared; whether that changed anything."""
    before = declared.read_declared(root)
    after = declared.adopted(before)
    if after == before:
        return False
    with exclusive(root / ".lock"):
        declared.write(root, declared.adopted(declared.read_declared(root)))
    return True


@contextlib.contextmanager
def _understood(root: Path) -> Iterator[None]:
    """Feast's own complaint about a registry that it cannot read, in our words."""
    try:
        yield
    except (QuantdeskError, OSError, MemoryError):
        raise
    except Exception as error:
        try:
            writer = json.loads(_stamp_of(root / REGISTRY).read_text(encoding="utf-8"))["feast"]
        except (OSError, ValueError, KeyError, TypeError):
            writer = "an unknown version"
        raise DataError(
            f"Feast {version('feast')} cannot apply to {root / REGISTRY}, written by Feast {writer} "
            f"({type(error).__name__}: {error}).",
            "If it is the definitions, correct them; else move the file away and run `quantdesk features apply`.",
        ) from error


def materialize(
    root: Path,
    now: dt.datetime,
    *,
    progress: Progress | None = None,
    backend: Backend | None = None,
    afresh: bool = False,
) -> bool:
    """Fill the online store with each symbol's latest known row; False where it holds the current build already.

    Only partitions that changed since the last run are read. A run that was killed is taken up where it ended; readers
    get each symbol's old row or its new one throughout. Symbols that the build no longer holds stop answering.

    Parameters
    ----------
    root
        The feature store's folder.
    now
        Rows that were not known by then are left out.
    progress
        Called with (what, done, total): the partitions of each view.
    backend
        The online store; the configured one when left out.
    afresh
        Bring everything over again, even over rows that are newer: after rows were taken back from the source.

    Raises
    ------
    DataError
        Nothing has been built, the definitions have not been applied, or a file is damaged.
    EnvironmentProblem
        The store does not answer. What was brought over before stays.
    """
    tell = progress or (lambda what, done, total: None)
    own = backend is None
    backend = backend or online_store(root)
    try:
        return _materialize(root, now, backend, tell, afresh=afresh)
    finally:
        if own:
            backend.close()


def _materialize(root: Path, now: dt.datetime, backend: Backend, tell: Progress, *, afresh: bool) -> bool:
    moment = (now - _EPOCH) // dt.timedelta(microseconds=1) * 1000
    if not afresh and _done(root, backend, _every_plan(root), moment):
        tell("online store", len(VIEWS), len(VIEWS))
        return False
    if not (root / REGISTRY).is_file():
        raise DataError(f"There is no registry in {root} yet.", "Run `quantdesk features build`.")
    with exclusive(root / ".lock"):
        # Read again: a build that held the lock until now has changed what there is to fill from.
        found = _every_plan(root)
        pace = Pace(workers=OnlineConfig.from_env().workers)
        with backend.session() as writer:
            for name, plan in found.items():
                fill(backend, writer, plan, moment, pace, _told(tell, name), afresh=afresh)
        _register(root, list(found), now)
    tell("online store", len(VIEWS), len(VIEWS))
    return True


def _every_plan(root: Path) -> dict[str, Plan]:
    """What each view is filled from, by its name: those of the current build, and the user's own."""
    own = {name: plan_of(PROJECT, view) for name, view in declared.read_declared(root).views.items()}
    return {**plans(current(root)), **{name: plan for name, plan in own.items() if plan is not None}}


def plans(build: Path, manifest: Manifest | None = None) -> dict[str, Plan]:
    """What each view of a build is filled from, by its name."""
    manifest = manifest or read_manifest(build)
    symbols = {partition("symbol", series.key): series.key for series in manifest.series}
    found: dict[str, Plan] = {}
    for view in VIEWS.values():
        files = [
            (name, path.split("/")[1])
            for name in manifest.files
            for path in [name]
            if name.startswith(f"{view.name}/") and (view.entity is None or path.split("/")[1] in symbols)
        ]
        found[view.name] = Plan(
            view=table(PROJECT, view.name),
            schema=Schema.of_floats([feature.name for feature in view.features]),
            partitions=[
                Partition(name, build / name, manifest.files[name], symbols[folder] if view.entity else None)
                for name, folder in files
            ],
            keys=[(view.entity, view.entity, "string")] if view.entity else [],
            event="event_timestamp",
            created="created_timestamp",
            definitions=f"{manifest.definitions}|{manifest.recipe}",
            build=manifest.key,
        )
    return found


def _told(tell: Progress, name: str) -> Any:
    return lambda done, total: tell(f"online {name}", done, total)


def _done(root: Path, backend: Backend, found: dict[str, Plan], now: int) -> bool:
    until = _registered(root)
    return until is not None and all(is_filled(backend, plan, now) for plan in found.values())


def _register(root: Path, views: list[str], now: dt.datetime) -> None:
    """Tell Feast's registry up to when the views are filled: after they are, so that it is never ahead."""
    with (
        _replaced(root / REGISTRY) as registry,
        _opened(registry, root / ONLINE) as store,
        _quiet(),
    ):
        for name in views:
            view = store.get_feature_view(name)
            store.registry.apply_materialization(view, store.project, _BEGINNING, now)
    stamp = json.loads(_stamp_of(root / REGISTRY).read_text(encoding="utf-8"))
    _set_stamp(root / REGISTRY, {**stamp, "filled": now.isoformat()})


def _registered(root: Path) -> str | None:
    try:
        stamp = json.loads(_stamp_of(root / REGISTRY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp.get("filled") if (root / REGISTRY).is_file() else None


def filled_until(root: Path) -> dt.datetime:
    """Up to when the online store was filled.

    Raises
    ------
    DataError
        It has not been filled.
    EnvironmentProblem
        It does not answer.
    """
    backend = online_store(root)
    try:
        states = backend.states()
    finally:
        backend.close()
    filled = [states[name].until if name in states else None for name in (table(PROJECT, view) for view in VIEWS)]
    known = [until for until in filled if until is not None]
    if len(known) < len(filled):
        raise DataError(f"The online store of {root} has not been filled.", "Run `quantdesk features build`.")
    return _EPOCH + dt.timedelta(microseconds=min(known) // 1000)


def definitions(root: Path, repo: Path | None) -> str:
    """What the registry depends on: the definitions, how they become Feast objects, and where the data are."""
    code = [Path(__file__).with_name(name).read_bytes() for name in ("repository.py", "declared.py")]
    said = f"{definitions_version()}|{hashlib.sha256(b''.join(code)).hexdigest()}|{root / CURRENT}"
    return hashlib.sha256(f"{said}|{declared.version_of(repo)}".encode()).hexdigest()


def objects_of(root: Path, repo: Path | None) -> tuple[list[Any], list[Any], declared.Repository]:
    """The objects of the platform, the user's own, and what is to be remembered of these."""
    from quantdesk.features.repository import objects

    if repo is None or not repo.is_dir():
        return objects(root), [], declared.Repository({}, {})
    from quantdesk.features.own_repository import objects_in, views_among

    own = objects_in(repo)
    return objects(root), own, declared.declare(views_among(own), repo)


def open_feast(registry: Path, online: Path) -> Any:
    """Feast's own store on a registry file and the configured online store, which is a file at `online` by default."""
    from feast import FeatureStore

    from quantdesk.features.repository import repo_config

    url = OnlineConfig.from_env().url
    return FeatureStore(config=repo_config(registry, online, url.get_secret_value() if url is not None else None))


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
