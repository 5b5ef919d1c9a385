"""Resolve the lock files: names, versions and hashes, for Python 3.11 to 3.13, and never a download address."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
OPTIONS = ["--universal", "--generate-hashes", "--python-version", "3.11", "--no-annotate", "--no-header", "--quiet"]


def compile_lock(target: Path, *arguments: str) -> None:
    """Resolve into `target`; versions that it already pins are kept where they still fit."""
    command = [str(UV), "pip", "compile", *OPTIONS, *arguments, "--output-file", str(target)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    if re.search(r"https?:|^-", target.read_text(), flags=re.MULTILINE):
        sys.exit(f"{target.name} holds a download address or an option.")
    print(f"{target.name}: {target.read_text().count('==')} packages")


if __name__ == "__main__":
    compile_lock(ROOT / "requirements.lock", "pyproject.toml", "--group", "build", *sys.argv[1:])
    groups = ["--group", "build", "--group", "dev"]
    compile_lock(ROOT / "requirements-dev.lock", "-c", "requirements.lock", "pyproject.toml", *groups)
    # Images take the platform's versions; the larger user image those of the usual one.
    held = ["-c", "requirements.lock", "-c", "requirements-dev.lock"]
    images = ROOT / "helm" / "images"
    compile_lock(images / "tools.lock", "helm/images/tools.in")
    compile_lock(images / "hub" / "requirements.lock", *held, "helm/images/hub/requirements.in")
    user = images / "user" / "requirements.lock"
    compile_lock(user, *held, "pyproject.toml", "helm/images/user/requirements.in")
    deep = images / "user" / "requirements-deep.lock"
    compile_lock(deep, "-c", str(user.relative_to(ROOT)), "pyproject.toml", "helm/images/user/requirements-deep.in")
    compile_lock(ROOT / "tests" / "helm" / "checkov.lock", "tests/helm/checkov.in")
