"""Policies on the disk: the bundled one, and the desk's own on top of it. An edge module: it reads files.

``QUANTDESK_GUARDRAILS`` names a TOML file that is laid over the bundled policy.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.orders.guardrails.policy import Policy
from quantdesk.orders.guardrails.text import parse
from quantdesk.records import text_of

__all__ = ["GuardrailsConfig", "bundled", "in_force", "read"]


class GuardrailsConfig(BaseSettings):
    """Where the desk's own policy is.

    Attributes
    ----------
    guardrails
        ``QUANTDESK_GUARDRAILS``: a TOML file laid over the bundled policy, or nothing.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True, extra="ignore")

    guardrails: Path | None = None

    @classmethod
    def from_env(cls) -> GuardrailsConfig:
        """From the environment."""
        return cls()


@lru_cache(maxsize=1)
def bundled() -> Policy:
    """The policy that ships with quantdesk."""
    return parse(resources.files(__package__).joinpath("policy.toml").read_text(encoding="utf-8"), "policy.toml")


def read(path: Path) -> Policy:
    """The policy of a file, laid over the bundled one.

    Raises
    ------
    BadInput
        It cannot be read, or something in it is wrong; the message names the line.
    """
    return parse(text_of(path, "policy", "Name a TOML file of checks."), str(path), bundled())


def in_force() -> Policy:
    """The bundled policy with the desk's own on top, where there is one."""
    own = GuardrailsConfig.from_env().guardrails
    return bundled() if own is None else read(own)
