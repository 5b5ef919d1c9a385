"""How much output of a cell a run keeps: enough for any figure, and not a disk full. Pure.

A cell that prints without end must not take the run with it, nor the worker's memory, nor the reader's browser. What
comes after the limit is counted, and left out where it would have stood, in words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from typing import Any

__all__ = ["OutputCap"]

OURS = "application/vnd.quantdesk."
OVERHEAD = 500
"""Characters that any output counts for, so that a million small ones are many."""
LONGEST_TRACEBACK = 100_000
RECORDS = 30_000_000
"""Characters of metrics, tables and labels, which no flood of prints may push out."""
MOST_NOTICES = 50
RUN = 5
"""A run keeps so many times what a cell may keep."""


class OutputCap:
    """Looks at the messages of a kernel before they become outputs.

    Parameters
    ----------
    cell
        Characters that the outputs of one cell may have; those of the whole run five times as many.
    """

    def __init__(self, cell: int) -> None:
        self._cell = cell
        self._left_of_run = RUN * cell
        self._kept: dict[int, int] = {}
        self._given: dict[int, int] = {}
        self._said: set[int] = set()
        self._notices = 0
        self._records = RECORDS

    def admit(self, message: Mapping[str, Any], cell: int) -> bool:
        """Whether a message may become an output; its content is cut to what may be kept.

        Parameters
        ----------
        message
            As the kernel sent it.
        cell
            Which cell runs.
        """
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._left_of_run += self._kept.pop(cell, 0)
            return True
        if kind == "error":
            _shorten(content)
            return True
        if kind == "stream":
            return self._stream(content, cell)
        if kind in {"display_data", "execute_result", "update_display_data"}:
            return self._display(content, cell)
        return True

    def notes(self, numbers: Mapping[int, int]) -> tuple[str, ...]:
        """What was left out, a sentence for each cell.

        Parameters
        ----------
        numbers
            The number that a reader knows a cell by, by what `admit` was told.
        """
        return tuple(
            f"Cell {numbers.get(cell, cell)} gave {self._given[cell] / 1e6:,.1f} MB of output; "
            f"{self._kept.get(cell, 0) / 1e6:,.1f} MB are kept."
            for cell in sorted(self._said)
        )

    def _room(self, cell: int) -> int:
        return max(0, min(self._cell - self._kept.get(cell, 0), self._left_of_run))

    def _count(self, cell: int, given: int, kept: int) -> None:
        self._given[cell] = self._given.get(cell, 0) + given
        self._kept[cell] = self._kept.get(cell, 0) + kept
        self._left_of_run -= kept

    def _stream(self, content: MutableMapping[str, Any], cell: int) -> bool:
        text = content.get("text")
        if not isinstance(text, str):
            return True
        room = self._room(cell)
        size = len(text) + OVERHEAD
        if size <= room:
            self._count(cell, size, size)
            return True
        keep = max(0, room - OVERHEAD)
        self._count(cell, size, min(room, size))
        if cell in self._said:
            return False
        self._said.add(cell)
        content["text"] = f"{text[:keep]}\n… The rest is left out. {self._words()} …\n"
        return True

    def _display(self, content: MutableMapping[str, Any], cell: int) -> bool:
        data = content.get("data")
        size = OVERHEAD + _size(data)
        if isinstance(data, Mapping) and any(mime.startswith(OURS) for mime in data) and size <= self._records:
            self._records -= size
            return True
        if size <= self._room(cell):
            self._count(cell, size, size)
            return True
        self._said.add(cell)
        self._count(cell, size, 0)
        self._notices += 1
        content["data"] = {"text/plain": f"An output of {size / 1e6:,.1f} MB is left out. {self._words()}"}
        content["metadata"] = {}
        return self._notices <= MOST_NOTICES

    def _words(self) -> str:
        return (
            f"A cell keeps {self._cell / 1e6:,.3g} MB and a run "
            f"{RUN * self._cell / 1e6:,.3g} MB (QUANTDESK_REPORTS_LARGEST_OUTPUT_MB)."
        )


def _size(data: Any) -> int:
    if not isinstance(data, Mapping):
        return 0
    return sum(len(value) if isinstance(value, str) else len(json.dumps(value)) for value in data.values())


def _shorten(content: MutableMapping[str, Any]) -> None:
    """Keep the beginning and the end of what an exception says."""
    for name in ("ename", "evalue"):
        if isinstance(content.get(name), str) and len(content[name]) > LONGEST_TRACEBACK // 10:
            content[name] = content[name][: LONGEST_TRACEBACK // 10] + "…"
    lines = content.get("traceback")
    if isinstance(lines, list) and sum(map(len, lines)) > LONGEST_TRACEBACK:
        text = "\n".join(lines)
        content["traceback"] = [text[: LONGEST_TRACEBACK // 2], "…", text[-LONGEST_TRACEBACK // 2 :]]
