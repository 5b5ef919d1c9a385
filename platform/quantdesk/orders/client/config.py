"""Where the remote router is. An edge module: it reads the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.home import state_dir
from quantdesk.orders.executions import ExecutionMode

__all__ = ["SorConfig"]


class SorConfig(BaseSettings):
    """Settings of the client of a remote router.

    Attributes
    ----------
    url
        ``QUANTDESK_SOR_URL``: ``http://host:port`` of a remote router; the desk of this process when left out.
    token
        ``QUANTDESK_SOR_TOKEN``: sent as a bearer token; never shown.
    mode
        ``QUANTDESK_SOR_MODE``: what the router is there for: ``simulated``, ``paper`` or ``live``. In ``live`` nothing
        is ever executed as a mock.
    connect_timeout
        ``QUANTDESK_SOR_CONNECT_TIMEOUT``: seconds for a connection to be made.
    timeout
        ``QUANTDESK_SOR_TIMEOUT``: seconds for an answer.
    failures
        ``QUANTDESK_SOR_FAILURES``: after so many failures in a row the router is left alone.
    reset
        ``QUANTDESK_SOR_RESET``: for so many seconds.
    journal
        ``QUANTDESK_SOR_JOURNAL``: the file that knows which orders went out; ``orders/sor.db`` in the state directory
        when left out.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_SOR_", frozen=True)

    url: str | None = None
    token: SecretStr | None = None
    mode: ExecutionMode = ExecutionMode.SIMULATED
    connect_timeout: float = Field(default=2.0, gt=0)
    timeout: float = Field(default=10.0, gt=0)
    failures: int = Field(default=5, ge=1)
    reset: float = Field(default=30.0, ge=0)
    journal: Path | None = None

    @property
    def journal_path(self) -> Path:
        """The file of the journal."""
        return self.journal or state_dir() / "orders" / "sor.db"

    @classmethod
    def from_env(cls) -> SorConfig:
        """Read the environment."""
        return cls()
