"""A page to label a queue in, on loopback: one row at a time, every label on the disk before it is acknowledged.

`GET /api/v1/queue` (how far it is, and the next row), `POST /api/v1/label`, `/api/v1/skip`, `/api/v1/undo`.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from jishi.core import i18n
from jishi.core.errors import ServingError, UsageError
from jishi.lifecycle.labelling import Labelling
from jishi.serving import body, errors, page
from jishi.serving.access import Access
from jishi.serving.gate import Gate
from jishi.serving.limits import Limits
from jishi.serving.metrics import Metrics
from jishi.serving.rate import RateLimit
from jishi.serving.serve import address, configured, listen

HOST = "127.0.0.1"
LIMITS = Limits(max_body_bytes=64 * 1024)


def label(path: Path, out: Path | None, port: int, announce: Callable[[str], None] | None = None) -> None:
    """Show the page until interrupted. `announce` is told its address; by default it is printed."""
    with Labelling(path, out) as labelling, listen(HOST, port) as listener:
        server = uvicorn.Server(configured(create(labelling)))
        (announce or (lambda url: _print(url, labelling)))(address(HOST, listener))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def create(labelling: Labelling) -> FastAPI:
    """The application of one queue."""
    app = FastAPI(title="Jishi", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    metrics = Metrics(lambda: 0)
    errors.install(app, metrics.count_error)

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return page.response(page.LABEL)

    @app.get("/api/v1/queue")
    async def state() -> Response:
        return await _state(labelling)

    @app.post("/api/v1/label")
    async def give(request: Request) -> Response:
        given = await _given(request, ("place", "labels"))
        labels = given.get("labels")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise UsageError("label.bad-request", key="labels")
        return await _state(labelling, lambda: labelling.give(_place(given), labels))

    @app.post("/api/v1/skip")
    async def skip(request: Request) -> Response:
        given = await _given(request, ("place",))
        return await _state(labelling, lambda: labelling.skip(_place(given)))

    @app.post("/api/v1/undo")
    async def undo(request: Request) -> Response:
        await _given(request, ())
        return await _state(labelling, labelling.undo)

    app.add_middleware(Gate, access=Access(), rate=RateLimit(0.0), metrics=metrics)
    return app


async def _given(request: Request, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The body of a request that this page made. Raises ServingError for one that another site's page made.

    A browser says where a request comes from; JSON from elsewhere it would ask leave for, which is never given.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and origin != f"http://{host}":
        raise ServingError("label.other-origin", given=origin[:80])
    return await body.fields(request, LIMITS, allowed)


async def _state(labelling: Labelling, change: Callable[[], None] = lambda: None) -> Response:
    """The state after a change; neither the disk nor a picture holds the others up."""

    def changed() -> dict[str, Any]:
        change()
        return labelling.state()

    return JSONResponse(await asyncio.to_thread(changed))


def _place(given: dict[str, Any]) -> int:
    place = given.get("place")
    if not isinstance(place, int) or isinstance(place, bool):
        raise UsageError("label.bad-request", key="place")
    return place


def _print(url: str, labelling: Labelling) -> None:
    sys.stdout.write(i18n.text("label.open-page", url=url, out=labelling.labelled.path) + "\n")
    sys.stdout.flush()
