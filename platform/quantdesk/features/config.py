"""Where the feature store is, and what the mood of the market is made from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.home import checkout, state_dir
from quantdesk.records.servers import database_of_the_team

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
        ``QUANTDESK_FEATURES_URL``: the PostgreSQL database of a team's store, password included; what
        ``QUANTDESK_DATABASE`` says when left out, else the embedded store, which an empty value asks for, too.
    repo
        ``QUANTDESK_FEATURES_REPO``: the folder with Feast definitions of one's own; ``feature_repo/`` of the checkout
        when left out, and none where the package was installed from a wheel.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_FEATURES_", frozen=True)

    root: Path = Field(default_factory=lambda: state_dir() / "features")
    panel: str = "skfolio"
    url: SecretStr | None = Field(default_factory=database_of_the_team)
    repo: Path | None = Field(default_factory=lambda: _repository())

    @field_validator("url")
    @classmethod
    def _none(cls, url: SecretStr | None) -> SecretStr | None:
        return url if url is not None and url.get_secret_value() else None

    @classmethod
    def from_env(cls) -> FeatureConfig:
        """Read the environment."""
        return cls()


def _repository() -> Path | None:
    root = checkout()
    return None if root is None else root / "feature_repo"
