"""What a job of JupyterLab is, as the ledger keeps it: in the details of an order or of a schedule. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from quantdesk.errors import BadInput, DataError

__all__ = [
    "ATTEMPTS",
    "FORMATS",
    "HIDDEN",
    "PURPOSE",
    "SEAL",
    "TRIGGER",
    "LabJob",
    "job_id",
    "report_name",
    "run_id",
    "sealed_text",
]

TRIGGER = "lab"
"""Of the orders and the source of the schedules that come from JupyterLab."""
HIDDEN = "is_hidden"
"""A detail of a run that its user deleted from his list: the ledger forgets nothing."""
PURPOSE = "job of JupyterLab"
"""What the service seals orders for, and the one who starts them checks."""
ATTEMPTS = 3
"""How often a job is begun where the machine was at fault. What its notebook did wrong is not tried again."""
SEAL = "seal"
"""A detail: the service's word that this user has asked for this job."""
FORMATS = {"ipynb": "Notebook", "html": "HTML"}
"""What a job can leave, and what people call it."""
LARGEST_ORDER = 60_000
"""Bytes of an order without its notebook: it travels in one variable of an environment."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LabJob:
    """A job or a job definition.

    Attributes
    ----------
    name
        As its user called it.
    filename
        Of the notebook; no path.
    sha256
        Of the notebook's bytes, in hexadecimal.
    folder
        Absolute path of the folder in which it runs.
    made
        When it was asked for: milliseconds since 1970 (UTC).
    formats
        What shall be offered of its results: ``ipynb``, ``html``.
    tags
        Words of its user's.
    environment
        As JupyterLab names it.
    definition
        The definition that it was made from; empty without one.
    """

    name: str
    filename: str
    sha256: str
    folder: str
    made: int
    formats: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    environment: str = "quantdesk"
    definition: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 200 or not self.name.isprintable():
            raise BadInput(f"{self.name[:40]!r} is no name of a job.", "Give 1 to 200 printable characters.")
        if not _is_filename(self.filename):
            raise BadInput(f"{self.filename[:40]!r} is no name of a notebook.", "Give one like risk.ipynb, no path.")
        if not _DIGEST.fullmatch(self.sha256):
            raise BadInput(f"{self.sha256[:80]!r} is no SHA-256.", "Give 64 hexadecimal digits.")
        if not PurePosixPath(self.folder).is_absolute() or len(self.folder.encode()) > 4000 or "\0" in self.folder:
            raise BadInput(f"{self.folder[:80]!r} is no folder for a job.", "Give an absolute path.")
        strange = [one for one in self.formats if one not in FORMATS]
        if strange:
            raise BadInput(f"{strange[0][:40]!r} is no format of results.", f"Choose from {', '.join(FORMATS)}.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"formats": list(self.formats), "tags": list(self.tags)}

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> LabJob:
        """The job in the details of a run or of a schedule.

        Raises
        ------
        DataError
            There is none, or it is damaged.
        """
        try:
            found = dict(details[TRIGGER])
            return cls(**found | {"formats": tuple(found["formats"]), "tags": tuple(found["tags"])})
        except (KeyError, TypeError, AttributeError, BadInput) as error:
            raise DataError(f"This is no job of JupyterLab ({error}).", "Make it again in JupyterLab.") from error


def _is_filename(name: str) -> bool:
    plain = name.isprintable() and "/" not in name and "\\" not in name and not name.startswith((".", "-"))
    return plain and name.endswith(".ipynb") and len(name.encode()) <= 200


def report_name(filename: str) -> str:
    """What the ledger calls the report: no notebook of the team can have a name with a slash.

    So nobody's own notebook stands in for one of the team, in a list, in a dependency or in a limit.

    >>> report_name("my risk (2).ipynb")
    'lab/my-risk-2'
    """
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", filename.removesuffix(".ipynb"))[:40].strip("-")
    return f"{TRIGGER}/{stem or 'notebook'}"


def sealed_text(user: str, parameters: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    """What the service seals: one text for one order, whatever the order of its keys.

    Raises
    ------
    BadInput
        It is too long.
    """
    text = json.dumps([user, dict(parameters), dict(job)], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    if len(text) > LARGEST_ORDER:
        raise BadInput(
            f"The job has {len(text):,} bytes without its notebook.",
            f"At most {LARGEST_ORDER:,} are taken: pass big data by file.",
        )
    return text


def job_id(run: str) -> str:
    r"""The name of a run as JupyterLab's addresses take it, ``\w+(-\w+)+``; :func:`run_id` is the way back.

    >>> job_id("20261127T120000.123Z-lab-a--b-9f3a1c")
    '20261127T120000_d123Z-lab-a-_mb-9f3a1c'
    """
    return re.sub(r"(?<=-)-", "_m", run.replace("_", "_u").replace(".", "_d"))


def run_id(job: str) -> str:
    """The run of a name that :func:`job_id` made; of any other text, some text that names no run.

    >>> run_id("20261127T120000_d123Z-lab-a-_mb-9f3a1c")
    '20261127T120000.123Z-lab-a--b-9f3a1c'
    """
    return re.sub("_([mdu])", lambda found: {"m": "-", "d": ".", "u": "_"}[found[1]], job)
