"""``quantdesk backup`` and ``quantdesk restore``: all that an installation keeps in one file, and back."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from quantdesk.cli.terminal import Json, emit, out, progress, table
from quantdesk.errors import BadInput
from quantdesk.hub.sizes import size

if TYPE_CHECKING:
    from quantdesk.hub.backup import Manifest

__all__ = ["register"]

COLUMNS = ("what", "files", "size", "in the archive")
SHOWN = 12
_KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "redis": "Redis, not copied"}


def register(app: typer.Typer) -> None:
    """Add the two commands to the top level."""
    app.command()(backup)
    app.command()(restore)


def backup(
    target: Annotated[
        Path | None, typer.Argument(help="The file to write, or a folder that gets one named by the time.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="What to leave out: homes (with the teams' folders).", show_default=False)
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            help="Write nothing; read this backup and compare every byte with its hashes.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write all that this installation keeps into one file, while the hub may go on. The file holds secrets."""
    from quantdesk.hub import backup as backups
    from quantdesk.settings import find

    if (target is None) == (verify is None):
        raise BadInput("Either a target or --verify FILE is wanted.", "quantdesk backup /mnt/backups")
    for name in without or []:
        if name != "homes":
            raise BadInput(f"--without {name} is not known.", "--without homes")
    if verify is not None:
        with progress(quiet=as_json) as shown:
            manifest = backups.verify(verify, progress=shown)
        if as_json:
            emit({"path": verify, "verified": True, **summary(manifest)})
            return
        show(manifest, verify.name)
        show_left_out(manifest)
        good("Every byte is as its hash says.")
        return
    assert target is not None  # noqa: S101  (one of the two is given)
    with progress(quiet=as_json) as shown:
        made = backups.backup(target, homes=not without, settings=find(os.environ), progress=shown)
    if as_json:
        emit({"path": made.path, "bytes": made.size, "seconds": round(made.seconds, 1), **summary(made.manifest)})
        return
    show(made.manifest, made.path.name)
    show_left_out(made.manifest)
    good(f"{size(made.size)} in {made.seconds:.0f} s, readable by its owner alone: it holds passwords and secrets.")
    out.print(f"  {made.path}", markup=False, style="bold")


def restore(
    source: Annotated[Path, typer.Argument(help="The file of a backup.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put aside what is there. Without it, the places must be empty.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a backup back, whole or not at all, where the settings say. The hub must not run."""
    from quantdesk.hub import backup as backups

    with progress(quiet=as_json) as shown:
        done = backups.restore(source, replace=replace, progress=shown)
    if as_json:
        rest = {"state": done.state, "aside": done.aside, "notes": done.notes, "seconds": round(done.seconds, 1)}
        emit({"path": source, **rest, **summary(done.manifest)})
        return
    show(done.manifest, source.name)
    good(f"Restored into {done.state} in {done.seconds:.0f} s.")
    for one in done.aside:
        out.print(f"  What was there before: {one}", markup=False)
    for note in done.notes:
        out.print(f"  {note}", markup=False)
    out.print("  Start it: quantdesk up", markup=False, style="dim")


def summary(manifest: Manifest) -> dict[str, Any]:
    """What programs want to know of a backup: all but the lists of files."""
    return {
        "made": manifest.made,
        "quantdesk": manifest.quantdesk,
        "from_state": manifest.state,
        "runs": manifest.runs,
        "lost": manifest.lost,
        "order": manifest.order,
        "left_out": manifest.left_out,
        "databases": [{"name": one.name, "kind": one.kind, "schemas": one.schemas} for one in manifest.databases],
        "parts": [
            {"name": one.name, "title": one.title, "files": one.files, "bytes": one.size, "stored": one.stored}
            for one in manifest.parts
        ],
    }


def show(manifest: Manifest, name: str) -> None:
    """The parts as a table; databases and what is not in it as lines."""
    rows = [(one.title, f"{one.files:,}", size(one.size), size(one.stored)) for one in manifest.parts if one.files]
    files, plain = sum(one.files for one in manifest.parts), sum(one.size for one in manifest.parts)
    rows.append(("together", f"{files:,}", size(plain), size(sum(one.stored for one in manifest.parts))))
    made = datetime.fromisoformat(manifest.made)
    title = f"{name} · made {made:%Y-%m-%d %H:%M} UTC by quantdesk {manifest.quantdesk}"
    table(title, COLUMNS, rows, numeric=COLUMNS[1:])
    kinds: dict[str, list[str]] = {}
    for one in manifest.databases:
        kinds.setdefault(_KINDS[one.kind], []).append(one.name)
    told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())
    out.print(f"databases · {told or 'none'}", markup=False)
    out.print(f"runs · {manifest.runs - len(manifest.lost):,} with their files", markup=False)


def show_left_out(manifest: Manifest) -> None:
    """What is not in it, and why."""
    more = len(manifest.left_out) - SHOWN
    for sentence in (*manifest.left_out[:SHOWN], *([f"and {more:,} more: see --json"] if more > 0 else [])):
        out.print(f"not in it · {sentence}", markup=False, style="dim")


def good(sentence: str) -> None:
    """A sentence with a mark before it."""
    out.print(Text.assemble(("✓ ", "green"), sentence))
