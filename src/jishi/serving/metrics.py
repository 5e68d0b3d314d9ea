"""What a server counts, in the format of Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """One registry a server, so that two servers in one process don't mix."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, depth: Callable[[], int], held: Callable[[], int] = lambda: 0) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "jishi_requests_total", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "jishi_request_seconds",
            "Seconds from request to answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self.errors = Counter(
            "jishi_errors_total", "Refusals and failures by code.", ("code",), registry=self._registry
        )
        self.batch_rows = Histogram(
            "jishi_batch_rows", "Rows in a forward pass.", buckets=ROWS, registry=self._registry
        )
        self.restarts = Counter(
            "jishi_restarts_total", "Times that the process of the models was begun again.", registry=self._registry
        )
        self.in_flight = Gauge("jishi_requests_in_flight", "Requests not yet answered.", registry=self._registry)
        queue = Gauge("jishi_queue_rows", "Rows that wait for a forward pass.", registry=self._registry)
        queue.set_function(depth)
        weights = Gauge("jishi_weights_bytes", "Bytes of the weights of models in memory.", registry=self._registry)
        weights.set_function(held)

    def count_error(self, code: str) -> None:
        self.errors.labels(code).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
