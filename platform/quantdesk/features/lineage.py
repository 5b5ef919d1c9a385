"""What a feature is made from, down to the file and its licence, and what is made from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantdesk.features.inputs import FIELDS_OF

if TYPE_CHECKING:
    from quantdesk.features.definitions import Feature, View
    from quantdesk.features.manifest import Manifest
    from quantdesk.market.series import Series

__all__ = ["File", "Input", "Lineage", "Node", "Use", "carries", "lineage", "tree"]

_SAYS: Mapping[str, str] = {
    "price": "adjusted close where the series has one, else close",
    "high": "high, on the scale of the adjusted close",
    "low": "low, on the scale of the adjusted close",
    "close": "close, on the scale of the adjusted close",
    "traded_close": "close as the source has it",
    "volume": "volume as the source has it",
    "benchmark": "price of the benchmark on the same sessions",
    "panel": "prices of the stocks that make the mood of the market",
}


@dataclass(frozen=True)
class File:
    """A file that numbers come from.

    Attributes
    ----------
    package, version, licence, sha256
        Which file, and under which terms.
    labels
        What must be said of it: ``real`` or ``not_real``, ``adjusted_with_hindsight``, ``survivors_only``.
    series
        The keys of the series in it that are read, sorted.
    """

    package: str
    version: str
    licence: str
    sha256: str
    labels: tuple[str, ...]
    series: tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """Something that a formula reads.

    Attributes
    ----------
    name, says
        Its name in :class:`quantdesk.features.inputs.Inputs`, and what that is.
    files
        Where its numbers come from.
    """

    name: str
    says: str
    files: tuple[File, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Every series behind it, sorted."""
        return tuple(sorted({key for file in self.files for key in file.series}))


@dataclass(frozen=True, order=True)
class Use:
    """Something that is made from a feature.

    Attributes
    ----------
    kind, name
        For example ``"feature service"`` and ``"all_features"``, or ``"notebook"`` and its file.
    """

    kind: str
    name: str


@dataclass(frozen=True)
class Lineage:
    """Where a feature comes from and goes to.

    Attributes
    ----------
    feature, view, formula
        What it is.
    definitions, build, market
        The versions of the formulas, of the build and of the market data, as hashes.
    inputs
        What the formula reads.
    used_by
        What is made from it, as far as that is known.
    """

    feature: str
    view: str
    formula: str
    definitions: str
    build: str
    market: str
    inputs: tuple[Input, ...]
    used_by: tuple[Use, ...] = ()

    @property
    def files(self) -> tuple[File, ...]:
        """Every file behind it, each once, by package."""
        merged: dict[str, File] = {}
        for file in (file for one in self.inputs for file in one.files):
            there = merged.get(file.sha256 + file.package)
            series = tuple(sorted({*file.series, *(there.series if there else ())}))
            merged[file.sha256 + file.package] = File(
                file.package, file.version, file.licence, file.sha256, file.labels, series
            )
        return tuple(sorted(merged.values(), key=lambda file: (file.package, file.sha256)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "feature": self.feature,
            "view": self.view,
            "formula": self.formula,
            "definitions": self.definitions,
            "build": self.build,
            "market": self.market,
            "inputs": [
                {"name": one.name, "says": one.says, "files": [_file(file) for file in one.files]}
                for one in self.inputs
            ],
            "files": [_file(file) for file in self.files],
            "used_by": [{"kind": use.kind, "name": use.name} for use in self.used_by],
        }


@dataclass(frozen=True)
class Node:
    """A line of a tree.

    Attributes
    ----------
    text, detail
        What it is, and what else is said of it.
    children
        The lines below it.
    """

    text: str
    detail: str = ""
    children: tuple[Node, ...] = ()


def carries(feature: Feature, series: Series) -> bool:
    """Whether a series can have the feature at all: its kind, frequency and fields allow it."""
    fields = {field for name in feature.inputs for field in FIELDS_OF.get(name, ())}
    if series.frequency != "daily" or series.kind not in feature.kinds or not fields <= set(series.fields):
        return False
    return not ("traded_close" in feature.inputs and series.adjustment in {"splits and dividends", "unknown"})


def lineage(
    feature: Feature,
    view: View,
    manifest: Manifest,
    symbols: Sequence[str] | None = None,
    used_by: Iterable[Use] = (),
) -> Lineage:
    """The lineage of a feature in a build.

    Parameters
    ----------
    feature, view
        The feature and its view.
    manifest
        The build.
    symbols
        Only for these symbols; every series that can have the feature when left out.
    used_by
        What is made from it, gathered by whoever can look there.

    Raises
    ------
    UnknownName
        A symbol that the build does not hold.
    """
    if symbols is None:
        own = tuple(series for series in manifest.series if carries(feature, series))
    else:
        own = tuple(manifest.find(name) for name in symbols)
    behind: dict[str, tuple[Series, ...]] = {
        "panel": tuple(manifest.find(key) for key in manifest.panel),
        "benchmark": (manifest.find(manifest.benchmark),) if manifest.benchmark else (),
    }
    declared = getattr(view, "adopted", None)
    inputs = tuple(
        Input(name, f"a column of {getattr(view, 'path', 'files')}", _own_files(view, declared))
        if declared is not None
        else Input(
            name, _SAYS.get(name, "a column of the source"), _files(behind.get(name, own if view.entity else ()))
        )
        for name in feature.inputs
    )
    return Lineage(
        feature=feature.name,
        view=view.name,
        formula=feature.formula,
        definitions=manifest.definitions,
        build=manifest.key,
        market=manifest.market,
        inputs=inputs,
        used_by=tuple(sorted(set(used_by))),
    )


def _files(series: Iterable[Series]) -> tuple[File, ...]:
    found: dict[tuple[str, str, str, str], list[Series]] = {}
    for one in series:
        found.setdefault((one.package, one.version, one.licence, one.sha256), []).append(one)
    return tuple(
        File(*file, labels=_labels(members), series=tuple(sorted(one.key for one in members)))
        for file, members in sorted(found.items(), key=lambda item: item[0])
    )


def _own_files(view: View, adopted: Sequence[tuple[str, str]]) -> tuple[File, ...]:
    """The files of a view of the user's own, as they were when it was applied."""
    flags = view.flags
    words: tuple[str, ...] = ("real" if flags is not None and flags.real else "not_real",)
    if flags is not None:
        words += ("adjusted_with_hindsight",) * flags.adjusted_with_hindsight
        words += ("survivors_only",) * flags.survivors_only
    return tuple(File(path.rpartition("/")[2], "", "the user's own", digest, words, ()) for path, digest in adopted)


def _labels(members: Sequence[Series]) -> tuple[str, ...]:
    words = ["real" if all(one.flags.real for one in members) else "not_real"]
    words += ["adjusted_with_hindsight"] * any(one.flags.adjusted_with_hindsight for one in members)
    words += ["survivors_only"] * any(one.flags.survivors_only for one in members)
    return tuple(words)


def _file(file: File) -> dict[str, Any]:
    return {
        "package": file.package,
        "version": file.version,
        "licence": file.licence,
        "sha256": file.sha256,
        "labels": list(file.labels),
        "series": list(file.series),
    }


def tree(found: Lineage, shown: int = 8) -> Node:
    """The lineage as lines below lines.

    Parameters
    ----------
    found
        The lineage.
    shown
        How many series of a file are named; the rest is counted.
    """

    def listed(file: File) -> Node:
        more = len(file.series) - shown
        names = ", ".join(file.series[:shown]) + (f" and {more} more" if more > 0 else "")
        return Node(names, f"{len(file.series)} series")

    inputs = tuple(
        Node(
            one.name,
            one.says,
            tuple(
                Node(
                    f"{file.package} {file.version}",
                    f"{file.licence} · {', '.join(file.labels)} · SHA-256 {file.sha256}",
                    (listed(file),),
                )
                for file in one.files
            )
            or (Node("no series of this build", "the feature is null everywhere"),),
        )
        for one in found.inputs
    )
    uses = tuple(Node(use.name, use.kind) for use in found.used_by) or (Node("nothing that is known here"),)
    return Node(
        found.feature,
        found.formula,
        (
            Node("view", found.view),
            Node("made from", f"build {found.build[:12]}, market data {found.market[:12]}", inputs),
            Node("used by", "", uses),
        ),
    )
