"""Where the feature store is, and what the mood of the market is made from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.home import state_dir

__all__ = ["FeatureConfig"]


class FeatureConfig(BaseSettings):
    """Settings of the feature stage.

    Attributes
    ----------
    root
        The store's folder: ``QUANTDESK_FEATURES_ROOT``, else ``features`` in the state directory.
    panel
        ``QUANTDESK_FEATURES_PANEL``: the market source whose equities make ``sentiment_z``.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_FEATURES_", frozen=True)

    root: Path = Field(default_factory=lambda: state_dir() / "features")
    panel: str = "skfolio"

    @classmethod
    def from_env(cls) -> FeatureConfig:
        """Read the environment."""
        return cls()
