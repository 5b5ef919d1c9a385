"""``record``: what a notebook says of its results in a form that outlives it. An edge module: it writes to the cell.

>>> from quantdesk.reports import record
>>> record("sharpe", 1.23)                                                   # doctest: +SKIP
>>> record("var_95", -12_500.0, unit="USD")                                  # doctest: +SKIP
>>> record.table("positions", frame)                                         # doctest: +SKIP

The cell shows the value; the run keeps it in ``metrics.json`` and ``tables/``, where the gallery draws it over time and
an alert looks at it. Outside of a kernel the value is printed and goes nowhere.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from quantdesk.errors import BadInput
from quantdesk.reports.declaration import NAME
from quantdesk.reports.recorded import (
    DTYPES,
    METRIC,
    MOST_COLUMNS,
    MOST_ROWS,
    TABLE,
)
from quantdesk.reports.result import Metric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recorder", "record"]

LARGEST_TABLE = 5_000_000
"""Bytes of a table as it stands in the notebook."""
SHOWN_ROWS = 10
_ARROW = {"large_string": "string", "string_view": "string", "null": "string"}


class Recorder:
    """Records metrics by a call, and frames by :meth:`table`."""

    def __call__(
        self, name: str, value: float | int | str | bool | Decimal | None, unit: str = "", *, reason: str = ""
    ) -> None:
        """Record a metric of this run.

        Parameters
        ----------
        name
            Letters, digits, ``_``, ``-`` and ``.``, at most 64, a letter first. Of a name that is recorded twice the
            last value counts, and the run notes it.
        value
            A number, a text of at most 1,000 characters, True or False, or None. A NaN or an infinite number is
            recorded as no value, with that as the reason.
        unit
            ``"USD"``, ``"bp"``, ``"sessions"``; the declared one when left out.
        reason
            Why there is no value, where there is none.

        Raises
        ------
        BadInput
            The name or the value is none; the message says what would be right.
        """
        _check_name(name, "metric")
        plain, why = _plain(name, value)
        message = {"name": name, "value": plain, "unit": _line(unit, 24), "reason": _line(reason, 500) or why}
        words = Metric(name, plain, message["unit"]).words
        because = f" ({message['reason']})" if plain is None else ""
        html = f"<p><code>{escape(name)}</code> <strong>{escape(words)}</strong>{escape(because)}</p>"
        _show({METRIC: message, "text/plain": f"{name} = {words}{because}", "text/html": html})

    def table(self, name: str, frame: pd.DataFrame | pd.Series[Any]) -> None:
        """Record a frame of this run.

        Parameters
        ----------
        name
            As of a metric.
        frame
            At most 100,000 rows, 200 columns and 5 MB as JSON. Columns hold numbers, texts, True and False, days or
            times; times are kept to the microsecond, those with a time zone in UTC. An index that is more than row
            numbers becomes the first columns.

        Raises
        ------
        BadInput
            The name is none, the frame is too large, or a column holds something else.
        """
        _check_name(name, "table")
        columns = _columns(name, frame)
        message = {"name": name, "columns": columns}
        size = len(json.dumps(message, allow_nan=False))
        if size > LARGEST_TABLE:
            raise BadInput(
                f"The table {name} has {size / 1e6:.1f} MB.",
                f"Record at most {LARGEST_TABLE / 1e6:.0f} MB: fewer rows, or a summary.",
            )
        rows, wide = len(columns[0]["values"]), len(columns)
        head: Any = frame.head(SHOWN_ROWS)
        more = f"; the first {SHOWN_ROWS} are shown" if rows > SHOWN_ROWS else ""
        said = f"{name}: {rows:,} rows, {wide} columns{more}"
        drawn = head.to_frame() if head.ndim == 1 else head
        html = f"<p><code>{escape(name)}</code> {escape(said.partition(': ')[2])}</p>{drawn.to_html()}"
        _show({TABLE: message, "text/plain": f"{said}\n{head}", "text/html": html})


record = Recorder()
"""The one recorder: it holds nothing."""


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or re.fullmatch(NAME, name) is None:
        raise BadInput(
            f"{str(name)[:80]!r} is no name of a {what}.",
            "Write letters, digits, _, - and ., at most 64, a letter first: for example var_95.",
        )


def _line(text: str, longest: int) -> str:
    return " ".join(str(text).split())[:longest]


def _plain(name: str, value: Any) -> tuple[Any, str]:
    """The value as JSON holds it, and why there is none where there is none."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a number of numpy's
    if isinstance(value, Decimal):
        value = float(value)
    match value:
        case None:
            return None, "no value was given"
        case float() if not math.isfinite(value):
            return None, "not a number (NaN)" if math.isnan(value) else f"infinite ({value:+})"
        case bool() | float():
            return value, ""
        case int() if -(2**63) <= value < 2**63:
            return value, ""
        case str() if len(value) <= 1000:
            return value, ""
    kind = type(value).__name__
    if kind in {"NAType", "NaTType"}:
        return None, "not a number (NA)"
    raise BadInput(
        f"The metric {name} is a {kind}: {str(value)[:80]!r}.",
        "Record one number within 64 bits, one text of at most 1,000 characters, or None; a frame by record.table().",
    )


def _columns(name: str, frame: Any) -> list[dict[str, Any]]:
    """The columns of a frame as a message holds them."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(frame, pd.Series):
        frame = frame.to_frame(frame.name if frame.name is not None else "value")
    if not isinstance(frame, pd.DataFrame):
        raise BadInput(f"The table {name} is a {type(frame).__name__}.", "Record a pandas frame or series.")
    if len(frame) > MOST_ROWS:
        raise BadInput(f"The table {name} has {len(frame):,} rows.", f"Record at most {MOST_ROWS:,}, or a summary.")
    flat = frame.set_axis([_joined(column) for column in frame.columns], axis=1)
    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None):
        levels = [_joined(part) if part is not None else f"index_{n}" for n, part in enumerate(frame.index.names)]
        flat = flat.rename_axis(["index"] if levels == ["index_0"] else levels).reset_index(allow_duplicates=True)
    if not 0 < len(flat.columns) <= MOST_COLUMNS:
        raise BadInput(f"The table {name} has {len(flat.columns)} columns.", f"Record 1 to {MOST_COLUMNS}.")
    if flat.columns.has_duplicates:
        twice = flat.columns[flat.columns.duplicated()][0]
        raise BadInput(f"The table {name} has two columns {twice!r}.", "Rename one of them.")
    found = []
    for column in flat.columns:
        try:
            array = pa.Array.from_pandas(flat[column])
            found.append({"name": column[:200], **_values(pa, array)})
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise BadInput(
                f"The column {column} of the table {name} cannot be kept ({str(error)[:120]}).",
                "Columns hold numbers, texts, True and False, days or times, one kind each.",
            ) from error
    return found


def _values(pa: Any, array: Any) -> dict[str, Any]:
    """Type and values of an Arrow array, with what JSON does not have written as text."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type) or str(array.type) == "halffloat":
        array = array.cast(pa.float64())
    if pa.types.is_date64(array.type):
        array = array.cast(pa.date32())
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("us", tz="UTC" if array.type.tz else None), safe=False)
    dtype = _ARROW.get(str(array.type), str(array.type))
    if dtype not in DTYPES:
        raise ValueError(f"it is of the type {array.type}")
    values = array.to_pylist()
    if dtype in ("float", "double"):
        values = [_number(value) for value in values]
    elif dtype.startswith(("date", "timestamp")):
        values = [None if value is None else value.isoformat() for value in values]
    return {"dtype": dtype, "values": values}


def _number(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _joined(name: Any) -> str:
    """The name of a column; levels of a column's name with slashes."""
    return " / ".join(str(part) for part in name) if isinstance(name, tuple) else str(name)


def _show(data: Mapping[str, Any]) -> None:
    """Put it under the cell, or print it where there is no cell."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or getattr(shell, "kernel", None) is None:
        print(data["text/plain"])  # noqa: T201 (a script asked to see it)
        return
    from IPython.display import publish_display_data

    publish_display_data(dict(data))  # type: ignore[no-untyped-call]
