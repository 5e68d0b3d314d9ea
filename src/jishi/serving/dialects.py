"""A refusal in the words of the protocol that was spoken: ours, OpenAI's, or the Open Inference Protocol's."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from jishi.core.errors import JishiError

OPENAI = ("/v1/", "/classify", "/rerank", "/score")  # vLLM, whose the last three are, refuses as OpenAI does
INFERENCE = ("/v2",)


class OpenAIErrorBody(BaseModel):
    message: str = Field(description="One sentence in the language of Accept-Language (en, zh), with the cure.")
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The field that is to blame.")
    code: str = Field(description="A stable name to match on.", examples=["serving.bad-field"])


class OpenAIError(BaseModel):
    error: OpenAIErrorBody


class InferenceError(BaseModel):
    error: str = Field(description="One sentence in the language of Accept-Language (en, zh), with the cure.")


def told(error: JishiError, status: int, path: str) -> tuple[Any, int]:
    """The value of "error", and the status: where ours says 422, the others say 400."""
    theirs = 400 if status == 422 else status
    if path.startswith(OPENAI):
        return _openai(error, status), theirs
    if path.startswith(INFERENCE):
        return str(error), theirs
    return error.to_dict(), status


def responses(shape: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The refusals of a path, for OpenAPI."""
    return {status: {"model": shape} for status in (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)}


def _openai(error: JishiError, status: int) -> Mapping[str, Any]:
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    values = error.to_dict()["values"]
    named = values.get("field", values.get("column")) if isinstance(values, dict) else None
    return {"message": str(error), "type": kind, "param": named, "code": error.code}
