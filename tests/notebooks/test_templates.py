"""The templates as files: stripped, parameterised, with stable cells, and of this house."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = [
    "01_feature_exploration",
    "02_strategy_backtest",
    "03_model_training",
    "04_risk_analysis",
    "05_performance_attribution",
    "06_execution_quality",
    "07_scenario_stress",
    "08_daily_risk",
    "09_data_freshness",
]


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(FOLDER / f"{request.param}.ipynb", as_version=nbformat.NO_CONVERT)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def test_it_is_valid_and_stripped(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert set(cell.metadata) <= {"tags"}
    kernel = {"display_name": "quantdesk", "language": "python", "name": "quantdesk"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}


def test_its_cells_have_names_that_stay(notebook):
    names = [cell.id for cell in notebook.cells]
    assert len(names) == len(set(names))
    assert names[:3] == ["title", "parameters", "imports"]
    assert names[-1] == "metrics"
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_its_parameters_are_plain_literals_with_help(notebook):
    (cell,) = tagged(notebook, "parameters")
    found = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, (ast.Assign, ast.AnnAssign))
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        found[target.id] = ast.literal_eval(statement.value)
        assert "  # " in cell.source.splitlines()[statement.end_lineno - 1]  # shown as its help
    assert {"symbols", "start_date", "end_date"} <= set(found)
    assert "AAPL" in found["symbols"]


def test_it_teaches_asserts_labels_and_draws(notebook):
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert prose.startswith("# ")
    assert "**How to read it.**" in prose
    assert "**Where people go wrong**" in prose
    assert len(prose.split()) > 250
    assert code.count("assert ") >= 5
    assert "is_pit_validated" in code
    assert "theme.label_line(" in code
    assert code.count("figures.") >= 3
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and number > 2:
            before = notebook.cells[number - 1]
            assert before.cell_type in ("markdown", "code")
    assert max(len(line) for line in code.splitlines()) <= 120


def test_its_logic_lives_in_the_package(notebook):
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    tree = ast.parse(code)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert len(functions) <= 2
    assert all(len(function.body) <= 6 for function in functions)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_its_last_cell_prints_its_numbers_for_a_program(notebook):
    (cell,) = tagged(notebook, "metrics")
    assert cell is notebook.cells[-1]
    assert "json.dumps(metrics" in cell.source
    assert '"labels"' in cell.source


def test_marked_cells_print_and_draw_nothing(notebook):
    marked = tagged(notebook, "nbval-check-output")
    assert len(marked) >= 2
    for cell in marked:
        assert "figures." not in cell.source
        assert "print(" in cell.source or "Markdown(" in cell.source


def test_no_two_templates_share_a_title():
    titles = [json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"][0]["source"][0] for name in NAMES]
    assert len(set(titles)) == len(NAMES)
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
