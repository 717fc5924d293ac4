"""Metrics of the service, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one service; each has its own registry, so that several can be in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "artidx_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._request_seconds = Histogram(
            "artidx_request_seconds",
            "From the first byte to the answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "artidx_stage_seconds",
            "Work on a request: decode, embed, search.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch = Histogram(
            "artidx_batch_images", "Images per run of the model.", buckets=(1, 2, 4, 8, 16, 32), registry=self.registry
        )
        self.in_flight = Gauge(
            "artidx_in_flight", "Requests with a body that have no answer yet.", registry=self.registry
        )
        self.paintings = Gauge("artidx_paintings", "Paintings of the index.", registry=self.registry)
        self.generation = Gauge("artidx_generation", "Generation of the index.", registry=self.registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the work: decode, embed or search."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - started)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
