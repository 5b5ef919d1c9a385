"""What Prometheus asks of the desk: orders by what came of them, and how long that took; nothing of an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

from quantdesk.orders.result import OrderStatus

__all__ = ["CONTENT_TYPE_LATEST", "FAILED", "DeskFigures"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FAILED = ("unavailable", "internal")
"""What came of an order that the desk could not handle."""
_SAID = ("bad_input", "in_progress", "voided", *FAILED)


class DeskFigures:
    """Of one desk."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._orders = Counter(
            "quantdesk_desk_orders", "Orders by what came of them.", ("outcome",), registry=self._registry
        )
        self._seconds = Histogram(
            "quantdesk_desk_order_seconds", "Seconds until an order is answered.", buckets=_BUCKETS,
            registry=self._registry,
        )  # fmt: skip
        for outcome in (*(status.value for status in OrderStatus), *_SAID):
            self._orders.labels(outcome)  # also where it is nought: else the first failure would not be an increase

    def answered(self, status: int, found: Mapping[str, Any], seconds: float) -> None:
        """Count one order.

        Parameters
        ----------
        status, found
            What :func:`quantdesk.orders.client.server.handle` answered.
        seconds
            How long it took.
        """
        result, error = found.get("result"), found.get("error")
        outcome = result["status"] if status == 200 and result else (error or {}).get("code", "internal")
        self._orders.labels(str(outcome).lower()).inc()
        self._seconds.observe(seconds)

    def exposed(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)
