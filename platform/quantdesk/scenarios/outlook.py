"""What a portfolio could lose from a day on, over many drawn futures. An edge module: it reads the store.

>>> tail_risk({"AAPL": 1000, "XOM": 500}, MarketStore())                                    # doctest: +SKIP
>>> futures("bootstrap", MarketStore()).to_path(7, history)                                 # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios.invention import before
from quantdesk.scenarios.path import Path
from quantdesk.scenarios.paths import Bootstrap, Drawn, Filtered, Method, Moves, StudentT, Tail, tail_of
from quantdesk.scenarios.run import holdings_of

__all__ = ["Draw", "futures", "tail_risk"]

Law = Literal["filtered", "bootstrap", "student_t"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How futures are drawn.

    Attributes
    ----------
    law
        ``filtered`` (historical simulation through GJR-GARCH), ``bootstrap`` (stationary, in blocks), or ``student_t``.
    on
        The last real day; when None, the last on which every asset class is real.
    past_days
        Calendar days to which the law is fitted.
    days, paths
        Of each path, and how many.
    seed
        Of the draws: the same for every portfolio.

    Raises
    ------
    UnknownName
        No such law.
    """

    law: Law = "filtered"
    on: dt.date | None = None
    past_days: int = 1200
    days: int = 10
    paths: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.law not in get_args(Law):
            raise UnknownName("law of drawn paths", str(self.law), get_args(Law))


def futures(draw: Draw, store: MarketStore, symbols: Sequence[str]) -> Drawn:
    """Many futures of some symbols. One of them runs as a scenario: ``engine.run(drawn.to_path(7, history))``.

    Raises
    ------
    UnknownName
        A symbol that the store does not have on that day.
    BadInput
        Too few days on which all of them moved.
    """
    moves = Moves.of(_only(before(draw.on, store, history_days=0, window_days=draw.past_days), symbols))
    laws: dict[str, Callable[[], Method]] = {
        "filtered": lambda: Filtered.of(moves),
        "bootstrap": lambda: Bootstrap.of(moves),
        "student_t": lambda: StudentT.of(moves),
    }
    return Drawn(laws[draw.law](), days=draw.days, paths=draw.paths, seed=draw.seed)


def tail_risk(
    portfolio: Mapping[str, float], store: MarketStore, draw: Draw | None = None, *, confidence: float = 0.99
) -> Tail:
    """Value at risk and expected shortfall of the shares of a portfolio, with their confidence intervals.

    Raises
    ------
    BadInput
        The portfolio holds instruments, whose value is no line in prices, or no shares.
    """
    draw = draw or Draw()
    path = before(draw.on, store, history_days=0)
    holdings = holdings_of(portfolio, path)
    if holdings.instruments or not holdings.shares:
        raise BadInput(
            f"The portfolio holds {', '.join(holdings.instruments) or 'no shares'}.",
            "Give shares: what is no line in prices is run path by path, see futures().",
        )
    values = {name: shares * float(path.close[-1, path.column(name)]) for name, shares in holdings.shares.items()}
    return tail_of(futures(draw, store, list(values)).pnl(values), confidence)


def _only(path: Path, symbols: Sequence[str]) -> Path:
    """The path of some of its assets."""
    columns = [path.column(symbol) for symbol in symbols]
    tables: dict[str, Any] = {
        name: None if (table := getattr(path, name)) is None else table[:, columns]
        for name in ("close", "grades", "open", "high", "low", "volume")
    }
    return dataclasses.replace(path, assets=tuple(path.assets[one] for one in columns), **tables)
