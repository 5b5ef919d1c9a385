"""The volumes of hub and homes are really full: a clear page, nothing half-written, all is well once there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules import module_at
from quantdesk.hub import away

pytestmark = [pytest.mark.xdist_group("hub"), pytest.mark.slow]
real_notebook = module_at(Path(__file__).with_name("real_notebook.py"))


@contextlib.contextmanager
def volume(place: Path, mib: int, mode: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    options = f"size={mib}m,mode={mode}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "quantdesk-test", place], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)


@contextlib.contextmanager
def full(place: Path) -> Iterator[None]:
    """Not a byte is left in it; afterwards there is room again."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    assert os.statvfs(place).f_bavail == 0
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def small(ground: Any, templates: Path, real: Any) -> Iterator[Any]:
    """A hub whose own files, and whose homes, are on small volumes."""
    real.need_root()
    state = Path(ground.state())
    with contextlib.ExitStack() as volumes:
        try:
            volumes.enter_context(volume(state / "hub", 8, "700"))
        except subprocess.CalledProcessError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no volume can be mounted here: {error.stderr}")
        volumes.enter_context(volume(state / "homes", 64, "755"))
        with real.RealHub(ground, state, env={"QUANTDESK_NOTEBOOKS": str(templates)}) as hub:
            yield hub


def test_a_full_volume_is_said_and_costs_nothing_that_was_there(small: Any, real: Any) -> None:
    hub = small
    admin = hub.first_login()
    ana, bob = hub.user("ana", admin), hub.user("bob", admin)
    ana.start_server()
    work = real_notebook.Notebook(ana)
    assert work.end(work.begin("kept = 42; print(kept)")) == "42\n"

    # The hub's own: whoever comes is told, and is not said to have mistyped anything.
    with full(hub.files.root):
        for answer in (
            hub.browser().login("bob", real.PASSWORD),
            hub.browser().sign_up("cy"),
            bob.api("POST", "users/bob/server"),
        ):
            assert answer.status_code == 503, f"{answer.status_code} {answer.url} {answer.text}"
            assert away.FULL in answer.text
        assert work.end(work.begin("print(kept)")) == "42\n"
        assert hub.process.poll() is None
    assert hub.browser().login("bob", real.PASSWORD, follow=False).status_code == 302
    assert ana.get("home", allow_redirects=False).status_code == 200
    hub.user("cy", admin)  # nothing of the first try is in the way
    bob.start_server()
    assert bob.run("print(6 * 7)") == "42\n"
    assert ana.server("GET", "api/kernels").json()[0]["id"] == work.number

    # Homes: what is saved is the old file or the new one.
    def save(text: str) -> Any:
        body = {"type": "file", "format": "text", "content": text}
        return ana.server("PUT", "api/contents/idea.txt", json=body)

    assert save("buy low" * 1000).status_code in (200, 201)
    with full(hub.files.homes):
        refused = save("sell high" * 100_000)
        assert refused.status_code >= 500
        assert "No space left" in refused.json()["message"]
        assert ana.server("GET", "api/contents/idea.txt").json()["content"] == "buy low" * 1000
        assert work.end(work.begin("print(kept)")).startswith("42")  # IPython adds that it keeps no history
    assert save("sell high" * 100_000).status_code == 200
    assert ana.server("GET", "api/contents/idea.txt").json()["content"] == "sell high" * 100_000
    work.close()
