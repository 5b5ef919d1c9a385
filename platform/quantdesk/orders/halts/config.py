"""Whom to ask about halts, from the environment. An edge module: it reads the environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.orders.halts.feeds import parse_nasdaq_rss, parse_nyse_csv
from quantdesk.orders.halts.feeds.heard import Feed
from quantdesk.orders.halts.feeds.poller import Poller

__all__ = ["HaltConfig"]


class HaltConfig(BaseSettings):
    """Whom to ask about halts.

    Attributes
    ----------
    feeds
        ``QUANTDESK_HALTS_FEEDS``: whether the feeds are polled.
    nasdaq_url, nyse_url
        ``QUANTDESK_HALTS_NASDAQ_URL``, ``QUANTDESK_HALTS_NYSE_URL``: their addresses.
    timeout_s
        ``QUANTDESK_HALTS_TIMEOUT_S``: seconds for an answer of a feed.
    stale_s
        ``QUANTDESK_HALTS_STALE_S``: seconds after which an answer no longer says that something trades.
    url
        ``QUANTDESK_HALTS_URL``: a service that is one more source, or nothing.
    url_timeout_s
        ``QUANTDESK_HALTS_URL_TIMEOUT_S``: seconds for its answer.
    exchange
        ``QUANTDESK_HALTS_EXCHANGE``: MIC of the listing exchange of symbols of which nothing else is known.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_HALTS_", frozen=True, extra="ignore")

    feeds: bool = True
    nasdaq_url: str = "https://www.nasdaqtrader.com/rss.aspx?feed=tradehalts"
    nyse_url: str = "https://www.nyse.com/api/trade-halts/current/download"
    timeout_s: float = Field(default=10.0, gt=0)
    stale_s: float = Field(default=180.0, gt=0)
    url: str | None = None
    url_timeout_s: float = Field(default=2.0, gt=0)
    exchange: str = "XNYS"

    @classmethod
    def from_env(cls) -> HaltConfig:
        """From the environment."""
        return cls()

    def poller(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> Poller | None:
        """The poller of the two feeds, or None where they are not polled."""
        if not self.feeds:
            return None
        feeds = (Feed("nasdaq", self.nasdaq_url, parse_nasdaq_rss), Feed("nyse", self.nyse_url, parse_nyse_csv))
        return Poller(feeds, folder, timeout_s=self.timeout_s, clock=clock)
