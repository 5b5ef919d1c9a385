"""The notebooks that can run as reports: found by name, read, and checked. An edge module: it reads the disk.

A notebook is found by the name of its file without the ending (``02_strategy_backtest``), by a beginning that fits one
alone (``02``), or by a path to an ``.ipynb`` file. The folder is ``QUANTDESK_NOTEBOOKS``, otherwise ``notebooks/`` of
the checkout. What it declares stands in its metadata under ``quantdesk``, or beside it in ``<name>.toml``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError, UnknownName
from quantdesk.home import checkout
from quantdesk.records.fields import Where, places
from quantdesk.reports.declaration import Declaration, check_triggers, from_metadata, from_toml
from quantdesk.reports.spec import Parameter, check, read_parameters, refined

__all__ = ["NotebooksConfig", "Report", "find_report", "list_reports", "load"]

LARGEST = 50_000_000
"""Bytes of a notebook file; a template is a thousandth of that."""
LARGEST_DECLARATION = 1_000_000
"""Bytes of a declaration beside a notebook."""


class NotebooksConfig(BaseSettings):
    """Where the notebooks are.

    Parameters
    ----------
    notebooks
        The folder, from ``QUANTDESK_NOTEBOOKS``.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True)

    notebooks: Path | None = Field(default=None)

    @classmethod
    def from_env(cls) -> NotebooksConfig:
        """Read the environment."""
        return cls()

    @property
    def folder(self) -> Path:
        """The folder, whether it exists or not."""
        if self.notebooks is not None:
            return self.notebooks.expanduser().resolve()
        root = checkout()
        return (root or Path.cwd()) / "notebooks"


@dataclass(frozen=True)
class Report:
    """A notebook that can run as a report.

    Parameters
    ----------
    name
        The file's name without ``.ipynb``.
    path
        The file, absolute.
    title
        Its first heading; the name where there is none.
    description
        The first paragraph below the title; empty where there is none.
    parameters
        What it asks for, in the order of the notebook.
    sha256
        Of the file's bytes.
    declaration
        What it declares beyond its cells; every field has a default.
    """

    name: str
    path: Path
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    sha256: str
    declaration: Declaration = field(default_factory=Declaration)


def list_reports(
    config: NotebooksConfig | None = None, *, broken: Callable[[str, QuantdeskError], None] | None = None
) -> tuple[Report, ...]:
    """Every report, by name.

    Parameters
    ----------
    config
        Where they are.
    broken
        Told the name of a notebook that cannot be read, and why; the others are listed. Without it the first raises.

    Raises
    ------
    EnvironmentProblem
        The folder of notebooks is not there.
    DataError
        A file in it is no notebook, or its declaration is wrong, and nobody asked to be told.
    """
    files = _files(config or NotebooksConfig.from_env())
    names = [path.stem for path in files]
    found = []
    for path in files:
        try:
            found.append(_report(path, names))
        except DataError as error:
            if broken is None:
                raise
            broken(path.stem, error)
    return tuple(found)


def find_report(name: str | Report, config: NotebooksConfig | None = None) -> Report:
    """One report, by name, by a beginning that fits it alone, or by the path of an ``.ipynb`` file.

    One that was read already is given back as it is.

    Raises
    ------
    UnknownName
        No notebook has that name; the message offers near ones.
    BadInput
        The name fits several notebooks, or is a path that leads to no notebook.
    DataError
        The file is no notebook, or its declaration is wrong: the message names it and says why.
    """
    if isinstance(name, Report):
        return name
    if name.endswith(".ipynb") or "/" in name or "\\" in name or "\0" in name or name in {".", ".."}:
        return _report(_given(name))
    files = {path.stem: path for path in _files(config or NotebooksConfig.from_env())}
    if name in files:
        return _report(files[name], files)
    fitting = [stem for stem in files if name and stem.startswith(name)]
    if len(fitting) > 1:
        raise BadInput(f"{name!r} fits several reports: {', '.join(fitting)}.", "Write more of the name.")
    if not fitting:
        raise UnknownName("report", name[:200], files)
    return _report(files[fitting[0]], files)


def _given(name: str) -> Path:
    """The notebook at a path that was written out."""
    shown = ascii(name[:200])
    try:
        path = Path(name).expanduser().resolve()
        there = path.is_file() and path.suffix == ".ipynb"
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(
            f"{shown} is no path ({why}).", "Give the name of a report, or the path of a notebook."
        ) from error
    if not there:
        raise BadInput(f"There is no notebook {shown}.", "Give the name of a report, or the path of an .ipynb file.")
    return path


def _files(config: NotebooksConfig) -> list[Path]:
    try:
        return sorted(
            path for path in config.folder.iterdir() if path.suffix == ".ipynb" and not path.name.startswith(".")
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"The folder of notebooks {config.folder} cannot be read ({error.strerror}).",
            "Set QUANTDESK_NOTEBOOKS to the folder that holds them.",
        ) from error


def load(path: Path, *, largest: float = LARGEST) -> tuple[Any, str]:
    """A notebook in format 4, and the SHA-256 of its file.

    Parameters
    ----------
    path
        The file.
    largest
        Bytes that it may have.

    Raises
    ------
    DataError
        The file cannot be read, is no JSON, or is JSON but no valid notebook.
    """
    import nbformat
    from nbformat.validator import NotebookValidationError

    def refuse(reason: object) -> DataError:
        return DataError(f"{path} is no notebook that can be read: {reason}.", "Open and save it again in JupyterLab.")

    try:
        if path.stat().st_size > largest:
            raise refuse(f"it has more than {largest / 1e6:.0f} MB")
        content = path.read_bytes()
        document = json.loads(content.decode("utf-8"))
    except OSError as error:
        raise refuse(error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise refuse(f"it is no JSON ({error})") from error
    try:
        if document["nbformat"] != 4:
            raise refuse(f"its format is {document['nbformat']!r}, not 4")
        _identify(document)
        nbformat.validate(document)
        notebook = nbformat.reads(json.dumps(document), as_version=4)  # type: ignore[no-untyped-call]
    except NotebookValidationError as error:
        raise refuse(str(error.message).splitlines()[0][:200]) from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise refuse(f"it lacks what a notebook has ({type(error).__name__}: {str(error)[:200]})") from error
    return notebook, hashlib.sha256(content).hexdigest()


def _identify(document: Any) -> None:
    """Give cells the ids that an editor left out or copied; nbformat would warn and roll dice."""
    if document["nbformat_minor"] < 5:
        return
    seen: set[str] = set()
    for number, cell in enumerate(document["cells"]):
        if not isinstance(cell.get("id"), str) or cell["id"] in seen:
            cell["id"] = f"cell-{number}-{hashlib.sha256(repr(cell.get('source')).encode()).hexdigest()[:8]}"
        seen.add(cell["id"])


def _report(path: Path, known: Collection[str] | None = None) -> Report:
    """Read one; `known` are the names of all reports, None where there is no folder to ask."""
    notebook, digest = load(path)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) > 1:
        raise DataError(f"{path} has {len(tagged)} cells tagged parameters.", "Leave the tag on one of them.")
    parameters = read_parameters(tagged[0].source, where=str(path)) if tagged else ()
    declaration, where = _declared(path, notebook.metadata)
    parameters = refined(parameters, declaration.parameters, where)
    report = Report(path.stem, path, "", "", parameters, digest, declaration)
    _check_schedules(report, where)
    _check_after(report, where, known)
    title, description = _headline("\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"))
    return replace(
        report,
        title=declaration.title or title or path.stem,
        description=declaration.description or description,
    )


def _declared(path: Path, metadata: Any) -> tuple[Declaration, Where]:
    """The declaration of a notebook, and how to name a place in it."""
    beside = path.with_suffix(".toml")
    inside = metadata.get("quantdesk")
    if beside.is_file():
        if inside is not None:
            raise DataError(
                f"{path} declares itself twice: in its metadata under quantdesk, and in {beside.name}.",
                "Keep one of them.",
            )
        text = _text(beside)
        return from_toml(text, str(beside)), places(text, str(beside))
    if inside is None:
        return Declaration(), lambda _: str(path)
    # A notebook node is a dict of dicts; plain JSON again, so that it is read as any other.
    return from_metadata(json.loads(json.dumps(inside)), str(path)), lambda _: f"{path}, metadata.quantdesk"


def _text(beside: Path) -> str:
    try:
        if beside.stat().st_size > LARGEST_DECLARATION:
            raise DataError(f"{beside} has more than {LARGEST_DECLARATION:,} bytes.", "Declare less.")
        return beside.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"{beside} cannot be read ({reason}).", "Mend or remove it.") from error


def _check_schedules(report: Report, where: Where) -> None:
    """Refuse a schedule whose trigger or parameters nobody could run."""
    entries = report.declaration.schedules
    if not entries:
        return
    # Imported here: it takes a while that a report without a schedule need not spend.
    from quantdesk.reports.schedule import parse

    check_triggers(report.declaration, parse, str(report.path))
    for number, entry in enumerate(entries):
        try:
            check(report.parameters, entry.parameters, report=report.name)
        except BadInput as error:
            raise DataError(f"{where(('schedules', number, 'parameters'))}: {error.problem}", error.remedy) from error


def _check_after(report: Report, where: Where, known: Collection[str] | None) -> None:
    for number, name in enumerate(report.declaration.after):
        place = where(("after", number))
        if name == report.name:
            raise DataError(f"{place}: {name} would wait for itself.", "Name another report.")
        if known is not None and name not in known:
            raise DataError(f"{place}: there is no report {name!r}.", UnknownName("report", name, known).remedy)


def _headline(prose: str) -> tuple[str, str]:
    """The first heading, and the first paragraph below it, as plain text."""
    heading = re.search(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", prose, re.MULTILINE)
    below = prose[heading.end() :] if heading else prose
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", below))
    first = next((part for part in paragraphs if part and part[0] not in "#<|>`-*!"), "")
    return (heading.group(1) if heading else ""), re.sub(r"[*_`]|\[([^\]]*)\]\([^)]*\)", r"\1", first)
