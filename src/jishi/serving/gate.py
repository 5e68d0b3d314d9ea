"""What every request passes (Host, rate, key) and every answer carries (security headers, a count, our errors)."""

import logging
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jishi.core import i18n
from jishi.core.errors import JishiError, ServingError
from jishi.serving import errors
from jishi.serving.access import Access
from jishi.serving.metrics import Metrics
from jishi.serving.rate import RateLimit

log = logging.getLogger(__name__)
OPEN = frozenset(  # asked without a key and not counted against the rate
    {"/", "/health", "/ready", "/openapi.json", "/v2/health/live", "/v2/health/ready"}
)
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Gate:
    """ASGI middleware; roles, canary and the journal will pass here too."""

    def __init__(self, app: ASGIApp, access: Access, rate: RateLimit, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self._rate = rate
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if chosen := errors.language(headers.get("accept-language", "")):
            i18n.set_language(chosen)
        started, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    given.setdefault(name, value)
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                self._check(scope, headers)
                await self._app(scope, receive, answer)
            except JishiError as error:
                self._metrics.count_error(error.code)
                await errors.response(error, scope["path"])(scope, receive, answer)
            except Exception:
                log.exception("a request failed")
                self._metrics.count_error("serving.internal")
                if not status:
                    await errors.response(ServingError("serving.internal"), scope["path"])(scope, receive, answer)
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(time.perf_counter() - started)

    def _check(self, scope: Scope, headers: Headers) -> None:
        self._access.check_host(headers.get("host", ""))
        if scope["path"] in OPEN:
            return
        client = scope["client"][0] if scope.get("client") else ""
        if wait := self._rate.wait(client):
            raise ServingError("serving.rate", allowed=self._rate.rate, retry_after=round(wait, 2))
        self._access.check_key(headers)
