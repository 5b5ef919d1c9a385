"""The loop: what was wished for is sent, the market goes on, the account is valued, the strategy is asked again. Pure.

The desk is the one of every other face of the platform, on a market that is made of the path. The order of things in a
bar:

1. The clock goes from quote to quote. At each, the desk takes in what happened, and protective stops go off.
2. Wishes from the end of an earlier bar are sent at the bar's first quote of their symbol. Where the market is closed
   or halted they wait, and are sent at the reopening: at its gap, not at the price before.
3. The account is valued at the end of the bar. The alert rules of the platform look at it.
4. The strategy is asked what it wants now.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import QuantdeskError
from quantdesk.orders.alerts import bundled as bundled_rules
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.scenarios.result import Account, Event
from quantdesk.scenarios.run.accounting import attribution, broken_of
from quantdesk.scenarios.run.limit import Allowance, TookTooLong
from quantdesk.scenarios.run.limits import cut
from quantdesk.scenarios.run.overlay import overlay_of
from quantdesk.scenarios.run.portfolio import Holdings
from quantdesk.scenarios.run.stage import Stage
from quantdesk.scenarios.run.trader import Trader
from quantdesk.scenarios.run.watching import Watching, sector_of
from quantdesk.scenarios.strategies import Days, Named, Seen, Weights, Wisher, wishes_of

__all__ = ["run_account"]

Floats = NDArray[np.float64]
T = TypeVar("T")


def run_account(stage: Stage, strategy: Named | Wisher, holdings: Holdings, *, name: str = "") -> Account:
    """Let a strategy trade a portfolio through a path.

    Parameters
    ----------
    stage
        See :class:`Stage`.
    strategy
        A named rule, or a callable.
    holdings
        The starting portfolio.
    name
        Of the strategy; its own when left out.

    Returns
    -------
    Account
        A strategy that fails or takes too long ends its trading: what it holds is held to the end, and `error` says so.
    """
    told = name or (strategy.name if isinstance(strategy, Named) else getattr(strategy, "__name__", "strategy"))
    return _Run(stage, strategy, holdings, told).run()


class _Run:
    def __init__(self, stage: Stage, strategy: Named | Wisher, holdings: Holdings, name: str) -> None:
        self.stage, self.path, self.config, self.name = stage, stage.path, stage.config, name
        self.overlay = overlay_of(self.path, holdings, self.config.hedges)
        self.known = stage.known or stage.path
        self.trader = Trader(stage, self.overlay.cash, holdings.shares)
        rules = self.config.alerts or bundled_rules()
        self.watching = Watching(self.trader.desk, stage.market, rules, self.config.watch_every_s)
        self.error = ""
        self.allowance = Allowance(self.config.time_limit_s)
        self.is_planned = isinstance(strategy, Named)
        self.wishes: Callable[[int, Callable[[], Seen]], Weights | None] = lambda bar, seen: None
        made = self._limited(lambda: wishes_of(strategy, self.known))
        if made is not None:
            self.wishes = made

    def run(self) -> Account:
        trader, bars = self.trader, len(self.path.ends)
        value = np.empty(bars + 1)
        value[0] = self._value(0)
        self._ask(-1)
        for bar in range(bars):
            self._go_through(bar)
            value[bar + 1] = self._value(bar)
            trader.over_closure(bar)
            if np.isfinite(self.path.close[bar, trader.columns]).any():
                self._ask(bar)
        broken, sale = broken_of(self.path, trader.journal.fills, self.stage.references), trader.sale()
        value += broken.value
        if self.config.liquidate:
            value[-1] -= sale["spread"] + sale["impact"]
        taken_off = sale if self.config.liquidate else None
        return Account(
            strategy=self.name,
            ends=np.concatenate([[self._moments(0)[0]], self.path.ends]),
            value=value,
            attribution=attribution(trader, self.overlay, float(value[-1] - value[0]), broken, taken_off),
            breaches=_by_time([*trader.journal.breaches, *self.watching.breaches]),
            failures=_by_time([*trader.journal.failures, *trader.events, *broken.events]),
            alerts=tuple(self.watching.alerts),
            halts=self.stage.met,
            orders=trader.journal.orders,
            filled_shares=trader.journal.filled,
            wished_shares=trader.journal.wished,
            stale=trader.stale + self.overlay.stale,
            error=self.error,
            ledger=trader.desk.ledger.head()[1],
            labels=(*self.overlay.labels, *self.stage.market.labels(symbol for symbol, _ in trader.desk.portfolio)),
            liquidation=sale,
        )

    def _go_through(self, bar: int) -> None:
        """From quote to quote, and to the end of a bar."""
        trader, watching, ends = self.trader, self.watching, int(self.path.ends[bar])
        moments = self._moments(bar)
        for at, then in pairwise((*moments, ends)):
            trader.exchange.advance(at + SECOND)
            trader.poll()
            trader.send(at)
            watching.see()
            if (look := watching.next_look(at)) < then:
                trader.exchange.advance(max(look, at + SECOND))
                watching.look()
        trader.exchange.advance(ends)
        trader.poll()
        trader.value_at(bar)
        watching.see()
        if self._is_last(bar) or watching.next_look(moments[-1]) <= ends:
            watching.look()

    def _moments(self, bar: int) -> tuple[int, ...]:
        """When something is quoted in a bar. The first bar of days is the base: one trades at its close."""
        begins, ends = int(self.path.begins[bar]), int(self.path.ends[bar])
        if self.path.is_intraday:
            return begins, (begins + ends) // 2
        if bar == 0:
            return (ends - 60 * SECOND,)
        third = (ends - begins) // 3
        return begins, begins + third, begins + 2 * third, ends - 60 * SECOND

    def _is_last(self, bar: int) -> bool:
        """Whether a session ends with a bar."""
        days = self.path.days
        return bar + 1 == len(days) or bool(days[bar + 1] != days[bar])

    def _value(self, bar: int) -> float:
        """The whole portfolio; what a strategy manages of it is the desk's account alone."""
        return self.trader.equity() + float(self.overlay.total[bar])

    def _ask(self, bar: int) -> None:
        if self.error:
            return
        if self.is_planned:  # all of it was computed, within its limit, before the first bar
            weights = self.wishes(bar, lambda: self._seen(bar))
        else:
            weights = self._limited(lambda: self.wishes(bar, lambda: self._seen(bar)))
        if weights is not None:
            kept = self.trader.kept(weights)
            self.trader.want(cut(weights, kept, self.config, lambda symbol: sector_of(self.path, symbol)))

    def _limited(self, call: Callable[[], T]) -> T | None:
        """The answer of the strategy; None, with the error kept, where it fails or takes too long."""
        try:
            return self.allowance(call)
        except TookTooLong:
            self.error = f"It took longer than {self.config.time_limit_s:g} s."
        except QuantdeskError as error:
            self.error = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a strategy may raise anything, and fails alone)
            self.error = f"{type(error).__name__}: {error}"
        self.trader.events.append(
            Event(self.trader.exchange.now(), "strategy_failure", "STRATEGY_FAILED", "", f"{self.name}: {self.error}")
        )
        return None

    def _seen(self, bar: int) -> Seen:
        moments, closes = Days(self.known, self.trader.traded).closes(bar)
        upto = bar + 1
        index = pd.DatetimeIndex(moments.astype("datetime64[ns]"), name="timestamp").tz_localize("UTC")
        ends = pd.DatetimeIndex(self.path.ends[:upto].astype("datetime64[ns]"), name="timestamp").tz_localize("UTC")
        return Seen(
            pd.Timestamp(self.trader.exchange.now(), tz="UTC"),
            pd.DataFrame(closes, index=index, columns=list(self.trader.traded)),
            pd.DataFrame(self.known.close[:upto][:, self.trader.columns], index=ends, columns=list(self.trader.traded)),
            self.trader.desk.portfolio.positions,
            self.trader.desk.portfolio.cash / MICRO,
            self._equity_seen(closes),
        )

    def _equity_seen(self, closes: Floats) -> float:
        """The account at the last prices that feeds have shown."""
        if self.known is self.path:
            return self.trader.equity()
        worth = self.trader.desk.portfolio.cash / MICRO
        for symbol, shares in self.trader.desk.portfolio.positions.items():
            shown = closes[:, self.trader.traded.index(symbol)]
            shown = shown[np.isfinite(shown)]
            worth += shares * (float(shown[-1]) if shown.size else self.trader.marks[symbol])
        return worth


def _by_time(events: list[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda one: one.at))
