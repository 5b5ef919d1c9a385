"""What the commands look like in a terminal: progress, tables, errors, JSON. An edge module.

On a terminal rich draws bars and tables; in a pipe the same facts come as plain lines; with ``--json`` the standard
output holds one JSON document and nothing else, and progress goes to the standard error.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from quantdesk.errors import QuantdeskError

__all__ = ["Json", "Report", "emit", "fail", "out", "progress", "table"]

#: The option that every command has which a program would read.
Json = Annotated[bool, typer.Option("--json", help="One JSON document on the standard output, and nothing else.")]

#: In a pipe, a line of progress appears at most this often.
QUIET_SECONDS = 2.0

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


#: What a long call tells while it works: what, how much is done, of how much (0: unknown).
Report = Callable[[str, int, int], None]


def plain(value: Any) -> Any:
    """Anything that a command returns, as what JSON can hold. NaN and infinities become null."""
    if hasattr(value, "to_dict") and not isinstance(value, type):
        return plain(value.to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [plain(item) for item in items]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value


def emit(value: Any) -> None:
    """Write one JSON document to the standard output."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def fail(error: QuantdeskError, *, as_json: bool) -> NoReturn:
    """End the command: one clear message, and the exit code of the error's kind."""
    if as_json:
        document = {"error": type(error).__name__, "problem": error.problem, "remedy": error.remedy}
        emit({**document, "exit_code": error.exit_code})
    else:
        err.print(f"[bold red]✗ {type(error).__name__}[/]: ", end="")
        err.print(error.problem, markup=False)
        if error.remedy:
            err.print(f"  {error.remedy}", markup=False)
    raise SystemExit(error.exit_code)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Report]:
    """Yield a callback that shows progress on the standard error: a bar on a terminal, a line per step in a pipe."""
    if quiet:
        yield lambda what, done, total: None
    elif not err.is_terminal:
        last = 0.0

        def line(what: str, done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= QUIET_SECONDS:
                last = time.monotonic()
                err.print(f"    {what}" + (f" ({done} of {total})" if total else ""), markup=False)

        yield line
    else:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        # On one terminal, bar and results must share a console, or they would be drawn over each other.
        with Progress(*columns, console=out if out.is_terminal else err, transient=True) as shown:
            task = shown.add_task("", total=None)
            yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total or None)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    numeric: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table: drawn on a terminal, tab-separated with a header line in a pipe.

    Parameters
    ----------
    numeric
        The columns to align to the right.
    whole
        The columns that are not broken into lines where others can be: names that somebody copies, times.
    """
    if not out.is_terminal:
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    drawn = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        side: Literal["left", "right"] = "right" if column in numeric else "left"
        drawn.add_column(column, justify=side, overflow="fold", no_wrap=column in whole)
    for row in rows:
        # As it is: a name with brackets in it is a name, and no command to the terminal.
        drawn.add_row(*(Text(str(cell)) for cell in row))
    out.print(drawn)
