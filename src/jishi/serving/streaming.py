"""Answers told while they are written: each stream has a piece in its turn, asked for when the one before was taken."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from jishi.core.errors import JishiError, ServingError
from jishi.serving.home import Stream
from jishi.serving.limits import Limits
from jishi.serving.values import Ended

log = logging.getLogger(__name__)


class Streams:
    """Those of one model. A stream that nobody reads any more is not gone on with."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = 0

    def begin(self, write: Callable[[], Stream]) -> "Writing":
        """Raises ServingError("serving.too-many-streams") where there are as many as there may be."""
        if self.open >= self.limits.max_streams:
            raise ServingError(
                "serving.too-many-streams", given=self.open, allowed=self.limits.max_streams, retry_after=1
            )
        writing = Writing(self, write())
        self.open += 1  # where none could be begun, none takes a place
        return writing


class Writing:
    """One answer on its way; `close` it, whether it was read to its end or not."""

    def __init__(self, streams: Streams, stream: Stream) -> None:
        self.end = Ended()
        self._streams = streams
        self._stream = stream
        self._closed = False

    async def pieces(self) -> AsyncIterator[str]:
        """The answer's text, without white space at its edges, as the whole answer has it. Raises JishiError."""
        begun, space = False, ""
        while isinstance(piece := await self._step(), str):
            text = space + piece if begun else piece.lstrip()
            told = text.rstrip()
            if told:
                begun, space = True, text[len(told) :]
                yield told
            elif begun:
                space = text
        self.end = piece

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._streams.open -= 1
            self._stream.close()

    async def _step(self) -> str | Ended:
        """The next piece, or the end. Where the wait for it is cancelled, work not begun is never done."""
        limit = self._streams.limits.timeout_s
        try:
            async with asyncio.timeout(limit):
                return await asyncio.wrap_future(self._stream.step())
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
