"""The rulebook on the disk: the bundled file, and the desk's own on top of it. An edge module: it reads files.

``QUANTDESK_RULEBOOK`` names a TOML file whose entries are laid over the bundled ones.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.orders.rulebook.book import Layer, Rulebook
from quantdesk.orders.rulebook.text import parse
from quantdesk.records import text_of

__all__ = ["RulebookConfig", "bundled", "in_force", "read"]


class RulebookConfig(BaseSettings):
    """Where the desk's own rules are.

    Attributes
    ----------
    rulebook
        ``QUANTDESK_RULEBOOK``: a TOML file laid over the bundled rules, or nothing.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True, extra="ignore")

    rulebook: Path | None = None

    @classmethod
    def from_env(cls) -> RulebookConfig:
        """From the environment."""
        return cls()


@lru_cache(maxsize=1)
def bundled() -> Rulebook:
    """The rules that ship with quantdesk."""
    text = resources.files(__package__).joinpath("us.toml").read_text(encoding="utf-8")
    return Rulebook(parse(text, "us.toml"))


def read(path: Path) -> Layer:
    """The entries of a file.

    Raises
    ------
    BadInput
        It cannot be read, or an entry is wrong; the message names the line.
    """
    return parse(text_of(path, "rulebook", "Name a TOML file of rules."), str(path))


def in_force() -> Rulebook:
    """The bundled rules with the desk's own on top, where there are any."""
    own = RulebookConfig.from_env().rulebook
    return bundled() if own is None else bundled().over(read(own))
