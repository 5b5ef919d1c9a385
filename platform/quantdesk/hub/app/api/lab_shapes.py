"""What the API of jobs of JupyterLab takes and gives. An edge module: FastAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ChangedDefinition", "DefinitionAnswer", "DefinitionId", "DefinitionList", "FromDefinition", "JobAnswer",
           "JobId", "JobList", "Moment", "Most", "NewDefinition", "NewJob", "Offset", "Word", "Words"]  # fmt: skip

_PATTERN = r"^\w+(-\w+)+$"
_JOB: dict[str, Any] = {
    "name": "Portfolio check",
    "filename": "check.ipynb",
    "folder": "/home/ana",
    "notebook": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "output_formats": ["html"],
}
JobId = Annotated[str, Path(max_length=300, pattern=_PATTERN, description="`job_id` of a job.")]
DefinitionId = Annotated[str, Path(max_length=100, pattern=_PATTERN, description="Of a job definition.")]
Parameters = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")],
        Annotated[str, Field(max_length=20_000)],
    ],
    Field(max_length=200),
]
Tags = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)]


class NewJob(BaseModel):
    """A notebook and what to do with it.

    Attributes
    ----------
    name, filename, folder, output_formats, tags, environment
        See :class:`quantdesk.reports.lab.job.LabJob`.
    notebook
        The text of the notebook file.
    parameters
        Texts by name, as typed. They are data: nothing in one is executed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"example": _JOB})

    name: Annotated[str, Field(min_length=1, max_length=200)]
    filename: Annotated[str, Field(min_length=7, max_length=200)]
    folder: Annotated[str, Field(min_length=1, max_length=4000)]
    notebook: str
    parameters: Parameters = Field(default_factory=dict)
    output_formats: Annotated[list[Literal["ipynb", "html"]], Field(max_length=2)] = Field(default_factory=list)
    tags: Tags = Field(default_factory=list)
    environment: Annotated[str, Field(max_length=100)] = "quantdesk"


class NewDefinition(NewJob):
    """A job that runs again and again: five fields of cron, or a market's hours in words, in a time zone."""

    model_config = ConfigDict(
        json_schema_extra={"example": _JOB | {"schedule": "30 18 * * MON-FRI", "timezone": "America/New_York"}}
    )

    schedule: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: Annotated[str, Field(min_length=1, max_length=80)] = "UTC"


class ChangedDefinition(BaseModel):
    """What of a job definition becomes different; what is left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"example": {"active": False}})

    name: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    schedule: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    timezone: Annotated[str | None, Field(min_length=1, max_length=80)] = None
    active: bool | None = None
    parameters: Parameters | None = None
    output_formats: Annotated[list[Literal["ipynb", "html"]] | None, Field(max_length=2)] = None
    tags: Tags | None = None
    filename: Annotated[str | None, Field(min_length=7, max_length=200)] = None
    folder: Annotated[str | None, Field(min_length=1, max_length=4000)] = None
    notebook: str | None = None


class FromDefinition(BaseModel):
    """Parameters in place of those of the definition."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"example": {"parameters": {"window": "60"}}}
    )

    parameters: Parameters | None = None


class JobAnswer(BaseModel):
    """A job, as JupyterLab's extension describes one; times in milliseconds since 1970 (UTC)."""

    model_config = ConfigDict(extra="allow")

    job_id: str
    name: str
    status: str
    create_time: int


class DefinitionAnswer(BaseModel):
    """A job definition, likewise."""

    model_config = ConfigDict(extra="allow")

    job_definition_id: str
    name: str
    schedule: str
    timezone: str
    active: bool


class JobList(BaseModel):
    """Jobs of a page."""

    items: list[JobAnswer]
    total: int
    next: int | None


class DefinitionList(BaseModel):
    """Job definitions of a page."""

    items: list[DefinitionAnswer]
    total: int
    next: int | None


Word = Annotated[str, Query(max_length=300)]
Moment = Annotated[int | None, Query(ge=0, le=10**14, description="Milliseconds since 1970 (UTC).")]
Words = Annotated[list[Annotated[str, Field(max_length=100)]] | None, Query(max_length=20)]
Offset = Annotated[int, Query(ge=0, le=10**6)]
Most = Annotated[int, Query(ge=1, le=1000)]
