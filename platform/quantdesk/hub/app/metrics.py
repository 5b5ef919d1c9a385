"""What Prometheus asks of a service. An edge module: with several workers, counts are kept in files.

``PROMETHEUS_MULTIPROC_DIR`` must be set before anything imports ``prometheus_client``: the parent process does that.
"""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector  # type: ignore[import-untyped,unused-ignore]
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE_LATEST", "FOLDER", "exposed", "observed", "refused"]

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_OURS = CollectorRegistry()
# What the library made up its mind to when it was imported: Feast sets the variable later, and counts stay in memory.
_SHARED = os.environ.get(FOLDER) if values.ValueClass is not values.MutexValue else None
_REQUESTS = Counter(
    "quantdesk_http_requests", "Requests by method, route and status.", ("method", "route", "status"), registry=_OURS
)
_SECONDS = Histogram(
    "quantdesk_http_request_seconds", "Seconds until an answer is sent.", ("route",), buckets=_BUCKETS, registry=_OURS
)
_REFUSED = Counter("quantdesk_refused", "Requests that were refused, by reason.", ("reason",), registry=_OURS)


def observed(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request; `route` is the pattern, not the path, so that there are few of them."""
    _REQUESTS.labels(method, route, str(status)).inc()
    _SECONDS.labels(route).observe(seconds)


def refused(reason: str) -> None:
    """Count a refusal that says something about attacks or overload."""
    _REFUSED.labels(reason).inc()


def exposed(*more: Collector) -> bytes:
    """The metrics of all workers as text, and those that others collect."""
    if _SHARED is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, _SHARED)  # type: ignore[no-untyped-call,unused-ignore]
        text = generate_latest(registry)
    else:
        text = generate_latest(_OURS)
    beside = CollectorRegistry()
    for one in more:
        beside.register(one)
    return text + generate_latest(beside)
