"""Where the feature store is, and what the mood of the market is made from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.home import checkout, state_dir

__all__ = ["FeatureConfig"]


class FeatureConfig(BaseSettings):
    """Settings of the feature stage.

    Attributes
    ----------
    root
        The store's folder: ``QUANTDESK_FEATURES_ROOT``, else ``features`` in the state directory.
    panel
        ``QUANTDESK_FEATURES_PANEL``: the market source whose equities make ``sentiment_z``.
    url
        ``QUANTDESK_FEATURES_URL``: the PostgreSQL database of a team's store, password included; the embedded store
        when left out.
    repo
        ``QUANTDESK_FEATURES_REPO``: the folder with Feast definitions of one's own; ``feature_repo/`` of the checkout
        when left out, and none where the package was installed from a wheel.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_FEATURES_", frozen=True)

    root: Path = Field(default_factory=lambda: state_dir() / "features")
    panel: str = "skfolio"
    url: SecretStr | None = None
    repo: Path | None = Field(default_factory=lambda: _repository())

    @classmethod
    def from_env(cls) -> FeatureConfig:
        """Read the environment."""
        return cls()


def _repository() -> Path | None:
    root = checkout()
    return None if root is None else root / "feature_repo"
