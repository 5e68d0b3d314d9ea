"""What a model writes, by OpenAI's protocol: `POST /v1/chat/completions` and `/v1/completions`, whole or as events."""

import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from jishi.core.errors import JishiError, LimitError, UsageError
from jishi.models.decoding import Decoding
from jishi.serving import abilities, dialects, errors, openai, wanted
from jishi.serving.limits import Limits
from jishi.serving.models import Models
from jishi.serving.service import Service
from jishi.serving.streaming import Events, Writing
from jishi.serving.values import Answered
from jishi.serving.wanted import Count, Integer, Texts, Wanted

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
ROLES: Mapping[str, str] = {"developer": "system"}  # what OpenAI calls by another name
PART = "text"  # the type of the parts of a message that are read
Nothing = Annotated[list[Any], Field(max_length=0)] | None
Stop = Annotated[str, Field(min_length=1)]
Zero = Annotated[float, Field(ge=0, le=0)] | None


class StreamOptions(Wanted):
    include_usage: bool | None = Field(default=None, description="Whether a last event tells the tokens used.")
    include_obfuscation: Literal[False] | None = None


class Sampled(Wanted):
    """How an answer is to be written; what is left out is as the bundle says."""

    texts: ClassVar[frozenset[str]] = frozenset({"prompt"})
    idle: ClassVar[frozenset[str]] = frozenset(
        {
            "best_of", "echo", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "modalities", "n",
            "parallel_tool_calls", "presence_penalty", "response_format", "store", "suffix", "tool_choice", "tools",
            "top_logprobs",
        }
    )  # fmt: skip
    model: str | None = Field(default=None, description="Which model of the server answers; left out, the first.")
    stream: bool | None = Field(default=None, description="Whether the answer is told while it is written.")
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = Field(default=None, description="Tokens the answer may have.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="0 takes the likeliest token; above, drawn."
    )
    top_p: float | None = Field(default=None, gt=0, le=1, description="Read where the answer is drawn.")
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), Integer] | None = Field(
        default=None, description="Read where the answer is drawn; it and the prompt fix the draws."
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = Field(
        default=None, description="Texts before which the answer ends, beside the bundle's own."
    )
    user: str | None = None
    n: Literal[1] | None = None
    frequency_penalty: Zero = None
    presence_penalty: Zero = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None


class Part(BaseModel):
    """A text of several that a message is made of."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class Turn(BaseModel):
    """A message, as it is documented; what it says is judged with the turns around it."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(min_length=1)]


Said = Annotated[dict[str, Any], WithJsonSchema(wanted.whole(Turn.model_json_schema()))]


class ChatRequest(Sampled):
    messages: list[Said] = Field(
        min_length=1, description="Turns of system, user and assistant in turn; the last is the user's.",
        examples=[[{"role": "user", "content": "1 + 1?"}]],
    )  # fmt: skip
    max_completion_tokens: Count | None = Field(default=None, description="Tokens the answer may have.")
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    modalities: list[Literal["text"]] | None = None
    tools: Nothing = None
    functions: Nothing = None
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    store: Literal[False] | None = None


class CompletionRequest(Sampled):
    prompt: Texts = Field(description="A text, or a list of them; token ids are refused.")
    logprobs: None = None
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None
    suffix: Literal[""] | None = None


class Message(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    index: int
    message: Message
    finish_reason: Literal["stop", "length"]
    logprobs: None = None
    truncated: openai.Truncated = False


class ChatResponse(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: openai.Usage


class CompletionChoice(BaseModel):
    index: int
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: None = None
    truncated: openai.Truncated = False


class CompletionResponse(BaseModel):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: openai.Usage


@dataclass(frozen=True)
class Form:
    """How answers of a path look: whole, as a piece, and as the last piece, which says how it ended (None before)."""

    kind: str
    chunk: str
    prefix: str
    whole: Callable[[str], dict[str, Any]]
    piece: Callable[[str], dict[str, Any]]
    first: dict[str, Any] | None = None


SAID = Form(
    "chat.completion",
    "chat.completion.chunk",
    "chatcmpl-",
    whole=lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    piece=lambda text: {"delta": {"content": text} if text else {}},
    first={"delta": {"role": "assistant", "content": ""}},
)
WRITTEN = Form(
    "text_completion",
    "text_completion",
    "cmpl-",
    whole=lambda text: {"text": text},
    piece=lambda text: {"text": text},
)


def install(app: FastAPI, models: Models, count: Callable[[str], None]) -> None:
    """`count` hears the codes of errors that end a stream."""

    @app.post(
        CHAT,
        response_model=ChatResponse,
        responses=_responses(),
        openapi_extra=wanted.documented(ChatRequest),
        summary="The answer in a conversation (OpenAI)",
    )
    async def chat(request: Request) -> Response:
        asked = await wanted.read(request, models.limits, ChatRequest)
        turns = _turns(asked.messages)
        most = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens

        def rows(service: Service) -> list[Any]:
            return [{abilities.turns(service.profile): turns}]

        return await _respond(request, models, asked, CHAT, most, rows, SAID, count)

    @app.post(
        PLAIN,
        response_model=CompletionResponse,
        responses=_responses(),
        openapi_extra=wanted.documented(CompletionRequest),
        summary="What follows a text, or is made of it (OpenAI)",
    )
    async def completions(request: Request) -> Response:
        asked = await wanted.read(request, models.limits, CompletionRequest)
        texts = openai.several(asked.prompt, models.limits)
        if asked.stream and len(texts) > 1:
            raise UsageError("serving.one-stream", field="prompt", given=len(texts))

        def rows(service: Service) -> list[Any]:
            return [{abilities.prompt(service.profile): text} for text in texts]

        return await _respond(request, models, asked, PLAIN, asked.max_tokens, rows, WRITTEN, count)


async def _respond(
    request: Request,
    models: Models,
    asked: Sampled,
    path: str,
    most: int | None,
    rows: Callable[[Service], list[Any]],
    form: Form,
    count: Callable[[str], None],
) -> Response:
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(models.use(asked.model))
        abilities.check(service, path)
        decoding = _decoding(service.profile.decoding, asked, most, models.limits)
        head = {"id": form.prefix + uuid.uuid4().hex, "created": int(time.time()), "model": service.name}
        if not asked.stream:
            answers = await service.all(request, rows(service), decoding)
            choices = [_answered(form, answer, index) for index, answer in enumerate(answers)]
            return JSONResponse({**head, "object": form.kind, "choices": choices, "usage": openai.usage(answers)})
        writing = service.write(rows(service)[0], decoding)
        stack.callback(writing.close)
        pieces = writing.pieces()
        first = await service.while_there(request, anext(pieces, ""))
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        chunks = _chunks(first, pieces, writing, form, usage=usage)
        return Events(_events(chunks, {**head, "object": form.chunk}, path, count), stack.pop_all().aclose)


async def _chunks(
    first: str, pieces: AsyncIterator[str], writing: Writing, form: Form, *, usage: bool
) -> AsyncIterator[dict[str, Any]]:
    """What the events of a stream say."""
    if form.first:
        yield {"choices": [_choice(form.first, None)]}
    if first:
        yield {"choices": [_choice(form.piece(first), None)]}
    async for piece in pieces:
        yield {"choices": [_choice(form.piece(piece), None)]}
    cut = {"truncated": True} if writing.end.truncated else {}
    yield {"choices": [{**_choice(form.piece(""), _reason(writing.end.complete)), **cut}]}
    if usage:
        yield {"choices": [], "usage": openai.counted(writing.end.read, writing.end.written)}


async def _events(
    chunks: AsyncIterator[dict[str, Any]], head: Mapping[str, Any], path: str, count: Callable[[str], None]
) -> AsyncIterator[str]:
    """An event a chunk, then [DONE]; where the answer fails on its way, the error in their place."""
    try:
        async for chunk in chunks:
            yield _event({**head, **chunk})
        yield "data: [DONE]\n\n"
    except JishiError as error:
        count(error.code)
        body, _ = dialects.told(error, errors.status(error), path)
        yield _event({"error": body})


def _event(value: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _choice(said: Mapping[str, Any], reason: str | None, index: int = 0) -> dict[str, Any]:
    return {"index": index, **said, "finish_reason": reason, "logprobs": None}


def _answered(form: Form, answer: Answered, index: int) -> dict[str, Any]:
    said = answer.prediction
    return {**_choice(form.whole(said["text"]), _reason(said["complete"]), index), **openai.cut(answer)}


def _reason(complete: bool) -> str:
    return "stop" if complete else "length"


def _decoding(given: Decoding, asked: Sampled, most: int | None, limits: Limits) -> Decoding:
    """How the bundle writes, changed as a request says. Raises LimitError, UsageError for what does not fit."""
    if most is not None and most > limits.max_tokens:
        raise LimitError("serving.too-many-tokens", given=most, allowed=limits.max_tokens)
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    wished = given if asked.temperature is None else given.at(asked.temperature)
    changes: dict[str, Any] = {"stop": tuple(dict.fromkeys([*given.stop, *stop]))}
    if most is not None:
        changes["max_new_tokens"] = most
    drawn = {name: value for name in ("top_p", "seed") if (value := getattr(asked, name)) is not None}
    return replace(wished, **changes, **(drawn if wished.method == "sampling" else {}))


def _turns(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The turns of messages. Raises UsageError for a part that is no text, and where the last is not the user's."""
    turns = []
    for place, message in enumerate(messages, 1):
        given = {name: value for name, value in message.items() if value not in (None, [])}
        for name in given:
            if name not in ("role", "content"):
                raise UsageError("serving.unsupported", field=f"messages[{place - 1}].{name}"[:80], given="…")
        role = given.get("role")
        turns.append({"role": ROLES.get(str(role), role), "content": _content(given.get("content"), place)})
    if turns[-1]["role"] != "user":
        raise UsageError("serving.last-turn", field="messages", given=str(turns[-1]["role"])[:40])
    return turns


def _content(content: Any, place: int) -> Any:
    """The text of a message, whose parts stand one under the other."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != PART or not isinstance(part.get("text"), str):
            given = part.get("type") if isinstance(part, dict) else part
            raise UsageError("serving.message-part", field="messages", place=place, given=str(given)[:40])
        texts.append(part["text"])
    return "\n".join(texts)


def _responses() -> dict[int | str, dict[str, Any]]:
    data = {"type": "string", "description": "A chunk of the answer as JSON; after the last, [DONE]."}
    event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
    events = {"text/event-stream": {"schema": event}}
    return {**openai.REFUSALS, 200: {"description": "Whole, or with stream as events.", "content": events}}
