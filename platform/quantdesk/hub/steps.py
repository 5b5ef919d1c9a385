"""The steps that `quantdesk up` takes before the hub starts. An edge module."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from quantdesk import __version__
from quantdesk.errors import DataError
from quantdesk.hub import proxy
from quantdesk.hub.up import Progress, Step

__all__ = ["DEMO_REPORTS", "standard"]

#: The reports that a first `make up` runs, so that there is something to look at.
DEMO_REPORTS = (
    "01_feature_exploration",
    "02_strategy_backtest",
    "03_model_training",
    "04_risk_analysis",
    "05_performance_attribution",
    "06_execution_quality",
)
STAGES = Path(__file__).resolve().parents[1]


def standard(state: Path) -> list[Step]:
    """Everything between an installed package and a hub that can start, in order.

    Parameters
    ----------
    state
        The state directory.
    """
    return [_proxy(state), _data(), _features(), _reports(state)]


def _mark(*parts: str, files: Iterable[Path] = ()) -> str:
    """A hash of values and of the bytes of files, so that a change of either is noticed."""
    total = hashlib.sha256("\0".join((__version__, *parts)).encode())
    for path in sorted(files):
        total.update(path.read_bytes())
    return total.hexdigest()


def _code(stage: str) -> list[Path]:
    """The source of one stage: when it changes, what it made is out of date."""
    return list((STAGES / stage).rglob("*.py"))


def _proxy(state: Path) -> Step:
    def present() -> bool:
        return proxy.installed(state)

    def work(progress: Progress) -> str:
        proxy.install(progress, state)
        return "configurable-http-proxy, on the Node that came with the packages"

    remedy = "It needs the npm registry: check the network, or npm's own settings (npm config list)."
    return Step("proxy", "Proxy", proxy.fingerprint, present, work, remedy)


def _data() -> Step:
    from quantdesk import market

    manifest = STAGES / "market" / "bundled" / "manifest.toml"

    def present() -> bool:
        try:
            return bool(market.MarketStore().series())
        except DataError:
            return False

    def work(progress: Progress) -> str:
        done = market.load(market.bundled(), progress=progress)
        return f"{done.series} series, {done.rows:,} rows from the bundled packages"

    def mark() -> str:
        return _mark(files=[manifest, *_code("market")])

    return Step("data", "Market data", mark, present, work, "Run quantdesk doctor, which looks at each file.")


def _features() -> Step:
    from quantdesk import features, market
    from quantdesk.features import publish

    def present() -> bool:
        store = features.FeatureStore()
        try:
            return bool(store.symbols()) and bool(publish.filled_until(store.root))
        except DataError:
            return False

    def work(progress: Progress) -> str:
        store = features.FeatureStore()
        built = store.build(progress=progress)
        store.apply(progress=progress)
        store.materialize(progress=progress)
        names = len(store.features())
        return f"{names} features of {built.series} series, {built.rows:,} rows; registered and materialised"

    def mark() -> str:
        return _mark(market.MarketStore().version, files=_code("features"))

    return Step("features", "Features", mark, present, work, "Run quantdesk doctor.")


@contextlib.contextmanager
def _cold() -> Iterator[None]:
    """Run reports in processes of their own: what warm ones are forked from would outlive the hub that is to start."""
    name = "QUANTDESK_KERNELS_WARM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _reports(state: Path) -> Step:
    from quantdesk import market, reports

    def present() -> bool:
        return {run.report for run in reports.list_runs() if run.problem is None} >= set(DEMO_REPORTS)

    def work(progress: Progress) -> str:
        cells = dict.fromkeys(DEMO_REPORTS, (0, 1))
        lock = threading.Lock()

        def told(name: str) -> Progress:
            def tell(what: str, done: int, total: int) -> None:
                with lock:
                    cells[name] = (done, max(total, 1))
                    share = sum(done / total for done, total in cells.values())
                    progress(f"{name}: {what}", int(100 * share), 100 * len(cells))

            return tell

        cancel = threading.Event()
        with _cold(), ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 2)) as pool:
            waiting = [pool.submit(reports.run, name, {}, progress=told(name), cancel=cancel) for name in DEMO_REPORTS]
            try:
                for one in as_completed(waiting):
                    one.result()
            except BaseException:
                cancel.set()
                pool.shutdown(cancel_futures=True)
                raise
        return f"{len(DEMO_REPORTS)} reports, in {state / 'reports'}"

    def mark() -> str:
        return _mark(market.MarketStore().version, files=[reports.find_report(name).path for name in DEMO_REPORTS])

    return Step("reports", "Demo reports", mark, present, work, "The run's page says in which cell it stopped.")
