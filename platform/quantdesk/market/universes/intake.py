"""A user's file of memberships, checked as a whole and kept in the store. An edge module."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError
from quantdesk.market.facts import FactFile, FactMapping, FactTable, read_facts
from quantdesk.market.store.config import MarketConfig
from quantdesk.market.universes.universe import Membership, Universe

__all__ = ["load_universe", "loaded_universe", "remove_universe", "universe_file"]

_NAMES = {
    "symbol": ("symbol", "ticker"),
    "start": ("start", "from", "start_date", "first", "added", "date_added"),
    "end": ("end", "to", "until", "end_date", "last", "removed", "date_removed"),
    "known_at": ("known_at", "known at", "announced", "announced_at"),
    "end_known_at": ("end_known_at", "end known at", "removal_announced"),
}


def universe_file(root: Path) -> FactFile:
    """Where a store keeps memberships."""
    return FactFile(root, "universes", ("symbol", "start", "fact", "known_at"))


def load_universe(path: Path, root: Path | None = None, mapping: FactMapping | None = None) -> tuple[str, int]:
    """Check a CSV or Parquet file of memberships and add it to the store; returns its name and how many facts are new.

    Columns: ``symbol``, ``start``, and where there are ``end`` (the last session as a member; empty while it is one),
    ``known_at`` (when the entry was known) and ``end_known_at`` (when the exit was). Without times of knowledge, an
    entry counts as known from the opening of its first session, and an exit from the end of its last.

    Raises
    ------
    BadInput, DataError
        Nothing is kept; the message names the file, the line, the column and the value.
    """
    table = read_facts(path, _NAMES, ("symbol", "start"), mapping)
    mapping = table.mapping
    root = root if root is not None else MarketConfig.from_env().root
    facts = [fact for one in _memberships(table) for fact in _facts(one)]
    try:
        Universe(table.name, _joined(facts))
    except BadInput as error:
        raise DataError(f"{table.table.where}: {error.problem}", error.remedy) from error
    about = {"note": mapping.note, "survivors_only": mapping.survivors_only, "real": mapping.real}
    file = universe_file(root)
    if table.name in file.names():
        both = [*file.read(table.name)[0], *facts]
        Universe(table.name, _joined(both))
    return table.name, file.add(table.name, facts, about)


def loaded_universe(root: Path, name: str) -> Universe:
    """One that was loaded.

    Raises
    ------
    UnknownName, DataError
        There is none of that name, or its file is damaged.
    """
    rows, about = universe_file(root).read(name)
    return Universe(name, _joined(rows), about["survivors_only"], about["real"], about["note"])


def remove_universe(name: str, root: Path) -> None:
    """Take a universe out of the store."""
    universe_file(root).remove(name)


def _memberships(table: FactTable) -> list[Membership]:
    symbols, starts, ends = table.symbols(), table.dates("start"), table.dates("end")
    known, end_known = table.instants("known_at"), table.instants("end_known_at")
    days: list[dt.date] = []
    for row, start in zip(table.rows, starts, strict=True):
        if start is None:
            raise table.wrong(row, "start", "is no date", "Each membership has a first session.")
        days.append(start)
    opens = table.opens(days)
    found = []
    for number, row in enumerate(table.rows):
        end, end_known_at = ends[number], end_known[number]
        if end is None and end_known_at is not None:
            raise table.wrong(row, "end_known_at", "is the time of an exit without a date", "Give the end, too.")
        if end is not None and end < days[number]:
            raise table.wrong(row, "end", f"lies before the start {days[number]}", "Swap the two dates.")
        if end is not None and end_known_at is None:
            end_known_at = dt.datetime.combine(end, dt.time(), dt.UTC) + dt.timedelta(days=1)
        found.append(
            Membership(
                symbol=symbols[number],
                start=days[number],
                end=end,
                known_at=known[number] or opens[number],
                end_known_at=end_known_at,
            )
        )
    return found


def _facts(one: Membership) -> list[dict[str, Any]]:
    """A membership as what is kept: that it begins, and, separately, that it ends."""
    entry = {"symbol": one.symbol, "start": one.start, "fact": "in", "known_at": one.known_at, "end": None}
    if one.end is None:
        return [entry]
    return [entry, {**entry, "fact": "out", "known_at": one.end_known_at, "end": one.end}]


def _joined(facts: list[dict[str, Any]]) -> tuple[Membership, ...]:
    """The memberships that facts tell; a later exit of the same membership corrects the first."""
    entries: dict[tuple[str, dt.date], dt.datetime] = {}
    exits: dict[tuple[str, dt.date], dict[str, Any]] = {}
    for fact in sorted(facts, key=lambda each: each["known_at"]):
        key = fact["symbol"], fact["start"]
        if fact["fact"] == "in":
            entries.setdefault(key, fact["known_at"])
        else:
            exits[key] = fact
    return tuple(
        Membership(
            symbol=symbol,
            start=start,
            end=exits[symbol, start]["end"] if (symbol, start) in exits else None,
            known_at=known,
            end_known_at=exits[symbol, start]["known_at"] if (symbol, start) in exits else None,
        )
        for (symbol, start), known in sorted(entries.items())
    )
