"""The scheduler that JupyterLab's extension for jobs talks to, in a user's own server. An edge module: the network.

It keeps nothing: what is made here is handed to the service with the notebook, and what is shown is asked of it. So it
is all the same to a job whether this server runs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_scheduler.environments import EnvironmentManager
from jupyter_scheduler.exceptions import InputUriError, SchedulerError
from jupyter_scheduler.executors import ExecutionManager
from jupyter_scheduler.job_files_manager import JobFilesManager
from jupyter_scheduler.models import (
    CountJobsQuery,
    CreateJob,
    CreateJobDefinition,
    CreateJobFromDefinition,
    DescribeJob,
    DescribeJobDefinition,
    JobFeature,
    ListJobDefinitionsQuery,
    ListJobDefinitionsResponse,
    ListJobsQuery,
    ListJobsResponse,
    RuntimeEnvironment,
    UpdateJob,
    UpdateJobDefinition,
)
from jupyter_scheduler.scheduler import BaseScheduler

from quantdesk.errors import QuantdeskError
from quantdesk.reports.lab.client import LabClient, NotThere
from quantdesk.reports.lab.here import texts
from quantdesk.reports.lab.job import FORMATS
from quantdesk.reports.notebooks import find_report, load
from quantdesk.reports.spec import parse

__all__ = ["Downloads", "HandedOver", "LabScheduler", "OneEnvironment"]

ENVIRONMENT = "quantdesk"


class OneEnvironment(EnvironmentManager):  # type: ignore[misc]
    """The one environment that there is: the platform's."""

    def list_environments(self) -> list[RuntimeEnvironment]:
        """What can be chosen in the form."""
        return [
            RuntimeEnvironment(
                name=ENVIRONMENT,
                label="quantdesk",
                description="The platform's own environment",
                file_extensions=["ipynb"],
                output_formats=list(FORMATS),
                metadata={},
                compute_types=None,
                default_compute_type=None,
                utc_only=False,
            )
        ]

    def manage_environments_command(self) -> str:
        """None: environments are not for users to manage."""
        return ""

    def output_formats_mapping(self) -> dict[str, str]:
        """What formats are called."""
        return dict(FORMATS)


class HandedOver(ExecutionManager):  # type: ignore[misc]
    """Says what the form may offer. Nothing is executed here."""

    def execute(self) -> None:
        """Refused: the platform's workers carry jobs out."""
        raise SchedulerError("Jobs are carried out by the platform's workers, not in this server.")

    def supported_features(cls) -> dict[JobFeature, bool]:  # noqa: N805 (its base calls it with the class)
        """By the names that JupyterLab has for them."""
        able = {"job_name", "parameters", "output_formats", "job_definition", "tags", "stop_job", "delete_job"}
        return {feature: feature.value in able for feature in JobFeature}


class LabScheduler(BaseScheduler):  # type: ignore[misc]
    """Hands jobs and job definitions to the service.

    Parameters
    ----------
    root_dir
        Of the server: paths of notebooks are below it.
    environments_manager
        See :class:`OneEnvironment`.
    db_url
        Not used.
    config
        Of the server.
    client
        Asks the service; that of the environment when None.
    """

    task_runner = None
    """None: the platform's workers keep the time."""

    def __init__(
        self, root_dir: str, environments_manager: Any, db_url: str = "", config: Any = None,  # noqa: ARG002
        client: LabClient | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root_dir=root_dir, environments_manager=environments_manager, config=config)
        self.execution_manager_class = HandedOver
        self.client = client or LabClient()

    # ----------------------------------------------------------------------------------------------------------- jobs

    async def create_job(self, model: CreateJob) -> str:
        """Hand a job over; its name."""
        async with _told():
            made = await self.client.ask("POST", "/jobs", json=self._handed(model))
        return str(made["job_id"])

    async def list_jobs(self, query: ListJobsQuery) -> ListJobsResponse:
        """The jobs of this user."""
        status = query.status.value if query.status else ""
        async with _told():
            found = await self.client.ask("GET", "/jobs", status=status, definition=query.job_definition_id,
                                          since=query.start_time, **_listed(query))  # fmt: skip
        jobs = [self._job(one, files=True) for one in found["items"]]
        return ListJobsResponse(jobs=jobs, total_count=found["total"], next_token=_token(found))

    async def count_jobs(self, query: CountJobsQuery) -> int:
        """How many have a status."""
        async with _told():
            found = await self.client.ask("GET", "/jobs", status=query.status.value, limit=1)
        return int(found["total"])

    async def get_job(self, job_id: str, job_files: bool | None = True) -> DescribeJob:
        """One job; with its files, as far as they were downloaded."""
        async with _told():
            return self._job(await self.client.ask("GET", f"/jobs/{job_id}"), files=bool(job_files))

    async def update_job(self, job_id: str, model: UpdateJob) -> None:  # noqa: ARG002
        """Refused: a job is what was asked for."""
        raise SchedulerError("A job cannot be changed once it is made. Make another one.")

    async def stop_job(self, job_id: str) -> None:
        """Stop one."""
        async with _told():
            await self.client.ask("POST", f"/jobs/{job_id}/stop")

    async def delete_job(self, job_id: str) -> None:
        """Stop one, and take it off the list."""
        async with _told():
            await self.client.ask("DELETE", f"/jobs/{job_id}")

    # ---------------------------------------------------------------------------------------------------- definitions

    async def create_job_definition(self, model: CreateJobDefinition) -> str:
        """Hand a schedule over; its name."""
        if not model.schedule:
            raise SchedulerError("A job definition needs a schedule. Choose when it shall run.")
        async with _told():
            when = {"schedule": model.schedule, "timezone": model.timezone or "UTC"}
            made = await self.client.ask("POST", "/definitions", json=self._handed(model) | when)
        return str(made["job_definition_id"])

    async def update_job_definition(self, job_definition_id: str, model: UpdateJobDefinition) -> None:
        """Change one, pause it, or let it go on."""
        async with _told():
            known = ("name", "schedule", "timezone", "active", "parameters", "output_formats", "tags")
            changed = {name: value for name, value in model.dict(include=set(known)).items() if value is not None}
            if model.input_uri:
                before = await self.client.ask("GET", f"/definitions/{job_definition_id}")
                parameters = before["parameters"] if model.parameters is None else model.parameters
                if not self._is_untouched(model.input_uri, before):
                    changed |= self._notebook(model.input_uri, parameters)
            await self.client.ask("PATCH", f"/definitions/{job_definition_id}", json=changed)

    async def delete_job_definition(self, job_definition_id: str) -> None:
        """Delete one. Its jobs stay."""
        async with _told():
            await self.client.ask("DELETE", f"/definitions/{job_definition_id}")

    async def get_job_definition(self, job_definition_id: str) -> DescribeJobDefinition:
        """One of this user's."""
        async with _told():
            return DescribeJobDefinition(**await self.client.ask("GET", f"/definitions/{job_definition_id}"))

    async def list_job_definitions(self, query: ListJobDefinitionsQuery) -> ListJobDefinitionsResponse:
        """Those of this user."""
        async with _told():
            found = await self.client.ask("GET", "/definitions", since=query.create_time, **_listed(query))
        made = [DescribeJobDefinition(**one) for one in found["items"]]
        return ListJobDefinitionsResponse(job_definitions=made, total_count=found["total"], next_token=_token(found))

    async def create_job_from_definition(self, job_definition_id: str, model: CreateJobFromDefinition) -> str:
        """Run one now; the name of the job."""
        async with _told():
            json_ = {} if model.parameters is None else {"parameters": model.parameters}
            made = await self.client.ask("POST", f"/definitions/{job_definition_id}/jobs", json=json_)
        return str(made["job_id"])

    def get_staging_paths(self, model: DescribeJob | DescribeJobDefinition) -> dict[str, str]:
        """Where the service has the files of a job: paths of its API; see :class:`Downloads`."""
        if not isinstance(model, DescribeJob):
            return {}
        return {kind: f"/jobs/{model.job_id}/files/{kind}" for kind in (*(model.output_formats or []), "input")}

    # -------------------------------------------------------------------------------------------------------- private

    def _job(self, told: Mapping[str, Any], *, files: bool) -> DescribeJob:
        job = DescribeJob(**told, url=f"/jobs/{told['job_id']}")
        if files:
            self.add_job_files(job)
        return job

    def _handed(self, model: CreateJob | CreateJobDefinition) -> dict[str, Any]:
        """What the service takes."""
        parameters = dict(model.parameters or {})
        return {
            **self._notebook(model.input_uri, parameters),
            "name": model.name,
            "parameters": parameters,
            "output_formats": model.output_formats or [],
            "tags": model.tags or [],
            "environment": ENVIRONMENT,
        }

    def _is_untouched(self, uri: str, before: Mapping[str, Any]) -> bool:
        """Whether the form of a definition came back with the name of its notebook, and not the path of another one.

        Of a notebook that lies directly in the root the two are one text: then the file as it is now is taken.
        """
        is_in_root = Path(before["folder"]) == Path(os.path.abspath(self.root_dir))  # noqa: PTH100 (as it was handed in)
        return bool(uri == before["input_filename"] and not (is_in_root and self.file_exists(uri)))

    def _notebook(self, uri: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """A notebook without its outputs, once it is known that it can run with these parameters."""
        if not self.file_exists(uri):
            raise InputUriError(uri)
        path = Path(os.path.abspath(os.path.join(self.root_dir, uri.lstrip("/"))))  # noqa: PTH100, PTH118 (no link is followed)
        report = find_report(str(path))
        parse(report.parameters, texts(dict(parameters)), report=path.stem)
        document, _ = load(path)
        for cell in document.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        return {"filename": path.name, "folder": str(path.parent), "notebook": nbformat.writes(document)}  # type: ignore[no-untyped-call]


class Downloads(JobFilesManager):  # type: ignore[misc]
    """Fetches the files of a job into the user's folder ``jobs``."""

    async def copy_from_staging(self, job_id: str, redownload: bool | None = False) -> None:
        """Each file whole or not at all; what is there stays, unless it shall be fetched again.

        What the job did not leave is left out.
        """
        scheduler: LabScheduler = self.scheduler
        job = await scheduler.get_job(job_id, False)
        names = scheduler.get_job_filenames(job)
        folder = Path(scheduler.get_local_output_path(job))
        folder.mkdir(parents=True, exist_ok=True)
        for kind, path in scheduler.get_staging_paths(job).items():
            target = folder / names[kind]
            if target.exists() and not redownload:
                continue
            async with _told():
                try:
                    await _fetch(scheduler.client, path, target)
                except NotThere:
                    continue


async def _fetch(client: LabClient, path: str, target: Path) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            async with client.file(path) as parts:
                async for part in parts:
                    file.write(part)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def _listed(query: ListJobsQuery | ListJobDefinitionsQuery) -> dict[str, Any]:
    return {
        "name": query.name,
        "tag": list(query.tags or ()),
        "sort": [f"{one.name}:{one.direction.value}" for one in query.sort_by or ()],
        "offset": int(query.next_token or 0),
        "limit": max(1, min(1000, int(query.max_items or 1000))),
    }


def _token(found: Mapping[str, Any]) -> str | None:
    return None if found["next"] is None else str(found["next"])


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Say in JupyterLab what went wrong, in one sentence or two."""
    try:
        yield
    except QuantdeskError as error:
        raise SchedulerError(str(error)) from error
