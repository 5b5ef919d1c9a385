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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.orders.alerts import bundled as bundled_rules
from quantdesk.orders.amounts import MICRO, SECOND
from quantdesk.orders.desk import Desk, DeskConfig
from quantdesk.orders.guardrails import Guardrails
from quantdesk.orders.halts import Halts, KnownHalts
from quantdesk.orders.ledger import MemoryLedger
from quantdesk.orders.order import Action, Order
from quantdesk.orders.result import OrderStatus
from quantdesk.orders.routing.config import RoutingConfig
from quantdesk.orders.routing.router import SmartOrderRouter
from quantdesk.scenarios.intraday import busted
from quantdesk.scenarios.market import PathMarket
from quantdesk.scenarios.path import GRADES, Grade, Path
from quantdesk.scenarios.result import Account, Attribution, Event
from quantdesk.scenarios.run.config import RunConfig
from quantdesk.scenarios.run.journal import Journal
from quantdesk.scenarios.run.limit import Allowance, TookTooLong
from quantdesk.scenarios.run.overlay import overlay_of
from quantdesk.scenarios.run.portfolio import Holdings
from quantdesk.scenarios.run.watching import Watching, sector_of
from quantdesk.scenarios.strategies import Days, Named, Seen, Weights, Wisher, wishes_of

__all__ = ["Stage", "run_account"]

Floats = NDArray[np.float64]
T = TypeVar("T")
_CLOSED = ("SYMBOL_HALTED", "CIRCUIT_BREAKER", "NO_QUOTE", "STALE_PRICE")
"""Refusals after which a wish waits: there is no market now."""


@dataclass(frozen=True)
class Stage:
    """What all accounts of a run share.

    Attributes
    ----------
    path
        What happens.
    market
        Its quotes.
    halts
        What stops trading.
    met
        The halts of the path, as events.
    config
        The settings.
    label
        What must be said of every fill.
    title
        Of the scenario, for people.
    notes
        What could not be judged, and what stands in for what.
    known
        What feeds show of the path, where that is less than what happens; the path itself when None.
    references
        Prices by symbol from which a trade of 2010-05-06 must not have been too far away: what was is broken
        afterwards, as the exchanges did then. Empty on other days.
    """

    path: Path
    market: PathMarket
    config: RunConfig = field(default_factory=RunConfig)
    halts: Halts = field(default_factory=KnownHalts)
    met: tuple[Event, ...] = ()
    label: str = ""
    title: str = ""
    notes: tuple[str, ...] = ()
    known: Path | None = None
    references: Mapping[str, float] = field(default_factory=dict)


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
        self.stale = self.overlay.stale
        self.known = stage.known or stage.path
        self.traded = self.path.traded
        self.columns = [self.path.column(symbol) for symbol in self.traded]
        self.exchange = stage.market.market(self.config.seed, stage.halts)
        self.marks = self._first_marks()
        self.desk = Desk(
            self.exchange,
            MemoryLedger(),
            stage.halts,
            guardrails=Guardrails(self.config.policy_for(self.path.labels)),
            facts=lambda symbol: stage.market.facts(symbol, self.exchange.now(), stage.label),
            config=DeskConfig(
                cash=round(self.overlay.cash * MICRO), seed=self.config.seed, routing=RoutingConfig(earliest_terms=True)
            ),
        )
        world = self.desk.world
        # The time that this machine takes is no part of a simulation, whose ledger is the same from run to run.
        world.router = SmartOrderRouter(config=world.config.routing, book=world.config.book, clock=lambda: 0)
        self.desk.transfer({symbol: (shares, self._mark(symbol)) for symbol, shares in holdings.shares.items()})
        self.watching = Watching(
            self.desk, stage.market, self.config.alerts or bundled_rules(), self.config.watch_every_s
        )
        self.journal = Journal(self._middle)
        self.wants: dict[str, int] = {}
        self.waiting: dict[str, None] = {}
        self.lack: dict[str, float] = {}
        self.unfilled: dict[str, float] = {}
        self.error = ""
        self.undone = 0.0
        self.undone_by: list[tuple[str, str, float]] = []
        self.allowance = Allowance(self.config.time_limit_s)
        self.events: list[Event] = []
        self.is_planned = isinstance(strategy, Named)
        self.wishes: Callable[[int, Callable[[], Seen]], Weights | None] = lambda bar, seen: None
        made = self._limited(lambda: wishes_of(strategy, self.known))
        if made is not None:
            self.wishes = made

    # ------------------------------------------------------------------------------------------------------ the loop

    def run(self) -> Account:
        bars = len(self.path.ends)
        value = np.empty(bars + 1)
        value[0] = self._value(0)
        self._ask(-1)
        for bar in range(bars):
            moments = self._moments(bar)
            for at, then in pairwise((*moments, int(self.path.ends[bar]))):
                self.exchange.advance(at + SECOND)
                self._poll()
                self._send(at)
                self.watching.see()
                if (look := self.watching.next_look(at)) < then:
                    self.exchange.advance(max(look, at + SECOND))
                    self.watching.look()
            self.exchange.advance(int(self.path.ends[bar]))
            self._poll()
            self._value_at(bar)
            self.watching.see()
            if self._is_last(bar) or self.watching.next_look(moments[-1]) <= self.path.ends[bar]:
                self.watching.look()
            value[bar + 1] = self._value(bar)
            self._over_closure(bar)
            if np.isfinite(self.path.close[bar, self.columns]).any():
                self._ask(bar)
        value += self._broken()
        sale = self._sale()
        if self.config.liquidate:
            value[-1] -= sale["spread"] + sale["impact"]
        return Account(
            strategy=self.name,
            ends=np.concatenate([[self._moments(0)[0]], self.path.ends]),
            value=value,
            attribution=self._attribution(float(value[-1] - value[0]), sale),
            breaches=_by_time(self.journal.breaches + self.watching.breaches),
            failures=_by_time(self.journal.failures + self.events),
            alerts=tuple(self.watching.alerts),
            halts=self.stage.met,
            orders=self.journal.orders,
            filled_shares=self.journal.filled,
            wished_shares=self.journal.wished,
            stale=self.stale,
            error=self.error,
            ledger=self.desk.ledger.head()[1],
            labels=(*self.overlay.labels, *self.stage.market.labels(symbol for symbol, _ in self.desk.portfolio)),
            liquidation=sale,
        )

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

    def _poll(self) -> None:
        if self.journal.orders:
            self.desk.poll()
            self._read()

    def _read(self) -> None:
        self.journal.take(self.desk.ledger.entries(after=self.journal.seen))
        for symbol in self.journal.stopped:
            # A stop is a wish too: what it sold is not lacking.
            self.wants.pop(symbol, None)
            self.waiting.pop(symbol, None)
            self.lack.pop(symbol, None)

    # --------------------------------------------------------------------------------------------------------- orders

    def _send(self, at: int) -> None:
        """Send what waits, sales first, as far as its symbol is quoted now."""
        if not self.waiting:
            return
        ready = {symbol: self._wish(symbol) for symbol in self.waiting if self._is_quoted(symbol, at)}
        for symbol, shares in sorted(ready.items(), key=lambda one: (one[1] * self._mark(one[0]), one[0])):
            del self.waiting[symbol]
            for action, part in self._parts(symbol, shares):
                self._order(symbol, action, part)
            self._read()
            lacks = self._wish(symbol)
            if lacks:
                self.lack[symbol] = self._middle(symbol)
            else:
                self.lack.pop(symbol, None)

    def _order(self, symbol: str, action: Action, shares: int) -> None:
        stop: Decimal | None = None
        if self.config.stop_distance is not None and action in (Action.BUY, Action.SELL_SHORT):
            away = -1 if action is Action.BUY else 1
            price = self._middle(symbol) * (1 + away * self.config.stop_distance)
            stop = Decimal(str(max(round(price, 2), 0.01)))
        try:
            order = Order(symbol, action, shares, stop_loss_price=stop, user_id="scenario")
        except BadInput as error:  # more shares than an order can have, a stop at a price that is none
            side = 1 if action is Action.BUY else -1
            numbers = {"shares": side * shares, "filled_shares": 0, "unfilled_dollars": shares * self._middle(symbol)}
            told = Event(self.exchange.now(), "execution_failure", "NO_ORDER", symbol, str(error), numbers)
            self.events.append(told)
            return
        result = self.desk.execute(order)
        closed = [one.code for one in result.violations if one.code in _CLOSED]
        if result.status is OrderStatus.REJECTED and closed:
            self.waiting[symbol] = None

    def _broken(self) -> Floats:
        """What breaking erroneous trades afterwards changes, shape ``(T + 1,)``: from the end of that day on.

        The desk keeps its ledger: a trade that is broken was a trade. Its undoing is worth the way that the price has
        gone since, from the close of the day on.
        """
        found = np.zeros(len(self.path.ends) + 1)
        fills = self.journal.fills if self.stage.references else []
        for fill, is_broken in zip(fills, busted(fills, self.stage.references), strict=True):
            if not is_broken:
                continue
            closes = self.path.close[:, self.path.column(fill.symbol)]
            day = self.path.days[np.searchsorted(self.path.ends, fill.at)]
            last = int(np.flatnonzero((self.path.days == day) & np.isfinite(closes))[-1])
            change = -fill.shares * (float(closes[last]) - fill.price)
            found[last + 1 :] += change
            self.undone += change
            told = (
                f"A trade at {fill.price:,.2f} was broken: 60 % or more from {self.stage.references[fill.symbol]:,.2f}."
            )
            numbers = {"shares": fill.shares, "price": fill.price, "dollars": change}
            self.events.append(Event(fill.at, "execution_failure", "TRADE_BROKEN", fill.symbol, told, numbers))
            sector, kind = sector_of(self.path, fill.symbol), str(self.path.asset(fill.symbol).kind)
            self.undone_by = [*self.undone_by, (kind, sector, change)]
        return found

    def _over_closure(self, bar: int) -> None:
        """Cancel what waits for a market that is shut, where that is wished."""
        if self.config.over_closure == "queue":
            return
        for symbol in list(self.waiting):
            if self.path.grades[bar, self.path.column(symbol)] == GRADES.index(Grade.CLOSED):
                del self.waiting[symbol]
                shares, told = self._wish(symbol), f"{symbol} was shut before its order was filled."
                self.wants.pop(symbol)
                event = Event(
                    self.exchange.now(), "execution_failure", "MARKET_CLOSED", symbol, told, {"shares": shares}
                )
                self.events.append(event)

    def _sale(self) -> dict[str, float]:
        """What it would take to sell everything now."""
        found = self.stage.market.liquidation(self.desk.portfolio.positions, self.marks, len(self.path.ends) - 1)
        return {"days": found.days_of_book, **found.by_cause}

    def _parts(self, symbol: str, shares: int) -> list[tuple[Action, int]]:
        """A wish as orders: what crosses zero is a sale and a short sale, or a cover and a purchase."""
        held = self.desk.portfolio.position(symbol).shares
        if shares > 0:
            return [(Action.BUY, shares)]
        parts = ((Action.SELL, min(-shares, max(held, 0))), (Action.SELL_SHORT, -shares - min(-shares, max(held, 0))))
        return [part for part in parts if part[1]]

    def _wish(self, symbol: str) -> int:
        """Shares that are still to be bought (below 0: sold)."""
        if symbol not in self.wants:
            return 0
        return self.wants[symbol] - self.desk.portfolio.position(symbol).shares

    def _is_quoted(self, symbol: str, at: int) -> bool:
        if self.stage.market.dark_since(symbol, at) is not None:
            return False  # what no feed shows is no quote to send an order at
        flow = self.stage.market.begun(symbol, at)
        if flow is None or at >= flow.closes:
            return False
        step = flow.step(at)
        return step >= 0 and int(flow.at[step]) == at

    def _middle(self, symbol: str) -> float:
        nbbo = self.exchange.nbbo_at(symbol, self.exchange.now())
        return nbbo.midpoint / MICRO if nbbo.midpoint else self.marks[symbol]

    # -------------------------------------------------------------------------------------------------------- values

    def _first_marks(self) -> dict[str, float]:
        row = self.path.close[0]
        if self.path.is_intraday and self.path.open is not None:
            row = np.where(np.isfinite(self.path.open[0]), self.path.open[0], row)
        return {symbol: float(row[column]) for symbol, column in zip(self.traded, self.columns, strict=True)}

    def _mark(self, symbol: str) -> int:
        return round(self.marks[symbol] * MICRO)

    def _value_at(self, bar: int) -> None:
        """Value the account at the end of a bar; what is lacking has gained or lost with the price."""
        row = self.path.close[bar, self.columns]
        held = self.desk.portfolio.positions
        for symbol, price in zip(self.traded, row.tolist(), strict=True):
            if price == price:
                self.marks[symbol] = price
            elif symbol in held:
                self.stale += 1
        for symbol, before in list(self.lack.items()):
            lacks = self._wish(symbol)
            self.unfilled[symbol] = self.unfilled.get(symbol, 0.0) - lacks * (self.marks[symbol] - before)
            self.lack[symbol] = self.marks[symbol]
            if not lacks:
                del self.lack[symbol]
        self.desk.mark({symbol: self._mark(symbol) for symbol in held})
        self._read()

    def _value(self, bar: int) -> float:
        """The whole portfolio; what a strategy manages of it is the desk's account alone."""
        return self._equity() + float(self.overlay.total[bar])

    def _equity(self) -> float:
        return self.desk.portfolio.equity / MICRO

    # ------------------------------------------------------------------------------------------------- the strategy

    def _ask(self, bar: int) -> None:
        if self.error:
            return
        if self.is_planned:  # all of it was computed, within its limit, before the first bar
            weights = self.wishes(bar, lambda: self._seen(bar))
        else:
            weights = self._limited(lambda: self.wishes(bar, lambda: self._seen(bar)))
        if weights is not None:
            self._want(self._cut(weights))

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
        self.events.append(
            Event(self.exchange.now(), "strategy_failure", "STRATEGY_FAILED", "", f"{self.name}: {self.error}")
        )
        return None

    def _cut(self, weights: Weights) -> dict[str, float]:
        """Wishes within the limits of the settings; what is cut off stays cash.

        What a strategy leaves out stays as it is, and takes its part of what the settings allow.
        """
        config, found, kept = self.config, dict(weights), self._kept(weights)
        if config.position_limit is not None:
            most = config.position_limit
            found = {symbol: min(max(weight, -most), most) for symbol, weight in found.items()}
        if config.sector_limit is not None:
            sums, taken = self._by_sector(found), self._by_sector(kept)
            rooms = {sector: max(config.sector_limit - taken.get(sector, 0.0), 0.0) for sector in sums}
            parts = {sector: min(1.0, rooms[sector] / gross) if gross else 1.0 for sector, gross in sums.items()}
            found = {symbol: weight * parts[sector_of(self.path, symbol)] for symbol, weight in found.items()}
        gross = sum(abs(weight) for weight in found.values())
        room = max(1.0 - config.cash_buffer - sum(abs(weight) for weight in kept.values()), 0.0)
        return {symbol: weight * min(1.0, room / gross) for symbol, weight in found.items()} if gross else found

    def _kept(self, weights: Weights) -> dict[str, float]:
        """Weights of what is held, or ordered and still to be sent, and that a wish does not name."""
        value = self._equity()
        shares = {**self.desk.portfolio.positions, **{symbol: self.wants[symbol] for symbol in self.waiting}}
        left = {symbol: many for symbol, many in shares.items() if symbol not in weights and many and value > 0}
        return {symbol: many * self.marks[symbol] / value for symbol, many in left.items()}

    def _by_sector(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Sums of the sizes of weights."""
        sums: dict[str, float] = {}
        for symbol, weight in weights.items():
            sector = sector_of(self.path, symbol)
            sums[sector] = sums.get(sector, 0.0) + abs(weight)
        return sums

    def _want(self, weights: Mapping[str, float]) -> None:
        value = self._equity()
        for symbol, weight in weights.items():
            price = self.marks[symbol]
            if not price > 0:  # it has no price yet
                self._has_no_price(symbol, weight)
                continue
            shares = int(weight * value / price)
            self.lack.pop(symbol, None)
            self.wants[symbol] = shares
            self.waiting.pop(symbol, None)
            if self._wish(symbol):
                self.waiting[symbol] = None

    def _has_no_price(self, symbol: str, weight: float) -> None:
        """Say once of a symbol that nobody could trade it when it was wished for."""
        if not weight or any((one.cause, one.symbol) == ("NO_PRICE", symbol) for one in self.events):
            return
        told = f"{symbol} was wished for before it had a price."
        self.events.append(
            Event(self.exchange.now(), "execution_failure", "NO_PRICE", symbol, told, {"weight": weight})
        )

    def _seen(self, bar: int) -> Seen:
        moments, closes = Days(self.known, self.traded).closes(bar)
        upto = bar + 1
        index = pd.DatetimeIndex(moments.astype("datetime64[ns]"), name="timestamp").tz_localize("UTC")
        ends = pd.DatetimeIndex(self.path.ends[:upto].astype("datetime64[ns]"), name="timestamp").tz_localize("UTC")
        return Seen(
            pd.Timestamp(self.exchange.now(), tz="UTC"),
            pd.DataFrame(closes, index=index, columns=list(self.traded)),
            pd.DataFrame(self.known.close[:upto][:, self.columns], index=ends, columns=list(self.traded)),
            self.desk.portfolio.positions,
            self.desk.portfolio.cash / MICRO,
            self._equity_seen(closes),
        )

    def _equity_seen(self, closes: Floats) -> float:
        """The account at the last prices that feeds have shown."""
        if self.known is self.path:
            return self._equity()
        worth = self.desk.portfolio.cash / MICRO
        for symbol, shares in self.desk.portfolio.positions.items():
            shown = closes[:, self.traded.index(symbol)]
            shown = shown[np.isfinite(shown)]
            worth += shares * (float(shown[-1]) if shown.size else self.marks[symbol])
        return worth

    # --------------------------------------------------------------------------------------------------- attribution

    def _attribution(self, total: float, sale: Mapping[str, float]) -> Attribution:
        classes, sectors = dict(self.overlay.by_class), dict(self.overlay.by_sector)
        for symbol, held in self.desk.portfolio:
            won = (held.realized + held.value - held.cost - held.fees) / MICRO
            for sums, key in ((classes, self.path.asset(symbol).kind), (sectors, sector_of(self.path, symbol))):
                sums[key] = sums.get(key, 0.0) + won
        causes = {
            "spread": -sum(self.journal.spread.values()) / MICRO,
            "impact": -sum(self.journal.impact.values()) / MICRO,
            "fees": -sum(self.journal.fees.values()) / MICRO,
            "unfilled": sum(self.unfilled.values()),
        }
        for kind, sector, change in self.undone_by:
            classes[kind] = classes.get(kind, 0.0) + change
            sectors[sector] = sectors.get(sector, 0.0) + change
        if self.undone_by:
            causes["broken"] = self.undone
        if self.config.liquidate:
            causes["liquidation"] = -(sale["spread"] + sale["impact"])
            for sums in (classes, sectors):
                sums["liquidation"] = causes["liquidation"]
        return Attribution(classes, sectors, {"price": total - sum(causes.values()), **causes})


def _by_time(events: list[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda one: one.at))
