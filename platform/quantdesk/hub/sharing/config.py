"""Whether servers may be shared. An edge module: it reads the environment."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.hub.auth.given import read

__all__ = ["SharingConfig"]


class SharingConfig(BaseSettings):
    """Sharing of servers. Frozen; environment variables start with ``QUANTDESK_``.

    Attributes
    ----------
    sharing
        Whether a user may open his server to others. Off unless it is asked for: who opens another's server acts as its
        owner, and the pages of that server come from the hub's own address (see docs/how-to/share-your-work.md).
    sharing_believed_s
        Seconds for which a server that may be shared believes what the hub has said about a visitor, and so for which a
        door is open after it was closed. JupyterHub's own 300 would be five minutes; each server asks this often.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_", frozen=True, extra="ignore")

    sharing: bool = False
    sharing_believed_s: int = Field(10, ge=1, le=300)

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins.

        Raises
        ------
        BadParameter
            The value is neither true nor false.
        """
        return read(cls, given)

    @property
    def told(self) -> dict[str, str]:
        """What each server is told of it, as its environment."""
        return {"QUANTDESK_SHARING_BELIEVED_S": str(self.sharing_believed_s)} if self.sharing else {}
