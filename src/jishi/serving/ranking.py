"""How alike or how fit texts are: `POST /score` (vLLM's), `POST /rerank` and `/v1/rerank` (Jina's, Cohere's, vLLM's).

Where a model makes vectors, a score is their cosine; where it judges pairs, its own value, or the probability of a label.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from jishi.core.contracts import Prediction
from jishi.core.errors import UsageError
from jishi.serving import abilities, openai, wanted
from jishi.serving.models import Models
from jishi.serving.service import Service
from jishi.serving.values import Answered, Profile
from jishi.serving.wanted import Count, Texts, Wanted

TINY = 1e-12  # length of a vector from which it has a direction
SCORE, RERANK = "/score", ("/rerank", "/v1/rerank")


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    text: str


class Judged(Wanted):
    model: str | None = Field(default=None, description="Which model of the server answers; left out, the first.")
    label: str | None = Field(
        default=None, description="The label whose probability is the score, where the model gives labels to pairs."
    )
    user: str | None = None


class ScoreRequest(Judged):
    """Texts to be compared: one with each of the others, or each with the one at its place."""

    texts: ClassVar[frozenset[str]] = frozenset({"text_1", "text_2"})
    text_1: Texts = Field(description="A text, or as many as text_2 has.")
    text_2: Texts


class RerankRequest(Judged):
    """Documents to be put in order."""

    query: str
    documents: list[str | Document] = Field(min_length=1)
    top_n: Count | None = Field(default=None, description="How many of the best are given; left out, all.")
    return_documents: bool | None = Field(default=None, description="False leaves the documents out of the answer.")


class Score(BaseModel):
    index: int
    object: Literal["score"]
    score: float
    truncated: openai.Truncated = False


class ScoreResponse(BaseModel):
    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Score]
    usage: openai.Usage


class Result(BaseModel):
    index: int = Field(description="The document's place in the request.")
    relevance_score: float
    document: Document | None = None
    truncated: openai.Truncated = False


class RerankResponse(BaseModel):
    id: str
    model: str
    results: list[Result] = Field(description="The best first.")
    usage: openai.Usage


def install(app: FastAPI, models: Models) -> None:
    @app.post(
        SCORE,
        response_model=ScoreResponse,
        responses=openai.REFUSALS,
        openapi_extra=wanted.documented(ScoreRequest),
        summary="How alike texts are (vLLM)",
    )
    async def score(request: Request) -> Response:
        asked = await wanted.read(request, models.limits, ScoreRequest)
        left, right = (openai.several(texts, models.limits) for texts in (asked.text_1, asked.text_2))
        if len(left) not in (1, len(right)):
            raise UsageError("serving.uneven", given=len(left), other=len(right))
        async with models.use(asked.model) as service:
            abilities.check(service, SCORE)
            first, _ = abilities.pair(service.profile)
            scores, answers = await _judged(request, service, left, right, asked.label, (first, first))
        data = [
            {"index": index, "object": "score", "score": value, **openai.cut(*by)}
            for index, (value, by) in enumerate(scores)
        ]
        return JSONResponse(
            {**head("score-"), "object": "list", "model": service.name, "data": data, "usage": openai.usage(answers)}
        )

    async def rerank(request: Request) -> Response:
        asked = await wanted.read(request, models.limits, RerankRequest)
        given = [one if isinstance(one, str) else one.text for one in asked.documents]
        texts = openai.several(given, models.limits)
        async with models.use(asked.model) as service:
            abilities.check(service, RERANK[0])
            sides = abilities.sides(service.profile)
            scores, answers = await _judged(request, service, [asked.query], texts, asked.label, sides)
        order = sorted(range(len(texts)), key=lambda index: -scores[index][0])[: asked.top_n]
        told = asked.return_documents is not False
        results = [
            {
                "index": index, "relevance_score": scores[index][0],
                **({"document": {"text": texts[index]}} if told else {}), **openai.cut(*scores[index][1]),
            }
            for index in order
        ]  # fmt: skip
        return JSONResponse(
            {
                "id": f"rerank-{uuid.uuid4().hex}", "model": service.name, "results": results,
                "usage": openai.usage(answers),
            }
        )  # fmt: skip

    for path in RERANK:
        app.post(
            path,
            response_model=RerankResponse,
            responses=openai.REFUSALS,
            openapi_extra=wanted.documented(RerankRequest),
            summary="Documents in the order of their fitness for a query (Jina, Cohere, vLLM)",
        )(rerank)


def head(prefix: str) -> dict[str, Any]:
    return {"id": prefix + uuid.uuid4().hex, "created": int(time.time())}


async def _judged(
    request: Request, service: Service, left: list[str], right: list[str], label: str | None, sides: Sequence[str]
) -> tuple[list[tuple[float, Sequence[Answered]]], list[Answered]]:
    """The score of each of `right` with the one of `left` at its place, or the only one, and the answers it is made of; all.

    `sides` are the columns in which texts are made vectors of.
    """
    profile = service.profile
    _check_label(profile, label)
    if "embedding" in profile.answers:
        rows = [{column: text} for column, texts in zip(sides, (left, right), strict=True) for text in texts]
        answers = await service.all(request, rows)
        vectors = numpy.asarray([answer.prediction["embedding"] for answer in answers], dtype=numpy.float64)
        vectors /= numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), TINY)
        scores = (vectors[: len(left)] * vectors[len(left) :]).sum(1).tolist()
        first = answers[: len(left)] * (len(right) // len(left))
        return list(zip(scores, zip(first, answers[len(left) :], strict=True), strict=True)), answers
    one_column, other_column = abilities.pair(profile)
    pairs = zip(left * (len(right) // len(left)), right, strict=True)
    answers = await service.all(request, [{one_column: one, other_column: other} for one, other in pairs])
    return [(_value(answer.prediction, label), (answer,)) for answer in answers], answers


def _check_label(profile: Profile, label: str | None) -> None:
    """Raises UsageError where a label is to be named and none of the model's is, or where it has none."""
    labels = profile.labels if "scores" in profile.answers else ()
    if labels and label not in labels:
        raise UsageError("serving.which-label", given="-" if label is None else label[:40], allowed=", ".join(labels))
    if label is not None and not labels:
        raise UsageError("serving.unsupported", field="label", given=label[:40])


def _value(prediction: Prediction, label: str | None) -> float:
    return float(prediction["value"] if label is None else prediction["scores"][label])
