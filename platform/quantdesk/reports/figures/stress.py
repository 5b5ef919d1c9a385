"""Figures of a stressed portfolio: its path with what stopped it, all crises at once, causes, what a change does.

A result is made: prices may be real, fills never are. So a figure bears the labels of :func:`stress_labels`, without
``real``, and says below them which part of the prices is. Times are those of New York.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantdesk.errors import BadInput, UnknownName
from quantdesk.reports import theme
from quantdesk.reports.figures.style import COLOURS, Labels, finish, line_style

if TYPE_CHECKING:
    from quantdesk.scenarios import Account, Event, StressResult
    from quantdesk.scenarios.recommend import Recommendation

__all__ = ["stress_attribution", "stress_grid", "stress_labels", "stress_path", "stress_recommendation"]

_LANES = (  # name, attribute, colour, shape
    ("halts", "halts", theme.LIGHT.warning, "square"),
    ("breaches", "breaches", theme.LIGHT.negative, "x"),
    ("failures", "failures", COLOURS[5], "triangle-down"),
    ("alerts", "alerts", theme.LIGHT.accent, "diamond"),
)
_MOST_TOLD = 4
_CAUSES = ("price", "spread", "impact", "fees", "unfilled")


def stress_labels(result: StressResult) -> tuple[str, ...]:
    """What stands above every figure of a result, as names of :data:`quantdesk.reports.theme.LABELS`.

    ``simulated`` always, because fills are; ``reconstructed`` where quotes or bars were made from real or published
    values; the hindsight and the survivors of the data. Never ``real``: what part of the prices is real is said in
    numbers.
    """
    grades = {grade for counts in result.grades.values() for grade in counts}
    found = ["reconstructed"] if grades & {"real", "reconstructed"} else []
    found += ["simulated", *(label for label in result.labels if label in theme.LABELS and label != "real")]
    return theme.label_line(found).labels


def stress_path(result: StressResult, title: str, labels: Labels = ()) -> go.Figure:
    """The value of each strategy's account, its drawdown, and what happened when.

    Halts and closures are bands over all of it; halts, breaches of limits, failed executions and alerts are marks in a
    lane each, with their sentences in the hover text.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=[0.5, 0.24, 0.26], vertical_spacing=0.05)
    times = new_york(result.ends)
    intraday = bool(times[1:].normalize().has_duplicates)
    when = "%{x|%H:%M}" if intraday else "%{x|%d %b %Y}"
    for number, account in enumerate(result.accounts):
        told = words(account.strategy)
        name = f"{told} {signed(_points(account), 1)} %" + (" (failed)" if account.error else "")
        line = {**line_style(number), "width": 2}
        common: dict[str, Any] = {"x": times, "mode": "lines", "name": name, "legendgroup": told, "line": line}
        figure.add_scatter(
            y=account.value, hovertemplate=f"{told}, {when}: $%{{y:,.0f}}<extra></extra>", row=1, col=1, **common
        )
        figure.add_scatter(
            y=account.drawdown,
            hovertemplate=f"{told}, {when}: %{{y:.2f}} % below the highest<extra></extra>",
            showlegend=False,
            row=2,
            col=1,
            **common,
        )
    for lane, (name, kind, colour, shape) in enumerate(_LANES):
        _lane(figure, lane, name, _told(result, kind), {"color": colour, "symbol": shape})
    shade(figure, result.accounts[0].halts, times)
    figure.update_yaxes(title_text="value, $", tickformat="$,.4~s", row=1, col=1)
    figure.update_yaxes(title_text="drawdown, %", row=2, col=1)
    figure.update_yaxes(
        tickvals=list(range(len(_LANES))),
        ticktext=[f"{name} {len(_told(result, kind))}" for name, kind, *_ in _LANES],
        range=[len(_LANES) - 0.5, -0.5],
        showgrid=True,
        zeroline=False,
        row=3,
        col=1,
    )
    clock(figure, times, row=3)
    legend = {"y": -0.14, "yanchor": "top"}  # below, where names can take as many lines as they need
    return said(finish(figure, title, labels, height=660, legend=legend, margin={"t": 76}), share_words(result))


def _told(result: StressResult, kind: str) -> list[tuple[str, Event]]:
    """Events with their strategy; halts are the same for all accounts."""
    return [("", one) for one in result.accounts[0].halts] if kind == "halts" else list(result.events(kind))


def _lane(figure: go.Figure, lane: int, name: str, events: list[tuple[str, Event]], marker: dict[str, Any]) -> None:
    """Marks of one kind; what happened at the same instant is one mark."""
    found = [(at, list(together)) for at, together in groupby(events, key=lambda one: one[1].at)]
    figure.add_scatter(
        x=new_york(np.array([at for at, _ in found], dtype=np.int64)),
        y=[lane] * len(found),
        mode="markers",
        name=name,
        marker={**marker, "size": [8 + min(3 * (len(together) - 1), 9) for _, together in found], "opacity": 1},
        text=[_list(together) for _, together in found],
        hovertemplate="%{x|%d %b %Y %H:%M}<br>%{text}<extra></extra>",
        cliponaxis=False,
        showlegend=False,
        row=3,
        col=1,
    )


def _list(events: Sequence[tuple[str, Event]]) -> str:
    lines = []
    for strategy, event in events[:_MOST_TOLD]:
        parts = [words(strategy), event.cause, event.symbol]
        text = event.message if len(event.message) <= 110 else event.message[:109] + "…"
        lines.append(", ".join(part for part in parts if part) + f": {text}")
    more = len(events) - _MOST_TOLD
    return "<br>".join([*lines, f"and {more} more"] if more > 0 else lines).replace("$", "&#36;")


def stress_grid(results: Sequence[StressResult], title: str, labels: Labels = ()) -> go.Figure:
    """Strategies across, scenarios downwards: profit or loss in percent of the start.

    Under each scenario stands which part of all its bars is real; the drawdown and the counts of events are in the
    hover text. A strategy that failed shows a cross.
    """
    if not results:
        raise BadInput("There is no result to draw.", "Give one for each scenario.")
    names = list(dict.fromkeys(account.strategy for result in results for account in result.accounts))
    table = np.full((len(results), len(names)), np.nan)
    shown = [[""] * len(names) for _ in results]
    hover = [[""] * len(names) for _ in results]
    for row, result in enumerate(results):
        for account in result.accounts:
            column = names.index(account.strategy)
            table[row, column] = np.nan if account.error else _points(account)
            shown[row][column] = "✕ failed" if account.error else signed(_points(account), 1)
            hover[row][column] = _cell(result, account)
    reach = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 1.0
    scale = theme.LIGHT.diverging
    figure = go.Figure(
        go.Heatmap(
            z=table,
            x=[words(name).replace(" ", "<br>") for name in names],
            y=["<br>".join([*wrap(result.title, 20), _small(result)]) for result in results],
            text=shown,
            texttemplate="%{text}",
            customdata=hover,
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=True,
            zmin=-reach,
            zmax=reach,
            colorscale=[[place / (len(scale) - 1), colour] for place, colour in enumerate(scale)],
            colorbar={
                "title": {"text": "profit or loss, % of the start", "side": "bottom", "font": {"size": 12}},
                "orientation": "h",
                "outlinewidth": 0,
                "thickness": 10,
                "len": 0.9,
                "y": -0.02,
                "yanchor": "top",
            },
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(side="top", showline=False, ticks="", type="category", tickangle=0, tickfont={"size": 11})
    return finish(figure, title, labels, height=230 + 54 * len(results), margin={"t": 124, "b": 76, "r": 8})


def _small(result: StressResult) -> str:
    return f"<sub>{share(result.share_real['all'])} real</sub>"


def _cell(result: StressResult, account: Account) -> str:
    counts = ", ".join(
        f"{len(getattr(account, kind))} {name}" for name, kind, *_ in sorted(_LANES, key=lambda lane: lane[0])
    )
    lines = [
        f"<b>{result.title}, {words(account.strategy)}</b>",
        f"profit or loss {money(account.pnl)} ({signed(_points(account), 2)} %)",
        f"largest drawdown {signed(account.max_drawdown, 2)} %",
        counts,
        f"real: {share(result.share_real['all'])} of all bars, {share(result.share_real['traded'])} of what is traded",
    ]
    return "<br>".join([*lines, *([f"failed: {account.error[:110]}"] if account.error else [])])


def stress_attribution(
    account: Account, title: str, labels: Labels = (), *, by: Literal["cause", "asset_class", "sector"] = "cause"
) -> go.Figure:
    """Where the profit or loss comes from, as a waterfall in dollars that ends at it.

    Parameters
    ----------
    by
        ``cause``: what the wished-for positions made at midpoints, then spread, impact, fees and what was not filled.
    """
    if by not in ("cause", "asset_class", "sector"):
        raise UnknownName("way to attribute", str(by), ("cause", "asset_class", "sector"))
    parts = dict(getattr(account.attribution, by))
    order = [name for name in _CAUSES if name in parts] if by == "cause" else sorted(parts, key=lambda one: parts[one])
    amounts = [float(parts[name]) for name in order]
    levels = [*np.cumsum(amounts), 0.0]
    room = 0.16 * max(max(levels) - min(levels), 1.0)
    figure = go.Figure(
        go.Waterfall(
            x=[*order, "profit<br>or loss" if by == "cause" else "profit or loss"],
            y=[*amounts, account.pnl],
            measure=[*["relative"] * len(amounts), "total"],
            text=[_short(amount) for amount in [*amounts, account.pnl]],
            customdata=[money(amount) for amount in [*amounts, account.pnl]],
            textposition="outside",
            textangle=0,
            textfont={"size": 11},
            constraintext="none",
            cliponaxis=False,
            increasing={"marker": {"color": theme.LIGHT.positive}},
            decreasing={"marker": {"color": theme.LIGHT.negative}},
            totals={"marker": {"color": COLOURS[0]}},
            connector={"line": {"color": theme.LIGHT.rule, "width": 1}},
            hovertemplate="%{x}: %{customdata}<extra></extra>",
        )
    )
    figure.update_xaxes(tickangle=0 if by == "cause" else -40)
    figure.update_yaxes(title_text="dollars", tickformat="$,.3~s", range=[min(levels) - room, max(levels) + room])
    return finish(figure, title, labels)


def stress_recommendation(found: Recommendation, title: str, labels: Labels = ()) -> go.Figure:
    """What a change of the settings does to every scenario: profit or loss on the left, largest drawdown on the right.

    A hollow circle is before and a full diamond after, both in percent of the start. The scenario in question stands
    first, then those that the change was chosen on, those that judged it, and the calm windows.
    """
    groups = (("chosen on", found.chosen_on), ("judged on", found.judged_on), ("calm", found.calm))
    rows = [(name, told) for told, names in groups for name in names if name in found.effects]
    rows.sort(key=lambda row: row[0] != found.scenario)
    if not rows:
        raise BadInput("The change was run on no scenario.", "Give one that has effects.")
    names = [f"{words(name)}<br><sub>{'in question' if name == found.scenario else told}</sub>" for name, told in rows]
    effects = [found.effects[name] for name, _ in rows]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    for column, unit in enumerate(("profit or loss, %<br>of the start", "largest drawdown, %"), start=1):
        ends = [
            [(100 * one.pnl / one.start_value, one.max_drawdown)[column - 1] for one in (effect.before, effect.after)]
            for effect in effects
        ]
        figure.add_scatter(
            x=[value for before, after in ends for value in (before, after, None)],
            y=[name for name in names for _ in range(3)],
            mode="lines",
            line={"color": theme.LIGHT.neutral, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
            row=1,
            col=column,
        )
        for place, (name, symbol) in enumerate((("before", "circle-open"), ("after", "diamond"))):
            figure.add_scatter(
                x=[pair[place] for pair in ends],
                y=names,
                mode="markers",
                name=name,
                legendgroup=name,
                marker={"color": COLOURS[place], "symbol": symbol, "size": 10, "line": {"width": 2}},
                hovertemplate="%{y}: %{x:.2f} % " + name + "<extra></extra>",
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.update_xaxes(title_text=unit, row=1, col=column)
        figure.update_yaxes(autorange="reversed", type="category", showgrid=True, row=1, col=column)
    return finish(figure, title, labels, height=220 + 42 * len(rows))


# What the figures of stress share


def new_york(moments: np.ndarray) -> pd.DatetimeIndex:
    """Nanoseconds since 1970 as the clock in New York shows them, without a zone: plotly shows such as they are."""
    times = pd.DatetimeIndex(np.asarray(moments, dtype=np.int64).astype("datetime64[ns]"))
    return times.tz_localize("UTC").tz_convert("America/New_York").tz_localize(None)


def shade(figure: go.Figure, halts: Iterable[Event], times: pd.DatetimeIndex) -> None:
    """A band for each halt and closure, over all rows; as thin as a line where it is shorter than a bar."""
    bands = {(one.at, one.numbers.get("seconds", 0.0), one.cause == "CLOSED") for one in halts}
    for at, seconds, closed in sorted(bands):
        begins, ends = new_york(np.array([at, at + int(seconds * 1e9)]))
        if ends < times[0] or begins > times[-1]:
            continue
        colour = theme.LIGHT.neutral if closed else theme.LIGHT.warning
        figure.add_vrect(
            x0=max(begins, times[0]),
            x1=min(max(ends, begins), times[-1]),
            row="all",
            col=1,
            fillcolor=colour,
            opacity=0.22,
            line={"width": 1, "color": colour},
            layer="below",
        )


def clock(figure: go.Figure, times: pd.DatetimeIndex, row: int) -> None:
    """The time axis: days, or minutes of New York without the nights and weekends between them."""
    figure.update_xaxes(type="date", range=[times[0], times[-1]])
    days = times[1:].normalize()
    if not days.has_duplicates:
        return
    figure.update_xaxes(title_text="time in New York", row=row, col=1)
    if days[0] != days[-1]:
        figure.update_xaxes(rangebreaks=[{"bounds": ["sat", "mon"]}, {"bounds": [16, 9.5], "pattern": "hour"}])


def said(figure: go.Figure, sentence: str) -> go.Figure:
    """One more line under the labels."""
    title = figure.layout.title
    above = title.subtitle.text
    title.subtitle.text = f"{above}<br>{sentence}" if above else sentence
    figure.update_layout(margin={"t": figure.layout.margin.t + 16})
    return figure


def share_words(result: StressResult) -> str:
    """Which part of the bars is real."""
    shares = result.share_real
    return f"Bars that are real: {share(shares['all'])} of all, {share(shares['traded'])} of what is traded"


def share(part: float) -> str:
    """Percent, never rounded to all or nothing; a dash where there should be none."""
    if not np.isfinite(part):
        return "–"
    percent = 100 * part
    return f"{min(max(round(percent), 1), 99) if 0 < percent < 100 else round(percent)} %"


def words(name: str) -> str:
    """Without underscores."""
    return name.replace("_", " ")


def signed(value: float, digits: int) -> str:
    """With a sign that is as wide as a plus; none for 0."""
    text = f"{value:+,.{digits}f}"
    return text[1:] if not float(text.replace(",", "")) else text.replace("-", "−")


def money(amount: float) -> str:
    """Whole dollars."""
    return f"{'−' if round(amount) < 0 else ''}${abs(round(amount)):,}"


def _short(amount: float) -> str:
    """Three digits, so that it fits over a bar on a phone."""
    size = abs(amount)
    power = 6 if size >= 999_500 else 3 if size >= 999.5 else 0
    scaled = float(f"{size:.3g}") / 10**power
    number = f"{round(size)}" if not power else f"{scaled:.{max(0, 2 - (len(str(int(scaled))) - 1))}f}"
    return f"{'−' if round(amount) < 0 else ''}${number}{ {0: '', 3: 'k', 6: 'm'}[power] }"


def _points(account: Account) -> float:
    """Profit or loss in percent of the start."""
    return 100 * account.pnl / float(account.value[0]) if account.value[0] else 0.0
