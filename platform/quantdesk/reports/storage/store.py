"""One store: runs sent to it, found in it and fetched from it. An edge module."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from quantdesk.errors import BadInput, DataError, EnvironmentProblem
from quantdesk.records import atomic_directory, atomic_write
from quantdesk.reports.result import Run, is_id
from quantdesk.reports.storage.config import StoreConfig

__all__ = ["Store"]

FRESH_S = 5.0
"""Seconds for which the list of names in the store is not asked for again."""
_WHOLE_BY_ITSELF = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"})
"""Stores of objects: one appears when it is complete, and renaming it would copy it."""

log = logging.getLogger(__name__)


@dataclass
class _Names:
    """What the store held when it was asked last."""

    at: float = -FRESH_S
    names: frozenset[str] = field(default_factory=frozenset)


_listed: dict[str, _Names] = {}


class Store:
    """One store, and what is kept of it here.

    Parameters
    ----------
    config
        Names it.
    root
        The folder of reports.

    Raises
    ------
    BadInput
        The address is none, or no file system of that kind is known.
    EnvironmentProblem
        The package for it is not installed.
    """

    def __init__(self, config: StoreConfig, root: Path) -> None:
        self._address = re.sub(r"//[^/@]*@", "//", config.store)  # never a password in a message
        self._cache_bytes = config.store_cache_mb * 1_000_000
        if re.search(r"//[^/@]*:[^/@]*@", config.store):
            raise BadInput(
                f"The store {self._address} is named with a password.",
                "Leave it out, and give keys as the vendor's library reads them, for example AWS_ACCESS_KEY_ID.",
            )
        import fsspec  # type: ignore[import-untyped]

        try:
            self._fs, path = fsspec.url_to_fs(config.store, **config.store_options)
        except ImportError as error:
            raise EnvironmentProblem(
                f"The store {self._address} needs a package that is not installed ({error}).",
                "Install it beside quantdesk: s3fs for s3://, gcsfs for gs://, adlfs for abfs://.",
            ) from error
        except Exception as error:
            raise BadInput(
                f"The store {self._address} cannot be used ({_said(error)}).",
                "Set QUANTDESK_REPORTS_STORE to an address such as s3://bucket/prefix or file:///mnt/reports.",
            ) from error
        self._path = str(path).rstrip("/")
        kinds = self._fs.protocol if isinstance(self._fs.protocol, (tuple, list)) else (self._fs.protocol,)
        self._whole_by_itself = bool(_WHOLE_BY_ITSELF & set(kinds))
        key = hashlib.sha256(config.store.encode()).hexdigest()[:12]
        self._here = root / "store" / key
        self._known = _listed.setdefault(f"{key} {root}", _Names())

    def names(self) -> frozenset[str]:
        """Ids of the folders in the store, some seconds old at most; one that is being sent may be among them.

        Raises
        ------
        EnvironmentProblem
            It cannot be read.
        """
        if time.monotonic() - self._known.at >= FRESH_S:
            with self._asked("read"):
                self._fs.invalidate_cache()
                try:
                    found = self._fs.ls(self._path, detail=False)
                except FileNotFoundError:
                    found = []
            names = (PurePosixPath(str(path).rstrip("/")).name for path in found)
            self._known.names = frozenset(name for name in names if is_id(name))
            self._known.at = time.monotonic()
        return self._known.names

    def records(self, names: Iterable[str]) -> dict[str, Run]:
        """The runs of these ids, from their records; one without a record is being sent, and is left out.

        A run's `folder` holds its files only after :meth:`fetch`.

        Raises
        ------
        EnvironmentProblem
            The store cannot be read.
        """
        wanted = list(names)
        kept = {name: self._here / "records" / f"{name}.json" for name in wanted}
        unknown = [name for name in wanted if not kept[name].is_file()]
        if unknown:
            paths = {f"{self._path}/{name}/run.json": name for name in unknown}
            with self._asked("read"):
                read: dict[str, Any] = self._fs.cat(list(paths), on_error="omit") if paths else {}
            for path, content in read.items():
                name = next((one for known, one in paths.items() if str(path).endswith(known)), None)
                if name is not None and isinstance(content, bytes) and _run(content, Path(name), name) is not None:
                    with atomic_write(kept[name]) as temporary:
                        temporary.write_bytes(content)
        found = {}
        for name in wanted:
            with contextlib.suppress(OSError):
                run = _run(kept[name].read_bytes(), self._here / "runs" / name, name)
                if run is not None:
                    found[name] = run
        return found

    def fetch(self, name: str) -> Run | None:
        """A run with all its files on this disk; None where the store does not have it.

        Raises
        ------
        EnvironmentProblem
            The store cannot be read, or this disk is full.
        """
        run = self.records([name]).get(name)
        if run is None:
            return None
        if not run.folder.is_dir():
            self._download(name, run.folder)
        os.utime(run.folder)
        self._evict(run.folder)
        return run

    def push(self, folder: Path) -> None:
        """Send a finished run; one that the store has already is left as it is.

        Parameters
        ----------
        folder
            Of the run; its name is the id.

        Raises
        ------
        EnvironmentProblem
            It could not be sent. What was sent is no run yet, and is sent again the next time.
        DataError
            The folder holds no run.
        """
        if not (folder / "run.json").is_file():
            raise DataError(f"{folder} holds no finished run.", "Name the folder of a run.")
        target = f"{self._path}/{folder.name}"
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / "run.json"]
        with self._asked("written"):
            if not self._fs.exists(f"{target}/run.json"):
                for path in files:
                    self._send(path, f"{target}/{path.relative_to(folder).as_posix()}")
                self._send(folder / "run.json", f"{target}/run.json")
        sent = self._here / "sent"
        sent.mkdir(parents=True, exist_ok=True)
        (sent / folder.name).touch()
        self._known.at = -FRESH_S

    def remove(self, name: str) -> None:
        """Let go of a run, and of what is kept of it here; one that is not there is no fault.

        Parameters
        ----------
        name
            The run's id.

        Raises
        ------
        BadInput
            It is no id.
        EnvironmentProblem
            The store cannot be written. What is left there is no run any more, or is still whole.
        """
        if not is_id(name):
            raise BadInput(f"{name[:80]!r} is no name of a run.", "Give the id of one.")
        target = f"{self._path}/{name}"
        with self._asked("written"):
            self._fs.invalidate_cache()
            # The record first: without it the rest is none that anybody finds.
            with contextlib.suppress(FileNotFoundError):
                if self._fs.exists(f"{target}/run.json"):
                    self._fs.rm_file(f"{target}/run.json")
            with contextlib.suppress(FileNotFoundError):
                self._fs.invalidate_cache()
                if self._fs.find(target):
                    self._fs.rm(target, recursive=True)
        shutil.rmtree(self._here / "runs" / name, ignore_errors=True)
        for kept in (self._here / "records" / f"{name}.json", self._here / "sent" / name):
            kept.unlink(missing_ok=True)
        self._known.at = -FRESH_S

    def pending(self, runs: Path) -> list[str]:
        """Ids of the runs in that folder that were not sent, oldest first."""
        there = {path.name for path in runs.iterdir() if is_id(path.name)} if runs.is_dir() else set()
        sent = self._here / "sent"
        return sorted(there - ({path.name for path in sent.iterdir()} if sent.is_dir() else set()))

    def _send(self, path: Path, target: str) -> None:
        if self._whole_by_itself:
            # No folder is made first: there is none, and s3fs would make the bucket.
            self._fs.put_file(str(path), target)
            return
        folder, _, name = target.rpartition("/")
        self._fs.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/.{name}.{secrets.token_hex(3)}.tmp"
        self._fs.put_file(str(path), temporary)
        self._fs.mv(temporary, target)

    def _download(self, name: str, folder: Path) -> None:
        top = f"{self._path}/{name}/"
        with self._asked("read"), contextlib.suppress(FileExistsError), atomic_directory(folder) as temporary:
            for path in self._fs.find(top):
                below = str(path).partition(top)[2]
                parts = PurePosixPath(below).parts
                # Names come from the store: none leads out of the folder, and half-sent files are no files.
                if not 1 <= len(parts) <= 2 or any(part.startswith(".") or "\\" in part for part in parts):
                    continue
                (temporary / below).parent.mkdir(exist_ok=True)
                self._fs.get_file(path, str(temporary / below))

    def _evict(self, keep: Path) -> None:
        """Remove fetched runs that were not used for the longest time, while they have too many bytes."""
        folders = sorted((self._here / "runs").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        used = 0
        for folder in [keep, *(one for one in folders if one != keep)]:
            used += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if used > self._cache_bytes and folder != keep:
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """One clear error for whatever a file system raises: each has errors of its own."""
        try:
            yield
        except EnvironmentProblem:
            raise
        except Exception as error:
            raise EnvironmentProblem(
                f"The store {self._address} cannot be {what} ({_said(error)}).",
                "Look whether it is reachable and may be used with these keys; runs on this disk are not touched.",
            ) from error


def _run(content: bytes, folder: Path, name: str) -> Run | None:
    """The run of a record, if it is one and says the name that it lies under."""
    try:
        run = Run.from_dict(json.loads(content), folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        log.warning("the record of %s in the store is damaged", name)
        return None
    return run if run.id == name else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
