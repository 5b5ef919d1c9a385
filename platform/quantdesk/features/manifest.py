"""What a build of the features holds: from which data, by which definitions, in which files. An edge module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quantdesk import __version__
from quantdesk.errors import DataError, UnknownName
from quantdesk.features.definitions import BENCHMARK
from quantdesk.market.series import Series

__all__ = ["LAYOUT", "MANIFEST", "Load", "Manifest", "parse_manifest", "read_manifest"]

MANIFEST = "manifest.json"
LAYOUT = 2
"""How a build is laid out. Another number cannot be read, and is built anew."""
_REMEDY = "Run `quantdesk features build`: it builds the features again."


@dataclass(frozen=True)
class Load:
    """One load of market data into the features.

    Attributes
    ----------
    at
        When it was, ISO with a zone (UTC), microseconds: what it changed was known from then on.
    market
        The version of the market store that it read.
    why
        Why there was a load: that market data changed, or why everything was built anew.
    added, restated, withdrawn
        How many rows are new, are new versions of old ones, and say that an event is gone.
    lost
        Files of the build before that were damaged, so that their history begins anew with this load.
    """

    at: str
    market: str
    why: str
    added: int
    restated: int
    withdrawn: int
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A build.

    Attributes
    ----------
    key
        A hash of everything that went in; equal keys hold equal features.
    market
        The version of the market store.
    definitions
        The version of the formulas; see :func:`quantdesk.features.build.definitions_version`.
    series
        Every series, as the market store describes it.
    benchmark
        The key of the benchmark's series, or None where the store has none.
    panel
        The keys of the series that make the mood of the market.
    left_out
        Per series the number of bars on days on which its exchange was closed; they are not used.
    files
        Per file, by its path below the build's folder, its SHA-256.
    rows
        Feature rows in all files, every version counted.
    loads
        Every load that the rows come from, the first one first. A row's column ``load`` is a place in this list.
    gone
        Keys of series that the market store no longer holds. Their rows stay, and say when they went.
    recipe
        What was built besides what the definitions say.
    parent
        The build to which this one was added; None for one that began anew.
    layout
        See :data:`LAYOUT`.
    version
        The version of quantdesk that wrote it.
    """

    key: str
    market: str
    definitions: str
    series: tuple[Series, ...]
    benchmark: str | None
    panel: tuple[str, ...]
    left_out: Mapping[str, int]
    files: Mapping[str, str]
    rows: int
    loads: tuple[Load, ...] = ()
    gone: tuple[str, ...] = ()
    recipe: str = ""
    parent: str | None = None
    layout: int = LAYOUT
    version: str = __version__

    @cached_property
    def _by_name(self) -> dict[str, Series]:
        return {series.id: series for series in self.series} | {series.key: series for series in self.series}

    @property
    def knowledge(self) -> str:
        """How it is known when each row was known, in one sentence: it belongs beside every proof."""
        if not self.loads:
            return "Nobody recorded when the rows were loaded."
        first, changed = self.loads[0], sum(one.restated + one.withdrawn for one in self.loads[1:])
        return (
            f"Knowledge times are by policy, not observed: the history was loaded on {first.at[:10]} and each session "
            f"counts as known at its event plus the publication lag of its source; {changed} changes found by "
            f"{len(self.loads) - 1} later loads count as known from the load that found them."
        )

    def find(self, name: str) -> Series:
        """The series that a name means.

        Raises
        ------
        UnknownName
            There are no features for it; the message offers the nearest names.
        """
        try:
            return self._by_name[name]
        except (KeyError, TypeError):
            raise UnknownName("symbol", str(name)[:80], self._by_name) from None

    def behind(self, view: str, symbols: tuple[str, ...]) -> tuple[Series, ...]:
        """The series whose numbers are in the answers of a view for some symbols."""
        if view == "sentiment":
            return tuple(self.find(name) for name in self.panel)
        own = tuple(self.find(name) for name in symbols)
        with_benchmark = view == "market_model" and self.benchmark is not None
        return (*own, self.find(self.benchmark or BENCHMARK)) if with_benchmark else own

    def to_json(self) -> str:
        """As text; equal builds give equal bytes."""
        content: dict[str, Any] = {name: value for name, value in asdict(self).items() if name != "series"}
        content["series"] = [series.to_dict() for series in self.series]
        return json.dumps(content, indent=1, sort_keys=True) + "\n"


def read_manifest(build: Path) -> Manifest:
    """The manifest of the build in a folder.

    Raises
    ------
    DataError
        There is none, or it is damaged.
    """
    path = build / MANIFEST
    try:
        return parse_manifest(path.read_text(encoding="utf-8"), str(path), str(build))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"There are no features in {build.parent} yet.", _REMEDY) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}).", _REMEDY) from error


def parse_manifest(text: str, what: str, where: str) -> Manifest:
    """The manifest that :meth:`Manifest.to_json` wrote.

    Parameters
    ----------
    text
        The manifest.
    what, where
        What it is called and where its features are, for messages.

    Raises
    ------
    DataError
        It is damaged, or of another layout.
    """
    try:
        content = json.loads(text)
        layout = content.get("layout", 1) if "key" in content else LAYOUT
        if layout != LAYOUT:
            writer = content.get("version", "0.1.0 or earlier")
            raise DataError(
                f"The features in {where} were built by quantdesk {writer} in layout {layout}; "
                f"quantdesk {__version__} reads layout {LAYOUT}.",
                _REMEDY,
            )
        content["loads"] = tuple(Load(**{**one, "lost": tuple(one["lost"])}) for one in content["loads"])
        content["gone"] = tuple(content["gone"])
        content["series"] = tuple(Series.from_dict(given) for given in content["series"])
        content["panel"] = tuple(content["panel"])
        return Manifest(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{what} is damaged ({error}).", _REMEDY) from error
