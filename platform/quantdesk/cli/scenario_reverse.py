"""What a reverse stress looks like, in words and as JSON. An edge module: it prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from quantdesk.cli.scenario_screen import say
from quantdesk.cli.terminal import out, table

if TYPE_CHECKING:
    from quantdesk.scenarios.reverse import Nearest, Reverse

__all__ = ["reverse_document", "show_reverse"]

_MOVES = 12


def reverse_document(one: Reverse) -> dict[str, Any]:
    """All of an answer, for a program."""
    return {
        "reached": one.reached,
        "moves": one.moves.to_dict(),
        "distance": one.distance,
        "loss": one.loss,
        "limit": one.limit,
        "chance_of_breach_if_normal": one.chance_of_breach,
        "chance_as_far_if_normal": one.chance_as_far,
        "is_minimal": one.minimal,
        "nearest": one.nearest,
        "era": one.cov.era.describe(),
        "horizon_days": one.horizon_days,
        "held_still": list(one.absent),
    }


def show_reverse(found: Mapping[str, Reverse]) -> None:
    """For each era how far away the limit is, the moves that lead to it, and the real ones that came nearest."""
    for number, one in enumerate(found.values()):
        if number:
            out.print()
        _show(one)


def _show(one: Reverse) -> None:
    out.print(f"[bold]Covariance of {one.cov.era.describe()}[/]", end="  ")
    out.print(f"{one.cov.days} days, {one.cov.estimator}; moves over {_days(one.horizon_days)}", style="dim")
    if one.absent:
        say(f"held still  {', '.join(one.absent)}: the era does not know them", hang=14)
    if not one.reached:
        say(
            f"A loss of {one.limit:,.0f} $ is not reached within {one.bound:g} standard deviations. The largest that "
            f"was found is {one.loss:,.0f} $, at {one.distance:.2f}.",
            hang=2,
        )
        return
    say(f"distance  {one.distance:.2f} standard deviations to a loss of {one.loss:,.0f} $ (limit {one.limit:,.0f} $)")
    say(
        f"chance    {one.chance_of_breach:.2g} of such a loss, {one.chance_as_far:.2g} of any move so far away, if "
        "moves were normal: markets have fatter tails"
    )
    if not one.minimal:
        say("Nearer points with such a loss were found around it: it is no minimum.", hang=2)
    deviations, said = one.deviations, one.moves_in_words()
    order = deviations.abs().sort_values(ascending=False, kind="stable").index
    rows = [(name, said[str(name)], f"{float(deviations[name]):+.2f}") for name in order[:_MOVES]]
    out.print()
    table("", ("most plausible moves", "move", "in sd"), rows, numeric=("move", "in sd"))
    if len(order) > _MOVES:
        say(f"… and {len(order) - _MOVES} more, which move by fewer of their deviations", style="dim", hang=4)
    if one.nearest:
        out.print()
        columns = ("real moves", "over", "when", "away", "would have lost $", "limit")
        table("", columns, [_row(near) for near in one.nearest], numeric=("away", "would have lost $"))


def _row(near: Nearest) -> tuple[object, ...]:
    when = f"{near.last}" if near.days == 1 else f"{near.first} to {near.last}"
    what = "the nearest" if near.what == "nearest" else "the nearest beyond the limit"
    beyond = "beyond" if near.breaches else "within"
    return (what, _days(near.days), when, f"{near.apart:.2f}", f"{near.loss:,.0f}", beyond)


def _days(days: int) -> str:
    return f"{days} day{'s' if days > 1 else ''}"
