"""Labels by vLLM's protocol: `POST /classify`."""

from typing import Any, ClassVar, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from jishi.core.contracts import Prediction
from jishi.serving import abilities, openai, ranking, wanted
from jishi.serving.models import Models
from jishi.serving.wanted import Texts, Wanted

CLASSIFY = "/classify"


class ClassifyRequest(Wanted):
    """Texts to be given labels."""

    texts: ClassVar[frozenset[str]] = frozenset({"input"})
    input: Texts = Field(description="A text or a list of them; token ids are refused.")
    model: str | None = Field(default=None, description="Which model of the server answers; left out, the first.")
    user: str | None = None


class Classified(BaseModel):
    index: int
    label: str = Field(description="The label that is given; of several, the likeliest.")
    labels: list[str] | None = Field(default=None, description="All that are given, where there may be several.")
    probs: list[float] = Field(description="The probability of each label, in the order of `classes`.")
    num_classes: int
    truncated: openai.Truncated = False


class ClassifyResponse(BaseModel):
    id: str
    object: Literal["list"]
    created: int
    model: str
    classes: list[str]
    data: list[Classified]
    usage: openai.Usage


def install(app: FastAPI, models: Models) -> None:
    @app.post(
        CLASSIFY,
        response_model=ClassifyResponse,
        responses=openai.REFUSALS,
        openapi_extra=wanted.documented(ClassifyRequest),
        summary="Labels of texts (vLLM)",
    )
    async def classify(request: Request) -> Response:
        asked = await wanted.read(request, models.limits, ClassifyRequest)
        texts = openai.several(asked.input, models.limits)
        async with models.use(asked.model) as service:
            abilities.check(service, CLASSIFY)
            answers = await service.all(request, texts)
        classes = list(answers[0].prediction["scores"])
        data = [
            {"index": index, **_classified(answer.prediction), **openai.cut(answer)}
            for index, answer in enumerate(answers)
        ]
        return JSONResponse(
            {
                **ranking.head("classify-"), "object": "list", "model": service.name, "classes": classes, "data": data,
                "usage": openai.usage(answers),
            }
        )  # fmt: skip


def _classified(prediction: Prediction) -> dict[str, Any]:
    scores = prediction["scores"]
    several = {"labels": prediction["labels"]} if "labels" in prediction else {}
    label = prediction.get("label") or max(scores, key=scores.__getitem__)
    return {"label": label, **several, "probs": list(scores.values()), "num_classes": len(scores)}
