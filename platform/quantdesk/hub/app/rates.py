"""How many requests a user may make. An edge module: a count in memory or in Redis, by the library ``limits``."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Literal

from quantdesk.hub.app import metrics
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.app.problems import Refusal

if TYPE_CHECKING:
    from limits import RateLimitItem

__all__ = ["Rates"]

_log = logging.getLogger(__name__)
Kind = Literal["read", "write", "run", "stranger"]


class Rates:
    """Counts requests.

    In memory each worker counts for itself, so that a user gets up to as many times the rate as there are workers; in
    Redis the count is everybody's.

    Parameters
    ----------
    config
        The rates, and where to count.
    """

    def __init__(self, config: ServiceConfig) -> None:
        from limits import parse
        from limits.aio.strategies import FixedWindowRateLimiter
        from limits.storage import storage_from_string

        address = config.rate_store.get_secret_value()
        redis = address.startswith(("redis://", "rediss://"))
        more = {"implementation": "redispy"} if redis else {}
        storage = storage_from_string(f"async+{address}", **more)
        self._storage = storage
        self._limiter = FixedWindowRateLimiter(storage)
        self._rates: dict[Kind, RateLimitItem] = {
            "read": parse(config.read_rate),
            "write": parse(config.write_rate),
            "run": parse(config.run_rate),
            "stranger": parse(config.stranger_rate),
        }

    async def hit(self, kind: Kind, who: str) -> None:
        """Count a request.

        Raises
        ------
        Refusal
            429: it is one too many.
        """
        try:
            fine = await self._limiter.hit(self._rates[kind], kind, who)
        except Exception as error:  # noqa: BLE001  (whatever the store raises: a broken counter must not close the desk)
            _log.warning("requests are not counted: %s", type(error).__name__)
            return
        if not fine:
            await self._refuse(kind, who)

    async def look(self, kind: Kind, who: str) -> None:
        """Refuse who has made too many requests already, without counting this one."""
        try:
            fine = await self._limiter.test(self._rates[kind], kind, who)
        except Exception as error:  # noqa: BLE001  (as above)
            _log.warning("requests are not counted: %s", type(error).__name__)
            return
        if not fine:
            await self._refuse(kind, who)

    async def close(self) -> None:
        """Let go of the connections to Redis."""
        client = getattr(getattr(self._storage, "bridge", None), "storage", None)
        if client is not None:
            await client.aclose()

    async def _refuse(self, kind: Kind, who: str) -> None:
        rate = self._rates[kind]
        metrics.refused("rate")
        try:
            ends = (await self._limiter.get_window_stats(rate, kind, who)).reset_time
        except Exception:  # noqa: BLE001  (as above)
            ends = time.time() + rate.get_expiry()
        wait = max(1, math.ceil(ends - time.time()))
        raise Refusal(
            429, "too_many_requests", f"There are more than {rate.amount} {kind} requests in {rate.get_expiry()} s.",
            f"Wait {wait} s.", headers={"Retry-After": str(wait)},
        )  # fmt: skip
