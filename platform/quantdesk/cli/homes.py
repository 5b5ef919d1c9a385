"""``quantdesk homes``: how much each home holds."""

from __future__ import annotations

import typer

from quantdesk.cli.terminal import Json, emit, out, table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the top level."""
    app.command()(homes)


def homes(as_json: Json = False) -> None:
    """Measure every home and name those above the limit (QUANTDESK_HOME_QUOTA_GB), whose servers do not start."""
    from quantdesk.hub.config import HubFiles
    from quantdesk.hub.quota import overview
    from quantdesk.hub.sizes import size

    found = overview(HubFiles())
    if as_json:
        emit([{"user": one.user, "used": one.used, "limit": one.limit, "is_over": one.is_over} for one in found])
    else:
        rows = [
            (
                one.user,
                "not measured" if one.used is None else size(one.used),
                "–" if one.limit is None else size(one.limit),
                "✗ above the limit" if one.is_over else "✓ ok",
                ", ".join(f"{name} {size(part)}" for name, part in one.largest),
            )
            for one in found
        ]
        table(f"{len(found)} homes", ("user", "used", "limit", "", "largest"), rows, numeric=["used", "limit"])
        if not found:
            out.print("There are no homes yet.")
    if any(one.is_over for one in found):
        raise typer.Exit(6)
