"""The process that models live in: it reads them and answers what comes through a socket, and ends when that is closed.

It hears no signal that its parent hears too, such as Ctrl-C: the parent says when it is over.
"""

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jishi.core import errors
from jishi.core.errors import JishiError, ServingError
from jishi.serving import wire
from jishi.serving.limits import Limits
from jishi.serving.values import Asked, Profile

if TYPE_CHECKING:
    from jishi.serving.answerer import Answerer, Stream
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a child is told first; `first` is the name and the path of a model that it begins to read unasked."""

    limits: Limits
    runtime: str
    first: tuple[str, str] | None = None


def main(number: int) -> None:
    """Answer through the socket of a file number."""
    for heard in (signal.SIGINT, signal.SIGTERM):
        signal.signal(heard, signal.SIG_IGN)
    faulthandler.enable()  # a crash says where
    line = socket.socket(fileno=number)
    messages = wire.received(line.makefile("rb"))
    child = Child(line, next(messages))
    for message in messages:
        child.hear(*message)
    os._exit(0)  # whatever is being worked out, nobody waits for it


class Child:
    """A message is (number, verb, *what it is about); the reply (number, whether it failed, what came of it, rows of passes)."""

    def __init__(self, line: socket.socket, settings: Settings) -> None:
        from jishi.models.shared import Shared

        self._line = line
        self._settings = settings
        self._shared = Shared()
        self._verbs: Mapping[str, Callable[..., Any]] = {
            "open": self._open, "close": self._close, "ask": self._ask, "write": self._write, "step": self._step,
            "leave": self._leave, "drop": self._drop, "depths": self._depths,
        }  # fmt: skip
        self._models: dict[str, Answerer] = {}
        self._streams: dict[int, Stream] = {}
        self._waited: dict[int, Future[Any]] = {}
        self._passes: deque[int] = deque()  # rows of each that the parent has not been told of
        self._sending = threading.Lock()
        self._reader = ThreadPoolExecutor(1)
        self._early: dict[str, Future[Profile]] = {}
        if settings.first:
            self._early[settings.first[0]] = self._reader.submit(self._read, *settings.first)

    def hear(self, number: int, verb: str, *about: Any) -> None:
        try:
            found = self._verbs[verb](*about)
        except Exception as error:
            self._fail(number, error)
            return
        if isinstance(found, Future):
            self._waited[number] = found
            found.add_done_callback(partial(self._done, number))
        elif found is not None:  # what is only told has no reply
            self._reply(number, False, found)

    def _open(self, name: str, path: str) -> Future[Profile]:
        return self._early.pop(name, None) or self._reader.submit(self._read, name, path)

    def _read(self, name: str, path: str) -> Profile:
        from jishi.serving import answerer, entries

        read = entries.reading(Path(path), self._settings.runtime, self._shared)
        model = answerer.opened(read, self._settings.limits, self._passes.append)
        self._models[name] = model
        return model.profile

    def _close(self, name: str) -> Future[None]:
        return self._reader.submit(self._models.pop(name).close)

    def _ask(self, name: str, rows: Sequence[Asked]) -> Future[Any]:
        return self._models[name].ask(rows)

    def _write(self, stream: int, name: str, asked: Asked) -> None:
        self._streams[stream] = self._models[name].write(asked)

    def _step(self, stream: int) -> Future[Any]:
        return self._streams[stream].step()

    def _leave(self, stream: int) -> None:
        self._streams.pop(stream).close()

    def _drop(self, number: int) -> None:
        """The answer is not waited for any more."""
        if waited := self._waited.get(number):
            waited.cancel()

    def _depths(self) -> dict[str, int]:
        return {name: model.depth for name, model in self._models.items()}

    def _done(self, number: int, future: Future[Any]) -> None:
        del self._waited[number]
        if future.cancelled():
            return
        if error := future.exception():
            self._fail(number, error)
        else:
            self._reply(number, False, future.result())

    def _fail(self, number: int, error: BaseException) -> None:
        if not isinstance(error, JishiError):
            log.error("what was asked could not be done", exc_info=error)
        self._reply(number, True, error)

    def _reply(self, number: int, failed: bool, value: Any) -> None:
        value = [_plain(one) for one in value] if isinstance(value, list) else _plain(value)
        with self._sending:
            passes = [self._passes.popleft() for _ in range(len(self._passes))]
            with contextlib.suppress(OSError):  # where the parent is gone, so are we at once
                self._line.sendall(_packed((number, failed, value, passes)))


def _packed(reply: tuple[int, bool, Any, list[int]]) -> bytes:
    try:
        return wire.packed(reply)
    except JishiError as error:
        return wire.packed((reply[0], True, error, reply[3]))


def _plain(value: Any) -> Any:
    """An error as it can be handed to another process: what it names as text; one that is not ours has been logged."""
    if isinstance(value, JishiError):
        return errors.read(value.to_dict())
    return ServingError("serving.internal") if isinstance(value, BaseException) else value
