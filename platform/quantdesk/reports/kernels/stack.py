"""What a zygote imports and compiles before it forks, and the checks that it may fork at all. An edge module.

A fork has one thread: what another thread held is locked for ever, and a pool, an event loop or a connection that was
made before is only a memory. So nothing of that kind may exist here. Importing is harmless for most packages; those of
`NEVER` start something when they are imported or used, and stay out.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["FIRST", "NEVER", "STACK", "rehearse", "rehearse_page", "unfit", "warm_up"]

FIRST = {
    # One thread of everything; a fork that may have more gets them then.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    # jemalloc, which pyarrow brings, would start a thread when it is loaded.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
"""What the environment of a zygote holds in any case, before the interpreter starts."""

NEVER = ("distributed", "feast", "grpc", "polars")
"""Modules that must not be there at a fork."""

KERNEL = (
    "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.historyapp", "IPython.core.oinspect",
    "IPython.core.magics", "IPython.extensions.storemagic", "IPython.utils.wildcard", "comm", "ipykernel.debugger",
    "ipykernel.ipkernel", "ipykernel.kernelapp", "ipykernel.zmqshell", "ipykernel_launcher", "jedi",
    "pdb", "sqlite3", "stack_data", "tornado.platform.asyncio",
)  # fmt: skip
"""What the start of any kernel imports."""
REPORTS = (
    "jsonschema", "nbclient", "nbformat", "papermill", "papermill.execute", "psutil", "quantdesk.reports.engine",
    "quantdesk.reports.memory", "quantdesk.reports.page", "quantdesk.reports.provenance", "quantdesk.reports.publish",
    "quantdesk.reports.recording", "quantdesk.reports.thumbnails.pictures", "quantdesk.reports.thumbnails.sketch",
    "quantdesk.reports.worker",
)  # fmt: skip
"""What a worker of reports imports."""
STACK = (
    "numpy", "pandas", "pyarrow", "pyarrow.parquet", "scipy.stats", "scipy.optimize", "numba", "vectorbt",
    "plotly.graph_objects", "plotly.io", "plotly.subplots", "sklearn.ensemble", "sklearn.linear_model",
    "sklearn.model_selection", "sklearn.pipeline", "sklearn.preprocessing", "threadpoolctl", "quantdesk.backtest",
    "quantdesk.features", "quantdesk.market", "quantdesk.orders.desk", "quantdesk.scenarios", "quantdesk.signals",
    "quantdesk.reports.figures", "quantdesk.reports.theme",
)  # fmt: skip
"""What notebooks here use."""


SET_BY_KERNEL: dict[str, str] = {}
"""Variables that those of `KERNEL` set when they are imported, as they do in every kernel."""


def warm_up(modules: Iterable[str]) -> None:
    """Import everything, and run one tiny backtest, so that compiled code is loaded.

    Parameters
    ----------
    modules
        What notebooks use: names of modules. One that is not installed is left out, and the log says so.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = set(os.environ)
        _import(KERNEL)
        SET_BY_KERNEL.update({name: os.environ[name] for name in set(os.environ) - before})
        _as_in_a_notebook("tqdm.autonotebook", "tqdm.auto")
        _import((*modules, *REPORTS))
        _resolve()
        _what_is_installed()
        if "vectorbt" in sys.modules:
            with _unwatched():
                rehearse()
        rehearse_page()


def _what_is_installed() -> None:
    """Have the list of kernel provisioners and the versions of packages read: they are the same for every fork."""
    from jupyter_client.provisioning.factory import KernelProvisionerFactory

    from quantdesk.reports import provenance

    KernelProvisionerFactory.instance()
    provenance.packages()


@contextlib.contextmanager
def _unwatched() -> Iterator[None]:
    """Keep tqdm from starting the thread that looks after bars that stand still."""
    tqdm: Any = importlib.import_module("tqdm.std").tqdm
    interval, tqdm.monitor_interval = tqdm.monitor_interval, 0
    try:
        yield
    finally:
        tqdm.monitor_interval = interval


def _import(names: Iterable[str]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:  # a package that this environment does without, or an older one
            sys.stderr.write(f"left out: {name} ({error})\n")


def _as_in_a_notebook(*names: str) -> None:
    """Import modules that look once, at their import, whether they are in a notebook: every kernel is one."""
    import IPython

    class ZMQInteractiveShell:
        config: ClassVar[dict[str, Any]] = {"IPKernelApp": {}}

    real = IPython.get_ipython
    IPython.get_ipython = ZMQInteractiveShell
    try:
        _import(names)
    finally:
        IPython.get_ipython = real


def _resolve() -> None:
    """Have lazy modules load what the start of a kernel asks every module for."""
    for module in list(sys.modules.values()):
        getattr(module, "__file__", None)


def rehearse() -> None:
    """One backtest of three made-up symbols: every compiled function of the usual path is loaded by it."""
    import numpy as np
    import pandas as pd
    import vectorbt as vbt

    rows = pd.date_range("2020-01-01", periods=40, tz="UTC")
    walk = np.random.default_rng(0).normal(0, 0.01, (len(rows), 3)).cumsum(axis=0)
    prices = pd.DataFrame(100 + walk, index=rows, columns=list("ABC"))
    weights = pd.DataFrame(1 / 3, index=rows, columns=prices.columns)
    grouped: dict[str, Any] = {"group_by": True, "cash_sharing": True, "call_seq": "auto"}
    made = vbt.Portfolio.from_orders(prices, size=weights, size_type="targetpercent", freq="1D", fees=0.001, **grouped)
    made.stats()
    made.returns_stats()
    fast, slow = vbt.MA.run(prices, 3), vbt.MA.run(prices, 9)
    crossed = vbt.Portfolio.from_signals(prices, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), freq="1D")
    crossed.total_return()
    crossed.trades.records_readable  # noqa: B018 (it is computed when it is asked for)


def rehearse_page() -> None:
    """A page of nothing: schemas, templates and the rules that colour code are compiled when they are first used."""
    import nbformat

    from quantdesk.reports import page
    from quantdesk.reports.result import Provenance, Run, Status
    from quantdesk.reports.thumbnails import thumbnails

    new: Any = nbformat.v4
    picture = new.new_output("display_data", {"application/vnd.plotly.v1+json": {"data": [], "layout": {}}})
    prose, code = new.new_markdown_cell("# A title\n\nProse, *and* more."), new.new_code_cell("x = 1  # a number")
    code.outputs = [new.new_output("stream", name="stdout", text="1"), picture]
    book = new.new_notebook(cells=[prose, code])
    now = datetime.now(UTC)
    run = Run(
        id="rehearsal", report="rehearsal", title="A title", status=Status.COMPLETED, parameters={"x": 1}, given=(),
        seed=None, notebook="", notebook_sha256="", started=now, ended=now, problem=None, labels=(),
        provenance=Provenance(), folder=Path(),
    )  # fmt: skip
    try:
        nbformat.reads(nbformat.writes(book), as_version=4)  # type: ignore[no-untyped-call]
        thumbnails(book)
        page.render(run, book)
    except Exception as error:  # noqa: BLE001 (a rehearsal; what is wrong shows when it matters)
        sys.stderr.write(f"left out: the page ({type(error).__name__}: {error})\n")


def unfit() -> str:
    """Why this process must not fork; empty when it may."""
    threads = list(Path("/proc/self/task").iterdir())
    if len(threads) != 1:
        names = sorted((one / "comm").read_text().strip() for one in threads)
        return f"{len(threads)} threads are running ({', '.join(names)})"
    present = [name for name in NEVER if name in sys.modules]
    if present:
        return f"{', '.join(present)} must not be imported before a fork"
    zmq = sys.modules.get("zmq")
    if zmq is not None and getattr(zmq.Context, "_instance", None) is not None:
        return "a zmq context is open"
    for one in Path("/proc/self/fd").iterdir():
        try:
            target = str(one.readlink())
        except OSError:
            continue  # the listing itself
        if "eventpoll" in target or "eventfd" in target:
            return f"an event loop is open (descriptor {one.name}, {target})"
    return ""
