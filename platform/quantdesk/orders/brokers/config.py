"""How Alpaca is reached. An edge module: it reads the environment."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput
from quantdesk.orders.executions import ExecutionMode

__all__ = ["AlpacaConfig"]

_LIVE = "api.alpaca.markets"
_PAPER = "paper-api.alpaca.markets"


class AlpacaConfig(BaseSettings):
    """Settings of the gateway to Alpaca.

    Attributes
    ----------
    key, secret
        ``QUANTDESK_ALPACA_KEY``, ``QUANTDESK_ALPACA_SECRET``: of the account; never shown.
    url
        ``QUANTDESK_ALPACA_URL``: the trading API; that of the paper account when left out.
    data_url
        ``QUANTDESK_ALPACA_DATA_URL``: the market data API; Alpaca's own when left out.
    live
        ``QUANTDESK_ALPACA_LIVE``: whether real money may be traded. That alone is not enough: the gateway must be made
        in the mode ``live``, too.
    timeout
        ``QUANTDESK_ALPACA_TIMEOUT``: seconds for an answer.
    connect_timeout
        ``QUANTDESK_ALPACA_CONNECT_TIMEOUT``: seconds for a connection to be made.
    patience
        ``QUANTDESK_ALPACA_PATIENCE``: seconds to wait for the fills of an order that trades at once.
    settle
        ``QUANTDESK_ALPACA_SETTLE``: seconds during which an order whose request was lost may still arrive. Only after
        them does "no such order" count.
    quote_lot
        ``QUANTDESK_ALPACA_QUOTE_LOT``: shares in one unit of the size of a quote. Alpaca has said that it gives round
        lots.
    feed
        ``QUANTDESK_ALPACA_FEED``: ``iex``, ``sip`` ...; what the account may see when left out.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_ALPACA_", frozen=True)

    key: SecretStr | None = None
    secret: SecretStr | None = None
    url: str | None = None
    data_url: str | None = None
    live: bool = False
    timeout: float = Field(default=10.0, gt=0)
    connect_timeout: float = Field(default=5.0, gt=0)
    patience: float = Field(default=2.0, ge=0)
    settle: float = Field(default=5.0, ge=0)
    quote_lot: int = Field(default=100, ge=1)
    feed: str | None = None

    @classmethod
    def from_env(cls) -> AlpacaConfig:
        """Read the environment."""
        return cls()

    def checked(self, mode: ExecutionMode) -> AlpacaConfig:
        """These settings, if they fit a mode.

        Raises
        ------
        BadInput
            The keys are missing; an address is none; or paper and live are mixed.
        """
        if self.key is None or self.secret is None:
            raise BadInput("The keys of Alpaca are missing.", "Set QUANTDESK_ALPACA_KEY and QUANTDESK_ALPACA_SECRET.")
        for secret in (self.key.get_secret_value(), self.secret.get_secret_value()):
            if not (secret and secret.isascii() and secret.isprintable()):
                raise BadInput(
                    "A key of Alpaca cannot be sent.", "It consists of printable ASCII, without a line break."
                )
        if mode not in (ExecutionMode.PAPER, ExecutionMode.LIVE):
            raise BadInput(f"Alpaca does not execute in the mode {mode}.", "Give paper or live.")
        hosts = [_host(url) for url in (self.url, self.data_url) if url is not None]
        real = _LIVE in hosts or (mode is ExecutionMode.LIVE and self.url is None)
        if (mode is ExecutionMode.LIVE) != self.live or (real and not self.live) or (self.live and _PAPER in hosts):
            raise BadInput(
                f"The mode {mode} does not fit the settings of Alpaca.",
                "Real money is traded in the mode live, with QUANTDESK_ALPACA_LIVE=true, at the live address.",
            )
        return self


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    else:
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            host = None
    if not host:
        raise BadInput("An address of Alpaca cannot be used.", "Give https://host, without user, password or version.")
    return host
