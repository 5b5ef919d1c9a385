"""The notebooks: what is kept of them, that they run, that their numbers are what an independent calculation gives.

Each template is run twice here, on warm kernels: once by papermill through `quantdesk.reports`, whose figures and
numbers are examined and compared with the executed copies in ``tests/notebooks``, and once by nbval, which compares the
same; the longest of them by nbval in `make test-all` only. What they do with other parameters, on all that the store
holds, is for the nightly run: see tests/notebooks/test_full_data.py.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import empyrical
import nbformat
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from ta.momentum import RSIIndicator

from quantdesk import MarketStore
from quantdesk.reports import Run, list_reports, run
from quantdesk.reports.notebooks import NotebooksConfig

from .notebooks.by_nbval import staged, tampered, validate
from .notebooks.refresh import CHECKED, HERE, TEMPLATES, copy_of, names, reference

NAMES = names()
SHARES = (
    ("03_model_training", "04_risk_analysis", "07_scenario_stress", "08_daily_risk"),
    ("01_feature_exploration", "02_strategy_backtest", "05_performance_attribution", "06_execution_quality"),
)
"""What two processes of a run take, of about the same weight; a template that is new comes to the second one."""


def share(name: str) -> int:
    """The number of the process that runs a template."""
    return 0 if name in SHARES[0] else 1


def of(name: str) -> pytest.MarkDecorator:
    """Have a test run where its template is run: data, reports and nbval are made once in each of the two processes."""
    return pytest.mark.xdist_group(f"notebooks-{share(name)}")


ALL = pytest.mark.parametrize("name", [pytest.param(name, marks=of(name)) for name in NAMES])
LONG = {"07_scenario_stress", "08_daily_risk"}
"""Templates that nbval goes through in `make test-all` and at night; here papermill's run of them is compared alone."""
BY_NBVAL = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[of(name), *([pytest.mark.slow] if name in LONG else [])]) for name in NAMES]
)
SIMULATED = {"06_execution_quality", "07_scenario_stress"}
"""Templates whose results are made, around real data."""
TAMPERED = "04_risk_analysis"
"""The template that is also compared with a copy that is wrong on purpose: a quick one."""
MIXED = {"08_daily_risk"}
"""Templates with results of both kinds: each says of which."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


# The templates as reports (as files they are looked at in tests/notebooks/test_templates.py)


@ALL
def test_every_parameter_has_a_type_and_help(name: str) -> None:
    (report,) = [item for item in list_reports(NotebooksConfig(notebooks=TEMPLATES)) if item.name == name]
    assert len(report.parameters) >= 3
    assert [item.name for item in report.parameters if not item.help] == []
    assert "any" not in {item.type for item in report.parameters}
    assert report.title != name
    assert report.description


# The executed copies


@ALL
def test_the_executed_copy_is_of_this_template(name: str) -> None:
    """When this fails: ``python tests/notebooks/refresh.py``, and read the differences."""
    template, copy = read(TEMPLATES / f"{name}.ipynb"), read(reference(name))
    assert [(cell.id, cell.source) for cell in copy.cells] == [(cell.id, cell.source) for cell in template.cells]
    assert [cell.metadata.get("tags") for cell in copy.cells] == [cell.metadata.get("tags") for cell in template.cells]
    marked = [cell for cell in code(copy) if CHECKED in cell.metadata.get("tags", ())]
    assert all(cell.outputs for cell in marked)
    assert [cell.id for cell in code(copy) if cell.execution_count is not None] == []


def test_no_copy_is_left_of_a_template_that_is_gone() -> None:
    assert sorted(path.stem for path in HERE.glob("*.ipynb")) == NAMES


def test_copies_stay_small() -> None:
    assert max(path.stat().st_size for path in HERE.glob("*.ipynb")) < 300_000


# nbval


def tiny(cells: list[str], outputs: list[str]) -> tuple[Any, Any]:
    """A notebook that prints, and its copy that says what it should print."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "quantdesk", "display_name": "quantdesk"}})
    for number, source in enumerate(cells):
        book.cells.append(nbformat.v4.new_code_cell(source, id=f"cell-{number}", metadata={"tags": [CHECKED]}))
    copy = nbformat.from_dict(json.loads(nbformat.writes(book)))
    for cell, text in zip(copy.cells, outputs, strict=True):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    return book, copy


@of(NAMES[0])
def test_the_comparison_sees_a_changed_number_and_nothing_else(tmp_path: Path, shared_zygote: Any) -> None:
    """The machinery itself: were it blind, every comparison below would pass."""
    shared_zygote.start()
    same = ["print(0.1234)", "print('0x7f00aa11bb22, took 3.1 s')", "print(0.12345678901)", "print('-0.0')", "print(1)"]
    told = ["0.1234\n", "0x7f99aa11bb22, took 12 s\n", "0.12345678955\n", "0.0\n", "1\n"]
    staged(tmp_path, *tiny(same, told), name="same")
    changed = ["print(0.1234)", "print('took 3.1 days')", "print(0.123456)", "print('-0.01')", "1 / 0"]
    wrong = ["0.1235\n", "took 12 days\n", "0.123457\n", "0.01\n", ""]
    staged(tmp_path, *tiny(changed, wrong), name="changed")
    found = validate(tmp_path, shared_zygote.environment)
    assert [bad for _, bad in found["same"]] == [""] * 5
    assert all(bad for _, bad in found["changed"])
    assert "0.1235" in found["changed"][0][1]


# Both runs, on the frozen data


@pytest.fixture(scope="session")
def frozen(prepared: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("frozen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTDESK_STATE", str(state))
        patch.setenv("QUANTDESK_NOTEBOOKS", str(TEMPLATES))
        patch.delenv("QUANTDESK_REPORTS_ROOT", raising=False)
        yield prepared.state(state)


class Validated(dict[int, dict[str, list[tuple[str, str]]]]):
    """What nbval found, by share: one process of nbval for all templates of a share that this run asks for."""

    def __init__(self, wanted: set[str], environment: Mapping[str, str], folders: pytest.TempPathFactory) -> None:
        self._wanted, self._environment, self._folders = wanted, environment, folders

    def __missing__(self, number: int) -> dict[str, list[tuple[str, str]]]:
        folder = self._folders.mktemp("nbval")
        for name in [name for name in NAMES if share(name) == number and name in self._wanted]:
            staged(folder, read(TEMPLATES / f"{name}.ipynb"), read(reference(name)), name)
        if number == share(TAMPERED):
            copy = tampered(read(reference(TAMPERED)))
            staged(folder, read(TEMPLATES / f"{TAMPERED}.ipynb"), copy, "tampered")
        self[number] = validate(folder, self._environment)
        return self[number]


@pytest.fixture(scope="session")
def validated(
    request: pytest.FixtureRequest, frozen: Path, shared_zygote: Any, tmp_path_factory: pytest.TempPathFactory
) -> Validated:
    shared_zygote.start()
    this = "test_nbval_runs_every_cell_and_finds_the_numbers_of_the_copy"
    wanted = {item.callspec.params["name"] for item in request.session.items if item.name.startswith(this)}  # type: ignore[attr-defined]
    return Validated(wanted, {**shared_zygote.environment, "QUANTDESK_STATE": str(frozen)}, tmp_path_factory)


@BY_NBVAL
def test_nbval_runs_every_cell_and_finds_the_numbers_of_the_copy(validated: Validated, name: str) -> None:
    found = validated[share(name)][name]
    assert len(found) == len(code(read(TEMPLATES / f"{name}.ipynb")))
    assert "\n".join(bad for _, bad in found if bad) == ""


@of(TAMPERED)
def test_nbval_finds_one_changed_digit_in_each_compared_cell(validated: Validated) -> None:
    """The other half of the proof: a copy in which a number is another is not what the template gives."""
    cells = code(read(TEMPLATES / f"{TAMPERED}.ipynb"))
    compared = [CHECKED in cell.metadata.get("tags", ()) for cell in cells]
    assert any(compared)
    assert [bool(bad) for _, bad in validated[share(TAMPERED)]["tampered"]] == compared


class Reported(dict[str, Run]):
    """Every template as a report with its defaults, each run when a test first asks for it."""

    def __missing__(self, name: str) -> Run:
        self[name] = run(name)
        return self[name]


@pytest.fixture(scope="session")
def reported(frozen: Path, shared_zygote: Any) -> Iterator[Reported]:
    with shared_zygote.used():
        yield Reported()


@ALL
def test_no_kernel_of_these_started_cold(
    reported: Reported, validated: Validated, shared_zygote: Any, name: str
) -> None:
    assert reported[name].status == "completed"
    assert name in LONG or validated[share(name)][name]
    assert shared_zygote.cold() == []


@ALL
def test_papermill_runs_it_as_a_report(reported: Reported, name: str) -> None:
    done = reported[name]
    book = read(done.executed)
    assert [cell.id for cell in code(book) if cell.execution_count is None] == []
    assert [node for cell in code(book) for node in cell.outputs if node.output_type == "error"] == []
    page = done.page.read_text()
    assert page.count('class="figure"') >= 3
    assert "cdn" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).lower()
    assert done.provenance.data_version is not None


@ALL
def test_every_result_shows_its_labels(reported: Reported, name: str) -> None:
    made = {"reconstructed", "simulated"} if name in SIMULATED | MIXED else set()
    assert set(reported[name].labels) == {"real", "adjusted_with_hindsight", "survivors_only"} | made
    for figure in figures(reported[name]):
        title = figure["layout"]["title"]
        said = title["subtitle"]["text"].split("<br>")[0]
        assert said.startswith("Data: ")
        assert "survivors only" in said
        is_made = bool(made) and (name in SIMULATED or "simulated" in said)
        assert not is_made or all(label in said for label in made)
        # What is made is never called real; one figure counts what is real of the prices it was made from.
        assert ("● real" in said) == (not is_made or title["text"].startswith("What is real in"))


@ALL
def test_both_ways_to_run_give_the_same_numbers(reported: Reported, name: str) -> None:
    mine, copy = copy_of(read(reported[name].executed)), read(reference(name))
    theirs = {cell.id: cell.outputs for cell in code(copy)}
    for cell in code(mine):
        if CHECKED in cell.metadata.get("tags", ()):
            assert cell.outputs == theirs[cell.id], cell.id


# Independent calculations of what the reports say


def figures(done: Run) -> list[dict[str, Any]]:
    mime = "application/vnd.plotly.v1+json"
    outputs = [node for cell in code(read(done.executed)) for node in cell.outputs]
    return [node.data[mime] for node in outputs if mime in node.get("data", {})]


def figure_of(done: Run, cell_id: str) -> dict[str, Any]:
    (cell,) = [cell for cell in code(read(done.executed)) if cell.id == cell_id]
    mime = "application/vnd.plotly.v1+json"
    return next(node.data[mime] for node in cell.outputs if mime in node.get("data", {}))


def numbers(value: Any) -> np.ndarray:
    """A list, or plotly's packed array."""
    if isinstance(value, dict):
        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]).astype(float)
    return np.array([np.nan if item is None else item for item in value], dtype=float)


def trace(figure: dict[str, Any], name: str) -> pd.Series:
    found = next(item for item in figure["data"] if item.get("name") == name)
    return pd.Series(numbers(found["y"]), pd.DatetimeIndex(found["x"]))


def metrics(done: Run) -> dict[str, Any]:
    (cell,) = [cell for cell in code(read(done.executed)) if cell.id == "metrics"]
    return json.loads(cell.outputs[0].text)


def returns_of(growth: pd.Series) -> pd.Series:
    return growth / growth.shift(fill_value=1.0) - 1


@of("02_strategy_backtest")
def test_the_backtest_agrees_with_empyrical_and_quantstats(reported: Reported) -> None:
    done = reported["02_strategy_backtest"]
    said = metrics(done)
    growth = trace(figure_of(done, "equity"), "momentum alpha")
    returns = returns_of(growth)
    assert said["sessions"] == len(returns)
    assert said["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns), abs=6e-5)
    assert said["volatility"] == pytest.approx(empyrical.annual_volatility(returns), abs=6e-5)
    assert said["max_drawdown"] == pytest.approx(empyrical.max_drawdown(returns), abs=6e-5)
    assert said["total_return"] == pytest.approx(empyrical.cum_returns_final(returns), abs=6e-5)
    assert said["tail_ratio"] == pytest.approx(empyrical.tail_ratio(returns), abs=6e-5)
    assert said["sortino"] == pytest.approx(empyrical.sortino_ratio(returns), abs=6e-5)
    assert said["skewness"] == pytest.approx(stats.skew(returns), abs=2e-3)
    assert said["kurtosis"] == pytest.approx(stats.kurtosis(returns), abs=2e-2)
    assert said["final_equity"] == pytest.approx(1_000_000 * growth.iloc[-1], rel=1e-9)


@of("02_strategy_backtest")
def test_the_account_grows_as_its_holdings_did(reported: Reported, frozen: Path) -> None:
    """Equal weight of the same symbols by hand: set anew once a month, with costs on what moved."""
    done = reported["02_strategy_backtest"]
    growth = trace(figure_of(done, "equity"), "equal weight")
    prices = MarketStore().panel(list(done.parameters["symbols"]), start="2000-01-03", end="2022-12-28")
    prices.index = prices.index.tz_localize(None).normalize()
    cost = (done.parameters["commission_bps"] + done.parameters["half_spread_bps"]) / 10_000
    firsts = pd.Series(prices.index, prices.index).groupby([prices.index.year, prices.index.month]).first()
    value, shares = 1.0, np.zeros(prices.shape[1])
    cash, path = 1.0, []
    # A decision after the close of a month's first session trades at the close of the next one.
    trades = {prices.index[prices.index.get_loc(day) + 1] for day in firsts if day < prices.index[-1]}
    for day, price in zip(prices.index, prices.to_numpy(), strict=True):
        if day in trades:
            value = cash + shares @ price
            wanted = value / prices.shape[1] / price
            paid = cost * np.abs(wanted - shares) @ price
            wanted = (value - paid) / prices.shape[1] / price
            cash += (shares - wanted) @ price - cost * np.abs(wanted - shares) @ price
            shares = wanted
        path.append(cash + shares @ price)
    own = pd.Series(path, prices.index).loc[growth.index]
    assert np.allclose(own, growth, rtol=2e-4)  # over 23 years; what is paid on what is paid makes the rest
    assert np.corrcoef(np.diff(np.log(own)), np.diff(np.log(growth)))[0, 1] > 0.99999999


@of("07_scenario_stress")
def test_stress_sums_and_halts_are_those_of_the_history(reported: Reported) -> None:
    """Hold by hand: the shares of the first closes, valued at the last ones; the halt of 9 March 2020 at its minute."""
    done = reported["07_scenario_stress"]
    said = metrics(done)
    names, part = list(done.parameters["symbols"]), done.parameters["invested"]
    windows = {"lehman_2008": ("2008-09-12", "2008-11-20"), "rate_shock_2022": ("2022-01-03", "2022-10-12")}
    for crisis, (first, last) in windows.items():
        prices = MarketStore().panel(names, start=first, end=last)
        own = 100 * part * (prices.iloc[-1] / prices.iloc[0] - 1).mean()
        assert said["pnl_percent"][crisis]["hold"] == pytest.approx(own, abs=0.05)  # whole shares
    (cell,) = [cell for cell in code(read(done.executed)) if cell.id == "stopped"]
    assert "2020-03-09 09:34 MWC1 market" in cell.outputs[0].text


@of("04_risk_analysis")
def test_the_exceedances_are_those_of_the_returns(reported: Reported) -> None:
    done = reported["04_risk_analysis"]
    said = metrics(done)
    held = figure_of(done, "held")
    returns, known = trace(held, "return"), -trace(held, "minus VaR")
    assert said["exceedances"] == int((-returns > known).sum())
    # The value at risk of a session is the fifth percentile of the window before it.
    window = done.parameters["window"]
    own = -returns.rolling(window).quantile(1 - done.parameters["confidence"]).shift(1).dropna()
    assert np.allclose(own, known.loc[own.index], atol=1e-9)
    # Kupiec (1995), by hand.
    n, x, p = len(returns), said["exceedances"], 1 - done.parameters["confidence"]
    ratio = 2 * (x * np.log(x / n / p) + (n - x) * np.log((1 - x / n) / (1 - p)))
    assert said["kupiec_p"] == pytest.approx(stats.chi2.sf(ratio, 1), abs=6e-5)
    assert said["max_drawdown"] == pytest.approx(
        trace(figure_of(done, "underwater"), "equal weight").min() / 100, abs=6e-5
    )


@of("04_risk_analysis")
def test_the_betas_agree_with_statsmodels(reported: Reported, frozen: Path) -> None:
    done = reported["04_risk_analysis"]
    betas = metrics(done)["betas"]
    returns = trace(figure_of(done, "held"), "return") / 100
    factors = list(done.parameters["factors"])
    levels = MarketStore().panel(["SPX", *factors]).pct_change(fill_method=None)
    levels.index = levels.index.tz_localize(None).normalize()
    relative = pd.DataFrame(
        {"SPX": levels["SPX"], **{f"{name} - SPX": levels[name] - levels["SPX"] for name in factors}}
    )
    both = relative.assign(portfolio=returns).dropna()
    fitted = sm.OLS(both["portfolio"], sm.add_constant(both.drop(columns="portfolio"))).fit()
    assert set(betas) == set(fitted.params.index) - {"const"}
    for name, beta in betas.items():
        assert beta == pytest.approx(fitted.params[name], abs=6e-4)


@of("05_performance_attribution")
def test_the_attribution_adds_up(reported: Reported) -> None:
    done = reported["05_performance_attribution"]
    said = metrics(done)
    accounts = figure_of(done, "accounts")
    assert said["portfolio_return"] == pytest.approx(trace(accounts, "momentum alpha").iloc[-1] - 1, abs=6e-5)
    assert said["benchmark_return"] == pytest.approx(trace(accounts, "benchmark").iloc[-1] - 1, abs=6e-5)
    assert said["active_return"] == pytest.approx(said["portfolio_return"] - said["benchmark_return"], abs=2e-4)
    parts = said["allocation"] + said["selection"] + said["interaction"] + said["trading"]
    assert parts == pytest.approx(said["active_return"], abs=3e-4)
    assert sum(said["factors"].values()) == pytest.approx(said["portfolio_return"], abs=6e-4)


@of("06_execution_quality")
def test_the_costs_of_execution_add_up(reported: Reported) -> None:
    done = reported["06_execution_quality"]
    said = metrics(done)
    assert said["execution_mode"] == ["simulated"]
    (bars,) = figure_of(done, "shortfall")["data"]
    costs = numbers(bars["y"])
    assert costs[:-1].sum() == pytest.approx(costs[-1])
    assert costs[-1] == pytest.approx(said["shortfall_bps"], abs=6e-4)
    effective, realised, impact = (numbers(one["y"]) for one in figure_of(done, "spreads")["data"][:3])
    assert np.allclose(realised + impact, effective)
    assert realised[-1] == pytest.approx(said["realized_spread_5min_bps"], abs=6e-4)
    venues = figure_of(done, "venues")["data"][0]
    shares = [int(text.replace(",", "")) for text in venues["text"][venues["y"].index("shares filled")]]
    book = read(done.executed)
    (told,) = [cell for cell in code(book) if cell.id == "checked"]
    assert f"{said['fills']} fills, {sum(shares)} shares" in told.outputs[0].text
    counts = [trace for trace in figure_of(done, "slippage")["data"] if trace["type"] == "bar"]
    filled = sum(int(numbers(trace["y"]).sum()) for trace in counts)
    assert 0 < filled <= said["orders"] == done.parameters["orders_per_session"] * 10 - said["blocked"]


@of("01_feature_exploration")
def test_rsi_and_averages_agree_with_another_library(reported: Reported, frozen: Path) -> None:
    done = reported["01_feature_exploration"]
    figure = figure_of(done, "focus")
    price = MarketStore().panel([done.parameters["symbols"][0]])
    price.index = price.index.tz_localize(None).normalize()
    closes = price.iloc[:, 0]
    rsi = trace(figure, "rsi_14")
    # The other library starts its mean elsewhere; twenty years later nothing of that is left.
    theirs = RSIIndicator(closes, 14).rsi().loc[rsi.index]
    assert np.allclose(rsi, theirs, atol=1e-8)
    for window in (50, 200):
        assert np.allclose(trace(figure, f"sma_{window}"), closes.rolling(window).mean().loc[rsi.index], rtol=1e-12)
