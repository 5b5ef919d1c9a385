"""Where runs go beside this disk. An edge module: it reads the environment."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["StoreConfig"]


class StoreConfig(BaseSettings):
    """Where runs go beside this disk.

    Parameters
    ----------
    store
        An address that fsspec understands, from ``QUANTDESK_REPORTS_STORE``; nothing for this disk alone.
    store_options
        What the file system takes beside, as JSON, from ``QUANTDESK_REPORTS_STORE_OPTIONS``:
        ``{"client_kwargs": {"endpoint_url": "https://minio.example.com"}}``. Keys belong into the environment or the
        file that the vendor's library reads.
    store_cache_mb
        Megabytes of fetched runs that are kept here, from ``QUANTDESK_REPORTS_STORE_CACHE_MB``.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_REPORTS_", frozen=True)

    store: str = ""
    store_options: dict[str, Any] = Field(default_factory=dict)
    store_cache_mb: int = Field(default=2000, gt=0)

    @classmethod
    def from_env(cls) -> StoreConfig:
        """Read the environment."""
        return cls()
