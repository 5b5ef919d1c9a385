"""What a service is told from outside. An edge module: it reads the environment."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadParameter
from quantdesk.home import state_dir
from quantdesk.records.servers import database_of_the_team, redis_of_the_team

__all__ = ["CLIENT", "NAME", "PREFIX", "ServiceConfig"]

NAME = "quantdesk"
"""What JupyterHub calls the service."""
CLIENT = f"service-{NAME}"
"""Its name as a client of JupyterHub's OAuth."""
PREFIX = f"/services/{NAME}"
"""Where JupyterHub's proxy serves it."""
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class ServiceConfig(BaseSettings):
    """How a service runs. Frozen; environment variables start with ``QUANTDESK_SERVICE_``.

    Attributes
    ----------
    host, port
        Where it listens when nobody hands it a socket; port 0 takes a free one.
    socket
        The number of a listening socket that was handed down.
    workers
        Processes that answer requests.
    prefix
        Path below which it is served, without a slash at the end.
    hub_url
        JupyterHub's public root as the browser sees it, a path or an address, with a slash at the end.
    hub_api
        Address of JupyterHub's API.
    client
        The service's name as an OAuth client.
    token
        What it proves itself to JupyterHub with.
    secret
        What cookies and forms are signed with; the same for all workers and after a restart.
    metrics_token
        Who sends it may read ``/metrics``; without one, an administrator's token may.
    remember
        Seconds for which a worker believes what JupyterHub said of a token.
    session_days
        Days after which one has to log in again.
    database
        Address of the database; what ``QUANTDESK_DATABASE`` says when left out, else a SQLite file in the state
        directory.
    folder
        What belongs to the service itself.
    largest
        Bytes that a request may have.
    scenario_seconds
        For how long a request waits for a scenario before it gets a job to ask for instead.
    scenario_limit
        Seconds after which a scenario is ended.
    scenario_workers
        Scenarios that run at the same time.
    read_rate, write_rate, run_rate
        Requests of one user: those that read, those that change something, those that compute or trade.
    stranger_rate
        Requests of one address that show no valid token.
    rate_store
        Where requests are counted: ``memory://`` (by each worker for itself) or ``redis://host:port``; what
        ``QUANTDESK_REDIS`` says when left out.
    desk_socket
        Path of the desk's socket; set by the parent process.
    desk_url
        Address of a desk that runs elsewhere, such as ``http://qd-desk:8081``; one of this service's own when left out.
    desk_token
        What the service shows to a desk elsewhere, and what such a desk asks for; 32 characters or more.
    drain_seconds
        For how long requests under way may go on once the service is told to end; where another one takes its place, as
        on Kubernetes, nobody then notices.
    proxies
        Addresses and networks, separated by commas, whose word about a browser's address is believed.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_SERVICE_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    socket: int | None = Field(None, ge=0)
    workers: int = Field(2, ge=1, le=64)
    prefix: str = PREFIX
    hub_url: str = "/"
    hub_api: str = "http://127.0.0.1:8000/hub/api"
    client: str = CLIENT
    token: SecretStr = SecretStr("")
    secret: SecretStr = SecretStr("")
    metrics_token: SecretStr | None = None
    remember: float = Field(10.0, ge=0, le=300)
    session_days: float = Field(14.0, gt=0, le=365)
    database: SecretStr | None = Field(default_factory=database_of_the_team)
    folder: Path = Field(default_factory=lambda: state_dir() / "service")
    largest: int = Field(1_000_000, ge=1000, le=100_000_000)
    scenario_seconds: float = Field(10.0, ge=0, le=300)
    scenario_limit: float = Field(900.0, gt=0, le=86_400)
    scenario_workers: int = Field(1, ge=1, le=64)
    read_rate: str = "60000/minute"
    write_rate: str = "300/minute"
    run_rate: str = "60/minute"
    stranger_rate: str = "600/minute"
    rate_store: SecretStr = Field(default_factory=lambda: redis_of_the_team() or SecretStr("memory://"))
    desk_socket: Path | None = None
    desk_url: str | None = Field(None, pattern=r"^https?://[^\s/@]+$")
    desk_token: SecretStr = SecretStr("")
    drain_seconds: int = Field(5, ge=1, le=3600)
    proxies: str = "127.0.0.1"

    @field_validator("prefix")
    @classmethod
    def _path(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value.rstrip("/")) or {".", ".."} & set(value.split("/")):
            raise ValueError("A path such as /services/quantdesk is wanted")
        return value.rstrip("/")

    @field_validator("read_rate", "write_rate", "run_rate", "stranger_rate")
    @classmethod
    def _rate(cls, value: str) -> str:
        from limits import parse

        parse(value)  # a ValueError says what is wrong
        return value

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins.

        Raises
        ------
        BadParameter
            A value is out of range or of the wrong type; the message names it, but never a secret.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "_".join(str(part) for part in first["loc"])
            raise BadParameter(
                f"The service's setting {name} cannot be used.", f"QUANTDESK_SERVICE_{name.upper()}: {first['msg']}."
            ) from None

    @property
    def database_url(self) -> SecretStr:
        """The address of the database, with the default filled in."""
        given = self.database.get_secret_value() if self.database is not None else ""
        return SecretStr(given or f"sqlite:///{self.folder / 'service.sqlite'}")

    @property
    def shared_with_desk(self) -> str:
        """What a desk elsewhere and the service know.

        Raises
        ------
        BadParameter
            There is none, or it is too short: whoever reaches the desk could send orders.
        """
        given = self.desk_token.get_secret_value()
        if len(given) < 32 or not given.isascii():
            raise BadParameter(
                "A desk that runs elsewhere needs a secret that it shares with the service.",
                "QUANTDESK_SERVICE_DESK_TOKEN: 32 characters or more, the same for both.",
            )
        return given

    @property
    def signing_secret(self) -> str:
        """The secret; one of this process's own where none is given, which is enough for a single worker.

        Raises
        ------
        BadParameter
            It is too short to be one.
        """
        given = self.secret.get_secret_value()
        if given and len(given) < 32:
            raise BadParameter("The service's secret is too short.", "QUANTDESK_SERVICE_SECRET: 32 characters or more.")
        return given or _ALONE


_ALONE = secrets.token_hex(32)
