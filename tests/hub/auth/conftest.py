"""A real provider and a real directory, which the tests of the login start and end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules import module_at

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def provider_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the provider."""
    folder: Path = module_at(HERE / "providerserver.py").install(tmp_path_factory.mktemp("oidc") / "packages")
    return folder


@pytest.fixture(scope="session")
def slapd() -> Any:
    """The module that starts directories; without slapd a failure on CI, and elsewhere a test that is skipped."""
    module = module_at(HERE / "directoryserver.py")
    program = module.find_slapd()
    if program is None:
        reason = "no slapd: install it (Debian: apt-get install slapd)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    module.PROGRAM = program
    return module


@pytest.fixture(scope="module")
def directory(slapd: Any) -> Iterator[Any]:
    """A directory with ana (quant), bob (trader, by nis.schema), cyd (admin) and dan, who is in no group of ours."""
    made = slapd.Directory(slapd.PROGRAM)
    people = {name: made.person(name) for name in ("ana", "bob", "cyd", "dan")}
    made.group("quant", people["ana"])
    made.unix_group("trader", 5000, "bob")
    made.group("The Admins", people["cyd"])
    made.group("football", *people.values())
    yield made
    made.stop()
