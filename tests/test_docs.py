"""The documents are true: built without a warning, generated pages as the code is, commands of the README real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modules import module_at

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("QUANTDESK_")}
    # The theme prints an advertisement for its successor; it is no warning of ours.
    env |= {"COLUMNS": "200", "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_the_documentation_builds_without_warnings_and_without_the_network(tmp_path: Path) -> None:
    done = run(str(BIN / "mkdocs"), "build", "--strict", "--site-dir", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert loaded == [], page


def test_generated_pages_are_up_to_date() -> None:
    done = run(sys.executable, str(ROOT / "tools" / "write_reference.py"), "--check")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_a_page_points_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), f"{page} points to {link}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets


def test_the_readme_shows_the_two_commands_and_a_screenshot() -> None:
    text = (ROOT / "README.md").read_text()
    assert "\nmake up\n" in text
    assert "\nmake test\n" in text
    assert "docs/assets/lab.png" in text


def test_every_setting_is_one_that_a_module_reads() -> None:
    from quantdesk import settings

    source = "\n".join(path.read_text() for path in (ROOT / "platform" / "quantdesk").rglob("*.py"))
    read = {
        f"{config.model_config['env_prefix']}{name}".upper()
        for config in module_at(ROOT / "tools" / "write_reference.py").configurations()
        for name in config.model_fields
    }
    for key in settings.KEYS:
        assert f"QUANTDESK_{key.upper()}" in read or f"QUANTDESK_{key.upper()}" in source, key
