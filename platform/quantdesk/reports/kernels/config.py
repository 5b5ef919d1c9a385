"""Settings of warm kernels. An edge module: it reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["KernelsConfig"]


class KernelsConfig(BaseSettings):
    """How warm kernels are kept.

    Parameters
    ----------
    warm
        Whether kernels and reports are forked at all, from ``QUANTDESK_KERNELS_WARM``.
    idle_s
        Seconds without a kernel, a report or a question after which a zygote ends, from ``QUANTDESK_KERNELS_IDLE_S``.
    pool
        How many forks of each kind wait to be used, each once, from ``QUANTDESK_KERNELS_POOL``.
    answer_s
        Seconds that a zygote has for an answer; then it counts as hung, from ``QUANTDESK_KERNELS_ANSWER_S``.
    start_s
        Seconds that a zygote has to get ready; it gives up then, from ``QUANTDESK_KERNELS_START_S``.
    modules
        Names of the modules that are imported before a fork, separated by commas, from ``QUANTDESK_KERNELS_MODULES``;
        when empty, the stack of :mod:`quantdesk.reports.kernels.stack`.
    folder
        Where zygotes have their folders, from ``QUANTDESK_KERNELS_FOLDER``; the runtime directory of Jupyter when
        empty.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_KERNELS_", frozen=True)

    warm: bool = True
    idle_s: float = Field(default=1800.0, gt=0)
    pool: int = Field(default=1, ge=0, le=16)
    answer_s: float = Field(default=5.0, gt=0)
    start_s: float = Field(default=180.0, gt=0)
    modules: Annotated[tuple[str, ...], NoDecode] = ()
    folder: Path | None = None

    @field_validator("modules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def from_env(cls) -> KernelsConfig:
        """Read the environment."""
        return cls()
