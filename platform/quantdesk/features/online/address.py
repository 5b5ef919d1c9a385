"""Which online store is meant: one URL. An edge module: it reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput
from quantdesk.features.online.backend import Backend
from quantdesk.features.online.sqlite import SqliteBackend
from quantdesk.records.servers import redis_of_the_team

__all__ = ["ONLINE", "Address", "OnlineConfig", "connect"]

ONLINE = "online.db"
_REMEDY = (
    "Give redis://host:6379/0, rediss://host:6379/0 or postgresql://host:5432/database, with user:password@ before the "
    "host where they are needed; without a URL the store is a SQLite file."
)
_PORTS = {"redis": 6379, "rediss": 6379, "postgresql": 5432, "postgres": 5432}


class OnlineConfig(BaseSettings):
    """Settings of the online store.

    Attributes
    ----------
    url
        ``QUANTDESK_ONLINE_URL``: ``redis://``, ``rediss://`` or ``postgresql://`` for a team; what ``QUANTDESK_REDIS``
        says when left out, else a SQLite file in the feature store's folder.
    clock
        ``QUANTDESK_ONLINE_CLOCK``: what the age of a row is counted against. ``"session"``: the symbol's own latest
        session, as suits a history that ended; ``"now"``: the moment of the question, as suits live data.
    workers
        ``QUANTDESK_ONLINE_WORKERS``: how many threads bring rows over at once.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_ONLINE_", frozen=True)

    url: SecretStr | None = Field(default_factory=redis_of_the_team)
    clock: Literal["session", "now"] = "session"
    workers: int = 4

    @classmethod
    def from_env(cls) -> OnlineConfig:
        """Read the environment."""
        return cls()


class Address:
    """A URL that can be shown.

    Parameters
    ----------
    url
        As given; it may hold a password.

    Raises
    ------
    BadInput
        It is not the address of a store that there is; the message does not hold the password.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            parts = urlsplit(url)
            self.scheme = parts.scheme.lower()
            self._secret = parts.password or ""
            host, port = parts.hostname, parts.port
        except ValueError:
            # What the error says may be a part of the password: one with a # in it reads as a port.
            raise BadInput(
                "The URL of the online store cannot be read: its port is wrong, or its password is not escaped.",
                _REMEDY,
            ) from None
        if self.scheme not in _PORTS:
            raise BadInput(f"There is no online store behind a {self.scheme or 'missing'!r} URL.", _REMEDY)
        if not host:
            raise BadInput(f"The {self.scheme} URL of the online store names no host.", _REMEDY)
        self.shown = f"{self.scheme}://{host}:{port or _PORTS[self.scheme]}{parts.path}"
        if self.scheme.startswith("redis") and not parts.path.strip("/").isdecimal() and parts.path.strip("/"):
            raise BadInput(f"The database of {self.shown} is not a number.", _REMEDY)

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def clean(self, error: object) -> str:
        """What an error says, in one line and without the password."""
        said = " ".join(str(error).split())
        for secret in sorted({self._secret, unquote(self._secret)} - {""}, key=len, reverse=True):
            said = said.replace(secret, "***")
        return said[:300]


def connect(url: str | None, file: Path) -> Backend:
    """The store behind a URL; without one, the SQLite file.

    Nothing is opened before the store is used.

    Raises
    ------
    BadInput
        The URL is not one of a store.
    """
    if not url:
        return SqliteBackend(file)
    address = Address(url)
    if address.scheme.startswith("redis"):
        from quantdesk.features.online.redis import RedisBackend

        return RedisBackend(address)
    from quantdesk.features.online.postgres import PostgresBackend

    return PostgresBackend(address)
