"""A grid: cells that fail alone, results that do not depend on who made them, and a worker that is killed."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.compute import InProcess, LocalDask, Lost, Processes
from quantdesk.errors import BadInput, DataError
from quantdesk.scenarios import RunConfig, ScenarioEngine
from quantdesk.scenarios import engine as engine_module
from quantdesk.scenarios.grid import Cell, Standing, cells_of, run_cell, run_grid
from quantdesk.scenarios.grid import worker as worker_of_cells

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def path(path_of):
    return path_of(bars=4)


@pytest.fixture(scope="module")
def dask():
    with LocalDask(2) as place:
        yield place


def with_memory():
    """A strategy that remembers, so that sharing one between cells would show."""
    asked = []

    def wisher(seen):
        asked.append(seen.at)
        return {symbol: 0.05 * (len(asked) % 4) for symbol in seen.closes.columns}

    return wisher


def raising():
    return lambda seen: 1 / 0


def half():
    return lambda seen: {"AAPL": 0.5}


def test_cells_are_the_product_in_a_stated_order(path):
    cells = cells_of(
        ["lehman", path],
        {"m": "momentum_alpha", "h": "hold"},
        configs={"": RunConfig(), "stops": RunConfig(stop_distance=0.1)},
        portfolios={"rich": {"cash": 5.0}, "poor": {"cash": 1.0}},
        seeds=(3, 4),
    )
    assert len(cells) == 2 * 2 * 2 * 2 * 2
    assert str(cells[0]) == "lehman, m, rich, seed 3"
    assert str(cells[-1]) == "made, h, stops poor, seed 4"
    assert [cell.config.seed for cell in cells[:4]] == [3, 4, 3, 4]
    assert {cell.config.stop_distance for cell in cells if "stops" in cell.variant} == {0.1}


@pytest.mark.parametrize("wrong", [{"scenarios": []}, {"strategies": []}, {"strategies": "hold"}, {"seeds": ()}])
def test_an_empty_list_is_refused(wrong):
    given = {"scenarios": ["lehman"], "strategies": ["hold"]} | wrong
    with pytest.raises(BadInput, match=f"The {next(iter(wrong))} of a grid are"):
        cells_of(**given)
    with pytest.raises(BadInput, match="no cells"):
        run_grid([], InProcess())


def test_a_grid_gives_what_the_engine_gives(path):
    grid = run_grid(cells_of([path], ["momentum_alpha", half()], seeds=(1, 2)), InProcess())
    engine = ScenarioEngine()
    for one in grid:
        alone = engine.run(path, {one.cell.strategy_name: one.cell.strategy}, seed=one.cell.config.seed)
        assert one.result.digest == alone.digest
        assert one.standing is Standing.DONE


def test_two_hundred_runs_do_not_replay_two_hundred_times(store, monkeypatch):
    made = []
    whole = engine_module.replay
    monkeypatch.setattr(engine_module, "replay", lambda *given, **more: made.append(1) or whole(*given, **more))
    settings = {"a": RunConfig(), "b": RunConfig(cash_buffer=0.5)}
    cells = cells_of(["russia_2022"], ["hold"], seeds=range(4), configs=settings)
    grid = run_grid(cells, InProcess(), store=store)
    assert grid.count(Standing.DONE) == 8
    assert len(made) == 1
    assert len({one.result.data_hashes["path"] for one in grid}) == 1


def test_whoever_fails_fails_alone(path):
    def leaves(seen):
        raise SystemExit("bye")

    def loops(seen):
        while True:
            pass

    quick = RunConfig(time_limit_s=0.5)
    cells = [
        Cell(path, raising(), name="raises"),
        Cell(path, leaves),
        Cell(path, loops, config=quick),
        Cell(path, "no_such_strategy"),
        Cell(path, "hold", {"cash": -1.0}),
        Cell("no_such_crisis", "hold"),
        Cell(path, "hold"),
    ]
    grid = run_grid(cells, InProcess())
    assert [str(one.standing) for one in grid] == ["failed"] * 6 + ["done"]
    errors = [one.error for one in grid]
    assert errors[0] == "ZeroDivisionError: division by zero"
    assert "bye" in errors[1]
    assert errors[2] == "It took longer than 0.5 s."
    assert "no_such_strategy" in errors[3]
    assert "negative" in errors[4] or "-1.00" in errors[4]
    assert "no_such_crisis" in errors[5]
    frame = grid.to_frame()
    assert list(frame["strategy"]) == [
        "raises", "leaves", "loops", "no_such_strategy", "hold", "hold", "hold"
    ]  # fmt: skip
    assert frame["pnl"].isna().tolist() == [one.result is None for one in grid]
    assert grid.count(Standing.FAILED) == 6
    assert grid.is_complete


def test_a_strategy_that_cannot_travel_is_refused_before_anything_runs(path):
    lock = threading.Lock()
    seen = []
    with pytest.raises(BadInput, match=r"The strategy 'locked' cannot travel to a worker \(TypeError"):
        run_grid(
            [Cell(path, "hold"), Cell(path, lambda seen: lock and None, name="locked")],
            InProcess(),
            progress=lambda done, most: seen.append(done),
        )
    assert not seen


def test_progress_and_cancelling_keep_what_is_done(path):
    seen = []
    grid = run_grid(
        cells_of([path], ["hold"], seeds=range(5)),
        InProcess(),
        progress=lambda done, most: seen.append((done, most)),
        cancelled=lambda: len(seen) > 2,
    )
    assert seen == [(0, 5), (1, 5), (2, 5)]
    assert [str(one.standing) for one in grid] == ["done", "done", "not_run", "not_run", "not_run"]
    assert not grid.is_complete


def test_ctrl_c_keeps_what_is_done(path):
    class Interrupted(InProcess):
        def each(self, function, items, **more):
            yield from list(super().each(function, items[:2], **more))
            raise KeyboardInterrupt

    grid = run_grid(cells_of([path], ["hold"], seeds=range(4)), Interrupted())
    assert [str(one.standing) for one in grid] == ["done", "done", "not_run", "not_run"]


def test_what_a_place_gives_up_is_lost(path):
    class Losing(InProcess):
        def each(self, function, items, **more):
            yield 0, Lost("Its process died 3 times.")

    grid = run_grid([Cell(path, "hold")], Losing())
    assert (grid.cells[0].standing, grid.cells[0].error) == (Standing.LOST, "Its process died 3 times.")


def test_workers_with_other_data_are_found_out(path, monkeypatch):
    real = worker_of_cells._engine
    prices = iter([1.0, 1.1])

    class Other:
        def run(self, scenario, *given, **more):
            from dataclasses import replace

            return real(None).run(replace(path, close=path.close * next(prices)), *given, **more)

    monkeypatch.setattr(worker_of_cells, "_engine", lambda root: Other())
    with pytest.raises(DataError, match="Two workers made different paths of lehman: path"):
        run_grid([Cell("lehman", "hold"), Cell("lehman", "equal_weight")], InProcess())


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds=st.lists(st.integers(0, 1000), min_size=1, max_size=2, unique=True), turn=st.booleans())
def test_workers_give_the_bytes_of_one_process(dask, path, seeds, turn):
    chosen = ["momentum_alpha", with_memory(), raising()]
    cells = cells_of([path], chosen[::-1] if turn else chosen, seeds=seeds)
    here, there = run_grid(cells, InProcess()), run_grid(cells, dask)
    assert [one.digest for one in there] == [one.digest for one in here]
    assert there.digest == here.digest


def test_a_lambda_travels_and_a_table_compares(dask, path):
    grid = run_grid(cells_of([path], {"half": lambda seen: {"AAPL": 0.5}, "hold": "hold"}), dask)
    assert grid.count(Standing.DONE) == 2
    table = grid.table()
    assert list(table.columns) == ["half", "hold"]
    assert table.loc["made", "hold"] == 0
    assert grid.where == "LocalDask"


@pytest.mark.slow
def test_results_are_the_same_bytes_everywhere(path_of):
    cells = cells_of(
        [path_of(bars=8), path_of(seed=5, bars=8)], ["momentum_alpha", with_memory(), raising()], seeds=range(3)
    )
    digests = set()
    for place in (InProcess(), Processes(2), LocalDask(1), LocalDask(2)):
        digests.add(run_grid(cells, place).digest)
    assert len(digests) == 1


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: Processes(2), lambda: LocalDask(2)])
def test_a_worker_that_is_killed_in_the_middle_changes_no_result(path, tmp_path, make):
    marker = tmp_path / "died"

    def killed_once(seen):
        if os.environ.get("THIS_IS_THE_TEST") != str(os.getpid()) and not marker.exists():
            marker.write_text("now")
            os.kill(os.getpid(), signal.SIGKILL)
        return {"AAPL": 0.3}

    cells = cells_of([path], {"killed": killed_once, "memory": with_memory()}, seeds=range(6))
    os.environ["THIS_IS_THE_TEST"] = str(os.getpid())
    try:
        here = run_grid(cells, InProcess())
        assert not marker.exists()
        there = run_grid(cells, make())
    finally:
        del os.environ["THIS_IS_THE_TEST"]
    assert marker.exists(), "it was killed"
    assert there.digest == here.digest
    assert there.count(Standing.DONE) == 12


@pytest.mark.slow
def test_a_strategy_in_a_long_call_of_c_is_lost_alone(path, monkeypatch):
    monkeypatch.setattr("quantdesk.scenarios.grid.grid._GRACE_S", 20.0)
    quick = RunConfig(time_limit_s=1)
    sleeps = Cell(path, lambda seen: time.sleep(600), config=quick, name="sleeps")
    grid = run_grid([sleeps, *(Cell(path, "hold", config=quick) for _ in range(2))], Processes(2))
    assert [str(one.standing) for one in grid] == ["lost", "done", "done"]
    assert "took longer than" in grid.cells[0].error


def test_a_cell_alone(path):
    found = run_cell(Cell(path, "hold", {"cash": 10.0}))
    assert found.standing is Standing.DONE
    assert found.result.pnl_impact == 0
