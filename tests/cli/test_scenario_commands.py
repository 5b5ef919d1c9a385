"""``quantdesk scenario``: what its commands print, in words and as JSON, and how they end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import pytest

PROGRAM = Path(sys.executable).with_name("quantdesk")
SHORT = "volmageddon"

BUYS = "def strategy(seen):\n    print('hello')\n    return {'AAPL': 0.1} if not len(seen.bars) else None\n"


@pytest.fixture(scope="module")
def state(prepared: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with the bundled market data; beside it a notebook and a module that trade."""
    state: Path = prepared.state(tmp_path_factory.mktemp("state"))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BUYS, id="buys")])
    nbformat.write(book, state / "carry.ipynb")
    (state / "ours.py").write_text(BUYS + "weights = {}\n")
    (state / "portfolio.json").write_text(json.dumps({"cash": 1000, "AAPL": 100}))
    return state


def environment(state: Path, **env: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QUANTDESK_")}
    return {**kept, "QUANTDESK_STATE": str(state), "QUANTDESK_COMPUTE_PROCESSES": "1", "COLUMNS": "120", **env}


def program(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, in a process of its own, which takes seconds to import what a scenario needs."""
    command = [str(PROGRAM), "scenario", *arguments]
    return subprocess.run(command, env=environment(state), cwd=state, capture_output=True, text=True, check=False)


def call(state: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The same in this process: what it prints, and its exit code."""
    from quantdesk.cli import main

    told, complained = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment(state, **env), clear=True),
        mock.patch.object(sys, "argv", [str(PROGRAM), "scenario", *arguments]),
        mock.patch.object(sys, "path", list(sys.path)),
        contextlib.chdir(state),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), told.getvalue(), complained.getvalue())


def answer(state: Path, *arguments: str) -> Any:
    done = call(state, *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_list_needs_no_data_and_imports_nothing_heavy(tmp_path: Path) -> None:
    found = answer(tmp_path, "list")
    assert {"lehman_2008", "covid_2020", "flash_crash_2010"} <= {one["name"] for one in found}
    words = program(tmp_path, "list").stdout
    assert len(words.splitlines()) == len(found) + 1
    script = (
        "import sys; sys.argv = ['quantdesk', 'scenario', 'list']\n"
        "from quantdesk.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('pandas', 'numpy', 'scipy', 'numba', 'arch', 'QuantLib', 'distributed')\n"
        "print([one for one in heavy if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_run_with_a_notebook_and_a_function_is_one_json_document(state: Path) -> None:
    found = answer(state, "run", SHORT, "-s", "carry.ipynb", "-s", "ours:strategy", "--portfolio", "portfolio.json")
    assert found["scenario_id"].startswith("volmageddon_2018-")
    notebook, module = found["by_strategy"]
    assert [notebook["strategy"], module["strategy"]] == ["carry", "ours:strategy"]
    assert notebook["pnl"] == module["pnl"] < 0
    assert notebook["orders"] > 0
    assert found["results"]["pnl_impact"] == pytest.approx(notebook["pnl"], abs=0.02)


def test_a_run_in_words_says_what_is_real_and_how_fast_limits_were_seen(state: Path) -> None:
    done = program(state, "run", SHORT, "-p", "cash=1000000")
    lines = done.stdout.splitlines()
    (data,) = [line for line in lines if line.startswith("  data ")]
    assert data == (
        "  data      75 % real · 25 % reconstructed · 0 % simulated · 0 % missing; of what is traded 100 % real"
    )
    (seen,) = [line for line in lines if line.startswith("  detected ")]
    assert re.search(r"alerts saw \d+ of \d+ breaches of limits, half of them within \d+ s", seen)
    assert "adjusted with hindsight" in done.stdout
    header, row = next((lines[n], lines[n + 1]) for n, line in enumerate(lines) if line.startswith("strategy\t"))
    told = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    causes = ("price $", "spread $", "impact $", "fees $", "unfilled $")
    total = sum(float(told[cause].replace(",", "")) for cause in causes)
    assert total == pytest.approx(float(told["P&L $"].replace(",", "")), abs=3)
    assert told["to sell it"].endswith("$")
    assert any(line.startswith("DAY_LOSS\t") for line in lines)


def test_a_shock_prints_its_moves_and_the_error_of_the_method(state: Path) -> None:
    done = call(state, "shock", "equity_crash", "0.2", "--absolute", "--days", "3", "-s", "hold", "-p", "SPX=100")
    assert done.returncode == 0, done.stderr
    assert "SPX\tshocked\t-20.00 %\t-20.00 %" in done.stdout
    assert "simulated shock" in done.stdout
    assert "How wrong this method was" in done.stdout


def test_reverse_says_how_far_and_when_it_was_as_bad(state: Path) -> None:
    found = answer(state, "reverse", "10000", "-p", "AAPL=1000", "--era", "crisis_2008")
    (one,) = found.values()
    assert one["reached"]
    assert one["loss"] == pytest.approx(10_000, rel=0.01)
    assert one["distance"] > 0
    assert one["nearest"]


def test_reverse_in_words_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import pandas as pd
    from rich.console import Console

    from quantdesk.cli import scenario_reverse, scenario_screen, terminal
    from quantdesk.scenarios.reverse import Search, reverse_stress
    from quantdesk.scenarios.shocks import ERAS, Covariance

    names = tuple(f"SYM{number}" for number in range(14))
    matrix = 1e-4 * (np.eye(14) + 1)
    cov = Covariance(names, matrix, ERAS["calm_2014_2016"], 500)
    drawn = np.random.default_rng(3).standard_normal((300, 14)) @ np.linalg.cholesky(matrix).T
    moves = pd.DataFrame(drawn, pd.bdate_range("2014-01-02", periods=300), list(names))

    def loss(factors: Any) -> float:
        return float(-1e6 * factors.sum())

    found = {
        "one": reverse_stress(loss, 0.9e6, cov, history=moves, search=Search(windows=(1, 5))),
        "two": reverse_stress(loss, 9e9, cov, search=Search(bound=3, starts=1)),
    }
    wide = Console(width=110, force_terminal=True, color_system=None, highlight=False, soft_wrap=True)
    for module in (terminal, scenario_screen, scenario_reverse):
        monkeypatch.setattr(module, "out", wide)
    with wide.capture() as shown:
        scenario_reverse.show_reverse(found)
    lines = shown.get().splitlines()
    assert max(map(len, lines)) <= 110
    told = " ".join(" ".join(lines).split())
    assert "deviations to a loss of 900,000 $ (limit 900,000 $)" in told
    assert "… and 2 more" in told
    assert "the nearest" in told
    assert "is not reached within 3 standard deviations" in told
    assert "held_still" in scenario_reverse.reverse_document(found["one"])
    assert max(map(len, found["one"].text().splitlines())) <= 100


def test_compare_tells_every_strategy_in_every_scenario(state: Path) -> None:
    chosen = ["--scenario", SHORT, "--scenario", "yuan", "-s", "hold", "-s", "carry.ipynb"]
    found = answer(state, "compare", *chosen, "-p", "cash=10000")
    assert {(one["scenario"], one["strategy"]) for one in found} == {
        (scenario, strategy) for scenario in ("volmageddon_2018", "yuan_2015") for strategy in ("hold", "carry")
    }
    assert all(one["error"] == "" for one in found)
    assert [one["pnl"] for one in found if one["strategy"] == "hold"] == [0.0, 0.0]
    assert all(one["pnl"] != 0 for one in found if one["strategy"] == "carry")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["run", "lehmann"], "UnknownName", "Did you mean lehman"),
        (["run", SHORT, "-s", "momentum_alfa"], "UnknownName", "Did you mean momentum_alpha"),
        (["run", SHORT, "-s", "nothing.ipynb"], "BadInput", "no notebook 'nothing.ipynb'"),
        (["run", SHORT, "-s", "ours:strateg"], "UnknownName", "Did you mean strategy"),
        (["run", SHORT, "-s", "ours:weights"], "BadInput", "cannot be called"),
        (["run", SHORT, "-s", "no_such_module:strategy"], "BadInput", "ModuleNotFoundError"),
        (["run", SHORT, "-s", "hold", "-s", "hold"], "BadInput", "given twice"),
        (["run", SHORT, "-s", "; rm -rf"], "BadInput", "no strategy"),
        (["run", SHORT, "-p", "AAPL"], "BadInput", "NAME=QUANTITY"),
        (["run", SHORT, "--portfolio", "none.json"], "DataError", "none.json"),
        (["shock", "equity_crash", "0"], "BadInput", "is 0"),
        (["shock", "asteroid", "3"], "UnknownName", "asteroid"),
        (["reverse", "1000", "-p", "AAPL=5", "--on", "yesterday"], "BadDates", "yesterday"),
        (["compare", "--scenario", "nothing_2050"], "UnknownName", "nothing_2050"),
    ],
)
def test_bad_input_is_one_sentence_with_its_exit_code(
    state: Path,
    arguments: list[str],
    kind: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from quantdesk.cli import main

    monkeypatch.setenv("QUANTDESK_STATE", str(state))
    monkeypatch.chdir(state)
    monkeypatch.syspath_prepend(str(state))
    monkeypatch.setattr(sys, "argv", ["quantdesk", "scenario", *arguments, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == (3 if kind == "DataError" else 2)
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == kind
    assert words in told["problem"] + told["remedy"]


def test_bad_input_in_words_goes_to_the_standard_error(state: Path) -> None:
    done = call(state, "run", "lehmann")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean lehman" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_narrow_terminal_breaks_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from rich.console import Console

    from quantdesk.cli import scenario_screen, terminal
    from quantdesk.scenarios import Account, Attribution, Event, StressResult

    ends, causes = np.array([0, 86_400_000_000_000]), dict.fromkeys(("price", "spread", "impact", "fees"), -320_393.0)
    breach = Event(
        ends[1], "risk_limit_breach", "SECTOR_CONCENTRATION", "", "60.53% of the equity; 60.00% is the limit."
    )
    account = Account(
        "momentum_alpha", ends, np.array([1e6, 679_607.0]), Attribution({}, {}, causes), breaches=(breach,)
    )
    result = StressResult("made", "A title that is long enough " * 2, (account,), {"traded": 1.0}, {}, {}, 7, {})
    for width in (80, 110):
        shown = Console(width=width, force_terminal=True, color_system=None, highlight=False, soft_wrap=True)
        for module in (terminal, scenario_screen):
            monkeypatch.setattr(module, "out", shown)
        with shown.capture() as told:
            scenario_screen.show_result(result)
        lines = told.get().splitlines()
        assert max(len(line.rstrip()) for line in lines) <= width
        assert sum(line.count("-320,393") for line in lines) == 6
        assert any("SECTOR_CONCENTRATION" in line for line in lines)
