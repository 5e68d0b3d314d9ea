"""Answers told while they are written: each stream has a piece in its turn, in the thread that answers for its model."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from jishi.core.contracts import Features, Written
from jishi.core.errors import JishiError, ServingError
from jishi.serving.limits import Limits

log = logging.getLogger(__name__)
DONE = object()


class Streams:
    """Those of one model; `turn` has work done in its thread. A stream that nobody reads any more is not gone on with."""

    def __init__(self, limits: Limits, turn: Callable[[Callable[[], Any]], Future[Any]]) -> None:
        self.limits = limits
        self.turn = turn
        self.open = 0

    def begin(
        self, encode: Callable[[], Features], write: Callable[[Features], Generator[str, None, Written]]
    ) -> "Writing":
        """Raises ServingError("serving.too-many-streams") where there are as many as there may be."""
        if self.open >= self.limits.max_streams:
            raise ServingError(
                "serving.too-many-streams", given=self.open, allowed=self.limits.max_streams, retry_after=1
            )
        self.open += 1
        return Writing(self, encode, write)


class Writing:
    """One answer on its way; `close` it, whether it was read to its end or not."""

    def __init__(
        self,
        streams: Streams,
        encode: Callable[[], Features],
        write: Callable[[Features], Generator[str, None, Written]],
    ) -> None:
        self.features: Features = {}
        self.end = Written(0, False)
        self._streams = streams
        self._encode = encode
        self._write = write
        self._closed = False

    async def pieces(self) -> AsyncIterator[str]:
        """The answer's text, without white space at its edges, as the whole answer has it. Raises JishiError."""
        self.features = await self._in_turn(self._encode)
        steps = self._write(self.features)
        begun, space = False, ""
        while (piece := await self._in_turn(lambda: self._next(steps))) is not DONE:
            text = space + piece if begun else piece.lstrip()
            told = text.rstrip()
            if told:
                begun, space = True, text[len(told) :]
                yield told
            elif begun:
                space = text

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._streams.open -= 1

    def _next(self, steps: Generator[str, None, Written]) -> Any:
        try:
            return next(steps)
        except StopIteration as end:
            self.end = end.value
            return DONE

    async def _in_turn(self, work: Callable[[], Any]) -> Any:
        """What the thread makes of some work. Where the wait for it is cancelled, work not begun is never done."""
        limit = self._streams.limits.timeout_s
        try:
            async with asyncio.timeout(limit):
                return await asyncio.wrap_future(self._streams.turn(work))
        except TimeoutError:
            raise ServingError("serving.timeout", allowed=limit, retry_after=1) from None
        except JishiError:
            raise
        except Exception as error:
            log.error("an answer could not be streamed", exc_info=error)
            raise ServingError("serving.internal") from error


class Events(StreamingResponse):
    """Server-sent events (WHATWG HTML 9.2); `leave` is run once the last was sent or the client is gone."""

    def __init__(self, events: AsyncIterator[str], leave: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=HEADERS)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._leave()


HEADERS: Mapping[str, str] = {"x-accel-buffering": "no"}  # a proxy that gathers would undo the stream
