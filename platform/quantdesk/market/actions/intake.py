"""A user's file of splits and dividends, checked as a whole and kept in the store. An edge module."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

from quantdesk.errors import UnknownName
from quantdesk.market.actions.action import KINDS, Action
from quantdesk.market.facts import FactFile, FactMapping, FactTable, read_facts
from quantdesk.market.store.config import MarketConfig

__all__ = ["action_file", "load_actions", "loaded_actions", "remove_actions"]

_NAMES = {
    "symbol": ("symbol", "ticker"),
    "kind": ("kind", "type", "action", "event"),
    "ex_date": ("ex_date", "ex date", "exdate", "ex-date", "date"),
    "known_at": ("known_at", "known at", "announced", "announced_at", "announcement", "declared", "declaration_date"),
    "value": ("value", "amount", "ratio", "factor"),
    "currency": ("currency",),
    "note": ("note", "comment"),
}


def action_file(root: Path) -> FactFile:
    """Where a store keeps actions."""
    return FactFile(root, "actions", ("symbol", "kind", "ex_date", "known_at"))


def load_actions(path: Path, root: Path | None = None, mapping: FactMapping | None = None) -> tuple[str, int]:
    """Check a CSV or Parquet file of actions and add it to the store; returns its name there and how many are new.

    Columns: ``symbol``, ``kind`` (split or dividend), ``ex_date``, ``value`` (``7``, ``7:1`` or ``0.1`` for a split;
    cash per share for a dividend) and, where there are, ``known_at``, ``currency`` and ``note``. An action without a
    time of knowledge counts as known from the opening of its ex-date. A second row for the same action with a later
    ``known_at`` corrects the first from then on; a dividend of 0 or a split of 1 takes it back.

    Raises
    ------
    BadInput, DataError
        Nothing is kept; the message names the file, the line, the column and the value.
    """
    table = read_facts(path, _NAMES, ("symbol", "kind", "ex_date", "value"), mapping)
    rows = [_row(one) for one in _actions(table)]
    about = {"note": table.mapping.note, "calendar": table.mapping.calendar}
    root = root if root is not None else MarketConfig.from_env().root
    return table.name, action_file(root).add(table.name, rows, about)


def loaded_actions(root: Path, symbol: str) -> tuple[Action, ...]:
    """What the files in a store say about one plain symbol, revisions included.

    Raises
    ------
    DataError
        A file is damaged.
    """
    file = action_file(root)
    return tuple(
        Action(**{**row, "source": name})
        for name in file.names()
        for row in file.read(name)[0]
        if row["symbol"] == symbol
    )


def remove_actions(name: str, root: Path) -> None:
    """Take everything that was loaded under `name` out of the store."""
    action_file(root).remove(name)


def _row(action: Action) -> dict[str, Any]:
    """As a row of the store's file."""
    names = ("symbol", "kind", "ex_date", "known_at", "value", "currency", "label", "note")
    return {name: getattr(action, name) for name in names}


def _actions(table: FactTable) -> list[Action]:
    symbols, kinds, notes = table.symbols(), _kinds(table), table.words("note")
    ex_dates, known = table.dates("ex_date"), table.instants("known_at")
    values = _values(table, kinds)
    currencies = table.words("currency", table.mapping.currency)
    found: dict[tuple[Any, ...], Any] = {}
    actions = []
    days: list[dt.date] = []
    for row, day in zip(table.rows, ex_dates, strict=True):
        if day is None:
            raise table.wrong(row, "ex_date", "is no date", "Each action has the first session without it.")
        days.append(day)
    opens = table.opens(days)
    for number, row in enumerate(table.rows):
        if not (len(currencies[number]) == 3 and currencies[number].isupper()):
            raise table.wrong(row, "currency", "is no currency", "Write three capital letters, as in USD.")
        action = Action(
            symbol=symbols[number],
            kind=kinds[number],
            ex_date=days[number],
            known_at=known[number] or opens[number],
            value=values[number],
            currency="" if kinds[number] == "split" else currencies[number],
            source=table.name,
            label="real" if table.mapping.real else "reconstructed",
            note=notes[number],
        )
        key = (*action.event, action.known_at)
        if key in found:
            said = f"gives a second {action.kind} of {action.symbol} on {action.ex_date}; the first is at {found[key]}"
            raise table.wrong(row, "ex_date", said, "Add them up, or give a correction its own known_at.")
        found[key] = f"{table.table.unit} {row}"
        actions.append(action)
    return actions


def _kinds(table: FactTable) -> list[Any]:
    kinds = [word.lower() for word in table.words("kind")]
    for row, kind in zip(table.rows, kinds, strict=True):
        if kind not in KINDS:
            raise table.wrong(row, "kind", "is no kind of action", UnknownName("kind", kind, KINDS).remedy)
    return kinds


def _values(table: FactTable, kinds: list[str]) -> list[float]:
    """Amounts and ratios; ``a:b`` and ``a/b`` are a shares after for b before."""
    text = table.words("value")
    found = []
    for row, kind, word in zip(table.rows, kinds, text, strict=True):
        separator = next((mark for mark in ":/" if mark in word), "")
        try:
            if separator and kind == "split":
                after, before = (float(part) for part in word.split(separator))
                value = after / before
            else:
                plain = word.replace(table.mapping.thousands, "") if table.mapping.thousands else word
                value = float(plain.replace(table.mapping.decimal, "."))
        except (ValueError, ZeroDivisionError):
            remedy = "A split is a ratio such as 7:1 or 7; a dividend is cash per share."
            raise table.wrong(row, "value", "is no number", remedy) from None
        if not math.isfinite(value) or value < 0 or (kind == "split" and value == 0):
            floor = "above 0" if kind == "split" else "at least 0"
            raise table.wrong(row, "value", f"cannot be the value of a {kind}", f"It is a finite number {floor}.")
        found.append(value)
    return found
