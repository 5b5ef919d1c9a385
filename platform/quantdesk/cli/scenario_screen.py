"""What scenarios look like to people: a crisis run, a shock, a comparison. An edge module: it prints.

Everything here is told by ``--json`` too, and more of it. Times are those of New York.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from quantdesk.cli.terminal import out, table

if TYPE_CHECKING:
    from quantdesk.scenarios import Event, Scenario, StressResult
    from quantdesk.scenarios.shocks import Shocked

__all__ = ["say", "show_catalogue", "show_comparison", "show_result", "show_shock"]

_CAUSES = ("price", "spread", "impact", "fees", "unfilled", "liquidation")
_GRADES = ("real", "reconstructed", "simulated", "missing")
_KINDS = {"execution_failure": "failure", "strategy_failure": "failure", "halt": "halt"}
_NEW_YORK = ZoneInfo("America/New_York")
_MOVES = 12
_NARROW = 104
"""Columns of a terminal; below, tables are cut in two or lose what ``--json`` tells."""


def show_catalogue(found: Sequence[Scenario]) -> None:
    """The catalogue: a line or two for each on a terminal, everything that fits into a line in a pipe."""
    if not out.is_terminal:
        rows: list[tuple[object, ...]] = [
            (one.name, one.start, one.end, one.resolution, _yes(one.intraday), ", ".join(one.aliases), one.summary)
            for one in found
        ]
        table("", ("scenario", "first", "last", "bars", "minutes", "also", "what happened"), rows)
        return
    rows = [(one.name, one.start, one.end, _bars(one), one.summary) for one in found]
    table(f"{len(rows)} scenarios", ("scenario", "first", "last", "bars", "what happened"), rows)
    short = [one.aliases[0] for one in found if one.aliases]
    say(f"Short names do, too: {', '.join(short)}. --json tells all of them.", style="dim", hang=2)


def show_result(result: StressResult, *, notes: bool = True) -> None:
    """A result: the figures, what they rest on, each strategy, limits and alerts, failures and halts."""
    start, pnl = float(result.value[0]), result.pnl_impact
    style = "green" if pnl >= 0 else "red"
    part = f" ({100 * pnl / start:+.1f} % of {start:,.0f} $)" if start > 0 else ""
    which = f"{result.scenario_id}, seed {result.seed}"
    fits = len(result.title) + len(which) + 3 < out.width
    out.print(f"[bold]{result.title}[/]", end="  " if fits else "\n  ")
    out.print(which, style="dim", markup=False)
    out.print(f"  P&L       [{style}]{pnl:+,.0f} $[/]{part}, deepest drawdown {result.max_drawdown:.1f} %")
    say(f"data      {data_line(result)}")
    say(f"detected  {detection_line([event for _, event in result.events('breaches')])}")
    if result.labels:
        say(
            f"labels    {', '.join(label.replace('_', ' ').replace(':', ': ') for label in result.labels)}",
            style="dim",
            hang=12,
        )
    out.print()
    _strategies(result)
    _limits(result)
    _events(result)
    for sentence in (str(one.sentence) for one in result.recommendations):
        say(f"→ {sentence}", hang=4)
    for note in result.notes if notes else ():
        say(f"note: {note}", style="dim", hang=8)


def show_shock(shocked: Shocked) -> None:
    """What a shock did to markets, the largest moves first, and how wrong the method was."""
    out.print()
    say(f"covariance: {shocked.cov.era.describe()}, {shocked.cov.days} days, {shocked.cov.estimator}", style="dim")
    moves = shocked.moves
    size = (moves["mean"] / moves["deviation"]).abs().fillna(0.0)
    order = [*moves.index[moves["role"] != "conditional"], *size.sort_values(ascending=False, kind="stable").index]
    names = list(dict.fromkeys(order)) if not out.is_terminal else list(dict.fromkeys(order))[:_MOVES]
    rows = [
        (
            name,
            moves.loc[name, "role"],
            *(f"{moves.loc[name, what]:,.2f} {moves.loc[name, 'unit']}" for what in ("mean", "simulated", "deviation")),
        )
        for name in names
    ]
    columns = ("symbol", "role", "mean", "simulated", "daily sd")
    table("", columns, rows, numeric=columns[2:])
    if len(names) < len(moves):
        say(f"… and {len(moves) - len(names)} more, which move by fewer of their deviations", style="dim")
    for note in shocked.notes:
        say(note, style="dim", hang=4)
    if shocked.correlation is not None:
        say(f"Correlation: {shocked.correlation.describe()}", style="dim")
    out.print()
    error = shocked.error.text() if shocked.error else "The panel reaches none of the crises: the error is unknown."
    out.print(textwrap.indent(error, "  "), markup=False)


def show_comparison(found: Sequence[Mapping[str, Any]], strategies: Sequence[str]) -> None:
    """P&L and drawdown by scenario and strategy, and what failed."""
    cells = {(one["scenario"], one["strategy"]): one for one in found}
    names = list(dict.fromkeys(one["scenario"] for one in found))
    rows = []
    for name in names:
        here = [cells.get((name, one)) for one in strategies]
        rows.append((name, _real(here), *(_cell(one) for one in here)))
    title = "P&L / deepest drawdown, % of the start; real: the share of bars that are observed"
    table(title, ("scenario", "real %", *strategies), rows, numeric=["real %", *strategies])
    for one in found:
        if one["error"]:
            say(f"✗ {one['scenario']}, {one['strategy']}: {one['error']}", hang=4)


def data_line(result: StressResult) -> str:
    """How much of the bars is what: one line."""
    counts = {grade: sum(by.get(grade, 0) for by in result.grades.values()) for grade in _GRADES}
    total = sum(counts.values())
    if not total:
        return "no bars"
    parts = []
    for grade in _GRADES:
        names = [symbol for symbol, by in result.grades.items() if by.get(grade)]
        which = f" ({', '.join(names)})" if grade != "real" and 0 < len(names) <= 3 else ""
        parts.append(f"{_percent(counts[grade], total)} {grade}{which}")
    traded = result.share_real.get("traded", math.nan)
    return " · ".join(parts) + ("" if math.isnan(traded) else f"; of what is traded {100 * traded:.0f} % real")


def detection_line(breaches: Sequence[Event]) -> str:
    """How many breaches of limits an alert or a guardrail saw, and how fast."""
    if not breaches:
        return "no limit was breached"
    refused = [one for one in breaches if one.severity == "blocking"]
    after = [_after(one) for one in breaches if one.severity != "blocking"]
    seen = [one for one in after if not math.isnan(one)]
    parts = [f"{len(refused)} orders beyond a limit were refused at once"] if refused else []
    if after:
        fast = f", half of them within {statistics.median(seen):,.0f} s" if seen else ""
        missed = f", none saw the other {len(after) - len(seen)}" if len(seen) < len(after) else ""
        parts.insert(0, f"alerts saw {len(seen)} of {len(after)} breaches of limits{fast}{missed}")
    return "; ".join(parts)


def _strategies(result: StressResult) -> None:
    causes = [cause for cause in _CAUSES if any(cause in one.attribution.cause for one in result.accounts)]
    rows = [
        (
            one.strategy,
            f"{one.pnl:+,.0f}",
            f"{one.max_drawdown:.1f}",
            *(f"{one.attribution.cause.get(cause, 0.0):+,.0f}" for cause in causes),
            f"{one.orders:,}",
            _sale(one.liquidation),
        )
        for one in result.accounts
    ]
    columns = ("strategy", "P&L $", "drawdown %", *(f"{cause} $" for cause in causes), "orders", "to sell it")
    if out.is_terminal and out.width < _NARROW:  # numbers are not broken over lines: causes get a table of their own
        _columns(columns, rows, (0, 1, 2, len(columns) - 2, len(columns) - 1))
        out.print()
        _columns(columns, rows, (0, *range(3, 3 + len(causes))))
    else:
        table("", columns, rows, numeric=columns[1:])
    for one in result.accounts:
        if one.error:
            say(f"✗ {one.strategy} ended early: {one.error}", hang=4)


def _columns(
    columns: Sequence[str], rows: Sequence[Sequence[object]], chosen: Sequence[int], numeric: Sequence[str] = ()
) -> None:
    """A table of some of the columns."""
    few = [columns[place] for place in chosen]
    table("", few, [[row[place] for place in chosen] for row in rows], numeric=numeric or few[1:])


def _limits(result: StressResult) -> None:
    """One row a limit: how often it was breached, how often a rule alerted, how fast, and the worst of all."""
    breaches = _grouped(event for _, event in result.events("breaches"))
    alerts = _grouped(event for _, event in result.events("alerts"))
    rows = []
    for rule in sorted({*breaches, *alerts}, key=lambda one: -len([*breaches.get(one, ()), *alerts.get(one, ())])):
        broken, told = breaches.get(rule, []), alerts.get(rule, [])
        both = [*broken, *told]
        seen = [after for one in broken if not math.isnan(after := _after(one))]
        rows.append(
            (
                rule,
                len(broken) or "",
                len(told) or "",
                _when(min(one.at for one in both)),
                f"{statistics.median(seen):,.0f} s" if seen else "",
                len(broken) - len(seen) or "",
                max(both, key=_excess).message,
            )
        )
    if rows:
        columns = ("limits and alerts", "breaches", "alerts", "first", "seen after", "unseen", "the worst of them")
        out.print()
        narrow = out.is_terminal and out.width < _NARROW
        _columns(columns, rows, (0, 1, 2, 6) if narrow else range(7), numeric=columns[1:3] + columns[4:6])


def _events(result: StressResult) -> None:
    """One row a cause of failures and halts."""
    found = [event for _, event in result.events("failures")] + list(result.accounts[0].halts)
    kinds: dict[tuple[str, str], list[Event]] = {}
    for event in sorted(found, key=lambda one: one.at):
        kinds.setdefault((_KINDS.get(event.kind, event.kind), event.cause), []).append(event)
    rows = [
        (f"{kind} {cause}", len(events), _when(events[0].at), _when(events[-1].at), _sentence(events[0]))
        for (kind, cause), events in kinds.items()
    ]
    if rows:
        out.print()
        table("", ("failures and halts", "times", "first", "last", "the first of them"), rows, numeric=("times",))


def _grouped(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.cause, []).append(event)
    return found


def _after(event: Event) -> float:
    return float(event.numbers.get("detected_after_s", math.nan))


def _excess(event: Event) -> float:
    """How far beyond its limit; 0 where the numbers do not say."""
    value, limit = event.numbers.get("value", math.nan), event.numbers.get("limit", math.nan)
    found = abs(value / limit) if limit else abs(value)
    return found if math.isfinite(found) else 0.0


def _sentence(event: Event) -> str:
    return event.message if not event.symbol or event.symbol in event.message else f"{event.symbol}: {event.message}"


def _when(at: int) -> str:
    return dt.datetime.fromtimestamp(at // 10**9, _NEW_YORK).strftime("%Y-%m-%d %H:%M")


def _sale(sale: Mapping[str, float]) -> str:
    if not sale or not any(sale.values()):
        return "nothing held"
    days = sale.get("days", 0.0)
    return f"{_days(days)}, {sale.get('spread', 0.0) + sale.get('impact', 0.0):,.0f} $"


def _days(days: float) -> str:
    return f"{days:,.1f} days" if days >= 1 else f"{max(math.ceil(days * 390), 1)} min"


def _percent(part: int, total: int) -> str:
    """Never 100 % of almost all, and never 0 % of a little."""
    share = 100 * part / total
    if 0 < share < 1:
        return "< 1 %"
    return f"{min(share, 99.9):.1f} %" if 99 < share < 100 else f"{share:.0f} %"


def _bars(one: Scenario) -> str:
    if one.resolution == "minute":
        return "minutes"
    return "days, minutes" if one.intraday else "days"


def _yes(what: object) -> str:
    return "yes" if what else "no"


def _real(cells: Sequence[Mapping[str, Any] | None]) -> str:
    known = [one["share_real"] for one in cells if one and one["share_real"] is not None]
    return f"{100 * known[0]:.0f}" if known else ""


def _cell(one: Mapping[str, Any] | None) -> str:
    if one is None or one["pnl"] is None:
        return "✗ failed"
    told = f"{100 * one['pnl'] / one['start_value']:+.1f} / {one['max_drawdown']:.1f}"
    return f"✗ {told}" if one["error"] else told


def say(text: str, *, style: str = "", hang: int = 12) -> None:
    """A line within the width of the terminal, its further lines hanging; one line in a pipe."""
    if out.is_terminal:
        text = textwrap.fill(text, max(out.width - 1, 40), initial_indent="  ", subsequent_indent=" " * hang,
                             break_long_words=False, break_on_hyphens=False)  # fmt: skip
    else:
        text = f"  {text}"
    out.print(text, style=style, markup=False)
