"""What a kernel may see of the environment."""

from __future__ import annotations

import pytest

from quantdesk.reports.environment import cleaned


@pytest.mark.parametrize(
    "name",
    [
        "JUPYTERHUB_API_TOKEN",
        "JUPYTERHUB_API_URL",
        "JUPYTERHUB_CRYPT_KEY",
        "CONFIGPROXY_AUTH_TOKEN",
        "POSTGRES_PASSWORD",
        "smtp_passwd",
        "CLIENT_SECRET",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "FRED_API_KEY",
        "VENDOR_APIKEY",
        "GITHUB_PAT",
        "SSH_AUTH_SOCK",
        "SENTRY_DSN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "COOKIE",
        "JPY_COOKIE_SECRET",
        "JUPYTER_TOKEN",
    ],
)
def test_what_looks_like_a_secret_stays_out_unless_allowed(name: str) -> None:
    assert cleaned({name: "x", "HOME": "/root"}) == {"HOME": "/root"}
    assert cleaned({name: "x"}, allowed=[name]) == {name: "x"}


@pytest.mark.parametrize(
    "name", ["PATH", "PYTHONPATH", "HOME", "LANG", "TZ", "PWD", "QUANTDESK_STATE", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"]
)
def test_what_programs_need_stays(name: str) -> None:
    assert cleaned({name: "x"}) == {name: "x"}


def test_an_address_with_a_password_stays_out() -> None:
    environment = {
        "DATABASE_URL": "postgresql://user:pass@host/db",  # pragma: allowlist secret
        "HTTPS_PROXY": "http://proxy.example:3128",
        "REDIS": "redis://:pass@host",  # pragma: allowlist secret
        "QUANTDESK_FEATURES_URL": "postgresql://host/db",
    }
    assert set(cleaned(environment)) == {"HTTPS_PROXY", "QUANTDESK_FEATURES_URL"}
