"""A real provider and a real directory, which the tests of the login start and end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules import module_at
from quantdesk.hub.configure import free_ports

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def provider_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the provider."""
    folder: Path = module_at(HERE / "providerserver.py").install(tmp_path_factory.mktemp("oidc") / "packages")
    return folder


@pytest.fixture(scope="session")
def provided(ground: Any, templates: Path, real: Any, provider_packages: Path) -> Any:
    """Starts a hub of root's and its provider: ``with provided(QUANTDESK_…="…") as (hub, provider)``."""

    @contextlib.contextmanager
    def begin(**settings: str) -> Iterator[tuple[Any, Any]]:
        real.need_root()
        (port,) = free_ports(1)
        provider = module_at(HERE / "providerserver.py").Provider(provider_packages, f"http://127.0.0.1:{port}")
        env = {
            "QUANTDESK_NOTEBOOKS": str(templates),
            "QUANTDESK_LOGIN": "oidc",
            "QUANTDESK_LOGIN_REFRESH": "1",
            "QUANTDESK_LOGIN_OIDC_ISSUER": provider.issuer,
            "QUANTDESK_LOGIN_OIDC_CLIENT_ID": "quantdesk",
            "QUANTDESK_LOGIN_OIDC_CLIENT_SECRET": provider.secret,
            **settings,
        }
        try:
            with real.RealHub(ground, ground.state(), env=env, port=port) as hub:
                yield hub, provider
        finally:
            provider.stop()

    return begin


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
