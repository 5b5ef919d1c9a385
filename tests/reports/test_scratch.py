"""The place of a run under way: two never share one, and what was half made does not stay for ever."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from quantdesk.errors import BadInput
from quantdesk.reports.publish import Request
from quantdesk.reports.runs import RunsConfig
from quantdesk.reports.scratch import HALF_MADE_S, prepared, recover


def asked(notebook: Path, config: RunsConfig, seed: int | None = None) -> Request:
    return Request(
        id="one",
        report="demo",
        title="Demo",
        notebook=str(notebook),
        notebook_sha256="",
        scratch=str(config.scratch / "one"),
        folder=str(config.runs / "one"),
        working_directory=str(notebook.parent),
        defaults={},
        given={},
        total_s=1,
        cell_s=1,
        started="2026-01-01T00:00:00+00:00",
        seed=seed,
    )


def test_a_second_run_of_one_id_is_refused_and_harms_nothing(state: Path, notebook) -> None:
    config = RunsConfig.from_env()
    request = asked(notebook("demo", ["1"]), config)
    with prepared(request) as place:
        before = sorted(path.name for path in place.folder.iterdir())
        with pytest.raises(BadInput, match="The run one is under way"), prepared(request):
            pass
        assert sorted(path.name for path in place.folder.iterdir()) == before
        assert [path.name for path in config.scratch.iterdir()] == ["one"]
    assert list(config.scratch.iterdir()) == []


def test_a_seed_is_there_before_the_first_cell(state: Path, notebook) -> None:
    config = RunsConfig.from_env()
    path = notebook("demo", ["1"])
    with prepared(asked(path, config)) as place:
        assert not (place.folder / "ipython").exists()
    with prepared(asked(path, config, seed=7)) as place:
        (startup,) = (place.folder / "ipython" / "profile_default" / "startup").iterdir()
        compile(startup.read_text(), startup.name, "exec")


def test_what_was_half_made_goes_after_an_hour_unless_somebody_holds_it(state: Path) -> None:
    config = RunsConfig.from_env()
    for name in (".old.tmp", ".young.tmp", ".held.tmp"):
        (config.scratch / name).mkdir(parents=True)
        (config.scratch / name / "lock").touch()
        if name != ".young.tmp":
            past = time.time() - HALF_MADE_S - 60
            os.utime(config.scratch / name, (past, past))
    with (config.scratch / ".held.tmp" / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert recover(config) == ()
    assert sorted(path.name for path in config.scratch.iterdir()) == [".held.tmp", ".young.tmp"]
