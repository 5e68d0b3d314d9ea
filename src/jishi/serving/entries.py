"""The models that a server was given, before any of them is read: their names, sizes and bases, and how each is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jishi.core import bundle
from jishi.core.errors import BundleError, ModelError, ServingError
from jishi.models.folder import size
from jishi.models.shared import Shared

if TYPE_CHECKING:
    import asyncio

    from jishi.predictor import Predictor
    from jishi.serving.service import Service

log = logging.getLogger(__name__)
CREATED = "%Y-%m-%dT%H:%M:%S%z"


@dataclass
class Entry:
    """A model: how it is read, the bytes of its own weights, and those of the base it shares with others."""

    name: str
    read: Callable[[], Predictor]
    path: Path | None = None
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
        if self.opened is None or not self.opened.done() or self.opened.cancelled():
            return "waiting"
        return "refused" if self.opened.exception() else "ready"

    @property
    def service(self) -> Service | None:
        """What answers; None before it was asked, where it was let go, and where it failed."""
        return self.opened.result() if self.opened and self.state == "ready" else None


def of(bundles: Iterable[str], runtime: str) -> list[Entry]:
    """Those of bundles, each a path or name=path. Raises BundleError where one is none."""
    shared = Shared()
    return [_entry(given, shared, runtime) for given in bundles]


def check(entries: Sequence[Entry], memory: int | None) -> None:
    """Raises ServingError where there is none, two have one name, or one alone does not fit into the memory."""
    if not entries:
        raise ServingError("serving.no-bundle")
    names: set[str] = set()
    for entry in entries:
        if entry.name in names:
            raise ServingError("serving.same-name", given=entry.name)
        names.add(entry.name)
        if memory is not None and held([entry]) > memory:
            raise ServingError("serving.memory-too-small", name=entry.name, given=memory, allowed=held([entry]))


def held(entries: Iterable[Entry]) -> int:
    """Bytes of the weights of models together, a base counted once."""
    entries = list(entries)
    bases = dict(entry.base for entry in entries if entry.base)
    return sum(entry.bytes for entry in entries) + sum(bases.values())


def reading(path: Path, runtime: str, shared: Shared) -> Callable[[], Predictor]:
    """How a bundle is read, with its base where that is in memory."""

    def read() -> Predictor:
        from jishi.predictor import Predictor

        return Predictor.load(path, runtime=runtime, shared=shared)

    return read


def named(name: str, fingerprint: str) -> str:
    """A model's name and the first digits of its bundle's identity: `reviews@3f2a91c04b7e`."""
    return f"{name}@{fingerprint[:12]}" if fingerprint else name


def _entry(given: str, shared: Shared, runtime: str) -> Entry:
    name, sign, path = given.partition("=")
    if not sign or "/" in name:
        name, path = "", given
    folder = Path(path)
    entry = Entry(name or _called(folder), reading(folder, runtime, shared), folder)
    try:
        found = bundle.read(folder, verify=False)
        entry.answers_as = named(entry.name, found.fingerprint)
        entry.task, entry.bytes = found.record["task"]["name"], size(folder)
        entry.created = _seconds(found.record.get("created"))
        if "base" in found.record:
            entry.base = found.record["base"]["sha256"], found.record["base"]["bytes"]
    except (BundleError, ModelError) as error:
        if error.code == "core.bundle-not-found":
            raise
        log.error("%s: %s", entry.name, error)  # damaged: it will say so when it is asked, and the others go on
    return entry


def _called(path: Path) -> str:
    """What a bundle is called where nobody named it: as its run."""
    folder = path.resolve()
    return folder.parent.name if folder.name == "bundle" else folder.name


def _seconds(created: str | None) -> int:
    """When a bundle was made, in seconds since 1970; 0 where its record does not say."""
    return int(datetime.strptime(created, CREATED).timestamp()) if created else 0
