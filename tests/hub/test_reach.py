"""What keeps another account from running a server is found before the hub starts, and named."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub import reach
from quantdesk.hub.config import HubFiles


@pytest.fixture
def tree() -> Iterator[Path]:
    """A file below two folders, outside of pytest's own folder, which is closed to other accounts."""
    with tempfile.TemporaryDirectory() as name:
        outer = Path(name).resolve()
        (outer / "inner").mkdir()
        (outer / "inner" / "file").write_text("x")
        (outer / "inner" / "file").chmod(0o644)
        for path in (outer, outer / "inner"):
            path.chmod(0o755)
        yield outer


def test_an_open_path_has_no_barrier(tree: Path) -> None:
    assert reach.barrier(tree / "inner" / "file", reach.ANYBODY, reach.ANYBODY) is None
    assert reach.barrier(tree / "inner", reach.ANYBODY, reach.ANYBODY) is None


@pytest.mark.parametrize(
    ("closed", "mode", "execute"),
    [
        (".", 0o700, False),
        ("inner", 0o750, False),
        ("inner", 0o754, False),
        ("inner/file", 0o600, False),
        ("inner/file", 0o644, True),
    ],
)
def test_the_first_closed_step_is_named(tree: Path, closed: str, mode: int, execute: bool) -> None:
    target = (tree / closed).resolve()
    target.chmod(mode)
    found = reach.barrier(tree / "inner" / "file", reach.ANYBODY, reach.ANYBODY, execute=execute)
    assert found is not None
    assert found.at == target
    assert found.mode == mode
    assert f"{mode:04o}" in str(found)
    target.chmod(0o755)


def test_owner_and_group_have_their_own_bits(tree: Path) -> None:
    target = tree / "inner" / "file"
    owner = target.stat()
    target.chmod(0o040)
    assert reach.barrier(target, 4242, owner.st_gid) is None
    assert reach.barrier(target, 4242, 4242) is not None
    target.chmod(0o004)
    assert reach.barrier(target, 4242, owner.st_gid) is not None, "the group's bits count, though others may"
    assert reach.barrier(target, 0, 0) is None, "root may everything"


def test_what_is_missing_is_said(tree: Path) -> None:
    assert str(reach.barrier(tree / "nothing" / "here", reach.ANYBODY, reach.ANYBODY)).endswith(
        "nothing does not exist"
    )


def test_a_link_counts_with_its_target(tree: Path) -> None:
    link = tree / "link"
    link.symlink_to(tree / "inner" / "file")
    assert reach.barrier(link, reach.ANYBODY, reach.ANYBODY) is None
    (tree / "inner").chmod(0o700)
    found = reach.barrier(link, reach.ANYBODY, reach.ANYBODY)
    assert found is not None
    assert found.at == tree / "inner"
    (tree / "inner").chmod(0o755)


def test_a_closed_path_is_one_clear_message(tree: Path) -> None:
    (tree / "inner").chmod(0o700)
    with pytest.raises(
        EnvironmentProblem, match=r"cannot reach .*file: .*inner is closed.*0700.*chmod o\+rx .*inner.*ordinary user"
    ):
        reach.check(HubFiles(tree), paths=[tree / "inner" / "file"])
    (tree / "inner").chmod(0o755)


def test_what_a_server_needs_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = HubFiles(tmp_path)
    (tmp_path / "market").mkdir()
    monkeypatch.setenv("QUANTDESK_NOTEBOOKS", str(tmp_path / "notebooks"))
    (tmp_path / "notebooks").mkdir()
    wanted = reach.needed(files)
    assert {Path(sys.executable), tmp_path, tmp_path / "market", tmp_path / "notebooks"} <= set(wanted)
    assert any(path.name == "site-packages" for path in wanted)
    assert any(path.name == "quantdesk" for path in wanted)
    assert tmp_path / "features" not in wanted, "what does not exist yet is no barrier"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try another account")
def test_another_account_really_starts_the_interpreter(ground: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = HubFiles(ground.state())
    monkeypatch.setattr(sys, "executable", str(ground.python))
    reach.check(files, paths=[])
    broken = files.state / "python"
    broken.write_text("#!/bin/sh\necho 'ImportError: nothing here' >&2; exit 1")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(EnvironmentProblem, match="ImportError: nothing here"):
        reach.check(files, paths=[])
    broken.chmod(0o700)
    with pytest.raises(EnvironmentProblem, match="cannot start"):
        reach.check(files, paths=[])
