"""One pass over the texts of a corpus, by several processes, in parts that stand whole on disk: what is done stays done."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from jishi.core import publish
from jishi.core.contracts import Launcher, Operation, Pool
from jishi.lifecycle.tally import Tally

BATCH = 2**20  # characters a process is given at once
PART_BATCHES = 64  # a part holds what was made of so many
TEXTS, SURVEY, TALLY = "texts.jsonl", "survey.npy", "tally.json"


class Text(NamedTuple):
    """A text with its place in the list of sources, and where it stands there."""

    text: str
    source: int
    where: str


@dataclass
class Batch:
    """Some texts that follow each other, the first of them at `place`; `refused`: (where, code, reason) of rows that are none."""

    place: int = 0
    texts: list[Text] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """`operations` follow each other; the first may have looked at all texts (`known`, one value a text); `last` looks at the
    results, and is the first of the next stage."""

    operations: Sequence[Operation]
    known: Sequence[Any] | None = None
    last: Operation | None = None

    def treat(self, batch: Batch) -> tuple[list[Text], list[Tally], numpy.ndarray | None]:
        """What becomes of a batch, a tally for each operation, and the survey of the results."""
        texts, tallies = batch.texts, []
        for number, operation in enumerate(self.operations):
            known = self.known if number == 0 else None
            tally, found = Tally(), []
            for place, one in enumerate(texts, batch.place):
                treated = operation.treat(one.text, known[place]) if known is not None else operation.treat(one.text)
                tally.add(one.where, one.text, treated, discreet=operation.discreet)
                found += [one] if treated is None else [one._replace(text=text) for text in treated.texts]
            texts = found
            tallies.append(tally)
        return texts, tallies, self.last.survey([one.text for one in texts]) if self.last else None


def run(
    stage: Stage, batches: Callable[[], Iterator[Batch]], folder: Path, processes: int, on: Launcher | None = None
) -> list[Tally]:
    """Treat all batches, in so many processes here or elsewhere; `folder` then holds the parts.

    The first tally is that of reading, then one for each operation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    publish.sweep(folder)
    done = len(parts(folder))
    results = _results(stage, _from(batches(), done * PART_BATCHES), processes, on)
    while some := [one for _, one in zip(range(PART_BATCHES), results, strict=False)]:
        _write(folder / f"part-{done:05d}", some, surveys=stage.last is not None)
        done += 1
    whole = [Tally() for _ in range(len(stage.operations) + 1)]
    for part in parts(folder):
        for tally, told in zip(whole, json.loads((part / TALLY).read_text(encoding="utf-8")), strict=True):
            tally.merge(Tally.of(told))
    return whole


def parts(folder: Path) -> list[Path]:
    """The parts that are done, in order."""
    return sorted(folder.glob("part-*"))


def texts(folder: Path) -> Iterator[Text]:
    """What a stage has made, in order."""
    for part in parts(folder):
        with (part / TEXTS).open(encoding="utf-8") as lines:
            for batch in lines:
                yield from (Text(*one) for one in json.loads(batch))


def surveys(folder: Path) -> list[numpy.ndarray]:
    """What the last operation noted of it, mapped into memory."""
    return [numpy.load(part / SURVEY, mmap_mode="r") for part in parts(folder)]


def batched(given: Iterator[Text]) -> Iterator[Batch]:
    """Texts in batches of about a million characters."""
    batch, size, place = Batch(), 0, 0
    for one in given:
        batch.texts.append(one)
        place, size = place + 1, size + len(one.text) + 100
        if size >= BATCH:
            yield batch
            batch, size = Batch(place), 0
    if batch.texts:
        yield batch


def _from(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
    """Without the first ones, which are done."""
    for _ in zip(range(count), batches, strict=False):
        pass
    return batches


def _write(part: Path, results: Sequence[Any], *, surveys: bool) -> None:
    tallies = [Tally() for _ in results[0][1]]
    with publish.folder(part) as folder:
        with (folder / TEXTS).open("w", encoding="utf-8") as file:
            for made, told, _ in results:
                file.write(json.dumps(made, ensure_ascii=False) + "\n")  # a batch a line
                for tally, one in zip(tallies, told, strict=True):
                    tally.merge(one)
        if surveys:
            numpy.save(folder / SURVEY, numpy.concatenate([found for _, _, found in results]))
        told = [tally.to_dict() for tally in tallies]
        (folder / TALLY).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


_given: Stage | None = None  # what the processes that begin as copies of this one find


def _results(stage: Stage, batches: Iterator[Batch], processes: int, on: Launcher | None) -> Iterator[Any]:
    """The results of all batches in their order, few at a time in memory."""
    if on is None and processes == 1:
        yield from (_told(batch, stage.treat(batch)) for batch in batches)
        return
    waiting: deque[tuple[Batch, Callable[[], Any]]] = deque()
    with on.pool(stage.treat) if on else _here(stage, processes) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(batch)))
            if len(waiting) > 2 * pool.processes:
                first, result = waiting.popleft()
                yield _told(first, result())
        for first, result in waiting:
            yield _told(first, result())


@dataclass(frozen=True)
class _Here:
    """Processes that begin as copies of this one."""

    processes: int
    pool: ProcessPoolExecutor

    def submit(self, piece: Batch) -> Callable[[], Any]:
        return self.pool.submit(_treat, piece).result


@contextmanager
def _here(stage: Stage, processes: int) -> Iterator[Pool]:
    global _given
    _given = stage
    try:
        with ProcessPoolExecutor(processes, get_context("fork")) as pool:
            yield _Here(processes, pool)
    finally:
        _given = None


def _treat(batch: Batch) -> Any:
    assert _given
    return _given.treat(batch)


def _told(batch: Batch, result: Any) -> Any:
    """A result with the tally of reading before those of the operations."""
    made, tallies, survey = result
    reading = Tally(seen=len(batch.texts), kept=len(batch.texts), given=len(batch.texts))
    reading.characters = [sum(len(one.text) for one in batch.texts)] * 2
    for refused in batch.refused:
        reading.refuse(*refused)
    return made, [reading, *tallies], survey
