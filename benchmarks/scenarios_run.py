"""A replay through the whole pipeline, side by side with the same weights in vectorbt and in backtrader.

    python benchmarks/scenarios_run.py [--json] [--times 3] [--keep FOLDER]

Sixty days from the fall of Lehman Brothers on, and a day of March 2020 minute by minute. What the strategy wishes after
each bar is the same for all three, and traded at the close of the next one; its computation is in none of the figures.
The engines do not do the same work. Ours sends each wish as an order through guardrails, halts, the router and the
simulated venues, values the account, lets the alert rules look at it, and keeps a ledger whose hashes are checked.

vectorbt   fills all that is wished for at the close: no spread, depth or impact; no guardrails, halts, router, alerts;
           no record but the fills. Shares are fractions. It is compiled before it is timed.
backtrader the same, bar by bar, with whole shares and an order object for each wish. It is installed by name into an
           environment of its own, where this script runs again without anything of quantdesk; the seconds are those of
           the run alone. Where it cannot be installed, that is said, and its rows are left out.

Staging (the replay out of the store, minutes, halts, quotes) is timed apart, against reading the same closes alone.
Profits are compared too: ours, without the spread, impact and fees that the others do not know and without what was
not filled. Where all of our orders were filled, a difference from vectorbt of more than 2 % of the cash refuses the
comparison. Where some were not, accounts hold other things from then on: both profits are printed, with how many orders
were not filled, and nothing is refused.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASH = 1_000_000
ROOM = 0.98
"""The part of the account that is invested at most: the cash buffer of a run."""
NEAR = 0.02
"""How far profits may be apart, as a part of the cash: shares are whole here, and the others trade a minute later."""


def backtrader(given: dict[str, Any]) -> dict[str, Any]:
    """The weights as targets of percent, which backtrader trades at the next bar's open: the open is the close here."""
    import backtrader as bt

    closes, weights = given["closes"], given["weights"]

    class Bars(bt.feeds.DataBase):
        params = (("column", 0),)

        def start(self) -> None:
            super().start()
            self.row = 0

        def _load(self) -> bool:
            if self.row == len(closes):
                return False
            price, lines = closes[self.row][self.p.column], self.lines
            at = dt.datetime.fromtimestamp(given["at"][self.row] / 1e9, dt.UTC).replace(tzinfo=None)
            lines.datetime[0] = bt.date2num(at)
            lines.open[0] = lines.high[0] = lines.low[0] = lines.close[0] = price
            lines.volume[0] = lines.openinterest[0] = 0
            self.row += 1
            return True

    class Follows(bt.Strategy):
        def next(self) -> None:
            row = weights.get(str(len(self) - 1))
            if row is None:
                return
            wished = [(weight, data) for weight, data in zip(row, self.datas, strict=True) if weight is not None]
            # Sales first: there is no other money for the purchases.
            value = self.broker.getvalue()
            wished.sort(key=lambda one: one[0] * value - self.getposition(one[1]).size * one[1].close[0])
            for weight, data in wished:
                self.order_target_percent(data, target=weight)

    engine = bt.Cerebro(stdstats=False)
    engine.broker.set_checksubmit(False)  # the sales of a bar pay for its purchases
    daily = len({stamp // 86_400_000_000_000 for stamp in given["at"]}) == len(given["at"])
    frame = bt.TimeFrame.Days if daily else bt.TimeFrame.Minutes
    for column in range(len(closes[0])):
        engine.adddata(Bars(column=column, timeframe=frame, compression=1))
    engine.addstrategy(Follows)
    engine.broker.setcash(CASH)
    began = time.perf_counter()
    engine.run()
    return {"seconds": time.perf_counter() - began, "pnl": engine.broker.getvalue() - CASH}


class Course:
    """One course of prices, and what one strategy wishes in it.

    Parameters
    ----------
    stage
        What the run of ours goes through.
    strategy
        The name of a rule.
    """

    def __init__(self, stage: Any, strategy: str) -> None:
        import numpy as np
        import pandas as pd

        from quantdesk.scenarios.strategies import named, planned

        self.stage, self.strategy = stage, named(strategy)
        path = stage.path
        self.columns = [path.column(symbol) for symbol in path.traded]
        closes = pd.DataFrame(path.close[:, self.columns]).ffill().bfill()
        self.closes = closes.fillna(1.0).to_numpy()
        # What is wished for at the end of a bar is traded in the next one; at the first bar, what was wished before it.
        self.targets = np.full((len(path.ends), len(self.columns)), np.nan)
        priced = np.isfinite(path.close[:, self.columns])
        for bar, weights in planned(self.strategy, path).items():
            gross = sum(map(abs, weights.values()))
            part = min(1.0, ROOM / gross) if gross else 1.0
            if bar + 1 < len(path.ends) and priced[max(bar, 0)].any():
                row = [weights.get(symbol, np.nan) * part for symbol in path.traded]
                self.targets[bar + 1] = np.where(priced[bar + 1], row, np.nan)

    def ours(self) -> dict[str, float]:
        """Through the desk."""
        from quantdesk.scenarios.run import holdings_of, run_account

        holdings = holdings_of({"cash": CASH}, self.stage.path)
        began = time.perf_counter()
        account = run_account(self.stage, self.strategy, holdings)
        taken = time.perf_counter() - began
        return {
            "seconds": taken,
            "pnl": account.attribution.cause["price"],
            "orders": account.orders,
            "failures": len(account.failures),
        }

    def vectorbt(self) -> dict[str, float]:
        """All at once."""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import vectorbt as vbt

            began = time.perf_counter()
            made = vbt.Portfolio.from_orders(
                self.closes, size=self.targets, size_type="targetpercent", direction="both", init_cash=CASH,
                group_by=True, cash_sharing=True, call_seq="auto", freq="1D",
            )  # fmt: skip
            pnl = float(made.final_value()) - CASH
        return {"seconds": time.perf_counter() - began, "pnl": pnl}

    def written(self, to: Path) -> None:
        """For an environment without quantdesk: the row of a bar is wished for at its end."""
        rows = {
            str(bar - 1): [None if one != one else one for one in row]
            for bar, row in enumerate(self.targets.tolist())
            if bar and any(one == one for one in row)
        }
        first = [one if one == one else None for one in self.targets[0].tolist()]
        # backtrader cannot trade at its first bar: it gets the first bar twice.
        closes, at = self.closes.tolist(), self.stage.path.ends.tolist()
        day = 86_400_000_000_000 if not self.stage.path.is_intraday else 60_000_000_000
        shifted = {str(int(bar) + 1): row for bar, row in rows.items()}
        if any(one is not None for one in first):
            shifted["0"] = first
        document = {"closes": [closes[0], *closes], "at": [at[0] - day, *at], "weights": shifted}
        to.write_text(json.dumps(document), encoding="utf-8")


def stages(times: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Stages by what they are, and rows of what staging takes against reading the closes alone."""
    from quantdesk.market import MarketStore
    from quantdesk.scenarios import ScenarioEngine, catalog
    from quantdesk.scenarios.replay import replay
    from quantdesk.scenarios.run import RunConfig, stage_of

    store = MarketStore()
    lehman = catalog.load("lehman_2008").model_copy(update={"end": dt.date(2008, 12, 4)})
    wanted = {
        "60 days": (lehman, None),
        "a day of 390 minutes": (catalog.load("covid_2020"), 390),
        "the flash crash by minutes": (catalog.load("flash_crash_2010"), None),
    }
    found, rows = {}, []
    for what, (scenario, minutes) in wanted.items():
        taken: dict[str, list[float]] = {"replay": [], "stage": [], "read": []}
        for turn in range(times):
            # Replays are kept by scenario: another title is another one.
            fresh = scenario.model_copy(update={"title": f"{scenario.title} {turn}"})
            began = time.perf_counter()
            path = replay(fresh, store)
            replayed = time.perf_counter()
            made = stage_of(path, fresh, RunConfig(), minutes=minutes)
            staged = time.perf_counter()
            stocks, first = _stocks(store, path), scenario.start - dt.timedelta(days=scenario.history_days)
            asked = time.perf_counter()
            store.panel(stocks, start=first.isoformat(), end=scenario.end.isoformat())
            for name, seconds in (
                ("replay", replayed - began), ("stage", staged - replayed), ("read", time.perf_counter() - asked)
            ):  # fmt: skip
                taken[name].append(seconds)
        seconds = {name: statistics.median(each) for name, each in taken.items()}
        bars, traded = made.path.close.shape[0], len(made.path.traded)
        print(f"{what}: {bars} bars, {traded} traded symbols; replay {seconds['replay']:.3f} s, "
              f"minutes, halts and quotes {seconds['stage']:.3f} s", file=sys.stderr)  # fmt: skip
        found[what] = ScenarioEngine(store).stage(scenario, minutes, RunConfig())
        for name, part in (("replay", "its replay"), ("stage", "its halts and quotes, and minutes")):
            rows.append(
                {
                    "what": f"{what}: {part}",
                    "seconds": seconds[name],
                    "alternative": "reading the stocks' closes alone",
                    "alternative_seconds": seconds["read"],
                }
            )
    return found, rows


def _stocks(store: Any, path: Any) -> list[str]:
    """The stocks, as the store names their series."""
    named = {one.symbol: f"{one.symbol}@{one.source}" for one in store.series() if one.kind == "equity"}
    return [named[symbol] for symbol in path.traded if symbol in named]


def measure(folder: Path, times: int) -> list[dict[str, Any]]:
    """Rows of all engines, taken turn by turn."""
    import orders_competitors  # beside this script: it makes environments

    python = orders_competitors.environment(folder, "backtrader")
    found, rows = stages(times)
    for what, stage in found.items():
        for strategy in ("momentum_alpha", "mean_reversion"):
            course, told = Course(stage, strategy), folder / "course.json"
            course.written(told)
            course.ours(), course.vectorbt()  # both compile
            runs: dict[str, list[dict[str, Any]]] = {"ours": [], "vectorbt": [], "backtrader": []}
            for _ in range(times):
                runs["ours"].append(course.ours())
                runs["vectorbt"].append(course.vectorbt())
                if python is not None:
                    done = subprocess.run(
                        [str(python), __file__, "backtrader", str(told)], capture_output=True, text=True, check=False
                    )
                    if done.returncode:
                        sys.exit(f"backtrader failed: {done.stderr.strip()[-800:]}")
                    runs["backtrader"].append(json.loads(done.stdout.splitlines()[-1]))
            last = {name: each[-1] for name, each in runs.items() if each}
            profits = ", ".join(f"{name} {one['pnl']:,.0f}" for name, one in last.items())
            print(f"{what}, {strategy}: {last['ours']['orders']} orders, {last['ours']['failures']} not filled; "
                  f"profit before costs: {profits}", file=sys.stderr)  # fmt: skip
            if abs(last["ours"]["pnl"] - last["vectorbt"]["pnl"]) > NEAR * CASH and not last["ours"]["failures"]:
                sys.exit("ours and vectorbt did not trade the same")
            versions = {"vectorbt": importlib.metadata.version("vectorbt")}
            versions |= {"backtrader": last["backtrader"]["version"]} if "backtrader" in last else {}
            rows += [
                {
                    "what": f"{what}, {strategy}, {last['ours']['orders']} orders: guardrails to ledger",
                    "seconds": statistics.median(one["seconds"] for one in runs["ours"]),
                    "alternative": f"{name} {version}: fills alone",
                    "alternative_seconds": statistics.median(one["seconds"] for one in runs[name]),
                }
                for name, version in versions.items()
            ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak of memory, vectorbt included: {peak:,.0f} MB", file=sys.stderr)
    return rows


def main() -> None:
    """Run backtrader; or all of them, one line or row for each."""
    if len(sys.argv) == 3 and sys.argv[1] == "backtrader":
        given = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        print(json.dumps({**backtrader(given), "version": importlib.metadata.version("backtrader")}))
        return
    import orders_venues  # beside this script: it prints rows

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=3, help="how often each way is taken")
    options.add_argument("--keep", type=Path, help="a folder for the environment of backtrader, to be used again")
    given = options.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="quantdesk-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        rows = measure(folder, given.times)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    orders_venues.told(rows, as_json=given.json)


if __name__ == "__main__":
    main()
