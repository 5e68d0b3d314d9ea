"""OpenAI's protocol: `GET /v1/models`, `/v1/models/{id}`, `POST /v1/embeddings`; what is written stands in `completions`."""

import base64
from typing import Annotated, Any, ClassVar, Literal

import numpy
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from jishi.core.errors import LimitError, UsageError
from jishi.serving import abilities, dialects, wanted
from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from jishi.serving.values import Answered
from jishi.serving.wanted import Count, Texts, Wanted

REFUSALS = dialects.responses(dialects.OpenAIError)
EMBEDDINGS = "/v1/embeddings"
Truncated = Annotated[bool, Field(description="True where a part of a text was not read; left out where all was.")]


class Model(BaseModel):
    id: str
    object: Literal["model"]
    created: int = Field(description="When the bundle was made, in seconds since 1970; 0 where it does not say.")
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[Model]


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int = 0
    total_tokens: int


class EmbeddingsRequest(Wanted):
    """Texts to be made vectors of."""

    texts: ClassVar[frozenset[str]] = frozenset({"input"})
    input: Texts = Field(description="A text or a list of them; token ids are refused.")
    model: str | None = Field(default=None, description="Which model of the server answers; left out, the first.")
    encoding_format: Literal["float", "base64"] = Field(default="float", description="base64: float32, little-endian.")
    dimensions: Count | None = Field(default=None, description="What the model's vectors have, or nothing.")
    input_type: str | None = Field(
        default=None, description="The column the texts stand in, where sides differ: query or passage."
    )
    user: str | None = None


class Embedding(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    truncated: Truncated = False


class EmbeddingsResponse(BaseModel):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


def install(app: FastAPI, models: Models) -> None:
    @app.get("/v1/models", response_model=ModelList, responses=_refusals(401, 429), summary="The models (OpenAI)")
    async def every() -> Response:
        return JSONResponse({"object": "list", "data": [_model(entry) for entry in models.entries]})

    @app.get("/v1/models/{id}", response_model=Model, responses=_refusals(401, 404, 429), summary="A model (OpenAI)")
    async def one(id: str) -> Response:
        return JSONResponse(_model(models.find(id)))

    @app.post(
        EMBEDDINGS,
        response_model=EmbeddingsResponse,
        responses=REFUSALS,
        openapi_extra=wanted.documented(EmbeddingsRequest),
        summary="Vectors of texts (OpenAI)",
    )
    async def embeddings(request: Request) -> Response:
        asked = await wanted.read(request, models.limits, EmbeddingsRequest)
        texts = several(asked.input, models.limits)
        async with models.use(asked.model) as service:
            abilities.check(service, EMBEDDINGS)
            rows = texts if asked.input_type is None else [{asked.input_type: text} for text in texts]
            answers = await service.all(request, rows)
        size = len(answers[0].prediction["embedding"])
        if asked.dimensions not in (None, size):
            raise UsageError("serving.vector-size", field="dimensions", given=asked.dimensions, allowed=size)
        encode = _base64 if asked.encoding_format == "base64" else list
        data = [
            {"object": "embedding", "index": index, "embedding": encode(answer.prediction["embedding"]), **cut(answer)}
            for index, answer in enumerate(answers)
        ]
        return JSONResponse({"object": "list", "data": data, "model": service.name, "usage": usage(answers)})


def several(given: str | list[str], limits: Limits) -> list[str]:
    """One text or several, as several. Raises LimitError where there are too many."""
    texts = given if isinstance(given, list) else [given]
    if len(texts) > limits.max_items:
        raise LimitError("serving.too-many-items", given=len(texts), allowed=limits.max_items)
    return texts


def cut(*answers: Answered) -> dict[str, Any]:
    """What is told beside an answer where what it is about was not read whole."""
    return {"truncated": True} if any(answer.prediction.get("truncated") for answer in answers) else {}


def usage(answers: list[Answered]) -> dict[str, int]:
    """The tokens that were read and written, the special ones among them."""
    return counted(sum(answer.read for answer in answers), sum(answer.written for answer in answers))


def counted(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _model(entry: Entry) -> dict[str, Any]:
    return {"id": entry.name, "object": "model", "created": entry.created, "owned_by": "jishi"}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: REFUSALS[status] for status in statuses}


def _base64(vector: list[float]) -> str:
    return base64.b64encode(numpy.asarray(vector, dtype="<f4").tobytes()).decode()
