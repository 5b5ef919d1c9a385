"""Units, bounds and choices of a declaration, laid over what the parameters cell says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from quantdesk.errors import DataError, UnknownName
from quantdesk.reports.declaration import ParameterEntry
from quantdesk.reports.spec.parameter import Parameter, is_date, shown

__all__ = ["refined"]

_Where = Callable[[tuple[str | int, ...]], str]


def refined(
    parameters: Iterable[Parameter], entries: Mapping[str, ParameterEntry], where: _Where
) -> tuple[Parameter, ...]:
    """The parameters with what the declaration adds.

    Parameters
    ----------
    parameters
        As the cell declares them; their order stays.
    entries
        By name.
    where
        Names the place of a field, such as ``("parameters", "window", "minimum")``, for messages.

    Raises
    ------
    DataError
        An entry of a parameter that the notebook does not have, bounds or choices that do not fit its type, or a
        default that lies outside of them.
    """
    cells = {parameter.name: parameter for parameter in parameters}
    for name, entry in entries.items():
        place = ("parameters", name)
        if name not in cells:
            remedy = UnknownName("parameter", name, cells).remedy
            raise DataError(f"{where(place)}: the notebook has no parameter {shown(name)}.", remedy)
        cells[name] = _one(cells[name], entry, lambda *rest, place=place: where((*place, *rest)))
    return tuple(cells.values())


def _one(cell: Parameter, entry: ParameterEntry, where: Callable[..., str]) -> Parameter:
    for field in ("minimum", "maximum"):
        limit = getattr(entry, field)
        if limit is None:
            continue
        kind = _kind(limit)
        if kind is None or not _holds(cell, limit):
            raise DataError(
                f"{where(field)}: parameters.{cell.name}.{field} is {shown(limit)}, but {cell.name} is {cell.type}.",
                'Bounds are numbers for numbers, and dates such as "2020-01-31" for dates.',
            )
    low, high = entry.minimum, entry.maximum
    if low is not None and high is not None and (_kind(low) != _kind(high) or low > high):
        raise DataError(
            f"{where('minimum')}: the minimum {shown(low)} of {cell.name} lies above its maximum {shown(high)}.",
            "Exchange them.",
        )
    for number, choice in enumerate(entry.choices):
        if not _holds(cell, choice):
            raise DataError(
                f"{where('choices', number)}: the choice {shown(choice)} of {cell.name} is no {cell.type}.",
                "Give values that the parameter takes.",
            )
    made = replace(
        cell,
        help=entry.help or cell.help,
        unit=entry.unit,
        label=entry.label,
        minimum=low,
        maximum=high,
        choices=entry.choices,
    )
    if why := made.outside(made.default):
        raise DataError(f"{where()}: the default of {cell.name} does not fit: {why}.", f"It takes {made.range}.")
    return made


def _kind(limit: Any) -> str | None:
    if isinstance(limit, str):
        return "date" if is_date(limit) else None
    return "number"


def _holds(parameter: Parameter, value: Any) -> bool:
    """Whether the value, or a list of it, is one that the parameter takes."""
    return parameter.accepts(value) or parameter.accepts([value]) or parameter.accepts([[value]])
