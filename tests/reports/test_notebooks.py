"""Notebooks are found by name, and what cannot be read is named with its reason."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.reports import find_report, list_reports
from quantdesk.reports.notebooks import load


@pytest.fixture
def shelf(state: Path, notebook) -> Path:
    first = ["#md # First look\n\nWhat *it* does, with [a link](https://example.org).", "window = 20  # sessions"]
    path = notebook("01_first", first, {1: "parameters"})
    notebook("02_second", ["#md ## Second", "1"])
    notebook("02_third", ["1"])
    (path.parent / ".hidden.ipynb").write_text("not shown")
    (path.parent / "notes.txt").write_text("not a notebook")
    return path.parent


def test_every_notebook_is_listed_with_what_it_asks_for(shelf: Path) -> None:
    first, second, third = list_reports()
    assert (first.name, first.title, first.description) == ("01_first", "First look", "What it does, with a link.")
    assert [(item.name, item.default, item.help) for item in first.parameters] == [("window", 20, "sessions")]
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert (second.title, third.title, third.parameters) == ("Second", "02_third", ())


def test_a_name_a_beginning_and_a_path_find_it(shelf: Path, tmp_path: Path) -> None:
    assert find_report("01_first").path == shelf / "01_first.ipynb"
    assert find_report("01").name == "01_first"
    assert find_report("02_s").name == "02_second"
    assert find_report(str(shelf / "02_third.ipynb")).name == "02_third"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    try:
        assert find_report("../notebooks/02_third.ipynb").name == "02_third"
    finally:
        os.chdir("/")


def test_a_beginning_of_several_is_refused(shelf: Path) -> None:
    with pytest.raises(BadInput, match="'02' fits several reports: 02_second, 02_third"):
        find_report("02")


@pytest.mark.parametrize("name", ["03", "01_frist", "", "01_first ", "*", "%2e%2e", "x" * 5000])
def test_an_unknown_name_offers_what_there_is(shelf: Path, name: str) -> None:
    with pytest.raises(UnknownName) as refused:
        find_report(name)
    assert "01_first" in refused.value.remedy
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "name", ["../01_first", "..", ".", "/etc/passwd", "a/../01_first", "x\0y", "..\\x", "/", "no.ipynb", "x/" * 4000]
)
def test_a_name_never_leads_out_of_the_folder(shelf: Path, name: str) -> None:
    with pytest.raises(BadInput) as refused:
        find_report(name)
    assert refused.value.remedy
    assert len(str(refused.value)) < 500


@given(st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_name_finds_or_refuses(shelf: Path, name: str) -> None:
    with contextlib.suppress(BadInput):
        assert find_report(name).path.is_file()


BROKEN = {
    "empty": (b"", "it is no JSON"),
    "cut": (b'{"cells": [', "it is no JSON"),
    "binary": (b"\xff\xfe\x00", "it is no JSON"),
    "deep": (b"[" * 100_000, "it is no JSON"),
    "list": (b"[]", "it lacks what a notebook has"),
    "object": (b"{}", "it lacks what a notebook has"),
    "old": (b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}', "its format is 3"),
    "cells": (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 7}', "it lacks"),
    "cell": (
        b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        "required property",
    ),
    "metadata": (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": [], "cells": []}', "is not of type"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_notebook_is_named_with_the_reason(state: Path, kind: str) -> None:
    content, reason = BROKEN[kind]
    path = state.parent / "notebooks" / f"{kind}.ipynb"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as refused:
        find_report(kind)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 800


def test_an_unreadable_file_is_named(state: Path) -> None:
    (state.parent / "notebooks" / "folder.ipynb").mkdir()
    with pytest.raises(DataError, match=r"folder\.ipynb is no notebook that can be read: Is a directory"):
        find_report("folder")


def test_two_parameter_cells_are_refused(notebook, state: Path) -> None:
    notebook("twice", ["a = 1", "b = 2"], {0: "parameters", 1: "parameters"})
    with pytest.raises(DataError, match="has 2 cells tagged parameters"):
        find_report("twice")


def test_a_parameters_cell_that_is_no_data_names_the_file(notebook, state: Path) -> None:
    path = notebook("code", ["import os"], {0: "parameters"})
    with pytest.raises(DataError, match="line 1 is no assignment") as refused:
        find_report("code")
    assert str(path) in str(refused.value)


def test_missing_and_double_cell_ids_are_mended_without_a_warning(notebook, state: Path) -> None:
    path = notebook("plain", ["1"])
    book = json.loads(path.read_text())
    book["cells"] = [{**book["cells"][0], "id": "same"}, {**book["cells"][0], "id": "same"}, book["cells"][0]]
    del book["cells"][2]["id"]
    path.write_text(json.dumps(book))
    ids = [cell.id for cell in load(path)[0].cells]
    assert len(set(ids)) == 3
    assert ids == [cell.id for cell in load(path)[0].cells]


def test_a_missing_folder_says_which_variable_to_set(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", "/no/such/folder")
    with pytest.raises(EnvironmentProblem, match="Set QUANTDESK_NOTEBOOKS"):
        list_reports()


def test_without_the_variable_the_checkout_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from quantdesk.home import checkout
    from quantdesk.reports.notebooks import NotebooksConfig

    monkeypatch.delenv("QUANTDESK_NOTEBOOKS", raising=False)
    root = checkout()
    assert root is not None
    assert NotebooksConfig.from_env().folder == root / "notebooks"
