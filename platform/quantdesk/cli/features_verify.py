"""``quantdesk features verify``: the checks of a saved frame, made again. It ends with 6 if one fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantdesk.cli.features_watch import FAILED
from quantdesk.cli.terminal import Json, emit, out, table

__all__ = ["register"]

MARKS = {"held": "✓ held", "failed": "✗ failed", "impossible": "? impossible"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    file: Annotated[Path, typer.Argument(help="A file that frame.save or `features get --save` wrote.")],
    here: Annotated[
        bool, typer.Option("--here", help="Ask this store, not the folder that the file names as its source.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the checks of a saved frame again: from the file alone, and from its sources where they are still there.

    Ends with 6 when a check fails. One that cannot be made is shown, and is no failure.
    """
    from quantdesk.features import FeatureFrame, FeatureStore

    frame = FeatureFrame.load(file)
    found = frame.verify(FeatureStore() if here else None)
    if as_json:
        emit({"holds": bool(found), "checks": found.checks, "evidence": frame.evidence.to_dict()})
    else:
        verdict = "✓ the frame holds" if found else "✗ the frame does NOT hold"
        out.print(f"{len(frame):,} rows · {verdict} · {', '.join(frame.labels.words)}", style="bold")
        rows = [(check.name, MARKS[check.outcome], check.said) for check in found.checks]
        table("the checks, made again", ("check", "outcome", "what was found"), rows)
    if not found:
        raise typer.Exit(FAILED)
