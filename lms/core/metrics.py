"""Counters for Prometheus, shared by the web workers through a folder of mapped files (监控指标)."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.values import ValueClass

from lms import __version__

REQUESTS = Counter("zhike_http_requests", "Requests by rule, method and status", ["rule", "method", "status"])
SECONDS = Histogram(
    "zhike_http_seconds",
    "Time to answer by rule",
    ["rule"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
WRITE_WAIT = Histogram(
    "zhike_db_write_wait_seconds", "Wait for the writers' turn", buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
)


def exposition(backlog: dict[str, int]) -> tuple[bytes, str]:
    """All metrics in Prometheus' text format, and its content type; ``backlog`` counts undelivered outbox rows by destination."""
    registry: CollectorRegistry = REGISTRY
    if ValueClass._multiprocess:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it without types
    momentary = CollectorRegistry()
    Gauge("zhike_info", "Version", ["version"], registry=momentary).labels(__version__).set(1)
    waiting = Gauge("zhike_outbox_waiting", "Undelivered outbox rows", ["destination"], registry=momentary)
    for destination, count in backlog.items():
        waiting.labels(destination).set(count)
    return generate_latest(registry) + generate_latest(momentary), CONTENT_TYPE_LATEST
