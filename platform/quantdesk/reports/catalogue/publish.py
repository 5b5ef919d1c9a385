"""The pages as files in a folder. An edge module.

Each page is written whole or not at all, the index last. Pages of features that are gone are removed; a folder that
holds anything which the catalogue did not write is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.features.build import Progress
from quantdesk.home import state_dir
from quantdesk.records import atomic_write
from quantdesk.reports.catalogue.facts import Verdict
from quantdesk.reports.catalogue.gather import gather
from quantdesk.reports.catalogue.pages import feature_page, file_name, index_page

if TYPE_CHECKING:
    from quantdesk.features.store import FeatureStore

__all__ = ["Written", "write"]

_LIST = "catalogue.json"
"""Beside the pages: which files are the catalogue's."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    index
        The page to open.
    pages, features
        How many there are.
    size
        Of all pages, bytes.
    """

    index: Path
    pages: int
    features: int
    size: int


def write(
    store: FeatureStore, out: Path | None = None, *, audit: bool = True, progress: Progress | None = None
) -> Written:
    """Write the catalogue of a feature store. Equal stores give equal bytes.

    Parameters
    ----------
    store
        The feature store; it must have been built.
    out
        The folder; ``reports/features`` in the state directory when left out. It is made when it is not there.
    audit
        Look for leaks in every feature first.
    progress
        Called with (what, done, total).

    Raises
    ------
    BadInput
        The folder holds files that are not the catalogue's.
    DataError
        Nothing has been built, or the build is damaged.
    EnvironmentProblem
        The disk is full or read-only.
    """
    folder = (out if out is not None else state_dir() / "reports" / "features").expanduser().resolve()
    ours = _ours(folder)
    overview, every = gather(store, _audited(progress) if audit else {}, progress)
    pages: dict[str, str] = {}
    names = [facts.name for facts in every]
    for place, facts in enumerate(every):
        before = names[place - 1] if place else None
        after = names[place + 1] if place + 1 < len(names) else None
        pages[file_name(facts.name)] = feature_page(facts, overview, (before, after))
    pages["index.html"] = index_page(every, overview)
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / _LIST, json.dumps(sorted({*pages, *ours, _LIST}), indent=1) + "\n")
    for name, text in pages.items():
        _save(folder / name, text)
    for name in ours - set(pages) - {_LIST}:
        (folder / name).unlink(missing_ok=True)
    _save(folder / _LIST, json.dumps(sorted([*pages, _LIST]), indent=1) + "\n")
    size = sum(len(text.encode()) for text in pages.values())
    return Written(folder / "index.html", len(pages), len(every), size)


def _save(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _ours(folder: Path) -> set[str]:
    """The files in the folder that an earlier catalogue wrote.

    Raises
    ------
    BadInput
        There are others.
    """
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder.", "Name a folder for the pages, or one that does not exist yet.")
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    try:
        listed = set(json.loads((folder / _LIST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        listed = set()
    foreign = sorted(there - listed)
    if foreign:
        raise BadInput(
            f"{folder} holds {foreign[0]!r}, which is not a page of the catalogue.", "Name an empty or a new folder."
        )
    return there & listed


def _audited(progress: Progress | None) -> Mapping[str, Verdict]:
    """What the audit for leaks says of each feature of the platform; nothing where there are no prices to try it on."""
    from quantdesk.features.audit import repository
    from quantdesk.market import MarketStore

    try:
        found = repository(MarketStore(), progress=progress)
    except QuantdeskError:
        return {}
    said = {}
    for name, one in found.items():
        tried = f"{one.calls} computations of {one.rows:,} rows of {one.name}, with {one.cuts} cuts; seed {one.seed}."
        worst = one.findings[0] if one.findings else None
        why = f"{worst.about.title}. {worst.detail} " if worst is not None else ""
        said[name] = Verdict(one.verdict, f"{why}{tried[0].upper()}{tried[1:]}")
    return said
