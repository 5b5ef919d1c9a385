"""The desk of this process: simulated exchanges made from real bars, or a broker. An edge module: it reads settings.

Nothing that a simulated exchange says was traded anywhere: its results are labelled ``simulated``, and what it is made
from is in :attr:`Facts.label`.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadDates, DataError, EnvironmentProblem, UnknownName
from quantdesk.market import MarketStore, Series
from quantdesk.market.provenance import label
from quantdesk.orders.amounts import MICRO
from quantdesk.orders.desk.desk import Desk
from quantdesk.orders.desk.facts import Facts, known
from quantdesk.orders.desk.world import DeskConfig
from quantdesk.orders.executions import ExecutionMode
from quantdesk.orders.guardrails import Guardrails, in_force
from quantdesk.orders.halts import KnownHalts
from quantdesk.orders.ledger import Ledger
from quantdesk.orders.routing.config import RoutingConfig
from quantdesk.orders.symbols import canonical
from quantdesk.orders.venues import SimulatedMarket

if TYPE_CHECKING:
    import pandas as pd

    from quantdesk.orders.halts import Halts

__all__ = ["EmbeddedConfig", "open_desk", "simulated_desk"]

_OHLC = ("open", "high", "low", "close")
_LEASE_S = 10.0
"""Seconds for which a ledger stays with a desk that does not write; each write begins them anew."""
_AHEAD = 7
"""Calendar days after the day that a simulated desk is on: its clock can go as far."""
_DAYS = 21
"""Sessions over which the average volume and the volatility are taken: those before the day, and no later ones."""


class EmbeddedConfig(BaseSettings):
    """Which desk this process has.

    Attributes
    ----------
    gateway
        ``QUANTDESK_DESK_GATEWAY``: ``simulated``, or ``alpaca`` for a broker's account.
    on
        ``QUANTDESK_DESK_ON``: the day that a simulated desk trades on; the last one of the data when left out.
    seed
        ``QUANTDESK_DESK_SEED``: of the simulated exchanges.
    cash
        ``QUANTDESK_DESK_CASH``: dollars with which the account begins.
    use
        ``QUANTDESK_DESK_USE``: ``research`` or ``live``; a live one takes what it cannot know for a reason to stop.
    ledger
        ``QUANTDESK_DESK_LEDGER``: its address. A simulated desk keeps its ledger in memory when left out, because its
        exchanges end with the process; a broker's desk keeps it where ``QUANTDESK_LEDGER_URL`` says.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_DESK_", frozen=True, extra="ignore")

    gateway: Literal["simulated", "alpaca"] = "simulated"
    on: dt.date | None = None
    seed: int = Field(default=0, ge=0)
    cash: Decimal = Field(default=Decimal(1_000_000), ge=0)
    use: Literal["research", "live"] = "research"
    ledger: str | None = None

    @classmethod
    def from_env(cls) -> EmbeddedConfig:
        """From the environment."""
        return cls()


def open_desk(
    symbols: Iterable[str] = (), config: EmbeddedConfig | None = None, *, store: MarketStore | None = None
) -> Desk:
    """The desk that the settings ask for.

    Parameters
    ----------
    symbols
        What a simulated desk must trade; it trades all stocks besides whose bars have the day. A broker trades what it
        trades.
    config
        The settings; those of the environment when None.
    store
        Where bars come from.

    Raises
    ------
    UnknownName, BadDates
        No bars with open, high, low and close of a symbol, or none of that day.
    DataError
        There are no such bars of any stock.
    EnvironmentProblem
        The broker's keys are missing, or the ledger cannot be opened.
    """
    config = config or EmbeddedConfig.from_env()
    if config.gateway == "alpaca":
        return _broker_desk(config)
    store = store or MarketStore()
    wanted = [canonical(symbol) for symbol in symbols]
    whole = _whole(store)
    if not whole:
        raise DataError("There are no bars with open, high, low and close.", "Run `quantdesk data load`.")
    for symbol in wanted:
        if symbol not in whole:
            raise UnknownName("symbol with open, high, low and close", symbol, whole)
    on = config.on or min(max(one.end for one in whole[symbol]) for symbol in wanted or whole)
    if not wanted and config.on is None:
        on = max(one.end for held in whole.values() for one in held)
    bars, labels = {}, {}
    for symbol, held in whole.items():
        having = [one for one in held if one.start <= on <= one.end]
        if having:
            chosen = max(having, key=lambda one: one.end)
            bars[symbol], labels[symbol] = _bars(store, chosen, on), _label(chosen)
        elif symbol in wanted:
            spans = ", ".join(f"{one.start} to {one.end}" for one in held)
            raise BadDates(f"There are no bars of {symbol} on {on}.", f"There are of {spans}.")
    return simulated_desk(bars, on, config, labels=labels)


def simulated_desk(
    bars: dict[str, pd.DataFrame],
    on: dt.date,
    config: EmbeddedConfig | None = None,
    *,
    halts: Halts | None = None,
    labels: Mapping[str, str] | None = None,
) -> Desk:
    """A desk on simulated exchanges whose quotes are made from bars. The clock stands at the opening of the day.

    Parameters
    ----------
    bars
        By symbol: see :meth:`quantdesk.orders.venues.SimulatedMarket.of_bars`. Rows before `on` give the figures of the
        days before; later ones are not looked at.
    on
        The day, in New York.
    config
        Seed, cash, use and ledger.
    halts
        What is halted; nothing when None, and then every status names its source as ``declared``.
    labels
        By symbol what must be said of its bars; it stands on every result.
    """
    config = config or EmbeddedConfig()
    halts = halts or KnownHalts()
    market = SimulatedMarket.of_bars(_from(bars, on), on, config.seed, halts=halts)
    return Desk(
        market,
        _owned(Ledger.open(config.ledger or "sqlite:///:memory:")),
        halts,
        guardrails=Guardrails(in_force()),
        facts=known(
            {symbol: facts_before(frame, on, (labels or {}).get(symbol, "")) for symbol, frame in bars.items()}
        ),
        config=DeskConfig(
            use=config.use,
            cash=int(config.cash * MICRO),
            seed=config.seed,
            routing=RoutingConfig(earliest_terms=True),
        ),
    )


def _whole(store: MarketStore) -> dict[str, list[Series]]:
    """The stocks of which there are whole bars."""
    found: dict[str, list[Series]] = {}
    for one in store.series():
        if one.kind == "equity" and set(_OHLC) <= set(one.fields):
            found.setdefault(one.symbol, []).append(one)
    return found


def _label(series: Series) -> str:
    """What must be said of quotes that are made from a series."""
    words = ", ".join(label([series]).words)
    said = f"quotes simulated from daily bars of {series.symbol}@{series.source} ({words})"
    if set(_OHLC) & set(series.adjusted_fields):
        # Returns are right and levels are not: steps of prices, round lots and fees a share are those of other prices.
        said += "; price levels, ticks, lots and fees a share are reconstructed"
    return said


def _bars(store: MarketStore, series: Series, on: dt.date) -> pd.DataFrame:
    """The bars of a day, of some sessions before it for the figures, and of those in which orders may still be open."""
    columns = [*_OHLC, *(["volume"] if "volume" in series.fields else [])]
    around = dt.timedelta(days=2 * _DAYS), dt.timedelta(days=_AHEAD)
    return store.bars(f"{series.symbol}@{series.source}", on - around[0], on + around[1], columns).frame


def facts_before(frame: pd.DataFrame, on: dt.date, said: str = "") -> Facts:
    """Figures of the sessions before a day; 0 where there are too few."""
    before = frame[_days(frame) < _day(on)].tail(_DAYS + 1)
    if before.empty:
        return Facts(label=said)
    returns = before["close"].pct_change().dropna()
    volume = before["volume"].tail(_DAYS).mean() if "volume" in before else 0.0
    return Facts(
        previous_close=round(float(before["close"].iloc[-1]) * MICRO),
        average_daily_volume=0 if volume != volume else round(float(volume)),
        daily_volatility=float(returns.std()) if len(returns) > 1 else 0.0,
        label=said,
    )


def _from(bars: dict[str, pd.DataFrame], on: dt.date) -> dict[str, pd.DataFrame]:
    return {symbol: frame[_days(frame) >= _day(on)].dropna(subset=list(_OHLC)) for symbol, frame in bars.items()}


def _days(frame: pd.DataFrame) -> pd.DatetimeIndex:
    """The day in New York of each row, as midnights without a zone."""
    import pandas as pd

    index = pd.DatetimeIndex(frame.index)
    local = index if index.tz is None else index.tz_convert("America/New_York").tz_localize(None)
    return local.normalize()


def _day(on: dt.date) -> pd.Timestamp:
    import pandas as pd

    return pd.Timestamp(on)


def _broker_desk(config: EmbeddedConfig) -> Desk:
    from quantdesk.orders.brokers import AlpacaGateway
    from quantdesk.orders.halts import get_halt_client

    halts = get_halt_client()
    halts.start()  # it reads the feeds by itself from here on
    gateway = AlpacaGateway(mode=ExecutionMode.LIVE if config.use == "live" else ExecutionMode.PAPER)
    return Desk(
        gateway,
        _owned(Ledger.open(config.ledger)),
        halts,
        guardrails=Guardrails(in_force()),
        config=DeskConfig(use=config.use, cash=int(config.cash * MICRO), seed=config.seed, broker="ALPACA"),
    )


def _owned(ledger: Ledger) -> Ledger:
    """The ledger, once no other desk works on it: two would each miss what the other writes.

    A desk that was killed holds it for some seconds longer; those are waited for.
    """
    deadline = time.monotonic() + 2 * _LEASE_S
    while True:
        try:
            ledger.hold(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}", _LEASE_S)
        except EnvironmentProblem:
            if time.monotonic() > deadline:
                ledger.close()
                raise
            time.sleep(0.2)
        else:
            return ledger
