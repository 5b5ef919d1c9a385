"""A notebook as a strategy: its cells are run, and its function ``strategy`` trades. An edge module: it reads files.

>>> from quantdesk.reports.strategy import from_notebook
>>> ours = from_notebook("research/carry.ipynb", {"window": 60})             # doctest: +SKIP
>>> ScenarioEngine().run("lehman", [ours, "momentum_alpha"])                 # doctest: +SKIP

The notebook defines ``strategy(seen)``, which is called after each bar with a
:class:`~quantdesk.scenarios.strategies.Seen` and answers with weights by symbol, or None to stay. Every run starts on a
namespace of its own: what an earlier run left in a variable, the future of the next one perhaps, is gone. The code runs
in the process of the scenario, with all that this process may do; run no notebook that you would not run yourself.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput, DataError
from quantdesk.reports.notebooks import LARGEST, load
from quantdesk.reports.spec import check, read_parameters
from quantdesk.scenarios.run.limit import TookTooLong, within
from quantdesk.scenarios.strategies import Seen, Weights

__all__ = ["NotebookStrategy", "from_notebook"]

_FUNCTION = "strategy"
_FORM = "Let it define strategy(seen), which returns weights by symbol, or None to stay."
_OF_THE_SCREEN = frozenset({"matplotlib", "config", "load_ext", "reload_ext", "autoreload"})
"""Magics about how a notebook looks or is edited; they are passed over."""

Namespace = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A code cell: its number among the code cells from 1, and its source."""

    number: int
    source: str


@dataclass(frozen=True)
class NotebookStrategy:
    """A strategy that stands in a notebook. It travels to workers as text, and is run where it is used.

    Attributes
    ----------
    path
        The file, absolute: for messages; it is not read again.
    cells
        What is run, in this order, the values of parameters among it.
    sha256
        Of the file.
    """

    path: str
    cells: tuple[Cell, ...]
    sha256: str
    _fresh: list[Callable[[Seen], Weights | None]] = field(default_factory=list, repr=False, compare=False)
    _used: list[Callable[[Seen], Weights | None]] = field(default_factory=list, repr=False, compare=False)

    @property
    def __name__(self) -> str:
        return Path(self.path).stem

    def __call__(self, seen: Seen) -> Weights | None:
        """What the notebook's function answers.

        Raises
        ------
        DataError
            A cell or the function raised: the message names the cell, the line and the error.
        """
        if not self._used or not len(seen.bars):  # a run begins
            self._used[:] = [self._fresh.pop() if self._fresh else self._loaded()]
        try:
            return self._used[0](seen)
        except Exception as error:
            raise self._failed(error) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fresh": [], "_used": []}

    def prepare(self) -> None:
        """Run the cells once, for the errors; the first run goes on from there."""
        self._fresh[:] = [self._loaded()]

    def _loaded(self) -> Callable[[Seen], Weights | None]:
        namespace: Namespace = {"__name__": self.__name__, "__file__": self.path, "display": _shown_nowhere}
        for cell in self.cells:
            name = self._place(cell.number)
            linecache.cache[name] = (len(cell.source), None, cell.source.splitlines(keepends=True), name)
            tree = _parsed(cell, self.path)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(tree, name, "exec"), namespace)  # noqa: S102 (the user's own notebook)
            except (Exception, SystemExit) as error:
                raise self._failed(error) from error
        found = namespace.get(_FUNCTION)
        if not callable(found):
            own = sorted(
                name
                for name, one in namespace.items()
                if callable(one) and getattr(one, "__module__", "") == self.__name__
            )
            it_has = f": it has {', '.join(own)}." if own else "."
            raise DataError(f"{self.path} has no function {_FUNCTION}{it_has}", _FORM)
        return found  # type: ignore[no-any-return]

    def _place(self, number: int) -> str:
        return f"<{self.path}, cell {number}>"

    def _failed(self, error: BaseException) -> DataError:
        """What a cell or the function raised, with where it did: the innermost line that stands in the notebook."""
        places = {self._place(cell.number): cell.number for cell in self.cells}
        where = [
            (places[frame.filename], frame.lineno)
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename in places
        ]
        at = f" in cell {where[-1][0]}, line {where[-1][1]}" if where else ""
        return DataError(f"{self.path} failed{at}: {type(error).__name__}: {error}.", "Run the notebook in JupyterLab.")


def from_notebook(
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    time_limit_s: float = 60.0,
    largest: float = LARGEST,
) -> NotebookStrategy:
    """The strategy of a notebook.

    Parameters
    ----------
    path
        An ``.ipynb`` file.
    parameters
        Values for the cell tagged ``parameters``, as for a report: they are set after it.
    time_limit_s
        Seconds that the cells may take now. In a run its own limit holds.
    largest
        Bytes that the file may have.

    Raises
    ------
    BadInput
        There is no such file, or the time is over.
    BadParameter
        The notebook has no such parameter, or it is of another type.
    DataError
        It is no notebook, a cell raises, uses a magic or a shell, or no function ``strategy`` comes out of it.
    """
    file = Path(path).expanduser()
    if file.suffix != ".ipynb" or not file.is_file():
        raise BadInput(f"There is no notebook {str(path)[:200]!r}.", "Give the path of an .ipynb file.")
    file = file.resolve()
    notebook, digest = load(file, largest=largest)
    made = NotebookStrategy(str(file), _cells(notebook, dict(parameters or {}), str(file)), digest)
    try:
        within(time_limit_s, made.prepare)
    except TookTooLong:
        raise BadInput(
            f"The cells of {file} took longer than {time_limit_s:g} s.", "Compute less, or save what is slow to a file."
        ) from None
    return made


def _cells(notebook: Any, given: dict[str, Any], where: str) -> tuple[Cell, ...]:
    """The code cells, the values that were given right after the one that declares them."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [place for place, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) > 1:
        raise DataError(f"{where} has {len(tagged)} cells tagged parameters.", "Leave the tag on one of them.")
    declared = read_parameters(code[tagged[0]].source, where=where) if tagged else ()
    values = check(declared, given, report=Path(where).stem)
    cells = [Cell(number, cell.source) for number, cell in enumerate(code, start=1)]
    if values:
        lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        cells.insert(tagged[0] + 1, Cell(0, lines))
    return tuple(cells)


def _parsed(cell: Cell, path: str) -> ast.Module:
    """The statements of a cell, its lines as in the notebook.

    Raises
    ------
    DataError
        It is no Python, or asks for what only a kernel of IPython has.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        source = TransformerManager().transform_cell(cell.source)  # type: ignore[no-untyped-call]
        # It drops empty lines at the beginning; errors should name the lines that a reader sees.
        dropped = cell.source[: len(cell.source) - len(cell.source.lstrip())].count("\n")
        tree = ast.parse("\n" * dropped + source)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        told = error.msg if isinstance(error, SyntaxError) else str(error)
        raise DataError(f"Cell {cell.number}{line} of {path} is no Python: {told}.", "Correct it.") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("get_ipython("):
            what = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if ast.unparse(node.func).endswith("run_line_magic") and what and what[0] in _OF_THE_SCREEN:
                node.func, node.args = ast.copy_location(ast.Name("bool", ast.Load()), node.func), []  # does nothing
                continue
            lines = cell.source.splitlines()
            told = lines[node.lineno - 1].strip() if node.lineno <= len(lines) else ""
            raise DataError(
                f"Cell {cell.number}, line {node.lineno} of {path} needs a kernel of IPython: {told[:80]}.",
                "Write it in plain Python: a scenario has no magics and no shell.",
            )
    return tree


def _shown_nowhere(*what: object, **how: object) -> None:
    """``display`` of a notebook that nobody looks at."""
