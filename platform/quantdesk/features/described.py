"""Definitions in words, so that two sets of them can be compared. An edge module, and it imports Feast.

They come from a registry (what was applied), or from the files of a feature repository (what would be applied).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError, QuantdeskError
from quantdesk.features import publish
from quantdesk.features.difference import Described, Difference, compare, compare_builds, compare_rows
from quantdesk.features.manifest import Manifest, read_manifest

__all__ = ["between_builds", "of_objects", "of_registry", "to_apply"]


def of_objects(objects: Iterable[Any]) -> Described:
    """Entities, feature views, their features, on-demand views and services in words; other objects are left out."""
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView

    kinds = ((FeatureView, _of_view), (OnDemandFeatureView, _of_on_demand), (FeatureService, _of_service))
    said: dict[tuple[str, str], dict[str, str]] = {}
    for one in objects:
        for kind, described in (*kinds, (Entity, _of_entity)):
            if isinstance(one, kind):
                said |= described(one)
                break
    return said


def _of_view(one: Any) -> dict[tuple[str, str], dict[str, str]]:
    return {("feature view", one.name): _view(one), **_fields(one)}


def _of_on_demand(one: Any) -> dict[tuple[str, str], dict[str, str]]:
    sources = [*one.source_feature_view_projections.values(), *one.source_request_sources.values()]
    names = " ".join(sorted(source.name for source in sources))
    return {("on-demand view", one.name): {"sources": names, "code": _code(one), **_told(one)}, **_fields(one)}


def _of_service(one: Any) -> dict[tuple[str, str], dict[str, str]]:
    parts = [f"{view.name}:{feature.name}" for view in one.feature_view_projections for feature in view.features]
    return {("feature service", one.name): {"features": " ".join(parts), **_told(one)}}


def _of_entity(one: Any) -> dict[tuple[str, str], dict[str, str]]:
    if one.name.startswith("__"):
        return {}  # Feast's own, for views without keys
    return {("entity", one.name): {"join key": one.join_key, "type": str(one.value_type), **_told(one)}}


def _fields(one: Any) -> dict[tuple[str, str], dict[str, str]]:
    return {("feature", f"{one.name}:{field.name}"): _field(field) for field in one.features}


def _view(view: Any) -> dict[str, str]:
    source = view.batch_source
    path = getattr(source, "path", None) or source.get_table_query_string()
    return {
        "entities": " ".join(name for name in view.entities if not name.startswith("__")),
        "ttl": str(view.ttl) if view.ttl else "none",
        "source": str(path),
        "event time": source.timestamp_field or "",
        "created time": source.created_timestamp_column or "",
        "field mapping": " ".join(f"{key}={value}" for key, value in sorted(source.field_mapping.items())),
        "online": "yes" if view.online else "no",
        **_told(view),
    }


def _field(field: Any) -> dict[str, str]:
    tags = {str(key).replace("_", " "): str(value) for key, value in (field.tags or {}).items()}
    return {"type": str(field.dtype), "description": field.description or "", **tags}


def _told(one: Any) -> dict[str, str]:
    tags = {f"tag {key}": str(value) for key, value in (one.tags or {}).items()}
    return {"description": one.description or "", **tags}


def _code(view: Any) -> str:
    transformation = getattr(view, "feature_transformation", None)
    return str(getattr(transformation, "udf_string", "") or "")


def of_registry(root: Path) -> Described:
    """What was applied to the registry of a feature store; nothing where nothing was.

    Raises
    ------
    DataError
        The registry cannot be read.
    """
    if not (root / publish.REGISTRY).is_file():
        return {}
    feast, opened = publish.open_feast(root / publish.REGISTRY, root / publish.ONLINE), False
    try:
        # Feast leaves a connection open to a file that it cannot read: it is asked only about one that can be read.
        with contextlib.closing(sqlite3.connect(root / publish.REGISTRY)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        opened = feast.registry is not None  # it is opened when it is first asked for
        listed = (feast.list_entities, feast.list_feature_views, feast.list_on_demand_feature_views)
        objects = [one for ask in (*listed, feast.list_feature_services) for one in ask()]
    except (QuantdeskError, MemoryError):
        raise
    except Exception as error:  # a registry that is damaged or foreign fails in whatever way its database does
        raise DataError(
            f"The registry {root / publish.REGISTRY} cannot be read ({type(error).__name__}).",
            "Move it away and run `quantdesk features apply`.",
        ) from error
    finally:
        if opened:
            publish.release(feast)
    return of_objects(objects)


def to_apply(root: Path, repo: Path | None = None) -> Difference:
    """What applying would change in the registry. What is there and defined no longer is left there, and named so.

    Parameters
    ----------
    root
        The feature store's folder, with the registry.
    repo
        The folder of the user's own definitions. Its files are run, as applying runs them.

    Raises
    ------
    BadInput
        A file of `repo` cannot be run.
    DataError
        The registry cannot be read.
    """
    from quantdesk.features.own_repository import objects_in
    from quantdesk.features.repository import objects

    own = objects_in(repo) if repo is not None and repo.is_dir() else []
    changes = compare(of_registry(root), of_objects([*objects(root), *own]))
    left = tuple(replace(one, what="kept") if one.what == "removed" else one for one in changes)
    return Difference(str(root / publish.REGISTRY), f"definitions{f' and {repo}' if own else ''}", left)


def between_builds(
    root: Path, before: str | None = None, after: str | None = None, *, rows: bool = False
) -> Difference:
    """What differs between two builds that are on the disk.

    Parameters
    ----------
    root
        The feature store's folder.
    before, after
        Keys, or unique beginnings of them. The current build when `after` is left out; the one that it was added to, or
        else the other one that is there, when `before` is.
    rows
        Compare the rows of every table, too.

    Raises
    ------
    BadInput
        There is no such build, or none to compare with.
    DataError
        A build is damaged.
    """
    from quantdesk.features.build import current

    there = {folder.name: folder for folder in (root / "builds").glob("*") if not folder.name.startswith(".")}
    newer = _found(there, after) if after else current(root)
    manifest = read_manifest(newer)
    older = _found(there, before) if before else _before(there, newer, manifest)
    other = read_manifest(older)
    changes = compare_builds(other, manifest)
    tables = tuple(_rows(older, newer, other, manifest)) if rows else ()
    return Difference(f"build {other.key[:12]}", f"build {manifest.key[:12]}", changes, tables)


def _found(there: dict[str, Path], given: str) -> Path:
    fitting = [folder for name, folder in there.items() if given and name.startswith(given)]
    if len(fitting) != 1:
        known = ", ".join(name[:12] for name in sorted(there)) or "none"
        word = "is no build" if not fitting else "fits several builds"
        raise BadInput(f"{given[:80]!r} {word}.", f"On the disk: {known}.")
    return fitting[0]


def _before(there: dict[str, Path], newer: Path, manifest: Manifest) -> Path:
    if manifest.parent in there:
        return there[manifest.parent]
    others = [folder for folder in there.values() if folder != newer]
    if len(others) != 1:
        raise BadInput(
            "There is no build to compare the current one with.", "One older build is kept when a newer one is made."
        )
    return others[0]


def _rows(older: Path, newer: Path, before: Manifest, after: Manifest) -> Iterator[Any]:
    """The tables whose bytes differ and whose rows do, too."""
    import pyarrow.parquet as pq

    for name in sorted({*before.files, *after.files}):
        if before.files.get(name) == after.files.get(name):
            continue
        tables = [
            pq.read_table(folder / name, partitioning=None) if name in manifest.files else None
            for folder, manifest in ((older, before), (newer, after))
        ]
        whole = next(table for table in tables if table is not None)
        found = compare_rows(
            name.removesuffix("/rows.parquet"), *(whole.slice(0, 0) if t is None else t for t in tables)
        )
        if found.added or found.removed or found.changed:
            yield found
