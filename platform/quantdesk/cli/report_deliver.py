"""``quantdesk report deliveries`` and ``redeliver``: what was sent, what waits, what was given up. An edge module."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from quantdesk.cli.terminal import Json, emit, out, table
from quantdesk.errors import BadInput

__all__ = ["deliveries", "redeliver", "register"]

MOST_SHOWN = 200


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
    out.print(f"[green]✓[/] {len(names)} messages are due again")
