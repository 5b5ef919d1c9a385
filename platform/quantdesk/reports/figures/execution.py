"""Figures of executions: how slippage is spread, where the shortfall came from, what followed, which venue served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantdesk.errors import BadInput
from quantdesk.reports import theme
from quantdesk.reports.figures.style import COLOURS, Labels, finish, hatch, line_style

if TYPE_CHECKING:
    from quantdesk.orders.tca import Interval

__all__ = ["realized_spreads", "shortfall_waterfall", "slippage_distribution", "venue_quality"]

_DELAYS = {"50ms": "50 ms", "1s": "1 s", "15s": "15 s", "1min": "1 min", "5min": "5 min"}
_PARTS = ("delay", "execution", "opportunity", "fees")
_QUALITY: Sequence[tuple[str, str, float, str, int]] = (
    # heading, column, factor, format, and whether more is better (1), worse (-1) or neither (0) for the one who traded
    ("shares filled", "shares", 1, ",.0f", 0),
    ("filled of sent, %", "fill_rate", 100, ".1f", 1),
    ("slippage, bps", "slippage_bps", 1, ".2f", -1),
    ("realised 1 s, bps", "realized_1s_bps", 1, ".2f", -1),
    ("impact 1 min, bps", "impact_1min_bps", 1, ".2f", 0),
    ("better than quote, %", "improved", 100, ".1f", 1),
    ("outside of quote, %", "outside", 100, ".1f", -1),
    ("maker, %", "maker", 100, ".1f", 0),
    ("fee, $ per 1,000", "fee_per_share_usd", 1000, ".2f", -1),
    ("median time", "time_p50_s", 1, "time", -1),
)


_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def slippage_distribution(
    orders: pd.DataFrame, title: str, labels: Labels = (), *, interval: Interval | None = None
) -> go.Figure:
    """How many orders cost how much against the middle at their arrival, and each order by its size.

    Parameters
    ----------
    orders
        :attr:`quantdesk.orders.tca.Analysis.orders`; orders without a fill are left out.
    interval
        The average with its bounds, as of :meth:`quantdesk.orders.tca.Analysis.interval`; drawn in.
    """
    known = orders[orders["slippage_bps"].notna()]
    if not len(known):
        raise BadInput("No order has a known slippage.", "Give orders that were filled, with their quote at arrival.")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06)
    values = known["slippage_bps"].to_numpy(float)
    low, high = float(values.min()), float(values.max())
    middle, reach = (low + high) / 2, max((high - low) / 2, 0.5) * 1.02
    edges = np.linspace(middle - reach, middle + reach, min(60, max(12, len(known) // 8)) + 1)
    for number, (name, bought) in enumerate((("bought", True), ("sold", False))):
        own = known[(known["side"] > 0) == bought]
        counts, _ = np.histogram(own["slippage_bps"], edges)
        common: dict[str, Any] = {"name": name, "legendgroup": name}
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": COLOURS[number], "pattern": hatch(number)},
            hovertemplate="%{x:.2f} bps: %{y} orders " + name + "<extra></extra>",
            row=1,
            col=1,
            **common,
        )
        figure.add_scatter(
            x=own["slippage_bps"],
            y=[str(size) for size in own["size"]],
            mode="markers",
            marker={
                "color": COLOURS[number],
                "symbol": ("triangle-up", "triangle-down")[number],
                "size": 10,
                "opacity": 0.75,
            },
            customdata=list(zip(own.index, own["symbol"], own["filled_shares"], strict=True)),
            hovertemplate="%{customdata[1]}, %{customdata[2]:,} shares " + name + ": %{x:.2f} bps"
            "<br>%{customdata[0]}<extra></extra>",
            showlegend=False,
            row=2,
            col=1,
            **common,
        )
    top = max(1.0, float(np.histogram(values, edges)[0].max()))
    if interval is not None and not np.isnan(interval.mean):
        _mean(figure, interval, top)
    figure.add_vline(x=0, line={"color": theme.LIGHT.neutral, "width": 1})
    sizes = [str(size) for size in known["size"].cat.categories if (known["size"] == size).any()]
    figure.update_yaxes(title_text="orders", row=1, col=1)
    figure.update_yaxes(title_text="shares ordered", row=2, col=1, categoryorder="array", categoryarray=sizes)
    figure.update_xaxes(title_text="slippage at arrival, bps (above 0: a cost)", row=2, col=1)
    return finish(figure, title, labels, height=560, barmode="stack", bargap=0, margin={"t": 124})


def _mean(figure: go.Figure, interval: Interval, top: float) -> None:
    name = f"average {interval.mean:.2f}".replace("-", "−")
    if not np.isnan(interval.low):
        name += f" ({interval.confidence:.0%}: {interval.low:.2f} to {interval.high:.2f})".replace("-", "−")
        figure.add_scatter(
            x=[interval.low, interval.high],
            y=[top * 1.06] * 2,
            mode="lines",
            line={"color": COLOURS[6], "width": 5},
            hoverinfo="skip",
            showlegend=False,
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=[interval.mean] * 2,
        y=[0, top * 1.12],
        mode="lines",
        name=name,
        line={"color": COLOURS[6], "width": 2, "dash": "dash"},
        hovertemplate=name + "<extra></extra>",
        row=1,
        col=1,
    )


def shortfall_waterfall(total: pd.Series, title: str, labels: Labels = ()) -> go.Figure:
    """Where the implementation shortfall came from: its components as a waterfall, in basis points and dollars.

    Parameters
    ----------
    total
        A row of :meth:`quantdesk.orders.tca.Analysis.shortfall_by`.
    """
    if not total["known"] > 0:
        raise BadInput("No order has a known shortfall.", "Give orders with quotes at decision, arrival and end.")
    names = [*_PARTS, "shortfall"]
    bps, money = ([float(total[f"{name}_{unit}"]) for name in names] for unit in ("bps", "usd"))
    figure = go.Figure(
        go.Waterfall(
            x=[*_PARTS, "implementation<br>shortfall"],
            y=bps,
            measure=[*["relative"] * len(_PARTS), "total"],
            text=[f"{_signed(part)} bps<br>{_money(paid)}" for part, paid in zip(bps, money, strict=True)],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": theme.LIGHT.negative}},  # what rises is a cost
            decreasing={"marker": {"color": theme.LIGHT.positive}},
            totals={"marker": {"color": COLOURS[0]}},
            connector={"line": {"color": theme.LIGHT.rule, "width": 1}},
            hovertemplate="%{x}: %{text}<extra></extra>",
        )
    )
    levels = [*np.cumsum(bps[:-1]), 0.0]
    room = 0.22 * max(max(levels) - min(levels), 0.1)
    figure.update_yaxes(
        title_text="bps of the decision's value (up: a cost)", range=[min(levels) - room, max(levels) + room]
    )
    return finish(figure, title, labels)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _money(amount: float) -> str:
    return f"{'−' if amount < 0 else ''}${abs(amount):,.0f}"


def realized_spreads(curve: pd.DataFrame, title: str, labels: Labels = ()) -> go.Figure:
    """What became of the effective spread: realised spread and price impact by the delay after the fill.

    Parameters
    ----------
    curve
        :meth:`quantdesk.orders.tca.Analysis.realized_curve` per notional. Bars are two standard errors.
    """
    known = curve[curve["shares"] > 0]
    if not len(known):
        raise BadInput("No quote after a fill is known.", "Give the tapes of the symbols.")
    names = [_DELAYS.get(str(name), str(name)) for name in known.index]
    places = np.arange(len(names), dtype=float)
    figure = go.Figure()
    figure.add_scatter(
        x=places,
        y=known["effective"],
        mode="lines",
        name="effective",
        line={"color": theme.LIGHT.neutral, "width": 2, "dash": "dash"},
        customdata=names,
        hovertemplate="effective spread of the same fills, %{customdata}: %{y:.2f} bps<extra></extra>",
    )
    for number, (name, column) in enumerate((("realised", "realized"), ("impact", "impact"))):
        figure.add_scatter(
            x=places + (-0.03, 0.03)[number],  # so that their errors do not hide each other
            y=known[column],
            mode="lines+markers",
            name=name,
            line={**line_style(number), "width": 2},
            marker={"size": 9, "symbol": ("circle", "diamond")[number]},
            error_y={
                "type": "data",
                "array": 2 * known[f"{column}_se"],
                "thickness": 1.2,
                "width": 4,
                "color": COLOURS[number],
            },
            customdata=list(zip(names, 100 * known["share_known"], strict=True)),
            hovertemplate=name + ", %{customdata[0]}: %{y:.2f} bps"
            "<br>known for %{customdata[1]:.0f} % of the shares<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": theme.LIGHT.neutral, "width": 1})
    figure.update_xaxes(title_text="time after the fill", tickvals=places, ticktext=names, zeroline=False)
    figure.update_yaxes(title_text="bps of the middle, ± 2 standard errors")
    return finish(figure, title, labels)


def venue_quality(table: pd.DataFrame, title: str, labels: Labels = ()) -> go.Figure:
    """Measures downwards, venues across: each cell says its number, and its colour how it stands in its row.

    Blue is better than the middle of the row and red worse, by how many of its usual distances; a row in which nothing
    is better or worse is grey, and so is one that is the same for all.

    Parameters
    ----------
    table
        :meth:`quantdesk.orders.tca.Analysis.by` of ``venue`` per notional. A measure that no venue has is left out.
    """
    shown = table[table["shares"].fillna(0) > 0].sort_values("shares", ascending=False)
    if not len(shown):
        raise BadInput("No venue has filled anything.", "Give fills with their venues.")
    rows = [one for one in _QUALITY if one[1] in shown and shown[one[1]].notna().any()]
    scale = theme.LIGHT.diverging
    figure = go.Figure(
        go.Heatmap(
            z=np.vstack([_standing(shown[column], better) for _, column, _, _, better in rows]),
            x=[str(venue).replace(" ", "<br>") for venue in shown.index],
            y=[heading for heading, *_ in rows],
            text=[
                [_shown(value * factor, form) for value in shown[column].astype(float)]
                for _, column, factor, form, _ in rows
            ],
            texttemplate="%{text}",
            textfont={"size": 12 if len(shown) <= 10 else 10},
            zmin=-2.5,
            zmax=2.5,
            colorscale=[[place / (len(scale) - 1), colour] for place, colour in enumerate(scale)],
            hovertemplate="%{x}: %{y} %{text}<extra></extra>",
            xgap=2,
            ygap=2,
            colorbar={
                "orientation": "h",
                "outlinewidth": 0,
                "thickness": 10,
                "len": 0.6,
                "y": -0.02,
                "yanchor": "top",
                "tickvals": [-2.2, 0, 2.2],
                "ticktext": ["worse", "middle", "better"],
                "tickangle": 0,
            },
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(side="top", showline=False, ticks="", type="category", tickangle=0)
    return finish(figure, title, labels, height=190 + 34 * len(rows), margin={"t": 120, "b": 64})


def _standing(values: pd.Series, better: int) -> np.ndarray:
    """How many usual distances each value is better than the middle one; 0 where there is no better."""
    known = values.astype(float)
    off = known - known.median()
    usual = float(off.abs().mean())
    if not better or not usual > 1e-9 * float(known.abs().max()):  # the same for all, but for rounding
        return np.zeros(len(known))
    return np.asarray((better * off / usual).clip(-2.5, 2.5))


def _shown(value: float, form: str) -> str:
    if np.isnan(value):
        return "–"
    if form == "time":
        scale, unit = next(((scale, unit) for scale, unit in _UNITS if value >= scale), _UNITS[-1])
        return f"{value / scale:.3g} {unit}"
    return format(value, form).replace("-", "−")
