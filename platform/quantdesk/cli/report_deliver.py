"""``quantdesk report deliveries`` and ``redeliver``: what was sent, what waits, what was given up. An edge module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from quantdesk.cli.terminal import Json, emit, out, table
from quantdesk.errors import BadInput

if TYPE_CHECKING:
    from quantdesk.reports.ledger.entry import Delivery

__all__ = ["deliveries", "redeliver", "register"]

MOST_SHOWN = 200
_LOOKS = {
    "pending": ("…", "waiting", "cyan"),
    "sending": ("▶", "sending", "cyan"),
    "sent": ("✓", "sent", "green"),
    "dead": ("✗", "given up", "red"),
}
"""Shape, word and colour of each state."""


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command()(deliveries)
    app.command()(redeliver)


def deliveries(
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    as_json: Json = False,
) -> None:
    """List the messages of reports, the newest first: sent, waiting, or given up and why."""
    from quantdesk.reports.deliver.message import one_line
    from quantdesk.reports.ledger import RunLedger
    from quantdesk.reports.ledger.entry import DeliveryState

    with RunLedger.open() as ledger:
        found = ledger.deliveries.list(DeliveryState.DEAD if dead else None, limit=MOST_SHOWN)
    if as_json:
        # The text of a message is for its recipient; here it says what it is about.
        told = ("id", "run_id", "channel", "target", "state", "attempts", "not_before", "problem", "created")
        emit([{**{name: getattr(one, name) for name in told}, "subject": one.message.get("subject")} for one in found])
        return
    if out.is_terminal:
        _show(found)
        return
    rows = [
        (
            f"{one.created:%Y-%m-%d %H:%M:%S}",
            one.state.value,
            one_line(f"{one.channel} {one.target}", 60),
            one_line(str(one.message.get("subject", "")), 60),
            one.attempts,
            one_line(one.problem, 120),
            one.id,
        )
        for one in found
    ]
    columns = ("made (UTC)", "state", "to", "subject", "attempts", "problem", "message")
    table(f"{len(rows)} messages", columns, rows, numeric=["attempts"])


def _show(found: Sequence[Delivery]) -> None:
    """One message after another, each in a few lines: what it is about, to whom, and what became of it."""
    from quantdesk.reports.deliver.message import one_line

    counted = Counter(_LOOKS[one.state.value][1] for one in found)
    told = ", ".join(f"{count} {word}" for word, count in counted.items())
    out.print(f"{len(found)} message{'s' if len(found) != 1 else ''}{f': {told}' if told else ''}", style="bold")
    for one in found:
        shape, word, style = _LOOKS[one.state.value]
        tries = f"{one.attempts} {'try' if one.attempts == 1 else 'tries'}"
        again = f" · again at {one.not_before:%Y-%m-%d %H:%M:%S} UTC" if one.state.value == "pending" else ""
        where = f"{one.channel} {one.target} · made {one.created:%Y-%m-%d %H:%M:%S} UTC · {tries}{again}"
        lines = [
            Text(one_line(line, 500)) for line in (str(one.message.get("subject", "")), where, one.problem) if line
        ]
        if one.state.value == "dead":
            lines.append(Text(f"quantdesk report redeliver {one.id}", style="dim"))
        drawn = Table.grid(padding=(0, 2, 0, 0))
        drawn.add_column(no_wrap=True, width=11)
        drawn.add_row(Text(f"{shape} {word}", style=f"bold {style}"), Group(*lines))
        out.print()
        out.print(drawn)


def redeliver(
    message: Annotated[str | None, typer.Argument(help="The id of a message that was given up.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every message that was given up.")] = False,
    as_json: Json = False,
) -> None:
    """Let the worker try again what was given up, from now on and from the first attempt."""
    from quantdesk.reports.ledger import RunLedger
    from quantdesk.reports.ledger.entry import DeliveryState

    if (message is None) is not everything:
        raise BadInput("It is not clear what to send again.", "Give the id of one message, or --all.")
    with RunLedger.open() as ledger:
        names = [message] if message is not None else []
        if everything:
            names = [one.id for one in ledger.deliveries.list(DeliveryState.DEAD, limit=10_000)]
        for name in names:
            ledger.deliveries.revive(name, datetime.now(UTC))
    if as_json:
        emit({"revived": names})
        return
    out.print(f"[green]✓[/] {len(names)} {'message is' if len(names) == 1 else 'messages are'} due again")
