"""Asks the service for jobs, from a user's server and with the token of that server. An edge module: the network."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from json import dumps
from typing import Any, Self

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import EnvironmentProblem, QuantdeskError

__all__ = ["LabClient", "LabConfig", "NotThere", "Refused"]

_WITHIN_S = 20.0
_TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 (a name)


class LabConfig(BaseSettings):
    """Where jobs of JupyterLab are handed to.

    Attributes
    ----------
    url
        ``QUANTDESK_LAB_URL``: the address of the service, without a slash at its end. The hub sets it.
    largest
        Bytes that the service takes at once; as its own setting of that name.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_LAB_", frozen=True, extra="ignore")

    url: str = ""
    largest: int = 1_000_000

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment."""
        return cls()


class Refused(QuantdeskError):
    """The service does not do it; its own words say why."""


class NotThere(Refused):
    """There is no such job, or no such file of one yet."""


class LabClient:
    """One user's jobs, asked of the service.

    Parameters
    ----------
    url
        Its address; that of the environment when None.
    token
        Of the user's server; that of the environment when None.
    transport
        How the service is reached; the network when None.
    """

    def __init__(
        self, url: str | None = None, token: SecretStr | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        config = LabConfig.from_env()
        self._url, self._largest = config.url if url is None else url, config.largest
        self._token = SecretStr(os.environ.get(_TOKEN, "")) if token is None else token
        self._transport = transport

    async def ask(self, method: str, path: str, *, json: Any = None, **query: Any) -> Any:
        """One request below ``/api/v1/lab``, and the JSON of its answer; None where it has none.

        Raises
        ------
        NotThere
            There is no such job.
        Refused
            The service does not do it; the message says why.
        EnvironmentProblem
            It cannot be reached, or is not well.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        size = len(dumps(json))
        if size > self._largest:  # the service would hang up in the middle
            raise Refused(
                f"The notebook and its parameters have {size:,} bytes without any outputs.",
                f"At most {self._largest:,} are taken: keep data and pictures in files.",
            )
        async with self._client() as client:
            answer = await self._sent(client.request(method, self._at(path), json=json, params=_given(query),
                                                     headers=headers))  # fmt: skip
            _check(answer)
            return answer.json() if answer.content else None

    @asynccontextmanager
    async def file(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """A file, in parts. See :meth:`ask` for what it raises."""
        async with self._client() as client, client.stream("GET", self._at(path)) as answer:
            if answer.status_code != 200:
                await answer.aread()
                _check(answer)
            yield answer.aiter_bytes()

    def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"}
        return httpx.AsyncClient(headers=headers, timeout=_WITHIN_S, transport=self._transport, trust_env=False)

    def _at(self, path: str) -> str:
        return f"{self._url}/api/v1/lab{path}"

    @staticmethod
    async def _sent(request: Any) -> httpx.Response:
        try:
            answer: httpx.Response = await request
        except httpx.HTTPError as error:
            raise _away(type(error).__name__) from None  # its text may hold the token
        return answer


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in (None, "", [], ())}


def _check(answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    try:
        told = answer.json()
        problem, remedy = str(told["detail"]), str(told.get("remedy", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _away(f"status {answer.status_code}") from None
    if answer.status_code == 404:
        raise NotThere(problem, remedy)
    if answer.status_code >= 500:
        raise EnvironmentProblem(problem, remedy)
    raise Refused(problem, remedy)


def _away(why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"The service that keeps jobs does not answer ({why}).",
        "What was scheduled is kept. Try again in a moment, or ask who runs the hub.",
    )
