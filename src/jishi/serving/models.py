"""The models of one server, by name: each is read when it is first asked and let go where another needs its room.

Adapters of one base hold the base's weights together (`models.shared.Shared`), and each answers from a model of its own, so that
requests for different ones never meet. No model answers before its probes were replayed; one that fails them fails alone.
"""

import asyncio
import contextlib
import ctypes
import gc
import itertools
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from jishi.core import bundle
from jishi.core.errors import BundleError, JishiError, ModelError, ServingError, did_you_mean
from jishi.models.folder import size
from jishi.models.shared import Shared
from jishi.predictor import AUTO, Predictor
from jishi.serving import describe
from jishi.serving.limits import Limits
from jishi.serving.service import Service

log = logging.getLogger(__name__)
CREATED = "%Y-%m-%dT%H:%M:%S%z"


@dataclass
class Entry:
    """A model: how it is read, the bytes of its own weights, and those of the base it shares with others."""

    name: str
    read: Callable[[], Predictor]
    bytes: int = 0
    base: tuple[str, int] | None = None  # SHA-256, bytes
    task: str = ""
    created: int = 0  # seconds since 1970
    answers_as: str = ""  # its name and the first digits of its bundle's identity
    opened: asyncio.Task[Service] | None = None
    users: int = 0  # requests that wait for it or are answered by it
    last: int = 0  # when it was last asked, in requests

    @property
    def state(self) -> str:
        """What became of it: a failed one is not tried again."""
        if self.opened is None or not self.opened.done():
            return "waiting"
        return "refused" if self.opened.exception() else "ready"

    @property
    def service(self) -> Service | None:
        """What answers; None before it was asked, where it was let go, and where it failed."""
        return self.opened.result() if self.opened and self.state == "ready" else None


@dataclass
class Models:
    """`entries` in the order they were named, the first being asked where a request names none; `memory` bounds their bytes."""

    entries: Sequence[Entry]
    limits: Limits = field(default_factory=Limits)
    memory: int | None = None
    observe: Callable[[int], None] = lambda _rows: None
    ready: bool = False

    def __post_init__(self) -> None:
        """Raises ServingError where there is none, two have one name, or one alone does not fit into the memory."""
        if not self.entries:
            raise ServingError("serving.no-bundle")
        named: dict[str, Entry] = {}
        for entry in self.entries:
            if named.setdefault(entry.name, entry) is not entry:
                raise ServingError("serving.same-name", given=entry.name)
            if self.memory is not None and held([entry]) > self.memory:
                raise ServingError(
                    "serving.memory-too-small", name=entry.name, given=self.memory, allowed=held([entry])
                )
        self._named = {**{entry.answers_as: entry for entry in self.entries if entry.answers_as}, **named}
        self._opening = asyncio.Lock()  # one at a time, so that the memory bound holds
        self._left = asyncio.Event()
        self._clock = itertools.count(1)

    @classmethod
    def of(cls, bundles: Iterable[str], limits: Limits, memory: int | None, runtime: str = AUTO) -> Self:
        """Those of bundles, each a path or name=path. Raises BundleError where one is none, ServingError."""
        shared = Shared()
        return cls([_entry(given, shared, runtime) for given in bundles], limits, memory)

    def find(self, name: str | None) -> Entry:
        """The model of a name, as it was given or as answers tell it; the first where there is none.

        Raises ServingError with the nearest name.
        """
        if name is None:
            return self.entries[0]
        if name not in self._named:
            names = [entry.name for entry in self.entries]
            hint, allowed = did_you_mean(name, names), ", ".join(names)
            raise ServingError("serving.unknown-model", given=name[:80], hint=hint, allowed=allowed)
        return self._named[name]

    @property
    def open(self) -> list[Entry]:
        """Those in memory."""
        return [entry for entry in self.entries if entry.service]

    @property
    def bytes(self) -> int:
        """Bytes of the weights in memory."""
        return held(self.open)

    @property
    def depth(self) -> int:
        """Rows that wait for a forward pass."""
        return sum(entry.service.batcher.depth for entry in self.entries if entry.service)

    def listing(self) -> dict[str, Any]:
        """The answer of `/api/v1/models`."""
        listed = [
            {
                "name": entry.name, "task": entry.task, "state": entry.state, "bytes": entry.bytes,
                "base": entry.base and entry.base[0],
            }
            for entry in self.entries
        ]  # fmt: skip
        return {"models": listed, "bytes": self.bytes, "memory": self.memory}

    async def warm_up(self) -> None:
        """Open the first. Raises the JishiError why it can't be where there is no other, which else is logged."""
        try:
            await self._task(self.entries[0])
        except JishiError as error:
            if len(self.entries) == 1:
                raise
            log.error("%s: %s", self.entries[0].name, error)
        self.ready = True

    def check_ready(self) -> None:
        if not (self.ready and all(entry.service.batcher.alive for entry in self.open if entry.service)):
            raise ServingError("serving.not-ready", retry_after=1)

    @contextlib.asynccontextmanager
    async def use(self, name: str | None = None) -> AsyncIterator[Service]:
        """What answers for a name, kept while it is used; read first where it is not there. Raises ServingError."""
        self.check_ready()
        entry = self.find(name)
        entry.users += 1
        entry.last = next(self._clock)
        try:
            yield await self._opened(entry)
        finally:
            entry.users -= 1
            self._left.set()

    async def close(self) -> None:
        """Answer what is queued, then stop."""
        for entry in self.entries:
            if entry.opened is not None:
                await asyncio.wait([entry.opened])
            await self._close(entry)

    def _task(self, entry: Entry) -> asyncio.Task[Service]:
        """The one reading of a model that all wait for who ask it; a failed one is not tried again."""
        if entry.opened is None:
            entry.opened = asyncio.create_task(self._open(entry))
        return entry.opened

    async def _opened(self, entry: Entry) -> Service:
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                return await asyncio.shield(self._task(entry))
        except TimeoutError:
            raise ServingError("serving.timeout", allowed=self.limits.timeout_s, retry_after=1) from None
        except JishiError as error:  # what it says is for whoever runs the server
            log.error("%s: %s", entry.name, error)
            raise ServingError("serving.model-refused", name=entry.name) from error

    async def _open(self, entry: Entry) -> Service:
        async with self._opening:
            await self._make_room(entry)
            predictor = await asyncio.to_thread(_proved, entry)
            await asyncio.to_thread(_give_back)
            service = Service(predictor, self.limits, describe.name(predictor.path, entry.name), self.observe)
            service.batcher.start()
            return service

    async def _make_room(self, entry: Entry) -> None:
        """Let go of those asked longest ago, none of them in use, until another fits."""
        while self.memory is not None and held([*self.open, entry]) > self.memory:
            idle = [other for other in self.open if not other.users]
            if idle:
                await self._close(min(idle, key=lambda other: other.last))
            else:
                self._left.clear()
                await self._left.wait()

    async def _close(self, entry: Entry) -> None:
        service, entry.opened = entry.service, None
        if service:
            await asyncio.to_thread(service.close)
            del service
            await asyncio.to_thread(_give_back)


def held(entries: Iterable[Entry]) -> int:
    """Bytes of the weights of models together, a base counted once."""
    entries = list(entries)
    bases = dict(entry.base for entry in entries if entry.base)
    return sum(entry.bytes for entry in entries) + sum(bases.values())


def _give_back() -> None:
    """Return to the system the memory of what is gone: hooks of adapters tie knots, and glibc keeps what its threads freed."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _entry(given: str, shared: Shared, runtime: str) -> Entry:
    name, sign, path = given.partition("=")
    if not sign or "/" in name:
        name, path = "", given
    folder = Path(path)
    entry = Entry(name or describe.called(folder), lambda: Predictor.load(folder, runtime=runtime, shared=shared))
    try:
        record = bundle.read(folder, verify=False).record
        entry.answers_as = describe.name(folder, entry.name)
        entry.task, entry.bytes = record["task"]["name"], size(folder)
        entry.created = _seconds(record.get("created"))
        if "base" in record:
            entry.base = record["base"]["sha256"], record["base"]["bytes"]
    except (BundleError, ModelError) as error:
        if error.code == "core.bundle-not-found":
            raise
        log.error("%s: %s", entry.name, error)  # damaged: it will say so when it is asked, and the others go on
    return entry


def _seconds(created: str | None) -> int:
    """When a bundle was made, in seconds since 1970; 0 where its record does not say."""
    return int(datetime.strptime(created, CREATED).timestamp()) if created else 0


def _proved(entry: Entry) -> Predictor:
    """A model whose probes were answered as recorded. Raises the JishiError why they were not."""
    try:
        predictor = entry.read()
        predictor.replay()
    except JishiError:
        raise
    except Exception as error:
        log.exception("the probes could not be replayed")
        raise ServingError("serving.warm-up-failed", kind=type(error).__name__, reason=error) from error
    return predictor
