"""One model as requests ask it: within the limits, and only for as long as the client is there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from typing import Any

from starlette.requests import Request

from jishi.core.errors import JishiError, ServingError
from jishi.models.decoding import Decoding
from jishi.serving.home import Model
from jishi.serving.limits import Limits
from jishi.serving.streaming import Streams, Writing
from jishi.serving.values import Answered, Asked, Profile


class Service:
    """`name` says which model answered."""

    def __init__(self, model: Model, limits: Limits, name: str) -> None:
        self.model = model
        self.limits = limits
        self.name = name
        self.streams = Streams(limits)

    @property
    def profile(self) -> Profile:
        return self.model.profile

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
        return self.streams.begin(lambda: self.model.write(Asked(raw, decoding)))

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

    async def _answered(self, request: Request, rows: Sequence[Asked]) -> list[Any]:
        answers = await self.while_there(request, asyncio.wrap_future(self.model.ask(rows)))
        return [_known(answer) for answer in answers]


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _known(answer: Any) -> Any:
    """An answer or a JishiError; whatever else went wrong is logged by the batcher and told as an internal error."""
    if isinstance(answer, BaseException) and not isinstance(answer, JishiError):
        return ServingError("serving.internal")
    return answer
