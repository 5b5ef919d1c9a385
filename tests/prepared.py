"""What many tests stand on, made once for all processes of a run: the bundled data, their features, compiled loops.

``python tests/prepared.py FOLDER`` makes data and the loops that need them, ``python tests/prepared.py --loops``
compiles those that need none, as ``tools/run_tests.py`` has it done beforehand by a processor each; it then says where
in ``TESTS_PREPARED``. Without that, the first test that asks makes the data, and others wait for it.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from quantdesk.records import atomic_directory, exclusive

GIVEN = "TESTS_PREPARED"
"""The variable of the environment that names the folder."""


def market(folder: Path) -> Path:
    """The folder of a store with every bundled series."""
    from quantdesk.market import bundled, load

    return _once(folder / "market", lambda empty: load(bundled(), empty))


def features(folder: Path) -> Path:
    """The folder of the features of every bundled series."""
    from quantdesk.features import FeatureStore
    from quantdesk.market import MarketStore

    history = MarketStore(market(folder))
    return _once(folder / "features", lambda empty: FeatureStore(root=empty, market=history).build())


def _once(target: Path, make: Callable[[Path], object]) -> Path:
    """One process makes it, the others wait. Accounts of the hub's users may read it."""
    if not target.exists():
        with exclusive(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                mask = os.umask(0o022)
                try:
                    with atomic_directory(target) as empty:
                        make(empty)
                finally:
                    os.umask(mask)
    return target


def state(folder: Path, target: Path) -> Path:
    """A state directory of a test's own, with data and features, at `target`, which may be an empty folder."""
    target.mkdir(parents=True, exist_ok=True)
    for made in (market(folder), features(folder)):
        shutil.copytree(made, target / made.name, symlinks=True)
    return target


def compiled(folder: Path) -> None:
    """Compile the loops that most tests call: two processes that need one at the same time would both compile it."""
    from quantdesk.features import FeatureStore
    from quantdesk.market import MarketStore
    from quantdesk.scenarios import ScenarioEngine

    store = MarketStore(market(folder))
    asked = FeatureStore(root=features(folder), market=store)
    asked.get_historical_features(["AAPL", "SPX"], ["sma_20", "vol_21d"], "2020-01-02", "2020-02-03")
    ScenarioEngine(store).run("volmageddon", ["momentum_alpha"], {"cash": 1_000_000}, duration_minutes=20)


def loops() -> None:
    """Compile what needs no data: a batch of orders over the venues, and the usual path of a backtest."""
    import datetime as dt

    from quantdesk.orders import Order, SmartOrderRouter
    from quantdesk.orders.order import Action
    from quantdesk.orders.quotes import Quotes
    from quantdesk.orders.routing import Books, Parents
    from quantdesk.reports.kernels.stack import rehearse

    router, at = SmartOrderRouter(), int(dt.datetime(2025, 6, 2, 15, tzinfo=dt.UTC).timestamp()) * 10**9
    orders, quotes = (
        [Order("ABC", Action.BUY, 10)] * 2,
        Quotes.of("ABC", at, {"NYSE": (99_990_000, 100, 100_000_000, 100)}),
    )
    router.route_many(Parents.of(orders, [at] * 2, router.day(at), protection=True, seed=0), Books.of([quotes] * 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rehearse()


if __name__ == "__main__":
    if sys.argv[1] == "--loops":
        loops()
    else:
        compiled(Path(sys.argv[1]).resolve())
