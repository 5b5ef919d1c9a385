"""The record of a run that lies on the disk and that nobody announced: read as what a stranger left. An edge module.

It becomes a row that everybody sees, so it has to be what :func:`quantdesk.reports.runs.publish` writes: a file of its
own (no link, no pipe), of a size that a record has, with the types of a record, under its own name, of times that a
database holds, in text that a database holds.
"""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from quantdesk.errors import DataError
from quantdesk.reports.result import Run, Status

__all__ = ["LARGEST", "found_run"]

LARGEST = 16_000_000
"""Bytes of a record: a thousand metrics and a hundred tables take a third of it."""
LONGEST = 200
"""Characters of a name or a title."""
AHEAD = timedelta(days=1)
"""How far a clock of another machine may be ahead."""


def found_run(folder: Path, now: datetime) -> Run:
    """The run in a folder.

    Parameters
    ----------
    folder
        Of the run; its name is the run's.
    now
        The moment (UTC): a run does not end much later.

    Raises
    ------
    DataError
        It is no run, or not this one: the message says why.
    """
    try:
        content = json.loads(_bytes(folder).decode("utf-8"))
        run = Run.from_dict(content, folder)
        record = run.to_dict()
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")  # halves of characters have no bytes
        _types().validate_json(json.dumps(record | {"folder": str(folder)}), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        raise _refused(folder, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    except OSError as error:
        raise _refused(folder, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(folder, f"{type(error).__name__}: {error}") from error
    why = _fault(run, folder.name, now)
    if why:
        raise _refused(folder, why)
    return run


def _fault(run: Run, name: str, now: datetime) -> str:
    """Why a record with the right types is none of this run; empty when it is."""
    if run.id != name:
        return f"it says that it is {run.id[:80]!r}"
    if run.status is Status.UNREADABLE:
        return "its status is none that a run ends with"
    for moment in (run.started, run.ended):
        if moment.tzinfo is None or not 1970 < moment.year < 2262:
            return f"{moment} is no time of a run"
    if run.ended > now + AHEAD:
        return f"it ends at {run.ended}, which is yet to come"
    for what, text in (("report", run.report), ("title", run.title), ("user", run.requested_by or "")):
        if len(text) > LONGEST or not (text.isprintable() or what == "title") or "\0" in text:
            return f"the {what} {text[:40]!r} is none"
    if not run.report or "/" in run.report:
        return f"the report {run.report[:40]!r} is none"
    if not set(run.given) <= set(run.parameters):
        return "it was given parameters that it does not have"
    names = [one.name for one in run.metrics]
    if len(set(names)) < len(names):
        return "a metric is in it twice"
    spoken = [run.problem.message if run.problem is not None else ""]
    for one in run.metrics:
        spoken += [one.name, one.unit, one.value if isinstance(one.value, str) else ""]
        if isinstance(one.value, int) and not -(2**63) <= one.value < 2**63:
            return f"the metric {one.name[:40]!r} has more than 64 bits"
    if any("\0" in text for text in spoken):
        return "a text in it holds the sign 0, which no database takes"
    return ""


def _bytes(folder: Path) -> bytes:
    """The record's file, opened so that neither a link nor a pipe leads elsewhere."""
    if folder.is_symlink():
        raise ValueError("its folder is a link")
    handle = os.open(folder / "run.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("run.json is no file")
        if facts.st_size > LARGEST:
            raise ValueError(f"run.json has {facts.st_size:,} bytes")
        parts = []
        left = LARGEST + 1
        while left and (part := os.read(handle, min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(handle)


@cache
def _types() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


def _refused(folder: Path, why: str) -> DataError:
    return DataError(
        f"{folder} is no run that can be taken into the ledger ({why[:300]}).", "Delete the folder, or restore it."
    )
