"""The HTTP protocol of some models, as an ASGI application.

`POST /api/v1/predict`, `GET /api/v1/models`, `/api/v1/models/NAME`, `/api/v1/model` (the first), `/health` (alive), `/ready` (the
probes were answered as recorded), `/metrics` (Prometheus), `/openapi.json`, and `/`, the page to try them. Beside them the
protocols that other clients speak (`openai`, `completions`, `classifying`, `ranking`, `open_inference`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from jishi.core.errors import JishiError
from jishi.serving import (
    body,
    classifying,
    completions,
    describe,
    errors,
    open_inference,
    openai,
    page,
    ranking,
    schemas,
)
from jishi.serving.access import Access
from jishi.serving.gate import Gate
from jishi.serving.metrics import Metrics
from jishi.serving.models import Models
from jishi.serving.rate import RateLimit

log = logging.getLogger(__name__)


def create(
    models: Models,
    access: Access | None = None,
    warmed: Callable[[JishiError | None], None] = lambda error: error and log.error("%s", error),
) -> FastAPI:
    """The application. `warmed` hears that the server is ready, or the error why it can't be, or can't be any longer."""
    limits, access = models.limits, access or Access()
    metrics = Metrics(lambda: models.depth, lambda: models.bytes)
    models.home.observe, models.home.restarted = metrics.batch_rows.observe, metrics.restarts.inc

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tending = asyncio.create_task(_tend(models, warmed))
        yield
        tending.cancel()
        await asyncio.wait([tending])
        await models.close()

    app = FastAPI(
        title="Jishi",
        description="Where a key is set, send it as `Authorization: Bearer` or `X-API-Key`.",
        version=version("jishi"),
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.models = models
    errors.install(app, metrics.count_error)
    _answers(app, models, metrics)
    _about(app, models)
    _state(app, models, metrics)
    openai.install(app, models)
    completions.install(app, models, metrics.count_error)
    classifying.install(app, models)
    ranking.install(app, models)
    open_inference.install(app, models)
    app.add_middleware(Gate, access=access, rate=RateLimit(limits.requests_per_second or 0.0), metrics=metrics)
    return app


async def _tend(models: Models, warmed: Callable[[JishiError | None], None]) -> None:
    try:
        await models.warm_up()
        warmed(None)
        await models.tend()
    except JishiError as error:
        warmed(error)


def _answers(app: FastAPI, models: Models, metrics: Metrics) -> None:
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.ErrorResponse} for status in (401, 404, 408, 413, 415, 422, 429, 500, 503, 504)
    }
    asked = {"required": True, "content": {"application/json": {"schema": schemas.PredictRequest.model_json_schema()}}}

    @app.post(
        "/api/v1/predict",
        response_model=schemas.PredictResponse,
        responses=refusals,
        openapi_extra={"requestBody": asked},
        summary="Answer one input or a list of them",
    )
    async def predict(request: Request) -> Response:
        rows, name = await body.inputs(request, models.limits)
        started = time.perf_counter()
        async with models.use(name) as service:
            answers = await service.answer(request, rows)
        failures = [answer for answer in answers if isinstance(answer, JishiError)]
        for failure in failures:
            metrics.count_error(failure.code)
        if len(failures) == len(rows):
            return errors.response(failures[0])
        predictions = [{"error": a.to_dict()} if isinstance(a, JishiError) else a for a in answers]
        latency = round((time.perf_counter() - started) * 1000, 2)
        return JSONResponse(
            {"predictions": predictions, "errors": len(failures), "model": service.name, "latency_ms": latency}
        )


def _about(app: FastAPI, models: Models) -> None:
    missing: dict[int | str, dict[str, Any]] = {404: {"model": schemas.ErrorResponse}}

    async def told(name: str | None) -> Response:
        async with models.use(name) as service:
            return JSONResponse(describe.model(service.profile, models.limits, service.name))

    @app.get("/api/v1/model", response_model=schemas.ModelResponse, summary="What the first model is")
    async def first() -> Response:
        return await told(None)

    @app.get(
        "/api/v1/models/{name}", response_model=schemas.ModelResponse, responses=missing, summary="What a model is"
    )
    async def one(name: str) -> Response:
        return await told(name)

    @app.get("/api/v1/models", response_model=schemas.ModelsResponse, summary="The models, the first being the default")
    async def every() -> Response:
        return JSONResponse(models.listing())

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return page.response()


def _state(app: FastAPI, models: Models, metrics: Metrics) -> None:
    @app.get("/health", response_model=schemas.HealthResponse, summary="Whether the process is alive")
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get(
        "/ready",
        response_model=schemas.HealthResponse,
        responses={503: {"model": schemas.ErrorResponse}},
        summary="Whether the model answers as it was recorded",
    )
    async def ready() -> Response:
        models.check_ready()
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def counters() -> Response:
        await models.home.look()
        return Response(metrics.text(), media_type=metrics.content_type)
