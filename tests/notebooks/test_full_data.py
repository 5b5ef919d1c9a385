"""Every template on all that the store holds, for the nightly run: ``make test-nightly``.

There is no reference copy for these parameters. What is looked at instead: the report completes, with every assertion
of the notebook itself, on a forked worker and kernel; its recorded numbers are finite and lie where they can lie; and
nbval, in another process with the same seeds, finds in every compared cell what the report printed. What the templates
say with their defaults is compared with reference copies in tests/test_notebooks.py, which the nightly run takes too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest

from quantdesk import MarketStore
from quantdesk.reports import run

from .by_nbval import staged, validate
from .refresh import CHECKED, TEMPLATES, copy_of, names

pytestmark = [pytest.mark.nightly, pytest.mark.slow]
SPAN = {"start_date": "1990-01-02", "end_date": "2022-12-28"}
"""From the first to the last session of the stocks with the longest history."""


def listed(*kinds: str, source: str = "") -> list[str]:
    """Every symbol of the store; those of some kinds, or of one source."""
    entries = [entry.series for entry in MarketStore().catalogue.entries]
    return sorted({one.symbol for one in entries if one.kind in (kinds or {one.kind}) and source in ("", one.source)})


def stocks() -> list[str]:
    """Those that have a price in every session of the span."""
    return listed("equity", source="skfolio")


def afterwards() -> str:
    """A moment at which every bar of the store is known: a week after the last one."""
    last = max(entry.series.end for entry in MarketStore().catalogue.entries)
    return f"{last + timedelta(days=8)}T22:00:00+00:00"


FULL: dict[str, Callable[[], dict[str, Any]]] = {
    "01_feature_exploration": lambda: {"symbols": listed("equity", "etf", "index", "commodity"), **SPAN},
    "02_strategy_backtest": lambda: {"symbols": stocks(), **SPAN},
    "03_model_training": lambda: {"symbols": stocks(), **SPAN},
    "04_risk_analysis": lambda: {"symbols": stocks(), **SPAN},
    # Its factors begin in 2014, as the default does.
    "05_performance_attribution": lambda: {"symbols": stocks(), "benchmark_symbols": stocks()},
    # A month of every stock: each session is simulated quote by quote, and all thirteen years would take a day.
    "06_execution_quality": lambda: {
        "symbols": listed("equity", source="bokeh-sampledata"), "start_date": "2013-02-01", "end_date": "2013-02-28",
    },
    "07_scenario_stress": lambda: {
        "symbols": stocks(), "start_date": "1900-01-01", "end_date": "2100-01-01", "duration_minutes": 390,
    },
    "08_daily_risk": lambda: {"symbols": stocks(), "shares": [100] * len(stocks()), "paths": 1_000_000, **SPAN},
    "09_data_freshness": lambda: {"symbols": listed(), "as_of": afterwards(), **SPAN},
}  # fmt: skip
"""What each template is given; what is not named here keeps its default, the seeds among it."""
BOUNDS = {
    "max_drawdown": (-1.0, 0.0),
    "total_return": (-1.0, math.inf),
    "volatility": (0.0, 2.0),
    "sharpe": (-5.0, 5.0),
    "kupiec_p": (0.0, 1.0),
    "exceedances": (0, math.inf),
    "largest_position": (0.0, 1.0),
    "worst_crisis": (0.0, 1.0),
    "var_usd": (0.0, math.inf),
    "es_usd": (0.0, math.inf),
    "sessions_there": (0.0, 1.0),
    "fills": (1, math.inf),
    "late": (0, math.inf),
}
"""Where numbers of these names can lie, in whichever report."""


@pytest.fixture(scope="module")
def store(forked: Any, prepared: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("frozen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_STATE", str(state))
        patch.setenv("QUANTDESK_NOTEBOOKS", str(TEMPLATES))
        patch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
        yield prepared.state(state)


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of what a report recorded, with the name that it stands under."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from numbers(one, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def test_every_template_has_its_full_data() -> None:
    assert sorted(FULL) == names()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(f"full-{at % 2}")) for at, name in enumerate(names())]
)
def test_it_completes_within_bounds_and_says_the_same_again(
    store: Path, shared_zygote: Any, tmp_path: Path, name: str
) -> None:
    done = run(name, FULL[name]())
    book = nbformat.read(done.executed, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.execution_count is None] == []
    assert [node for cell in cells for node in cell.outputs if node.output_type == "error"] == []
    said = list(numbers(json.loads(cells[-1].outputs[0].text)))
    assert said
    assert [one for one in said if not math.isfinite(one[1])] == []
    outside = [one for one in said if one[0] in BOUNDS and not BOUNDS[one[0]][0] <= one[1] <= BOUNDS[one[0]][1]]
    assert outside == []

    again = nbformat.read(done.executed, as_version=4)
    for cell in again.cells:
        cell.metadata = {"tags": cell.metadata.get("tags", [])}
    staged(tmp_path, again, copy_of(book), name)
    found = validate(tmp_path, {**shared_zygote.environment, "QUANTDESK_STATE": str(store)})[name]
    assert len(found) == len(cells)
    assert sum(CHECKED in cell.metadata.tags for cell in again.cells if cell.cell_type == "code") >= 2
    assert "\n".join(bad for _, bad in found if bad) == ""
    assert shared_zygote.cold() == []
