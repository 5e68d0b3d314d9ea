"""One model that answers: a predictor behind a batcher."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request

from jishi.core.contracts import Features
from jishi.core.errors import JishiError, ServingError
from jishi.predictor import Predictor
from jishi.serving import body
from jishi.serving.batcher import Batcher
from jishi.serving.limits import Limits


class Service:
    """`name` says which model answered; `observe` hears how many rows share a forward pass."""

    def __init__(self, predictor: Predictor, limits: Limits, name: str, observe: Callable[[int], None]) -> None:
        self.predictor = predictor
        self.limits = limits
        self.name = name
        self.batcher = Batcher(self._encode, predictor.answer, limits, observe)

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


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _known(answer: Any) -> Any:
    """A prediction or a JishiError; whatever else went wrong is logged by the batcher and told as an internal error."""
    if isinstance(answer, BaseException) and not isinstance(answer, JishiError):
        return ServingError("serving.internal")
    return answer
