"""One model that answers: a predictor behind a batcher, and beside it the answers that are streamed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from jishi.core.contracts import Features, Prediction
from jishi.core.errors import JishiError, ServingError
from jishi.models.decoding import Decoding
from jishi.predictor import Predictor
from jishi.serving import body
from jishi.serving.batcher import Batcher, Steps
from jishi.serving.limits import Limits
from jishi.serving.streaming import Streams, Writing


@dataclass(frozen=True)
class Asked:
    """A raw row, and how its answer is to be written where that is not as the bundle says."""

    raw: Any
    decoding: Decoding | None = None


@dataclass(frozen=True)
class Answered:
    """The prediction, the tokens that were read, and those that were written where that was counted."""

    prediction: Prediction
    read: int
    written: int = 0


class Service:
    """`name` says which model answered; `observe` hears how many rows share a forward pass."""

    def __init__(self, predictor: Predictor, limits: Limits, name: str, observe: Callable[[int], None]) -> None:
        self.predictor = predictor
        self.limits = limits
        self.name = name
        self.streams = Streams(limits, lambda work: self.batcher.turn(work))
        self.batcher = Batcher(self._encode, self._answer, limits, observe, self._begin, lambda: self.streams.open)

    async def answer(self, request: Request, rows: Sequence[Any]) -> list[Any]:
        """A prediction or the JishiError of each row; gives up at the time limit and when the client is gone."""
        answers = await self._answered(request, [Asked(row) for row in rows])
        return [answer.prediction if isinstance(answer, Answered) else answer for answer in answers]

    async def all(self, request: Request, rows: Sequence[Any], decoding: Decoding | None = None) -> list[Answered]:
        """The answers of rows of which none may fail. Raises the JishiError of the first that does."""
        answers = await self._answered(request, [Asked(row, decoding) for row in rows])
        for answer in answers:
            if isinstance(answer, JishiError):
                raise answer
        return answers

    def write(self, raw: Any, decoding: Decoding) -> Writing:
        """An answer that is told while it is written. Raises ServingError where too many are."""
        predictor = self.predictor.writing(decoding)
        return self.streams.begin(lambda: self._features(predictor, raw), predictor.write)

    async def while_there(self, request: Request, answer: Awaitable[Any]) -> Any:
        """What is awaited. Raises ServingError at the time limit, and when the client is gone."""
        answers = asyncio.ensure_future(answer)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({answers, gone}, timeout=self.limits.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return answers.result()
            if gone.done():
                raise ServingError("serving.client-gone")
            raise ServingError("serving.timeout", allowed=self.limits.timeout_s, retry_after=1)
        finally:
            answers.cancel()
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await answers

    def close(self) -> None:
        """Answer what is queued, then stop."""
        self.batcher.close()

    async def _answered(self, request: Request, rows: Sequence[Asked]) -> list[Any]:
        futures = [asyncio.wrap_future(future) for future in self.batcher.submit(rows)]
        answers = await self.while_there(request, asyncio.gather(*futures, return_exceptions=True))
        return [_known(answer) for answer in answers]

    def _encode(self, asked: Asked) -> Features:
        predictor = self.predictor if asked.decoding is None else self.predictor.writing(asked.decoding)
        return {**self._features(predictor, asked.raw), "decoding": asked.decoding}

    def _features(self, predictor: Predictor, raw: Any) -> Features:
        row = predictor.from_json(raw)
        body.too_long(row, self.limits)
        return predictor.encode(row)

    def _begin(self, features: Sequence[Features]) -> dict[int, Steps]:
        """The answers that are worked out step by step, by their places; prompts that are gone on with alike are read at once."""
        begun: dict[int, Steps] = {}
        if self.predictor.task.generates:
            for predictor, places, rows in self._alike(features):
                begun |= zip(places, map(_told, rows, predictor.begin(rows)), strict=False)
        return begun

    def _answer(self, features: Sequence[Features]) -> list[Answered]:
        """The answers of a batch: those that are to be written alike share a pass."""
        found: dict[int, Answered] = {}
        for predictor, places, rows in self._alike(features):
            if predictor.task.generates:
                told = predictor.written(rows)
            else:
                told = [(prediction, 0) for prediction in predictor.answer(rows)]
            for place, row, (prediction, written) in zip(places, rows, told, strict=True):
                found[place] = Answered(prediction, read(row), written)
        return [found[place] for place in range(len(features))]

    def _alike(self, features: Sequence[Features]) -> Iterator[tuple[Predictor, list[int], list[Features]]]:
        """What answers rows that are to be written alike, their places, and they."""
        groups: dict[Decoding | None, list[int]] = {}
        for place, row in enumerate(features):
            groups.setdefault(row["decoding"], []).append(place)
        for decoding, places in groups.items():
            rows = [{key: value for key, value in features[place].items() if key != "decoding"} for place in places]
            yield self.predictor if decoding is None else self.predictor.writing(decoding), places, rows


def _told(features: Features, steps: Generator[None, None, tuple[Prediction, int]]) -> Steps:
    prediction, written = yield from steps
    return Answered(prediction, read(features), written)


def read(features: Features) -> int:
    """The tokens that are read of a row before it is answered."""
    prompt = features.get("prompt_ids")
    return features["length"] if prompt is None else len(prompt)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _known(answer: Any) -> Any:
    """An answer or a JishiError; whatever else went wrong is logged by the batcher and told as an internal error."""
    if isinstance(answer, BaseException) and not isinstance(answer, JishiError):
        return ServingError("serving.internal")
    return answer
