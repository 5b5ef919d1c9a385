"""When an earlier run is the answer to a new question: nothing that went into it has changed. Pure.

The key is a hash of all that can change a result: the notebook, what it declares, where it stands, its parameters, the
versions of data and features, the packages, and the code of quantdesk. Where one of them cannot be told there is no
key, and the report runs. What no key can see, such as a clock or a web page that a notebook reads, is the report's own
affair: it declares ``cache = false``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from quantdesk.reports.ledger.entry import Recorded
    from quantdesk.reports.notebooks import Report
    from quantdesk.reports.result import Provenance

__all__ = ["LAYOUT", "Asked", "Runs", "cache_key", "cached", "key_of"]

LAYOUT = 1
"""Counts the ways in which keys were made: another number finds nothing of before."""


class Runs(Protocol):
    """Where finished runs are found: ``RunLedger.search``."""

    def by_cache_key(self, key: str) -> Recorded | None:
        """The newest complete run of a key that was computed itself; None without one."""
        ...


@dataclass(frozen=True)
class Asked:
    """What a run is asked for, as a report and an order have it, and the request of a run that is under way.

    Attributes
    ----------
    report
        Its name.
    notebook, sha256
        The notebook's path, and the hash of its bytes.
    declaration
        As :meth:`~quantdesk.reports.declaration.Declaration.to_dict` writes it; None without one.
    parameters
        Those that were given, and the others at their defaults.
    """

    report: str
    notebook: Path
    sha256: str
    declaration: Mapping[str, Any] | None
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, report: Report, given: Mapping[str, Any]) -> Asked:
        """A report, and the checked values that were given."""
        declaration = getattr(report, "declaration", None)
        return cls(
            report.name,
            report.path,
            report.sha256,
            None if declaration is None else declaration.to_dict(),
            {**{item.name: item.default for item in report.parameters}, **given},
        )


def key_of(asked: Asked, made_from: Provenance) -> str | None:
    """The key of a run.

    Parameters
    ----------
    asked
        What it is asked for.
    made_from
        What it is made from, as :func:`quantdesk.reports.provenance.collect` tells it.

    Returns
    -------
    str or None
        SHA-256 in hexadecimal; None where something is not known, changed while the run was under way, or where the
        report wants no cache.
    """
    if asked.declaration is not None and not asked.declaration.get("cache", True):
        return None
    versions = (
        made_from.data_version,
        made_from.features_version,
        made_from.lock_sha256,
        made_from.code_version,
        made_from.python or None,
    )
    if None in versions or made_from.changed or not asked.sha256:
        return None
    content = {
        "layout": LAYOUT,
        "report": asked.report,
        # A notebook may import or read what stands beside it.
        "folder": str(asked.notebook.parent),
        "notebook": asked.sha256,
        "declaration": asked.declaration,
        "parameters": dict(asked.parameters),
        "versions": versions,
        # What is installed, and not only what the lock file wants.
        "packages": dict(made_from.packages),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def cache_key(report: Report, parameters: Mapping[str, Any], made_from: Provenance) -> str | None:
    """:func:`key_of` a report and the checked values that were given."""
    return key_of(Asked.of(report, parameters), made_from)


def cached(key: str | None, runs: Runs, *, requested_by: str = "") -> Recorded | None:
    """The run whose result may be served for a key; None where the report has to run.

    Parameters
    ----------
    key
        Of :func:`cache_key`; None finds nothing.
    runs
        ``RunLedger.search``.
    requested_by
        Who asks: a private run is served to who asked for it, and to nobody else.
    """
    found = None if key is None else runs.by_cache_key(key)
    if found is None or not found.folder:
        return None
    if found.is_private and (not requested_by or found.requested_by != requested_by):
        return None
    return found
