"""The HTTP protocol of one predictor, as an ASGI application.

`POST /api/v1/predict`, `GET /api/v1/model`, `/health` (alive), `/ready` (the probes were answered as recorded),
`/metrics` (Prometheus), `/openapi.json`, and `/`, the page to try it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from jishi.core.contracts import Features
from jishi.core.errors import JishiError, ServingError
from jishi.predictor import Predictor
from jishi.serving import body, describe, errors, page, schemas
from jishi.serving.access import Access
from jishi.serving.batcher import Batcher
from jishi.serving.gate import Gate
from jishi.serving.limits import Limits
from jishi.serving.metrics import Metrics
from jishi.serving.rate import RateLimit

log = logging.getLogger(__name__)


class Service:
    """One predictor behind a batcher: whether it may answer, and its answers."""

    def __init__(self, predictor: Predictor, limits: Limits, warmed: Callable[[JishiError | None], None]) -> None:
        self.predictor = predictor
        self.limits = limits
        self.ready = False
        self._warmed = warmed
        self.batcher = Batcher(
            self._encode, predictor.answer, limits, lambda rows: self.metrics.batch_rows.observe(rows)
        )
        self.metrics = Metrics(lambda: self.batcher.depth)

    async def warm_up(self) -> None:
        """Answer the recorded probes; the service is ready when they are as recorded."""
        try:
            await asyncio.to_thread(self.predictor.replay)
        except JishiError as error:
            self._warmed(error)
        except Exception as error:
            log.exception("the probes could not be replayed")
            self._warmed(ServingError("serving.warm-up-failed", kind=type(error).__name__, reason=error))
        else:
            self.ready = True
            self._warmed(None)

    def check_ready(self) -> None:
        if not (self.ready and self.batcher.alive):
            raise ServingError("serving.not-ready", retry_after=1)

    async def answer(self, request: Request, rows: Sequence[Any]) -> list[Any]:
        """A prediction or the JishiError of each row; gives up at the time limit and when the client is gone."""
        futures = [asyncio.wrap_future(future) for future in self.batcher.submit(rows)]
        answers = asyncio.gather(*futures, return_exceptions=True)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({answers, gone}, timeout=self.limits.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return [_known(answer) for answer in answers.result()]
            if gone.done():
                raise ServingError("serving.client-gone")
            raise ServingError("serving.timeout", allowed=self.limits.timeout_s, retry_after=1)
        finally:
            answers.cancel()
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers

    def _encode(self, raw: Any) -> Features:
        row = self.predictor.from_json(raw)
        body.too_long(row, self.limits)
        return self.predictor.encode(row)


def create(
    predictor: Predictor,
    limits: Limits | None = None,
    access: Access | None = None,
    warmed: Callable[[JishiError | None], None] = lambda error: error and log.error("%s", error),
) -> FastAPI:
    """The application. `warmed` hears that the service is ready, or the error why it can't be."""
    limits, access = limits or Limits(), access or Access()
    service = Service(predictor, limits, warmed)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        warming = asyncio.create_task(service.warm_up())
        yield
        await warming
        await asyncio.to_thread(service.batcher.close)

    app = FastAPI(
        title="Jishi",
        description="Where a key is set, send it as `Authorization: Bearer` or `X-API-Key`.",
        version=describe.version("jishi"),
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    errors.install(app, service.metrics.count_error)
    _answers(app, service)
    _state(app, service)
    app.add_middleware(Gate, access=access, rate=RateLimit(limits.requests_per_second or 0.0), metrics=service.metrics)
    return app


def _answers(app: FastAPI, service: Service) -> None:
    model = describe.name(service.predictor.path)
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.ErrorResponse} for status in (401, 408, 413, 415, 422, 429, 500, 503, 504)
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
        rows = await body.inputs(request, service.limits)
        service.check_ready()
        started = time.perf_counter()
        answers = await service.answer(request, rows)
        failures = [answer for answer in answers if isinstance(answer, JishiError)]
        for failure in failures:
            service.metrics.count_error(failure.code)
        if len(failures) == len(rows):
            return errors.response(failures[0])
        predictions = [{"error": a.to_dict()} if isinstance(a, JishiError) else a for a in answers]
        latency = round((time.perf_counter() - started) * 1000, 2)
        return JSONResponse(
            {"predictions": predictions, "errors": len(failures), "model": model, "latency_ms": latency}
        )

    @app.get("/api/v1/model", response_model=schemas.ModelResponse, summary="What the model is")
    async def about() -> Response:
        return JSONResponse(describe.model(service.predictor, service.limits))

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return page.response()


def _state(app: FastAPI, service: Service) -> None:
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
        service.check_ready()
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=service.metrics.content_type)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _known(answer: Any) -> Any:
    """A prediction or a JishiError; whatever else went wrong is logged by the batcher and told as an internal error."""
    if isinstance(answer, BaseException) and not isinstance(answer, JishiError):
        return ServingError("serving.internal")
    return answer
