"""A frame in one Parquet file, with all that its proof needs. An edge module: it reads and writes files.

The columns are ``timestamp`` and ``symbol``, the features, the other columns of the entity frame, ``session`` where the
frame has sessions, per view the two times and the outcome (``known:<view>:event_timestamp`` and so on), and per feature
the reasons for its nulls (``why:<feature>``). Any Parquet reader can open it. The evidence and the labels stand in the
file's metadata, and beside them a seal: the SHA-256 of every byte of the file, the seal's own digits read as zeros.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quantdesk.errors import BadInput, DataError
from quantdesk.features.evidence import Evidence, Times
from quantdesk.features.frame import Answers, FeatureFrame, Labels
from quantdesk.features.verification import rule_broken
from quantdesk.records import atomic_write

__all__ = ["FORMAT", "load", "save"]

FORMAT = 1
"""The layout of the file. A file of another one is refused."""

_CONTENT = "quantdesk.frame"
_SEAL = "quantdesk.seal"
_MARK = b"quantdesk-sha256:"
_ZEROS = b"0" * 64
_OURS = ("timestamp", "symbol", "session")
_INSTANT = pa.timestamp("ns", tz="UTC")


def save(frame: FeatureFrame, path: Path | str) -> Path:
    """Write a frame, whole or not at all; a frame that is not validated is written with its doubts.

    Parameters
    ----------
    frame
        The frame.
    path
        The file. One that is there is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BadInput
        The frame was changed after it was checked, or carries a column that a file cannot hold exactly, or one with a
        name of ours.
    EnvironmentProblem
        The disk is full, or the folder is read-only.
    """
    path = Path(path)
    if frame.changed:
        raise BadInput("The frame was changed after it was checked.", "Ask for it again, and save that.")
    table, content = _table(frame)
    with atomic_write(path) as temporary:
        with pq.ParquetWriter(temporary, table.schema, compression="zstd", use_dictionary=_words(table)) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({_CONTENT: json.dumps(content), _SEAL: (_MARK + _ZEROS).decode()})
        _seal(temporary)
        again = _loaded(temporary, temporary.read_bytes())
        if again.changed:
            raise BadInput(
                f"A column of the frame would not come back from a file as it is: {_differs(frame, again)}.",
                "Give the entity frame plain columns: numbers, text, booleans, times.",
            )
    return path


def load(path: Path | str) -> FeatureFrame:
    """Read a frame that :func:`save` wrote, and check that not one byte of the file has changed.

    The frame is believed as it was when it was saved; its rows are held against the rule once more. Whether its sources
    still say the same, :meth:`FeatureFrame.verify` finds out.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    BadInput
        There is no such file.
    DataError
        It is no saved frame, one of another format, or was changed since.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise BadInput(f"There is no file {path}.", "Give a file that frame.save(path) wrote.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).", "Make it readable.") from error
    _check_seal(path, content)
    frame = _loaded(path, content)
    broken = rule_broken(frame)
    if not broken:
        return frame
    objections = tuple(f"{one.violations} of {one.rows} rows of {one.view} break the rule." for one in broken)
    return FeatureFrame(frame._values, frame.answers, frame.evidence, frame.labels, objections)


def _seal(path: Path) -> None:
    """Put the hash of the file into the place that was left for it."""
    content = path.read_bytes()
    place = content.rfind(_MARK) + len(_MARK)
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(hashlib.sha256(content).hexdigest().encode())


def _check_seal(path: Path, content: bytes) -> None:
    place = content.rfind(_MARK)
    if place < 0 or content[:4] != b"PAR1":
        raise DataError(f"{path} is not a saved frame, or is damaged.", "Give a file that frame.save(path) wrote.")
    place += len(_MARK)
    said = content[place : place + 64]
    blank = b"".join((content[:place], _ZEROS, content[place + 64 :]))
    if hashlib.sha256(blank).hexdigest().encode() != said:
        raise DataError(
            f"{path} is not as it was saved: its bytes do not have the hash that it carries.",
            "Take the original, or ask for the frame again.",
        )


def _table(frame: FeatureFrame) -> tuple[pa.Table, dict[str, Any]]:
    values, answers = frame.to_pandas(), frame.answers
    carried = [name for name in values.columns if name not in answers.features]
    for name in carried:
        if name in _OURS or ":" in name:
            raise BadInput(f"The column {name!r} has a name that a saved frame uses itself.", "Rename it.")
    columns: dict[str, Any] = {
        "timestamp": pa.array(pd.DatetimeIndex(values.index.get_level_values(0))),
        "symbol": pa.array(values.index.get_level_values(1).astype(object), pa.string()).dictionary_encode(),
    }
    columns |= {name: pa.array(values[name].to_numpy()) for name in answers.features}
    try:
        rest = pa.Table.from_pandas(values[carried], preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BadInput(f"A column of the frame cannot be stored ({error.args[0]}).", "Leave it out.") from error
    columns |= {name: rest.column(name) for name in carried}
    if answers.sessions is not None:
        columns["session"] = pa.array(answers.sessions).cast(_INSTANT)
    for view, times in answers.known.items():
        columns[f"known:{view}:event_timestamp"] = _stamps(times.event)
        columns[f"known:{view}:created_timestamp"] = _stamps(times.created)
        columns[f"known:{view}:outcome"] = pa.array(times.outcome)
    for name, codes in answers.codes().items():
        columns[f"why:{name}"] = pa.array(codes, pa.string()).dictionary_encode()
    content = {
        "format": FORMAT,
        "features": dict(answers.views),
        "carried": carried,
        "views": list(answers.known),
        "pandas": (rest.schema.metadata or {}).get(b"pandas", b"").decode(),
        "evidence": frame.evidence.to_dict(),
        "labels": frame.labels.to_dict(),
    }
    return pa.table(columns), content


def _loaded(path: Path, content: bytes) -> FeatureFrame:
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            said = json.loads(file.metadata.metadata[_CONTENT.encode()])
            if said["format"] != FORMAT:
                raise DataError(
                    f"{path} is a saved frame of format {said['format']}; this version reads {FORMAT}.",
                    "Ask for the frame again.",
                )
            table = file.read(use_threads=False)
        return _frame(table, said)
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(
            f"{path} is not a saved frame ({error}).", "Give a file that frame.save(path) wrote."
        ) from error


def _frame(table: pa.Table, said: dict[str, Any]) -> FeatureFrame:
    features = tuple(said["features"])
    stamps = pd.DatetimeIndex(_nanos(table.column("timestamp")).view("datetime64[ns]")).tz_localize("UTC")
    symbols = table.column("symbol").cast(pa.string()).to_pandas().to_numpy(dtype=object)
    index = pd.MultiIndex.from_arrays([stamps, symbols], names=["timestamp", "symbol"])
    values = pd.DataFrame({name: table.column(name).to_numpy() for name in features}, index=index, columns=features)
    rest = table.select(said["carried"]).replace_schema_metadata({"pandas": said["pandas"]} if said["pandas"] else None)
    for name, column in rest.to_pandas().items():
        values[name] = column.array
    why = {name: table.column(f"why:{name}").cast(pa.string()) for name in features}
    known = {
        view: Times(
            _nanos(table.column(f"known:{view}:event_timestamp")),
            _nanos(table.column(f"known:{view}:created_timestamp")),
            table.column(f"known:{view}:outcome").to_numpy().astype(np.int8),
        )
        for view in said["views"]
    }
    answers = Answers(
        views=said["features"],
        known=known,
        codes=lambda: {
            name: column.cast(pa.string()).to_pandas().to_numpy(dtype=object) for name, column in why.items()
        },
        sessions=_nanos(table.column("session")) if "session" in table.column_names else None,
    )
    return FeatureFrame(values, answers, Evidence.from_dict(said["evidence"]), Labels.from_dict(said["labels"]))


def _stamps(nanos: Any) -> pa.Array:
    """Times whose smallest number, numpy's NaT, is null."""
    return pa.array(nanos.view("datetime64[ns]")).cast(_INSTANT)


def _nanos(column: pa.ChunkedArray) -> Any:
    return column.to_numpy().astype("datetime64[ns]").view(np.int64)


def _words(table: pa.Table) -> list[str]:
    """Text gets a dictionary; numbers keep every bit, which a dictionary of floats need not."""
    return [field.name for field in table.schema if pa.types.is_dictionary(field.type)]


def _differs(one: FeatureFrame, other: FeatureFrame) -> str:
    mine, theirs = one.to_pandas(), other.to_pandas()
    for name in mine.columns:
        if str(mine[name].dtype) != str(theirs[name].dtype) or not mine[name].equals(theirs[name]):
            return f"{name} ({mine[name].dtype})"
    return "its index or its evidence"
