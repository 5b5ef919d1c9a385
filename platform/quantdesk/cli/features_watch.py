"""``quantdesk features status|consistency|drift``: how the feature store stands. Each ends with 6 if a check fails."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated

import typer

from quantdesk.cli.terminal import Json, emit, out, progress, table

__all__ = ["FAILED", "register"]

FAILED = 6
"""The exit code of a command whose check did not pass."""
Symbols = Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")]
Names = Annotated[list[str] | None, typer.Option("--feature", "-f", help="Only this feature; may be repeated.")]

MARKS = {
    "fresh": "✓ fresh",
    "ended": "■ ended",
    "gone": "□ gone",
    "open": "– open",
    "late": "✗ late",
    "behind": "✗ behind",
    "empty": "✗ empty",
    "unknown": "? unknown",
}
_SHOWN = ("source", "last", "missing", "says")
VERDICTS = {
    "stable": "✓ stable",
    "unclear": "? unclear",
    "moderate": "! moderate",
    "shifted": "✗ shifted",
    "too few": "– too few",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(consistency)
    app.command()(drift)


def status(
    sla: Annotated[
        str,
        typer.Option(
            envvar="QUANTDESK_FEATURES_SLA",
            help="How many due sessions may be missing, by publication: close=2,eia-spot=7; * for all others.",
        ),
    ] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every series, not one line per source.")] = False,
    as_json: Json = False,
) -> None:
    """Show which build there is, how fresh each source is, and whether online and offline agree.

    Ends with 6 when a source is late, a check fails or could not be made.
    """
    from quantdesk.features import FeatureStore
    from quantdesk.features.freshness import agreements, summary
    from quantdesk.features.watch import status as look

    agreed = agreements(sla)
    with progress(quiet=as_json) as shown:
        found = look(FeatureStore(), dt.datetime.now(dt.UTC), agreed=agreed, progress=shown)
    if as_json:
        emit(found)
    else:
        yes = {True: "current", False: "OUT OF DATE", None: "nothing to compare with"}
        last = found.loads[-1] if found.loads else None
        online = "never filled"
        if found.online_until is not None:
            online = f"filled until {found.online_until:%Y-%m-%d %H:%M:%S} UTC, from {yes[found.online_current]} build"
            online = online.replace("from current build", "from this build").replace("OUT OF DATE", "ANOTHER")
        facts = [
            (
                "build",
                f"{found.build[:12]} by quantdesk {found.built_by}, {found.rows:,} rows of {found.series} series",
            ),
            ("where", found.origin),
            ("formulas", f"{found.definitions[:12]} · {yes[found.definitions_current]}"),
            ("market data", f"{found.market[:12]} · {yes[found.market_current]}"),
            ("loads", f"{len(found.loads)}, the last {last['at'][:19]} UTC: {last['why']}" if last else "not recorded"),
            ("registry", "applied" if found.applied else "NOT APPLIED"),
            ("online store", online),
            ("online = offline", _agreement(found.consistency)),
        ]
        table("", ("what", "how it stands"), facts)
        lines = [one.to_dict() for one in found.freshness] if verbose else summary(found.freshness)
        views: dict[tuple[str, ...], list[str]] = {}
        for one in lines:
            said = tuple(str(one[name] or "–") for name in _SHOWN)
            views.setdefault((MARKS[one["state"]], str(one["series"] or "market"), *said), []).append(one["view"])
        rows = [(key[0], ", ".join(each), *key[1:]) for key, each in views.items()]
        columns = ("state", "view", "series", "source", "last session", "missing", "what that means")
        out.print()
        table("freshness", columns, rows, numeric=["missing", *([] if verbose else ["series"])])
        out.print()
        for problem in found.problems:
            out.print(f"✗ {problem}", markup=False)
        if found.ok:
            out.print("✓ everything is as it should be")
    if not found.ok:
        raise typer.Exit(FAILED)


def _agreement(found: object) -> str:
    from quantdesk.features.consistency import Consistency

    if not isinstance(found, Consistency):
        return "NOT CHECKED"
    what = f"{found.compared:,} values of {found.symbols} symbols compared, {found.with_value:,} not null"
    return f"{what}: " + ("all equal, to the bit" if found.agrees else f"{len(found.differences):,} DIFFER")


def consistency(
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option("--feature", "-f", help="Only this one; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare each online value, to the bit, with what the offline store knew when the online store was filled.

    Ends with 6 when a value differs.
    """
    from quantdesk.features import FeatureStore
    from quantdesk.features.watch import consistency as compare

    found = compare(FeatureStore(), symbol, feature)
    if as_json:
        emit(found)
    else:
        out.print(f"{_agreement(found)} · as known on {found.until:%Y-%m-%d %H:%M:%S} UTC")
        if found.differences:
            rows = [(one.symbol, one.feature, one.says) for one in found.differences]
            table(f"{len(rows)} differences", ("symbol", "feature", "difference"), rows)
    if not found.agrees:
        raise typer.Exit(FAILED)


def drift(
    reference: Annotated[str, typer.Option(help="First and last session to compare with: 2015-01-01:2019-12-31.")],
    current: Annotated[str, typer.Option(help="First and last session to judge: 2020-01-01:2022-12-31.")],
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol; may be repeated.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option("--feature", "-f", help="Only this one; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the distribution of each feature in two windows: stability index and Kolmogorov-Smirnov.

    Ends with 6 when a feature has shifted.
    """
    from quantdesk.features import FeatureStore
    from quantdesk.features.windows import drifted

    windows = _window("--reference", reference), _window("--current", current)
    with progress(quiet=as_json) as shown:
        found = drifted(FeatureStore(), *windows, symbols=symbol, feature_names=feature, progress=shown)
    if as_json:
        emit(found)
    else:
        verdict = "point-in-time: checked" if found.is_pit_validated else "point-in-time: NOT validated"
        out.print(f"{found.reference}  →  {found.current} · {len(found.symbols)} symbols · {verdict}", style="bold")
        if found.left_out:
            out.print(f"without sessions in both: {', '.join(found.left_out)}", markup=False, style="dim")
        rows = [
            (
                VERDICTS[one.verdict],
                one.feature,
                _number(one.psi),
                _number(one.noise),
                _number(one.ks),
                _number(one.q_value),
                f"{one.reference_rows:,} → {one.current_rows:,}",
                f"{one.reference_nulls:.0%} → {one.current_nulls:.0%}",
                one.says,
            )
            for one in found.features
        ]
        columns = ("verdict", "feature", "index", "by chance", "KS", "adjusted p", "values", "nulls", "what that means")
        table("drift", columns, rows, numeric=["index", "by chance", "KS", "adjusted p", "values", "nulls"])
        out.print(
            "index: population stability index, 0.1 moderate, 0.25 shifted; by chance: what so many independent rows "
            "stay below 19 times in 20; adjusted p: Kolmogorov-Smirnov, for this many features at once",
            style="dim",
        )
    if any(one.verdict == "shifted" for one in found.features):
        raise typer.Exit(FAILED)


def _window(name: str, text: str) -> tuple[str | None, str | None]:
    from quantdesk.errors import BadDates

    first, found, last = text.partition(":")
    if not found or ":" in last:
        raise BadDates(f"{name} {text!r} is no window.", "Write first:last, for example 2015-01-01:2019-12-31.")
    return first or None, last or None


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
