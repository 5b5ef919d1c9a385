"""The path of an order through the simulated venues, side by side with what else one would take.

    python benchmarks/orders_competitors.py [--json] [--times 3] [--keep FOLDER]

One day of synthetic flow of one stock at one venue: five levels of quotes that change every second, and two market
orders a second. The same strategy in every engine: every ten seconds the resting order is cancelled and a limit order
of 100 shares joins the best quote, buying and selling by turns; every minute a market order of 300.

backtrader, nautilus_trader and hftbacktest want other versions of packages, so each is installed by name into an
environment of its own, in a temporary folder, and this script runs there again with the name of the engine and the
flow: it then imports nothing of quantdesk, and prints the seconds of the run alone (reading and converting the flow are
left out, compiling too). What cannot be installed is said on the way, and left out. The engines do not do the same
work, which is why docs/explanation/simulated-venues.md says what each of them leaves out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVERY = 10_000_000_000
LATENCY = 100_000
TICK = 0.01


def backtrader(flow: dict[str, Any]) -> dict[str, Any]:
    """Bars of a second made from the trades, through the broker of backtrader; it knows no book and no queue."""
    import datetime as dt

    import backtrader as bt

    rows: dict[int, list[float]] = {}
    for at, _, price, shares in flow["trades"]:
        second, price = at // 1_000_000_000, price / 1e6
        row = rows.setdefault(second, [price, price, price, price, 0])
        row[1], row[2], row[3], row[4] = max(row[1], price), min(row[2], price), price, row[4] + shares
    bars = sorted(rows.items())

    class Bars(bt.feeds.DataBase):
        def start(self) -> None:
            super().start()
            self.rows = iter(bars)

        def _load(self) -> bool:
            following = next(self.rows, None)
            if following is None:
                return False
            second, (opens, high, low, close, volume) = following
            lines = self.lines
            lines.datetime[0] = bt.date2num(dt.datetime.fromtimestamp(second, dt.UTC).replace(tzinfo=None))
            lines.open[0], lines.high[0], lines.low[0], lines.close[0] = opens, high, low, close
            lines.volume[0], lines.openinterest[0] = volume, 0
            return True

    found = {"fills": 0, "shares": 0}

    class Joins(bt.Strategy):
        def __init__(self) -> None:
            self.bar, self.turn, self.resting = 0, 0, None

        def notify_order(self, order: Any) -> None:
            if order.status in (order.Partial, order.Completed):
                found["fills"] += 1
                found["shares"] += int(abs(order.executed.size)) if order.status == order.Completed else 0

        def next(self) -> None:
            self.bar += 1
            if self.bar % 10:
                return
            if self.resting is not None and self.resting.alive():
                self.cancel(self.resting)
            act = self.buy if self.turn % 2 else self.sell
            self.resting = act(size=100, price=self.data.close[0], exectype=bt.Order.Limit)
            if self.turn % 6 == 0:
                act(size=300, exectype=bt.Order.Market)
            self.turn += 1

    engine = bt.Cerebro(stdstats=False)
    engine.adddata(Bars(timeframe=bt.TimeFrame.Seconds, compression=1))
    engine.addstrategy(Joins)
    engine.broker.setcash(1e9)
    engine.broker.setcommission(commission=0.003, commtype=bt.CommInfoBase.COMM_FIXED)
    began = time.perf_counter()
    engine.run()
    return {"seconds": time.perf_counter() - began, **found, "events": len(bars)}


def nautilus_trader(flow: dict[str, Any]) -> dict[str, Any]:
    """Five levels of the book and the trades, through the matching engine of nautilus_trader."""
    import pandas as pd
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.backtest.models import LatencyModel
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.data import BookOrder, OrderBookDepth10, TradeTick
    from nautilus_trader.model.enums import AccountType, AggressorSide, BookType, OmsType, OrderSide, TimeInForce
    from nautilus_trader.model.identifiers import TradeId, Venue
    from nautilus_trader.model.objects import Money
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.equity(symbol="ABC", venue="SIM")
    name = instrument.id
    found = {"fills": 0, "shares": 0}

    def levels(side: OrderSide, prices: list[int], sizes: list[int]) -> list[BookOrder]:
        rows = [(price, size) for price, size in zip(prices, sizes, strict=True) if size]
        return [BookOrder(side, instrument.make_price(p / 1e6), instrument.make_qty(s), 0) for p, s in rows]

    data: list[Any] = []
    for number, (at, bid, bid_size, ask, ask_size) in enumerate(flow["steps"]):
        bids, asks = levels(OrderSide.BUY, bid, bid_size), levels(OrderSide.SELL, ask, ask_size)
        most = max(len(bids), len(asks))
        bids, asks = bids[:most], asks[:most]
        if len(bids) == len(asks):
            data.append(OrderBookDepth10(name, bids, asks, [1] * most, [1] * most, 0, number, at, at))
    for number, (at, side, price, shares) in enumerate(flow["trades"]):
        aggressor = AggressorSide.BUYER if side == 0 else AggressorSide.SELLER
        trade = TradeTick(name, instrument.make_price(price / 1e6), instrument.make_qty(shares), aggressor,
                          TradeId(str(number)), at, at)  # fmt: skip
        data.append(trade)

    class Joins(Strategy):
        def on_start(self) -> None:
            self.turn, self.resting = 0, None
            self.subscribe_order_book_depth(name)
            self.clock.set_timer("joins", pd.Timedelta(EVERY, "ns"), callback=self.joins)

        def joins(self, _: Any) -> None:
            book = self.cache.order_book(name)
            price = book.best_bid_price() if self.turn % 2 else book.best_ask_price()
            if price is None:
                return
            if self.resting is not None and self.resting.is_open:
                self.cancel_order(self.resting)
            side = OrderSide.BUY if self.turn % 2 else OrderSide.SELL
            self.resting = self.order_factory.limit(name, side, instrument.make_qty(100), price)
            self.submit_order(self.resting)
            if self.turn % 6 == 0:
                self.submit_order(
                    self.order_factory.market(name, side, instrument.make_qty(300), time_in_force=TimeInForce.IOC)
                )
            self.turn += 1

        def on_order_filled(self, event: Any) -> None:
            found["fills"] += 1
            found["shares"] += int(event.last_qty)

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("SIM"), OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000_000, USD)], base_currency=USD,
        latency_model=LatencyModel(LATENCY), book_type=BookType.L2_MBP, trade_execution=True,
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(data)
    engine.add_strategy(Joins())
    began = time.perf_counter()
    engine.run()
    return {"seconds": time.perf_counter() - began, **found, "events": len(data)}


def hftbacktest(flow: dict[str, Any]) -> dict[str, Any]:
    """Changes of five levels and the trades, through hftbacktest with a queue model; the strategy is compiled too."""
    import hftbacktest as hft
    import numpy as np
    from numba import njit

    both = hft.EXCH_EVENT | hft.LOCAL_EVENT
    rows: list[tuple[Any, ...]] = []
    shown: dict[tuple[int, int], int] = {}
    trades = iter(flow["trades"])
    waiting = next(trades, None)
    for at, bid, bid_size, ask, ask_size in flow["steps"]:
        while waiting is not None and waiting[0] < at:
            sign = hft.BUY_EVENT if waiting[1] == 0 else hft.SELL_EVENT
            rows.append(
                (hft.TRADE_EVENT | sign | both, waiting[0], waiting[0], waiting[2] / 1e6, waiting[3], 0, 0, 0.0)
            )
            waiting = next(trades, None)
        now = {(hft.BUY_EVENT, price): size for price, size in zip(bid, bid_size, strict=True) if size}
        now |= {(hft.SELL_EVENT, price): size for price, size in zip(ask, ask_size, strict=True) if size}
        gone = {key: 0 for key in shown if key not in now}
        for (sign, price), size in {**gone, **now}.items():
            if shown.get((sign, price)) != size:
                rows.append((hft.DEPTH_EVENT | sign | both, at, at, price / 1e6, size, 0, 0, 0.0))
        shown = now
    data = np.array(rows, dtype=hft.event_dtype)

    @njit
    def joins(engine: Any) -> tuple[int, int, float]:
        turn = 0
        while engine.elapse(EVERY) == 0:
            engine.clear_inactive_orders(0)
            if turn > 0 and (turn - 1) * 2 in engine.orders(0):
                engine.cancel(0, (turn - 1) * 2, False)
            depth = engine.depth(0)
            if turn % 2:
                engine.submit_buy_order(0, turn * 2, depth.best_bid, 100.0, hft.GTC, hft.LIMIT, False)
                if turn % 6 == 0:
                    engine.submit_buy_order(0, turn * 2 + 1, depth.best_ask, 300.0, hft.GTC, hft.MARKET, False)
            else:
                engine.submit_sell_order(0, turn * 2, depth.best_ask, 100.0, hft.GTC, hft.LIMIT, False)
                if turn % 6 == 0:
                    engine.submit_sell_order(0, turn * 2 + 1, depth.best_bid, 300.0, hft.GTC, hft.MARKET, False)
            turn += 1
        done = engine.state_values(0)
        return turn, done.num_trades, done.trading_volume

    def run() -> tuple[float, int, int, float]:
        asset = (
            hft.BacktestAsset().data([data]).linear_asset(1.0).constant_order_latency(LATENCY, LATENCY)
            .power_prob_queue_model(2.0).no_partial_fill_exchange().trading_qty_fee_model(-0.002, 0.003)
            .tick_size(TICK).lot_size(1.0)
        )  # fmt: skip
        engine = hft.HashMapMarketDepthBacktest([asset])
        began = time.perf_counter()
        turns, fills, shares = joins(engine)
        taken = time.perf_counter() - began
        engine.close()
        return taken, turns, fills, shares

    run()  # compiles
    taken, turns, fills, shares = run()
    return {"seconds": taken, "turns": turns, "fills": int(fills), "shares": int(shares), "events": len(data)}


def environment(folder: Path, name: str) -> Path | None:
    """A Python that has an engine; None where it could not be installed, which is said."""
    python = folder / name / "bin" / "python"
    if python.exists():
        return python
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    made = (
        [uv, "venv", "-q", "--python", sys.executable, str(folder / name)]
        if uv
        else [sys.executable, "-m", "venv", str(folder / name)]
    )
    install = (
        [uv, "pip", "install", "-q", "--python", str(python), name]
        if uv
        else [str(python), "-m", "pip", "install", "-q", name]
    )
    for command in (made, install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name} could not be installed: {done.stderr.strip()[-400:]}", file=sys.stderr)
            return None
    return python


def measure(folder: Path, times: int) -> list[dict[str, Any]]:
    """Rows of all engines, taken turn by turn."""
    import orders_venues  # beside this script; it needs quantdesk

    flow = folder / "flow.json"
    world = orders_venues.market()
    world.quotes("ABC")
    orders_venues.written(world, flow)
    pythons = {name: python for name in ENGINES if (python := environment(folder, name)) is not None}
    orders_venues.ours()  # compiles
    found: dict[str, list[dict[str, Any]]] = {"ours": [], **{name: [] for name in pythons}}
    for _ in range(times):
        found["ours"].append(orders_venues.ours())
        for name, python in pythons.items():
            command = [str(python), __file__, name, str(flow)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name} failed: {done.stderr.strip()[-800:]}", file=sys.stderr)
                continue
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    mine = statistics.median(one["seconds"] for one in found["ours"])
    rows = []
    for name, runs in found.items():
        if not runs:
            continue
        last = runs[-1]
        print(f"{name}: {last['fills']} fills, {last['shares']} shares, {last['events']} events", file=sys.stderr)
        if name != "ours":
            rows.append(
                {
                    "what": "a day of one stock: 2,339 resting and 390 market orders",
                    "seconds": mine,
                    "alternative": f"{name} {last['version']}",
                    "alternative_seconds": statistics.median(one["seconds"] for one in runs),
                }
            )
    return rows


ENGINES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "backtrader": backtrader,
    "nautilus_trader": nautilus_trader,
    "hftbacktest": hftbacktest,
}


def main() -> None:
    """Run the engine that was named; or all of them, one line or row for each."""
    if len(sys.argv) == 3 and sys.argv[1] in ENGINES:
        name, path = sys.argv[1:]
        flow = json.loads(Path(path).read_text(encoding="utf-8"))
        print(json.dumps({**ENGINES[name](flow), "version": importlib.metadata.version(name)}))
        return
    import orders_venues

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=3, help="how often each way is taken")
    options.add_argument("--keep", type=Path, help="a folder for the environments of the others, to be used again")
    given = options.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="quantdesk-bench-"))
    try:
        rows = measure(folder, given.times)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    orders_venues.told(rows, as_json=given.json)


if __name__ == "__main__":
    main()
