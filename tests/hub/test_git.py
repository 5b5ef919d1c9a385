"""Git in a user's server: notebooks are committed without outputs, compared and merged cell by cell, by real git."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest

from quantdesk.hub.lab.git import install


class Repository:
    """A repository of a user whose server has our configuration."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder = folder
        named = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        own = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "GIT_CONFIG_SYSTEM": str(config)}
        self._env = {**own, **dict.fromkeys(named, "ana@example.invalid")}
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, *sources: str, output: str = "") -> None:
        book = nbformat.v4.new_notebook()
        for number, source in enumerate(sources):
            cell = nbformat.v4.new_code_cell(source, id=f"cell-{number}", execution_count=7 if output else None)
            cell.outputs = [nbformat.v4.new_output("stream", text=output)] if output else []
            book.cells.append(cell)
        nbformat.write(book, self.folder / "a.ipynb")

    def commit(self, message: str) -> None:
        self.git("add", "a.ipynb")
        self.git("commit", "-qm", message)

    def kept(self) -> Any:
        return json.loads(self.git("show", ":a.ipynb"))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    lab = tmp_path / 'a "lab", odd'
    lab.mkdir()
    return Repository(tmp_path / "work", install(lab))


def test_outputs_stay_at_home_and_cells_keep_their_names(repository: Repository) -> None:
    repository.write("print('a secret')", output="a secret\n")
    repository.commit("one")
    (cell,) = repository.kept()["cells"]
    assert (cell["outputs"], cell["execution_count"], cell["id"]) == ([], None, "cell-0")
    assert "a secret" in json.loads((repository.folder / "a.ipynb").read_text())["cells"][0]["outputs"][0]["text"][0]
    repository.write("print('a secret')", output="another secret\n")
    repository.git("add", "a.ipynb")
    assert repository.git("status", "--short") == ""  # to run it again is no change


def test_what_is_no_notebook_is_not_committed_as_one(repository: Repository) -> None:
    (repository.folder / "a.ipynb").write_text("{ broken")
    assert "a.ipynb" in repository.git("add", "a.ipynb", code=128)


def test_differences_and_merges_are_of_cells(repository: Repository) -> None:
    repository.write("a = 1", "b = 2")
    repository.commit("one")
    repository.git("checkout", "-q", "-b", "other")
    repository.write("a = 1", "b = 3")
    assert "modified /cells/1/source" in repository.git("diff")
    repository.commit("other")
    repository.git("checkout", "-q", "main")
    repository.write("a = 0", "b = 2")
    repository.commit("mine")
    repository.git("merge", "-q", "other")
    assert ["".join(cell["source"]) for cell in repository.kept()["cells"]] == ["a = 0", "b = 3"]


def test_what_a_user_sets_goes_before_it(repository: Repository) -> None:
    repository.git("config", "--global", "filter.nbstripout.clean", "cat")
    repository.write("print(1)", output="1\n")
    repository.commit("with outputs")
    assert repository.kept()["cells"][0]["outputs"]


def test_it_is_written_once(tmp_path: Path) -> None:
    first = install(tmp_path)
    when = first.stat().st_mtime_ns
    assert install(tmp_path).stat().st_mtime_ns == when
    assert first.stat().st_mode & 0o777 == (tmp_path / "gitattributes").stat().st_mode & 0o777 == 0o644
