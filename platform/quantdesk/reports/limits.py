"""What a run may take: as its report declares, as the platform allows, as somebody asks. An edge module."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from quantdesk.reports.declaration import Declaration
from quantdesk.reports.notebooks import Report, find_report
from quantdesk.reports.watch import Limits

__all__ = ["RunnerConfig", "limits_for"]


class RunnerConfig(BaseSettings):
    """Limits of a run, and what of the environment it may see.

    Parameters
    ----------
    timeout_s
        Seconds for a whole report, from ``QUANTDESK_REPORTS_TIMEOUT_S``.
    cell_timeout_s
        Seconds for one cell, from ``QUANTDESK_REPORTS_CELL_TIMEOUT_S``.
    largest_output_mb
        Megabytes of output that one cell keeps, and a fifth of what a run keeps, from
        ``QUANTDESK_REPORTS_LARGEST_OUTPUT_MB``.
    memory_mb
        Megabytes that the kernel and what it starts may use, for reports that declare no limit, from
        ``QUANTDESK_REPORTS_MEMORY_MB``; 0 for no limit.
    allow_env
        Names of variables that a kernel may see although they look like secrets, separated by commas, from
        ``QUANTDESK_REPORTS_ALLOW_ENV``.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_REPORTS_", frozen=True)

    timeout_s: float = Field(default=3600.0, gt=0)
    cell_timeout_s: float = Field(default=1800.0, gt=0)
    largest_output_mb: float = Field(default=20.0, gt=0, le=1000)
    memory_mb: int = Field(default=0, ge=0)
    allow_env: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("allow_env", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def from_env(cls) -> RunnerConfig:
        """Read the environment."""
        return cls()

    @property
    def limits(self) -> Limits:
        """The limits of a report that declares none."""
        return Limits(self.timeout_s, self.cell_timeout_s, self.memory_mb * 1_000_000 or None)

    def limits_of(self, declaration: Declaration) -> Limits:
        """The limits of a report: what it declares, and ours for the rest."""
        ours = self.limits
        total = declaration.timeout_s or ours.total_s
        return Limits(
            total, min(declaration.cell_timeout_s or ours.cell_s, total), declaration.memory_bytes or ours.memory_bytes
        )


def limits_for(name: str | Report, *, total_s: float | None = None, memory_mb: int | None = None) -> Limits:
    """The limits of a report, some of them given.

    Parameters
    ----------
    name
        As of :func:`quantdesk.reports.runner.run`.
    total_s, memory_mb
        In place of what the report declares; its own where None.

    Raises
    ------
    UnknownName, BadInput, DataError
        As of :func:`quantdesk.reports.runner.run`.
    """
    ours = RunnerConfig.from_env().limits_of(find_report(name).declaration)
    total = total_s if total_s is not None else ours.total_s
    return Limits(total, min(ours.cell_s, total), memory_mb * 1_000_000 if memory_mb is not None else ours.memory_bytes)
