"""``quantdesk features lineage|diff|audit|docs``: where features come from, what changes, what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantdesk.cli.features_watch import FAILED
from quantdesk.cli.terminal import Json, emit, out, progress, table

if TYPE_CHECKING:
    from quantdesk.features.lineage import Node

__all__ = ["register"]

Only = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only for this symbol; may be repeated.")]
Build = Annotated[
    str | None, typer.Option(help="With --builds: a key, or a beginning of it. The latest two if left out.")
]

VERDICTS = {"no leak found": "✓ no leak found", "leaks": "✗ leaks", "undecided": "? undecided"}
SIGNS = {"added": "+ added", "removed": "- removed", "changed": "~ changed", "kept": "  kept"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(lineage)
    app.command()(diff)
    app.command()(audit)
    app.command()(docs)


def lineage(
    feature: Annotated[str, typer.Argument(help="The feature.")],
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="Only for this symbol; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a feature is made from, down to each file with its hash, licence and labels, and what uses it."""
    from quantdesk.features import FeatureStore
    from quantdesk.features.lineage import tree
    from quantdesk.reports.catalogue import lineage_of

    found = lineage_of(FeatureStore(), feature, symbol)
    if as_json:
        emit(found)
        return
    show(tree(found))


def show(node: Node) -> None:
    """Print a tree: with branches on a terminal, with two blanks per level in a pipe."""
    if not out.is_terminal:

        def lines(one: Node, depth: int) -> None:
            out.print("  " * depth + f"{one.text}\t{one.detail}".rstrip("\t"), markup=False)
            for child in one.children:
                lines(child, depth + 1)

        lines(node, 0)
        return
    from rich.text import Text
    from rich.tree import Tree

    def grown(one: Node, into: Any) -> None:
        for child in one.children:
            grown(child, into.add(_text(child)))

    def _text(one: Node) -> Text:
        return Text.assemble((one.text, "bold"), ("  " + one.detail, "dim") if one.detail else "")

    root = Tree(_text(node))
    grown(node, root)
    out.print(root, soft_wrap=False)


def diff(
    repository: Annotated[
        Path | None, typer.Option("--repo", help="A folder of definitions; the configured one when left out.")
    ] = None,
    builds: Annotated[bool, typer.Option("--builds", help="Compare two builds instead of definitions.")] = False,
    before: Annotated[
        str | None, typer.Option(help="With --builds: the older build, or a beginning of its key.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="With --builds: the newer build; the current one if left out.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="With --builds: compare rows, too.")] = False,
    check: Annotated[bool, typer.Option("--check", help="End with 6 when anything differs.")] = False,
    as_json: Json = False,
) -> None:
    """Show what applying would change in the registry, or what differs between two builds."""
    from quantdesk.errors import BadParameter
    from quantdesk.features.config import FeatureConfig
    from quantdesk.features.described import between_builds, to_apply

    if not builds and (before or after or rows):
        raise BadParameter("--before, --after and --rows are for builds.", "Add --builds.")
    if builds and repository:
        raise BadParameter("--repo is for definitions, --builds for builds.", "Give one of them.")
    config = FeatureConfig.from_env()
    root = config.root
    with progress(quiet=as_json) as shown:
        shown("comparing", 0, 1)
        found = between_builds(root, before, after, rows=rows) if builds else to_apply(root, repository or config.repo)
        shown("comparing", 1, 1)
    if as_json:
        emit(found)
    else:
        out.print(f"{found.before}  →  {found.after}", markup=False, style="bold")
        if found.changes:
            lines = [
                (SIGNS[one.what], one.kind, one.name, one.field, one.before or "–", one.after or "–")
                for one in found.changes
            ]
            table(f"{len(lines)} changes", ("", "kind", "name", "what", "before", "after"), lines)
        if found.rows:
            counts = [(one.table, one.added, one.removed, one.changed, one.same) for one in found.rows]
            numeric = ["added", "removed", "changed", "same"]
            table(f"rows of {len(counts)} tables", ("table", *numeric), counts, numeric=numeric)
        if found.same:
            out.print("✓ nothing differs")
    if check and not found.same:
        raise typer.Exit(FAILED)


def audit(
    feature: Annotated[list[str] | None, typer.Argument(help="Features; all when none is given.")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="The series to try them on.")] = None,
    seed: Annotated[int, typer.Option(help="Of the cuts and of the other futures.")] = 0,
    as_json: Json = False,
) -> None:
    """Look for leaks in the code of features: recompute with the future cut off, and with another one.

    Ends with 6 when a feature leaks, or when the question could not be answered.
    """
    from quantdesk.features.audit import repository
    from quantdesk.market import MarketStore

    with progress(quiet=as_json) as shown:
        found = repository(MarketStore(), feature or None, symbol=symbol, seed=seed, progress=shown)
    if as_json:
        emit(found)
    else:
        rows = [
            (VERDICTS[one.verdict], name, one.name, f"{one.rows:,}", one.cuts, one.calls) for name, one in found.items()
        ]
        columns = ("verdict", "feature", "tried on", "rows", "cuts", "calls")
        table(f"{len(rows)} features audited", columns, rows, numeric=["rows", "cuts", "calls"])
        for name, one in found.items():
            for finding in one.findings:
                out.print(f"✗ {name}: {finding.about.title}. {finding.detail}", markup=False)
                if finding.line is not None:
                    out.print(f"    {finding.line}", markup=False)
                out.print(f"    {finding.about.remedy}", markup=False, style="dim")
    if not all(one.passed for one in found.values()):
        raise typer.Exit(FAILED)


def docs(
    output: Annotated[
        Path | None, typer.Option("--out", help="The folder of the pages; reports/features in the state directory.")
    ] = None,
    audit: Annotated[bool, typer.Option(help="Look for leaks in every feature first, and say on its page.")] = True,
    as_json: Json = False,
) -> None:
    """Write the catalogue: static pages, one per feature, that work offline."""
    from quantdesk.features import FeatureStore
    from quantdesk.reports.catalogue import write

    with progress(quiet=as_json) as shown:
        done = write(FeatureStore(), output, audit=audit, progress=shown)
    if as_json:
        emit(done)
        return
    out.print(f"[green]✓[/] {done.features} features, {done.pages} pages, {done.size / 1e6:.1f} MB")
    out.print(f"  open  {done.index}", markup=False)
