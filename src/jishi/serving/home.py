"""Where models live: what a server needs of a model and of the place that reads it; and this process as such a place."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.values import Asked, Profile

Found = Future[Any] | asyncio.Future[Any]  # of a thread, or of the event loop: asyncio.wrap_future takes either


class Stream(Protocol):
    def step(self) -> Found:
        """The next piece of an answer (a str), or how it ended (`Ended`)."""

    def close(self) -> None:
        """It is not gone on with."""


class Model(Protocol):
    """What answers. Who cancels a future does not want it any more."""

    @property
    def profile(self) -> Profile: ...

    @property
    def alive(self) -> bool: ...

    @property
    def depth(self) -> int:
        """Rows that wait for a forward pass."""

    def ask(self, rows: Sequence[Asked]) -> Found:
        """The list of the answers (`Answered`), each the exception why there is none where there is none."""

    def write(self, asked: Asked) -> Stream:
        """An answer that is told while it is written."""


class Home(Protocol):
    """`observe` hears how many rows share a forward pass, `restarted` that the place was begun again."""

    observe: Callable[[int], None]
    restarted: Callable[[], None]

    async def open(self, entry: Entry) -> Model:
        """A model that was read and has answered its probes as recorded. Raises the JishiError why there is none."""

    async def release(self, model: Any) -> None:
        """Have a model answer what it was asked; it is gone once nobody holds it any more."""

    async def look(self) -> None:
        """Find out how deep the queues are."""

    async def lost(self) -> None:
        """Until all models are lost, and the place may be begun again."""

    async def close(self) -> None:
        """No model is asked any more."""


class Here:
    """This process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.observe: Callable[[int], None] = lambda _rows: None
        self.restarted: Callable[[], None] = lambda: None

    async def open(self, entry: Entry) -> Model:
        from jishi.serving import answerer

        return await asyncio.to_thread(answerer.opened, entry.read, self.limits, self.observe)

    async def release(self, model: Any) -> None:
        await asyncio.to_thread(model.close)

    async def look(self) -> None:
        pass

    async def lost(self) -> None:
        await asyncio.Event().wait()  # a process that dies does not wait

    async def close(self) -> None:
        pass
