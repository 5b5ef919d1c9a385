"""What a build of the features holds: from which data, by which definitions, in which files. An edge module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quantdesk.errors import DataError, UnknownName
from quantdesk.features.definitions import BENCHMARK
from quantdesk.market.series import Series

__all__ = ["MANIFEST", "Manifest", "read_manifest"]

MANIFEST = "manifest.json"
_REMEDY = "Run `quantdesk features build`: it builds the features again."


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
        Feature rows in all files.
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

    @cached_property
    def _by_name(self) -> dict[str, Series]:
        return {series.id: series for series in self.series} | {series.key: series for series in self.series}

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
        content = json.loads(path.read_text(encoding="utf-8"))
        content["series"] = tuple(Series.from_dict(given) for given in content["series"])
        content["panel"] = tuple(content["panel"])
        return Manifest(**content)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"There are no features in {build.parent} yet.", _REMEDY) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}).", _REMEDY) from error
