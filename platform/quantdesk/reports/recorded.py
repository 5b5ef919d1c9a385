"""What a notebook recorded, as it travels in outputs of cells, and how it is collected from an executed one. Pure.

``record("sharpe", 1.2)`` leaves an output of the type `METRIC`, ``record.table("positions", frame)`` one of `TABLE`.
Any cell can write outputs of any type, so both are checked here as what a stranger sent: what does not fit is left out
and noted.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quantdesk.reports.declaration import NAME, Declaration
from quantdesk.reports.result import Metric, Table

__all__ = ["DTYPES", "METRIC", "TABLE", "MetricMessage", "Recorded", "TableMessage", "collect", "parquet"]

METRIC = "application/vnd.quantdesk.metric+json"
TABLE = "application/vnd.quantdesk.table+json"
MOST_METRICS = 1000
MOST_TABLES = 100
MOST_ROWS = 100_000
MOST_COLUMNS = 200

DTYPES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float",
    "double",
    "bool",
    "string",
    "date32[day]",
    "timestamp[us]",
    "timestamp[us, tz=UTC]",
)
"""Types of columns, as Arrow writes them."""

Named = Annotated[str, Field(pattern=rf"^{NAME}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class MetricMessage(_Message):
    """A metric on its way: what the output of a cell holds.

    Attributes
    ----------
    name, unit, reason
        As of :class:`~quantdesk.reports.result.Metric`.
    value
        Finite, within 64 bits; a text of at most 1,000 characters.
    """

    name: Named
    value: bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | Annotated[str, Field(max_length=1000)] | None
    unit: Annotated[str, Field(max_length=24)] = ""
    reason: Annotated[str, Field(max_length=500)] = ""


class ColumnMessage(_Message):
    """A column on its way; times as ISO texts, infinite numbers as the texts ``inf`` and ``-inf``, gaps as null."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    dtype: str
    values: Annotated[list[Any], Field(max_length=MOST_ROWS)]


class TableMessage(_Message):
    """A frame on its way, column by column; an index stands first."""

    name: Named
    columns: Annotated[list[ColumnMessage], Field(min_length=1, max_length=MOST_COLUMNS)]


@dataclass(frozen=True)
class Recorded:
    """What a run recorded.

    Parameters
    ----------
    metrics, tables
        In the order of their first record.
    files
        Content of each table's file, by its path below the folder of the run.
    missing
        Declared names that were not recorded.
    notes
        Names that were recorded twice, records that did not fit, units that differ; sentences.
    """

    metrics: tuple[Metric, ...]
    tables: tuple[Table, ...]
    files: Mapping[str, bytes]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def collect(notebook: Any, declaration: Declaration) -> Recorded:
    """Collect what the outputs of an executed notebook recorded.

    Parameters
    ----------
    notebook
        As far as it came; nothing in it is trusted.
    declaration
        What the report declares: labels, units and bounds of metrics, and which are missing.

    Returns
    -------
    Recorded
        Of a name that was recorded twice the last one, with a note.
    """
    metrics: dict[str, Metric] = {}
    tables: dict[str, tuple[Table, bytes]] = {}
    notes: list[str] = []
    for cell, mime, content in _messages(notebook):
        try:
            if mime == METRIC:
                metric = _metric(MetricMessage.model_validate(content), cell, declaration, notes)
                _keep(metrics, metric.name, metric, MOST_METRICS, f"metric {metric.name}", notes)
            else:
                table, data = _table(TableMessage.model_validate(content), cell, declaration)
                _keep(tables, table.name, (table, data), MOST_TABLES, f"table {table.name}", notes)
        except ValidationError as error:
            fault = error.errors()[0]
            place = fault["loc"][0] if fault["loc"] else "it"
            notes.append(f"A record of cell {cell} is left out: {place}: {fault['msg']}.")
        except (ValueError, TypeError, OverflowError) as error:
            notes.append(f"A record of cell {cell} is left out: {str(error)[:200]}.")
    declared = [one.name for one in declaration.metrics if one.name not in metrics]
    declared += [one.name for one in declaration.tables if one.name not in tables]
    return Recorded(
        metrics=tuple(metrics.values()),
        tables=tuple(table for table, _ in tables.values()),
        files={table.file: data for table, data in tables.values()},
        missing=tuple(declared),
        notes=tuple(notes[:100]),
    )


def _messages(notebook: Any) -> Iterator[tuple[int, str, Any]]:
    """Cell number, type and content of each output that records something."""
    number = 0
    for cell in notebook.cells:
        number += cell.cell_type == "code"
        for output in cell.get("outputs", ()):
            data = output.get("data")
            if isinstance(data, Mapping):
                for mime in (METRIC, TABLE):
                    if mime in data:
                        yield number, mime, data[mime]


def _keep(kept: dict[str, Any], name: str, value: Any, most: int, what: str, notes: list[str]) -> None:
    if name in kept:
        notes.append(f"The {what} was recorded more than once; the last one counts.")
    elif len(kept) >= most:
        notes.append(f"The {what} is left out: a run keeps at most {most}.")
        return
    kept[name] = value


def _metric(message: MetricMessage, cell: int, declaration: Declaration, notes: list[str]) -> Metric:
    declared = declaration.metric(message.name)
    made = Metric(message.name, message.value, message.unit, cell, message.reason)
    if declared is None:
        return made
    if message.unit and declared.unit and message.unit != declared.unit:
        notes.append(f"The metric {made.name} was recorded in {message.unit}, and is declared in {declared.unit}.")
    bounds = declared.bounds
    return Metric(
        name=made.name,
        value=made.value,
        unit=message.unit or declared.unit,
        cell=cell,
        reason=made.reason,
        label=declared.label,
        direction=declared.direction,
        lower=bounds.lower if bounds else None,
        upper=bounds.upper if bounds else None,
        severity=bounds.severity if bounds else "warning",
    )


def _table(message: TableMessage, cell: int, declaration: Declaration) -> tuple[Table, bytes]:
    data = parquet(message)
    label = next((one.label for one in declaration.tables if one.name == message.name), "")
    names = tuple(column.name for column in message.columns)
    return Table(
        message.name, f"tables/{message.name}.parquet", len(message.columns[0].values), names, cell, label
    ), data


def parquet(message: TableMessage) -> bytes:
    """The frame of a message as a parquet file.

    Raises
    ------
    ValueError
        A column has a type that is none of `DTYPES`, a value that is not of its type, or another length.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lengths = {len(column.values) for column in message.columns}
    names = [column.name for column in message.columns]
    if len(lengths) > 1 or len(set(names)) < len(names):
        raise ValueError(f"the table {message.name} has columns of one name, or of several lengths")
    types = {str(kind): kind for kind in _types(pa)}
    arrays = []
    for column in message.columns:
        if column.dtype not in DTYPES:
            raise ValueError(f"the column {column.name} of {message.name} has the type {column.dtype[:40]!r}")
        try:
            values = [None if value is None else _read(value, column.dtype) for value in column.values]
            arrays.append(pa.array(values, type=types[column.dtype]))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"the column {column.name} of {message.name} is no {column.dtype} ({error})") from error
    target = io.BytesIO()
    pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), target)
    return target.getvalue()


def _types(pa: Any) -> list[Any]:
    whole = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
    times = [pa.date32(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")]
    return [*whole, pa.float32(), pa.float64(), pa.bool_(), pa.string(), *times]


def _read(value: Any, dtype: str) -> Any:
    """A value of JSON as Arrow takes it; strictly, so that nothing is guessed."""
    kind = type(value)
    if dtype in ("float", "double"):
        if value in ("inf", "-inf"):
            return float(value)
        wanted = kind in (int, float) and math.isfinite(value)
    elif "int" in dtype:
        wanted = kind is int
    elif dtype == "bool":
        wanted = kind is bool
    else:
        wanted = kind is str
    if not wanted:
        raise ValueError(f"it holds {str(value)[:40]!r}")
    if dtype == "date32[day]":
        return date.fromisoformat(value)
    if dtype.startswith("timestamp"):
        moment = datetime.fromisoformat(value)
        if (moment.tzinfo is not None) is not dtype.endswith("tz=UTC]"):
            raise ValueError(f"it holds {value[:40]!r}, and the time zone does not fit")
        return moment
    return value
