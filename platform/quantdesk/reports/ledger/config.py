"""Where the ledger of runs is. An edge module: it reads the environment."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.records.servers import database_of_the_team
from quantdesk.reports.runs import RunsConfig

__all__ = ["RunLedgerConfig"]


class RunLedgerConfig(BaseSettings):
    """Where the ledger of runs is.

    Attributes
    ----------
    url
        ``QUANTDESK_REPORTS_LEDGER_URL``: ``sqlite:///path`` or ``postgresql://user:password@host:5432/database``; what
        ``QUANTDESK_DATABASE`` says when left out, else the file ``ledger.sqlite`` in the folder of the reports.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_REPORTS_LEDGER_", frozen=True)

    url: SecretStr | None = Field(default_factory=database_of_the_team)

    @classmethod
    def from_env(cls) -> RunLedgerConfig:
        """Read the environment."""
        return cls()

    @property
    def address(self) -> SecretStr:
        """The address, the default one included."""
        given = self.url.get_secret_value() if self.url is not None else ""
        return SecretStr(given or f"sqlite:///{RunsConfig.from_env().reports_root / 'ledger.sqlite'}")
