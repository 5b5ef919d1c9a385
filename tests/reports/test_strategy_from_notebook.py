"""A strategy that stands in a notebook: what it may hold, how it fails, how it travels."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, BadParameter, DataError
from quantdesk.reports.strategy import from_notebook
from quantdesk.scenarios.strategies import Seen

COUNTS = """\
calls = []
def strategy(seen):
    calls.append(seen.at)
    return {"AAPL": share, "JPM": len(calls) / 100}
"""


def seen(bars: int) -> Seen:
    """What is seen after so many bars."""
    index = pd.date_range("2008-09-15 20:00", periods=bars + 1, freq="D", tz="UTC")
    closes = pd.DataFrame({"AAPL": np.arange(bars + 1.0), "JPM": 1.0}, index=index)
    return Seen(index[-1], closes, closes.iloc[1:], {}, 1e6, 1e6)


def test_the_function_of_the_notebook_trades_with_its_parameters(notebook) -> None:
    path = notebook("mine", ["#md # Carry", "share: float = 0.1", COUNTS, "print('hello')"], {1: "parameters"})
    plain, changed = from_notebook(path), from_notebook(path, {"share": 0.3})
    assert plain.__name__ == "mine"
    assert plain(seen(0)) == {"AAPL": 0.1, "JPM": 0.01}
    assert changed(seen(0)) == {"AAPL": 0.3, "JPM": 0.01}


def test_what_a_cell_prints_goes_nowhere(notebook, capsys: pytest.CaptureFixture[str]) -> None:
    from_notebook(notebook("loud", ["print('hello')", "display(3)", "def strategy(seen): return None"]))
    assert capsys.readouterr().out == ""


def test_a_run_finds_nothing_of_the_run_before(notebook) -> None:
    """What a strategy kept of an earlier run would be the future in the next one."""
    ours = from_notebook(notebook("mine", ["share = 0.1", COUNTS]))
    first = [ours(seen(bars)) for bars in range(3)]
    again = [ours(seen(bars)) for bars in range(3)]
    assert [one["JPM"] for one in first] == [0.01, 0.02, 0.03]
    assert again == first


def test_it_travels_as_text_and_needs_no_file_there(notebook) -> None:
    path = notebook("mine", ["share = 0.1", COUNTS])
    ours = from_notebook(path)
    packed = cloudpickle.dumps(ours)
    path.unlink()
    arrived = cloudpickle.loads(packed)
    assert arrived == ours
    assert arrived(seen(0)) == {"AAPL": 0.1, "JPM": 0.01}


def test_magics_of_the_screen_are_passed_over(notebook) -> None:
    cells = [
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nx = 0.5",
        "def strategy(seen): return {'JPM': x}",
    ]
    assert from_notebook(notebook("mine", cells))(seen(0)) == {"JPM": 0.5}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["x = 1", "def strategie(seen): return None"], r"no function strategy: it has strategie\."),
        (["strategy = 3"], r"no function strategy\."),
        ([], r"no function strategy\."),
        (["x = 1", "y = 2\nz = 1 / 0"], "in cell 2, line 2: ZeroDivisionError: division by zero"),
        (["#md words", "import no_such_module_of_ours"], "in cell 1, line 1: ModuleNotFoundError"),
        (["raise SystemExit(3)"], "in cell 1, line 1: SystemExit: 3"),
        (["x = 1", "\ndef strategy(seen:"], "Cell 2, line 2 .* is no Python"),
        (["x = 1\n!pip install something"], "Cell 1, line 2 .*IPython: !pip install something"),
        (["%%time\nx = 1"], "Cell 1, line 1 .*IPython: %%time"),
        (["files = !ls"], "IPython: files = !ls"),
    ],
)
def test_a_notebook_that_is_no_strategy_says_where_and_why(notebook, cells: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        from_notebook(notebook("mine", cells))


def test_an_error_of_the_function_names_its_line(notebook) -> None:
    cells = ["def deep(x):\n    return x['GME']", "def strategy(seen):\n\n    return deep(seen.positions)"]
    with pytest.raises(DataError, match=r"mine.ipynb failed in cell 1, line 2: KeyError: 'GME'"):
        from_notebook(notebook("mine", cells))(seen(0))


def test_cells_that_never_end_are_ended(notebook) -> None:
    with pytest.raises(BadInput, match=r"longer than 0\.2 s"):
        from_notebook(notebook("mine", ["while True: pass"]), time_limit_s=0.2)


def test_parameters_are_checked_as_those_of_a_report(notebook) -> None:
    path = notebook("mine", ["share: float = 0.1", COUNTS], {0: "parameters"})
    with pytest.raises(BadParameter, match="Did you mean share"):
        from_notebook(path, {"shares": 0.2})
    with pytest.raises(BadParameter, match="'much'"):
        from_notebook(path, {"share": "much"})
    with pytest.raises(DataError, match="2 cells tagged"):
        from_notebook(notebook("two", ["a = 1", "b = 1"], {0: "parameters", 1: "parameters"}))


@pytest.mark.parametrize("content", ["", "{}", "[1, 2", json.dumps({"nbformat": 3, "worksheets": []})])
def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.ipynb"
    file.write_text(content)
    with pytest.raises(DataError, match="no notebook"):
        from_notebook(file)


def test_a_path_to_nothing_and_a_huge_file_are_refused(notebook, tmp_path: Path) -> None:
    for path in (tmp_path / "none.ipynb", tmp_path, tmp_path / "x.py"):
        with pytest.raises(BadInput, match="no notebook"):
            from_notebook(path)
    with pytest.raises(DataError, match="more than"):
        from_notebook(notebook("mine", [COUNTS]), largest=100)


def test_two_strategies_of_different_parameters_are_not_equal(notebook) -> None:
    path = notebook("mine", ["share: float = 0.1", COUNTS], {0: "parameters"})
    assert from_notebook(path) == from_notebook(path)
    assert from_notebook(path) != from_notebook(path, {"share": 0.2})
    assert dataclasses.replace(from_notebook(path)) == from_notebook(path)
