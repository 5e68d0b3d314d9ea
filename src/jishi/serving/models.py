"""The models of one server, by name: each is read when it is first asked and let go where another needs its room.

Adapters of one base hold the base's weights together (`models.shared.Shared`), and each answers from a model of its own, so that
requests for different ones never meet. No model answers before its probes were replayed; one that fails them fails alone. Where
they live is their `home`'s; if it dies, what was in memory is read again.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from jishi.core.errors import JishiError, ServingError, did_you_mean
from jishi.serving import entries as given
from jishi.serving.entries import Entry, held
from jishi.serving.home import Here, Home
from jishi.serving.limits import Limits
from jishi.serving.service import Service

log = logging.getLogger(__name__)
AUTO = "auto"


@dataclass
class Models:
    """`entries` in the order they were named, the first being asked where a request names none; `memory` bounds their bytes."""

    entries: Sequence[Entry]
    limits: Limits = field(default_factory=Limits)
    memory: int | None = None
    home: Home = None  # type: ignore[assignment]
    ready: bool = False

    def __post_init__(self) -> None:
        """Raises ServingError where there is none, two have one name, or one alone does not fit into the memory."""
        given.check(self.entries, self.memory)
        self.home = self.home or Here(self.limits)
        named = {entry.name: entry for entry in self.entries}
        self._named = {**{entry.answers_as: entry for entry in self.entries if entry.answers_as}, **named}
        self._opening = asyncio.Lock()  # one at a time, so that the memory bound holds
        self._left = asyncio.Event()
        self._clock = itertools.count(1)

    @classmethod
    def of(cls, bundles: Iterable[str], limits: Limits, memory: int | None, runtime: str = AUTO) -> Self:
        """Those of bundles, each a path or name=path. Raises BundleError where one is none, ServingError."""
        return cls(given.of(bundles, runtime), limits, memory)

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
        return sum(entry.service.model.depth for entry in self.entries if entry.service)

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
        await self._read(self.entries[0])
        self.ready = True

    async def tend(self) -> None:
        """Read what was in memory again whenever it is lost, and raise as `warm_up` does. It comes to no end of its own."""
        while True:
            await self.home.lost()
            self.ready = False
            gone = [entry for entry in self.open if entry.service and not entry.service.model.alive]
            for entry in gone:
                entry.opened = None
            for entry in gone:
                await self._read(entry)
            self.ready = True

    def check_ready(self) -> None:
        if not (self.ready and all(entry.service.model.alive for entry in self.open if entry.service)):
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
        """Answer what is queued, then stop; what is being read is given up."""
        for entry in self.entries:
            if entry.opened is not None:
                entry.opened.cancel()  # of no effect where it was read
                await asyncio.wait([entry.opened])
            await self._close(entry)
        await self.home.close()

    async def _read(self, entry: Entry) -> None:
        try:
            await self._task(entry)
        except JishiError as error:
            if len(self.entries) == 1:
                raise
            log.error("%s: %s", entry.name, error)

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
            model = await self.home.open(entry)
            return Service(model, self.limits, given.named(entry.name, model.profile.fingerprint))

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
            await self.home.release(service.model)
