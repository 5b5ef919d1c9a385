"""The house itself: its layers, its map, its locks, and that `platform` stays the standard library's."""

from __future__ import annotations

import ast
import os
import platform as imported_platform
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import quantdesk

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WHO = "import platform, sys; print(platform.__file__); print(platform.python_implementation())"


def python(*arguments: str, cwd: Path = ROOT, path: str | None = None) -> list[str]:
    # Without the measuring of coverage, which would count the package that the wheel unpacks to as a second one.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and not key.startswith("COVERAGE")}
    if path is not None:
        env["PYTHONPATH"] = path
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def standard_platform() -> str:
    return str(Path(sysconfig.get_path("stdlib"), "platform.py"))


def test_source_root_is_not_a_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_platform_is_the_standard_library_inside_pytest() -> None:
    assert Path(str(imported_platform.__file__)).resolve() == Path(standard_platform()).resolve()


@pytest.mark.parametrize("arguments", [("-c", WHO), ("-P", "-c", WHO)], ids=["cwd-on-path", "safe-path"])
def test_platform_is_the_standard_library_from_the_root(arguments: tuple[str, ...]) -> None:
    found, implementation = python(*arguments)
    assert Path(found).resolve() == Path(standard_platform()).resolve()
    assert implementation == imported_platform.python_implementation()


def test_platform_is_the_standard_library_with_the_root_first_on_the_path() -> None:
    found, _ = python("-c", WHO, path=str(ROOT))
    assert Path(found).resolve() == Path(standard_platform()).resolve()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_shadows_nothing_and_imports_from_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        archive.extractall(tmp_path / "site")
    assert tops == {"quantdesk", f"quantdesk-{quantdesk.__version__}.dist-info"}
    script = WHO + "; import quantdesk; print(quantdesk.__file__)"
    found, _, package = python("-c", script, cwd=tmp_path, path=str(tmp_path / "site"))
    assert Path(found).resolve() == Path(standard_platform()).resolve()
    assert Path(package).is_relative_to(tmp_path / "site")


def test_the_wheel_carries_data_licence_and_notice(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.startswith("quantdesk/market/bundled/") for name in names)
    assert "quantdesk/py.typed" in names


def contract() -> list[str]:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip(" ()") for layer in layers for name in layer.split("|")]


def test_every_room_is_in_the_contract_and_on_the_map() -> None:
    rooms = {
        path.stem
        for path in (ROOT / "platform" / "quantdesk").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.name.startswith("_")
    }
    assert rooms <= set(contract())
    drawn = quantdesk.__doc__ or ""
    order = [
        name for line in drawn.splitlines() if line.startswith("    ") for name in re.findall(r"[a-z]+", line[4:24])
    ]
    named = [name for name in order if name in contract()]
    assert named == contract()


GROUPED = """
import os, pytest
pytestmark = pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    with open("where", "a") as told:
        told.write(f"{os.getpid()}\\n")
"""


def test_groups_of_tests_stay_on_one_worker(tmp_path: Path) -> None:
    """Hubs, browsers and notebooks are started once, not once a worker."""
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    options = ["-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    # Without the other plugins, which each of the three processes would load for seconds.
    alone = "import os, sys; os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'; import pytest; sys.exit(pytest.main())"
    python("-c", alone, "-p", "xdist", *options, "test_grouped.py", cwd=tmp_path)
    told = (tmp_path / "where").read_text().split()
    assert len(told) == 8
    assert len(set(told)) == 1


@pytest.fixture(scope="module")
def once() -> object:
    return object()


def test_who_shares_what_a_module_makes_once_is_in_its_group(once: object, request: pytest.FixtureRequest) -> None:
    """Else each process makes it, as long as nobody looks at how long that takes."""
    grouped = bool(request.config.getoption("loadgroup", default=False))
    assert request.node.nodeid.endswith("@tests/test_house.py") == grouped


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_public_names_are_there_and_lazy() -> None:
    for name in quantdesk.__all__:
        assert getattr(quantdesk, name) is not None
    heavy = python("-c", "import quantdesk, sys; print([m for m in ('pandas', 'numpy', 'feast') if m in sys.modules])")
    assert heavy == ["[]"]
    with pytest.raises(AttributeError, match="nothing_here"):
        quantdesk.nothing_here  # noqa: B018


def test_no_file_names_a_download_address() -> None:
    # Spelled apart, so that this file does not name one either.
    hosts = ["pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org", "deb.debian" + ".org"]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    found = [
        (name, host)
        for name in filter(None, tracked)
        if (ROOT / name).is_file() and not name.endswith((".zip", ".gz", ".png", ".parquet"))
        for host in hosts
        if host in (ROOT / name).read_text(errors="replace") and "/bundled/" not in name
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "tools/bootstrap.lock"])
def test_locks_hold_names_versions_and_hashes_only(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    pin = re.compile(r"[a-z0-9][a-z0-9._-]*==[^\s]+( ; [^\\]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert lines
    assert [line for line in lines if not pin.fullmatch(line) and not digest.fullmatch(line)] == []


def test_locks_agree_with_each_other_and_with_the_project() -> None:
    def pins(name: str) -> set[str]:
        return {line.removesuffix(" \\") for line in (ROOT / name).read_text().splitlines() if not line.startswith(" ")}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    exact = {
        item.replace("[pandas]", "") for item in PROJECT["project"]["dependencies"] if "==" in item and "*" not in item
    }
    assert exact <= pins("requirements.lock")


def test_no_room_is_a_junk_drawer() -> None:
    names = {path.stem for path in (ROOT / "platform" / "quantdesk").rglob("*.py")}
    assert not names & {"utils", "util", "common", "helpers", "misc", "models"}


def test_no_stubs_are_left() -> None:
    """A function whose whole body is `...` or `raise NotImplementedError` belongs to a Protocol or an ABC only."""
    found = []
    for path in (ROOT / "platform" / "quantdesk").rglob("*.py"):
        tree = ast.parse(path.read_text())
        protocols = {
            function
            for holder in ast.walk(tree)
            if isinstance(holder, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in holder.bases)
            for function in holder.body
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node in protocols:
                continue
            if any(
                ast.unparse(decorator).endswith(("overload", "abstractmethod")) for decorator in node.decorator_list
            ):
                continue
            first = node.body[1:][:1] if ast.get_docstring(node, clean=False) is not None else node.body[:1]
            stub = [
                part
                for part in first
                if (isinstance(part, ast.Raise) and ast.unparse(part).startswith("raise NotImplementedError"))
                or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and part.value.value is ...)
            ]
            if stub:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert found == []


EDGES = {
    "sqlite3",
    "subprocess",
    "socket",
    "fastapi",
    "papermill",
    "feast",
    "sqlalchemy",
    "distributed",
    "httpx",
    "psutil",
}


def says_edge(path: Path) -> bool:
    """A module says that it is an edge in its own docstring, or the docstring of its folder says so of it."""
    if "edge" in (ast.get_docstring(ast.parse(path.read_text())) or "").lower():
        return True
    folder = path.parent / "__init__.py" if path.name != "__init__.py" else path.parents[1] / "__init__.py"
    name = path.stem if path.name != "__init__.py" else path.parent.name
    if not folder.exists() or folder == path:
        return False
    drawn = ast.get_docstring(ast.parse(folder.read_text())) or ""
    return any(re.search(rf"\b{name}\b", line) and "(edge" in line for line in drawn.splitlines()) or (
        "edge module" in drawn.lower()
    )


def test_only_modules_that_say_so_touch_an_edge() -> None:
    found = []
    for path in (ROOT / "platform" / "quantdesk").rglob("*.py"):
        imported = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        if imported & EDGES and not says_edge(path):
            found.append((str(path.relative_to(ROOT)), sorted(imported & EDGES)))
    assert found == []
