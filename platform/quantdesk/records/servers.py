"""The team's servers: one setting for every database, one for Redis. An edge module: it reads the environment.

Each stage that keeps something has a setting of its own for where. Where that is left out, it asks here; and where
nothing is set here either, it keeps a file. The stages share one database without meeting, because each has a schema of
its own::

    quantdesk_hub        JupyterHub's users, sessions, groups and tokens
    quantdesk_service    jobs and answers of the service
    quantdesk_reports    the ledger of runs, with schedules
    quantdesk_ledger     the ledger of orders
    quantdesk            the rows of the feature store
    quantdesk_registry   its registry
    quantdesk_online     the online store, where that is in PostgreSQL
"""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["ServersConfig", "database_of_the_team", "redis_of_the_team"]


class ServersConfig(BaseSettings):
    """Where the team's servers are.

    Attributes
    ----------
    database
        ``QUANTDESK_DATABASE``: ``postgresql://user:password@host:5432/database`` for the hub, the service, both ledgers
        and the feature store, as far as they have no setting of their own; files when left out.
    redis
        ``QUANTDESK_REDIS``: ``redis://host:6379/0`` or ``rediss://...`` for the online store and the counts of
        requests, likewise.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True, extra="ignore")

    database: SecretStr | None = None
    redis: SecretStr | None = None

    @classmethod
    def from_env(cls) -> ServersConfig:
        """Read the environment."""
        return cls()


def database_of_the_team() -> SecretStr | None:
    """The address of the team's database; None where there is none."""
    return _given(ServersConfig.from_env().database)


def redis_of_the_team() -> SecretStr | None:
    """The address of the team's Redis; None where there is none."""
    return _given(ServersConfig.from_env().redis)


def _given(address: SecretStr | None) -> SecretStr | None:
    """A variable that is set to nothing counts as left out."""
    return address if address is not None and address.get_secret_value().strip() else None
