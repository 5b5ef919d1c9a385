"""An archive that is damaged, cut off or made by somebody else is refused, and nothing comes of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, DataError, EnvironmentProblem, QuantdeskError
from quantdesk.hub import backup as backups
from quantdesk.hub.backup.archive import About, PartReader, Reader, Writer
from quantdesk.hub.backup.manifest import Entry, Manifest, from_json, stays

HASH = "0" * 64
ROOT = Entry("", "folder", 0o755)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, estates: Any) -> Iterator[SimpleNamespace]:
    """One backup for all tests that only damage it."""
    place = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        estates.settle(patch, place / "state", {})
        estates.fill(place / "state")
        made = backups.backup(place / "kept.tar")
        seen = estates.seen(place / "state")
        shutil.rmtree(place / "state")
        yield SimpleNamespace(
            state=place / "state", place=place, path=made.path, bytes=made.path.read_bytes(), seen=seen
        )


def tried(kept: SimpleNamespace, content: bytes) -> QuantdeskError | None:
    """Restore from changed bytes; what is left is looked at."""
    changed = kept.place / "changed.tar"
    changed.write_bytes(content)
    try:
        backups.restore(changed)
    except QuantdeskError as error:
        refused = error
    else:
        return None
    finally:
        changed.unlink()
    assert {path.name for path in kept.place.iterdir()} == {"kept.tar"}, "a part of it was left"
    return refused


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.integers(1, 255))
@example(at=0, flip=1)
@example(at=-1, flip=1)
def test_a_changed_byte_is_found_or_changes_nothing(kept: SimpleNamespace, estates: Any, at: int, flip: int) -> None:
    content = bytearray(kept.bytes)
    content[at % len(content)] ^= flip
    error = tried(kept, bytes(content))
    if error is None:  # padding, the time in a head of gzip
        assert estates.seen(kept.state) == kept.seen
        shutil.rmtree(kept.state)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_one_that_is_cut_off_is_refused(kept: SimpleNamespace, share: float) -> None:
    error = tried(kept, kept.bytes[: int(len(kept.bytes) * share)])
    assert isinstance(error, BadInput if share < 0.01 else DataError)


def test_one_with_something_behind_its_end_is_refused(kept: SimpleNamespace) -> None:
    assert isinstance(tried(kept, kept.bytes + b"\0" * 512), DataError)


def test_one_that_verifies_was_read_to_its_end(kept: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    honest = PartReader.copy

    def copy(self: PartReader, entry: Entry, sink: Any = None) -> None:
        read.append(entry.size)
        honest(self, entry, sink)

    monkeypatch.setattr(PartReader, "copy", copy)
    manifest = backups.verify(kept.path)
    assert sum(read) == sum(part.size for part in manifest.parts) > 10_000
    assert len(read) == sum(part.files for part in manifest.parts)
    assert not kept.state.exists()


def test_other_files_are_no_backups(kept: SimpleNamespace, tmp_path: Path) -> None:
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        archive.addfile(tarfile.TarInfo("readme"))
    for path in (other, tmp_path, tmp_path / "nothing", Path(__file__)):
        with pytest.raises(BadInput):
            backups.restore(path)


# -------------------------------------------------------------------------------- made by somebody


def forged(path: Path, change: Callable[[dict[str, Any]], None], about: About | None = None) -> Path:
    """An archive whose manifest is changed, with hashes that fit: what somebody would send who means it."""
    with path.open("w+b") as stream:
        writer = Writer(stream, about or About(1, "0.1.0", "2026-11-27T12:00:00+00:00"))
        with writer.part("rest", "Rest") as part:
            part.add(ROOT)
            part.add(Entry("folder", "folder", 0o755))
            part.file(Entry("folder/file", "file", 0o644, size=3), io.BytesIO(b"abc"))
        before = stream.tell()
        writer.finish(Manifest("0.1.0", "2026-11-27T12:00:00+00:00", "/state", "/state/reports", isolated=False))
        stream.seek(before)
        head = stream.read(512)
        size = int(head[124:135], 8)
        manifest = json.loads(stream.read(size))
        change(manifest)
        text = json.dumps(manifest).encode()
        stream.seek(before)
        stream.truncate()
        writer._member("manifest.json", text)
        writer._member("manifest.sha256", hashlib.sha256(text).hexdigest().encode())
        stream.write(b"\0" * 1024)
    return path


def entry(**given: Any) -> Callable[[dict[str, Any]], None]:
    """Change the last entry."""
    return lambda manifest: manifest["parts"][0]["entries"][-1].update(given)


def link(path: str, target: str) -> Callable[[dict[str, Any]], None]:
    """Add a link."""
    made = {"path": path, "kind": "link", "mode": 0o777, "target": target}
    return lambda manifest: manifest["parts"][0]["entries"].append(made)


def below_a_link(manifest: dict[str, Any]) -> None:
    entries = manifest["parts"][0]["entries"]
    entries[1] = {"path": "folder", "kind": "link", "mode": 0o777, "target": "."}


HOSTILE = {
    "a path that leads up": entry(path="../outside"),
    "one that does so later": entry(path="folder/../../outside"),
    "an absolute path": entry(path="/etc/cron.d/job"),
    "an empty component": entry(path="folder//file"),
    "a zero byte": entry(path="folder/fi\0le"),
    "a name that is too long": entry(path="folder/" + "x" * 256),
    "a folder that is not there": entry(path="elsewhere/file"),
    "a device": entry(kind="device"),
    "a hard link": entry(kind="hardlink", target="folder/file"),
    "set-user-id": entry(mode=0o4755),
    "a negative mode": entry(mode=-1),
    "a mode that is a text": entry(mode="0o644"),
    "a negative size": entry(size=-1),
    "no hash": entry(sha256=""),
    "another hash": entry(sha256=HASH),
    "more bytes than there are": entry(size=1 << 40),
    "fewer bytes than there are": entry(size=1),
    "a link to the outside": link("out", "../outside"),
    "an absolute link": link("out", "/etc"),
    "a link that leads out and in again": link("folder/out", "../../state/folder"),
    "a file below a link": below_a_link,
    "a file twice": lambda manifest: manifest["parts"][0]["entries"].append(manifest["parts"][0]["entries"][-1]),
    "a root that is a link": lambda manifest: manifest["parts"][0]["entries"][0].update(kind="link", target="/"),
    "a part twice": lambda manifest: manifest["parts"].append(manifest["parts"][0]),
    "a part that is nowhere": lambda manifest: manifest["parts"][0].update(name="etc"),
    "a part with a path": lambda manifest: manifest["parts"][0].update(name="../etc"),
    "a part that is longer": lambda manifest: manifest["parts"][0].update(stored=10**9),
    "a schema of somebody else": lambda manifest: manifest["databases"].append(
        {"name": "hub", "kind": "postgresql", "part": "rest", "path": "", "schemas": ["public"]}
    ),
    "half a character": entry(path="folder/\ud800"),
    "no list": lambda manifest: manifest.update(parts=None),
    "an unknown word": lambda manifest: manifest.update(run="rm -rf"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_backup_holds_is_refused(what: str, tmp_path: Path, plain: Callable[..., Path]) -> None:
    plain(tmp_path / "place" / "state").parent.mkdir()
    path = forged(tmp_path / "forged.tar", HOSTILE[what])
    with pytest.raises((DataError, EnvironmentProblem, BadInput)) as caught:
        backups.restore(path)
    if what == "more bytes than there are":  # before a byte of it is written
        assert "GB are needed" in str(caught.value)
    assert list((tmp_path / "place").iterdir()) == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["forged.tar", "place"]


def test_the_forger_can_write_one_that_is_taken(tmp_path: Path, plain: Callable[..., Path]) -> None:
    """The tests above fail for what they change, not for how the archive is made."""
    state = plain(tmp_path / "place" / "state")
    state.parent.mkdir()
    backups.restore(forged(tmp_path / "forged.tar", lambda manifest: None))
    assert (state / "folder" / "file").read_bytes() == b"abc"


def test_a_bomb_ends_where_the_manifest_does(tmp_path: Path, plain: Callable[..., Path]) -> None:
    """A part that unpacks to far more than its manifest says is left after the first byte too many."""
    plain(tmp_path / "place" / "state").parent.mkdir()
    path = forged(tmp_path / "forged.tar", lambda manifest: None)
    with Reader(path) as reader:
        begin, size = reader._places["rest.tar.gz"]
    content = path.read_bytes()
    bomb = gzip.compress(gzip.decompress(content[begin : begin + size])[:-1024] + b"\0" * 300_000_000, 9)
    with path.open("w+b") as stream:
        writer = Writer(stream, About(1, "0.1.0", "2026-11-27T12:00:00+00:00"))
        writer._member("rest.tar.gz", bomb)
        with Reader(forged(tmp_path / "again.tar", lambda manifest: None)) as reader:
            manifest = reader.manifest
        whole = json.loads(json.dumps(manifest, default=lambda one: one.__dict__))
        whole["parts"][0]["stored"] = len(bomb)
        text = json.dumps(whole).encode()
        writer._member("manifest.json", text)
        writer._member("manifest.sha256", hashlib.sha256(text).hexdigest().encode())
        stream.write(b"\0" * 1024)
    with pytest.raises(DataError, match="something follows its last member"):
        backups.restore(path)
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize("about", [About(2, "0.1.0", ""), About(1, "99.0", "")])
def test_a_newer_one_says_so_before_it_is_read(about: About, tmp_path: Path, plain: Callable[..., Path]) -> None:
    plain(tmp_path / "place" / "state").parent.mkdir()
    path = forged(tmp_path / "forged.tar", lambda manifest: manifest.update(parts=None), about)
    with pytest.raises(DataError, match="which is newer"):
        backups.restore(path)


# -------------------------------------------------------------------------------- rules


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), min_size=1, max_size=6), st.integers(0, 3))
def test_a_link_that_stays_is_one_that_never_leads_above_its_root(target: list[str], depth: int) -> None:
    path = "/".join([*["d"] * depth, "link"])
    at, least = depth, depth
    for one in target:
        at += {"..": -1, ".": 0, "": 0}.get(one, 1)
        least = min(least, at)
    text = "/".join(target)
    assert stays(path, text) == (least >= 0 and not text.startswith("/"))


@given(st.binary(max_size=300))
def test_nonsense_is_no_manifest(text: bytes) -> None:
    with pytest.raises(DataError):
        from_json(text)
