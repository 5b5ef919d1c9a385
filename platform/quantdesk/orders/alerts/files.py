"""Alert rules on the disk: the bundled ones, and the desk's own on top of them. An edge module: it reads files.

``QUANTDESK_ALERTS`` names a TOML file that is laid over the bundled rules.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.orders.alerts.rules import AlertRules, parse
from quantdesk.records import text_of

__all__ = ["AlertsConfig", "bundled", "in_force", "read"]


class AlertsConfig(BaseSettings):
    """Where the desk's own alert rules are.

    Attributes
    ----------
    alerts
        ``QUANTDESK_ALERTS``: a TOML file laid over the bundled rules, or nothing.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True, extra="ignore")

    alerts: Path | None = None

    @classmethod
    def from_env(cls) -> AlertsConfig:
        """From the environment."""
        return cls()


@lru_cache(maxsize=1)
def bundled() -> AlertRules:
    """The rules that ship with quantdesk."""
    return parse(resources.files(__package__).joinpath("rules.toml").read_text(encoding="utf-8"), "rules.toml")


def read(path: Path) -> AlertRules:
    """The rules of a file, laid over the bundled ones.

    Raises
    ------
    BadInput
        It cannot be read, or something in it is wrong; the message names the rule and the key.
    """
    return parse(text_of(path, "alert rules", "Name a TOML file of rules."), str(path), bundled())


def in_force() -> AlertRules:
    """The bundled rules with the desk's own on top, where there are any."""
    own = AlertsConfig.from_env().alerts
    return bundled() if own is None else read(own)
