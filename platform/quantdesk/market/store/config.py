"""Where the store is."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.home import state_dir

__all__ = ["MarketConfig"]


class MarketConfig(BaseSettings):
    """Settings of the market stage.

    Attributes
    ----------
    root
        The store's folder: ``QUANTDESK_MARKET_ROOT``, else ``market`` in the state directory.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_MARKET_", frozen=True)

    root: Path = Field(default_factory=lambda: state_dir() / "market")

    @classmethod
    def from_env(cls) -> MarketConfig:
        """Read the environment."""
        return cls()
