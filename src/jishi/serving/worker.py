"""Models in a process of their own, begun again where it dies: nothing that they do holds up, or ends, what speaks HTTP."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

from jishi.core.errors import ServingError
from jishi.serving import wire
from jishi.serving.child import Settings
from jishi.serving.entries import Entry
from jishi.serving.limits import Limits
from jishi.serving.values import Asked, Profile

log = logging.getLogger(__name__)
CODE = "from jishi.serving.child import main; main({})"
TRIES = 3  # deaths while one model is read, after which it is given up
STEADY_S = 60.0  # who lived so long did not die of how it began
LONGEST_WAIT_S = 30.0
LOOK_S = 1.0
UNSENT = 64 * 1024 * 1024  # bytes that may wait for a process that takes nothing in


class Worker:
    """A `Home`. Who enters it begins the process, which reads `first` at once; who leaves it ends the process."""

    def __init__(self, limits: Limits, runtime: str, first: Entry) -> None:
        self.observe: Callable[[int], None] = lambda _rows: None
        self.restarted: Callable[[], None] = lambda: None
        self._settings = Settings(limits, runtime)
        self._first = first
        self._line: Line
        self._deaths = 0  # in a row
        self._lost = asyncio.Event()

    def __enter__(self) -> Self:
        self._begin(replace(self._settings, first=(self._first.name, str(self._first.path))))
        return self

    def __exit__(self, *_: object) -> None:
        self._line.end()

    async def open(self, entry: Entry) -> "Remote":
        """As of any home. Raises ServingError where the process died of it `TRIES` times in a row."""
        for _ in range(TRIES):
            line = await self._up()
            try:
                return Remote(line, entry.name, await line.ask("open", entry.name, str(entry.path)))
            except ServingError:
                if line.alive:
                    raise
        raise ServingError("serving.child-given-up", name=entry.name, count=TRIES, how=await line.ended)

    async def release(self, model: Any) -> None:
        with contextlib.suppress(ServingError):
            await model.line.ask("close", model.name)

    async def look(self) -> None:
        line = self._line
        with contextlib.suppress(ServingError, TimeoutError):
            line.depths = await asyncio.wait_for(line.ask("depths"), LOOK_S)

    async def lost(self) -> None:
        await self._lost.wait()
        self._lost.clear()

    async def close(self) -> None:
        await self._line.leave()

    def _begin(self, settings: Settings) -> None:
        """Raises ServingError where there is no room for a process."""
        try:
            self._line = Line(settings, self._lost.set, lambda rows: self.observe(rows))
        except OSError as error:
            raise ServingError("serving.child-not-begun", reason=error.strerror) from error

    async def _up(self) -> "Line":
        """The process, begun again where it died: at once the first time, and after a wait where that did not help."""
        if self._line.died:
            how, lived = await self._line.ended, self._line.lived
            self._deaths = 1 if lived > STEADY_S else self._deaths + 1
            wait = min(2.0 ** (self._deaths - 2), LONGEST_WAIT_S) if self._deaths > 1 else 0.0
            log.error("the process of the models ended (%s) and is begun again in %.0f s", how, wait)
            await asyncio.sleep(wait)
            self._begin(self._settings)
            self.restarted()
        await self._line.join()
        return self._line


class Line(asyncio.Protocol):
    """One life of the process: what it is asked, and who waits for an answer. `died` is told when it is over."""

    def __init__(self, settings: Settings, lost: Callable[[], None], observe: Callable[[int], None]) -> None:
        self.died = False
        self.lived = 0.0
        self.depths: dict[str, int] = {}
        self.numbers = itertools.count(1)
        self.ended: asyncio.Task[str]
        self._lost = lost
        self._observe = observe
        self._began = time.monotonic()
        self._leaving = False
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._messages = wire.Buffer()
        self._transport: asyncio.Transport | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", CODE.format(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._socket.sendall(wire.packed(settings))

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self.died

    async def join(self) -> None:
        """Hear it from the event loop."""
        if self._transport is None:
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_unix_connection(lambda: self, sock=self._socket)

    def ask(self, verb: str, *about: Any) -> asyncio.Future[Any]:
        """What comes of it; fails with ServingError("serving.child-died") where the process dies first.

        Raises ServingError where the process takes nothing in.
        """
        if self._transport is not None and self._transport.get_write_buffer_size() > UNSENT:
            raise ServingError("serving.child-stuck", retry_after=1)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = self.tell(verb, *about)
        if self.alive:
            self._waiting[number] = future
            future.add_done_callback(partial(self._settled, number))
        else:
            future.set_exception(_died())
        return future

    def tell(self, verb: str, *about: Any) -> int:
        """Have something done that has no answer."""
        number = next(self.numbers)
        if self._transport is not None and self.alive:
            self._transport.write(wire.packed((number, verb, *about)))
        return number

    async def leave(self) -> None:
        """End the process, of which nothing is wanted any more."""
        self._leaving = True
        if self.alive and self._transport is not None:
            self._transport.close()
        self.end()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def data_received(self, data: bytes) -> None:
        for number, failed, value, passes in self._messages.take(data):
            for rows in passes:
                self._observe(rows)
            future = self._waiting.pop(number, None)
            if future is None or future.done():
                continue
            if failed:
                future.set_exception(value)
            else:
                future.set_result(value)

    def connection_lost(self, _error: Exception | None) -> None:
        self.died, self.lived = True, time.monotonic() - self._began
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_died())
        if not self._leaving:
            self.ended = asyncio.get_running_loop().create_task(self._reap())
            self._lost()

    async def _reap(self) -> str:
        """How it ended."""
        try:
            code = await asyncio.to_thread(self._process.wait, 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = await asyncio.to_thread(self._process.wait)
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def _settled(self, number: int, future: asyncio.Future[Any]) -> None:
        if self._waiting.pop(number, None) and future.cancelled():
            self.tell("drop", number)


class Remote:
    """A model in the process."""

    def __init__(self, line: Line, name: str, profile: Profile) -> None:
        self.line = line
        self.name = name
        self.profile = profile

    @property
    def alive(self) -> bool:
        return self.line.alive

    @property
    def depth(self) -> int:
        """As of the last look."""
        return self.line.depths.get(self.name, 0)

    def ask(self, rows: Sequence[Asked]) -> asyncio.Future[Any]:
        return self.line.ask("ask", self.name, rows)

    def write(self, asked: Asked) -> "RemoteStream":
        return RemoteStream(self.line, self.name, asked)


class RemoteStream:
    def __init__(self, line: Line, name: str, asked: Asked) -> None:
        self._line = line
        self._number = next(line.numbers)
        line.tell("write", self._number, name, asked)

    def step(self) -> asyncio.Future[Any]:
        return self._line.ask("step", self._number)

    def close(self) -> None:
        self._line.tell("leave", self._number)


def _died() -> ServingError:
    return ServingError("serving.child-died", retry_after=1)
