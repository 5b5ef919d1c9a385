"""What differs between two sets of definitions, or between two builds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from quantdesk.features.manifest import Manifest

__all__ = ["Change", "Described", "Difference", "RowChanges", "compare", "compare_builds", "compare_rows"]

Described = Mapping[tuple[str, str], Mapping[str, str]]
"""Definitions in words: by kind (``"feature view"``) and name, each property and its value."""


@dataclass(frozen=True, order=True)
class Change:
    """One thing that is not the same.

    Attributes
    ----------
    kind, name
        What it is about.
    what
        ``"added"``, ``"removed"`` or ``"changed"``; ``"kept"`` for what is defined no longer and stays all the same.
    field
        Which property changed; empty where the whole thing came or went.
    before, after
        Its value on each side; empty where there is none.
    """

    kind: str
    name: str
    what: str
    field: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class RowChanges:
    """How the rows of one table differ, events counted once, by their latest version.

    Attributes
    ----------
    table
        The view and the key of the symbol, as a path.
    added, removed, changed, same
        Events that only the newer one has, that only the older one has, whose values or nulls differ, and that agree.
    """

    table: str
    added: int
    removed: int
    changed: int
    same: int


@dataclass(frozen=True)
class Difference:
    """Everything that differs.

    Attributes
    ----------
    before, after
        What was compared, in words.
    changes
        Sorted by kind and name.
    rows
        Per table whose rows differ; empty where rows were not compared or are the same.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    rows: tuple[RowChanges, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and not self.rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "before": self.before,
            "after": self.after,
            "same": self.same,
            "changes": [asdict(one) for one in self.changes],
            "rows": [asdict(one) for one in self.rows],
        }


def compare(before: Described, after: Described) -> tuple[Change, ...]:
    """What must happen to `before` to make it `after`."""
    found = [Change(*thing, what="removed") for thing in before if thing not in after]
    for thing, properties in after.items():
        if thing not in before:
            found.append(Change(*thing, what="added"))
            continue
        old = before[thing]
        found += [
            Change(*thing, what="changed", field=name, before=old.get(name, ""), after=properties.get(name, ""))
            for name in sorted({*old, *properties})
            if old.get(name, "") != properties.get(name, "")
        ]
    return tuple(sorted(found))


def compare_builds(before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """What went into two builds: formulas, market data, recipe, and every series."""
    return compare(_of_build(before), _of_build(after))


def _of_build(manifest: Manifest) -> Described:
    whole = {
        "formulas": manifest.definitions[:16],
        "market data": manifest.market[:16],
        "recipe": manifest.recipe,
        "benchmark": manifest.benchmark or "none",
        "panel": " ".join(manifest.panel),
        "rows": f"{manifest.rows:,}",
        "loads": str(len(manifest.loads)),
        "quantdesk": manifest.version,
    }
    described: dict[tuple[str, str], Mapping[str, str]] = {("build", "contents"): whole}
    for series in manifest.series:
        described["series", series.key] = {
            "id": series.id,
            "sessions": f"{series.rows:,} from {series.start} to {series.end}",
            "fields": " ".join(series.fields),
            "kind": series.kind,
            "adjustment": series.adjustment,
            "file": f"{series.package} {series.version} SHA-256 {series.sha256[:16]}",
            "publication lag": str(series.publication_lag),
            "in the market store": "no" if series.key in manifest.gone else "yes",
        }
    return described


def compare_rows(table: str, before: pa.Table, after: pa.Table) -> RowChanges:
    """Compare the latest versions of the rows of one table.

    Parameters
    ----------
    table
        What to call it.
    before, after
        With ``event_timestamp``, ``created_timestamp`` and the features; other columns do not count.
    """
    old, new = _latest(before), _latest(after)
    events = [part.column("event_timestamp").cast(pa.int64()).to_numpy() for part in (old, new)]
    shared, left, right = np.intersect1d(events[0], events[1], assume_unique=True, return_indices=True)
    differs = np.zeros(len(shared), dtype=bool)
    for name in _features(old) | _features(new):
        values = [_column(part, name, place) for part, place in ((old, left), (new, right))]
        one, other = values
        differs |= ~((one == other) | (np.isnan(one) & np.isnan(other)))
    changed = int(differs.sum())
    return RowChanges(
        table,
        added=len(events[1]) - len(shared),
        removed=len(events[0]) - len(shared),
        changed=changed,
        same=len(shared) - changed,
    )


def _column(table: pa.Table, name: str, place: np.ndarray) -> np.ndarray:
    """Values at some places; null where the table has no such column."""
    if name not in table.column_names:
        return np.full(len(place), np.nan)
    return np.asarray(table.column(name).take(pa.array(place)).to_numpy(), dtype=np.float64)


def _features(table: pa.Table) -> set[str]:
    return {field.name for field in table.schema if pa.types.is_floating(field.type)}


def _latest(table: pa.Table) -> pa.Table:
    """Of each event the version that was known last; of equal times the one that was written last."""
    event = table.column("event_timestamp").cast(pa.int64()).to_numpy()
    created = pc.cast(table.column("created_timestamp"), pa.int64()).to_numpy()
    order = np.lexsort((np.arange(len(event)), created, event))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = event[order][1:] != event[order][:-1]
    return table.take(pa.array(order[last]))
