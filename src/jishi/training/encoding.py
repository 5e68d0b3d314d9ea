"""Rows to features in the way that is fastest for them here; whichever it is, the features are the same and in order."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

import numpy as np

from jishi.core.contracts import Features, Objective, Row
from jishi.models import fast_tokenizer
from jishi.models.environment import free_cores

SAMPLE = 32  # rows, spread over all, that are measured and compared
LEAST = 10 * SAMPLE  # of fewer rows the sample would be too large a part
FAST = 2.0  # seconds from which a faster tokenizer pays, which takes one to load
APART = 10.0  # seconds from which processes pay
COPIES = ("linux",)  # where a process may go on as a copy of another that has threads
ENRICHED = 2_000  # rows at once: what is said of a row may differ in its last bit where it is asked with others
CHUNK = 500  # rows a process is given at once
THREADS = "TOKENIZERS_PARALLELISM"  # the setting by which `tokenizers` leaves its threads alone


def seconds(objective: Objective, rows: Sequence[Row], processor: Any) -> float:
    """What encoding would take in this process, from the pace of a few rows; 0 where there are few."""
    return _timed(objective, _sample(rows), processor)[1] * len(rows) / SAMPLE if len(rows) >= LEAST else 0.0


def encode(objective: Objective, rows: Sequence[Row], processor: Any, expected: float) -> Iterator[Features]:
    """The features of all rows, which `expected` says would take so many seconds in this process."""
    found = _encoded(objective, rows, processor, expected)
    if not enriches(objective):
        return found
    parts = iter(lambda: list(islice(found, ENRICHED)), [])
    return chain.from_iterable(objective.enrich(part, processor) for part in parts)


def enriches(objective: Objective) -> bool:
    """Whether features hold more than encoding tells, which takes long."""
    return type(objective).enrich is not Objective.enrich


def _encoded(objective: Objective, rows: Sequence[Row], processor: Any, expected: float) -> Iterator[Features]:
    if expected > FAST:
        found = _faster(objective, rows, processor)
        if found is None and expected > APART and sys.platform in COPIES and (count := free_cores()) > 1:
            return _apart(objective, rows, processor, count)
        processor = found or processor
    return (objective.encode(row, processor) for row in rows)


def _faster(objective: Objective, rows: Sequence[Row], processor: Any) -> Any | None:
    """The processor with a faster encoder, where it is one and gives the same features of the sample."""
    other = fast_tokenizer.faster(processor)
    if other is None:
        return None
    sample = _sample(rows)
    (now, time_now), (then, time_then) = _timed(objective, sample, processor), _timed(objective, sample, other)
    return other if time_then < time_now and all(map(same, now, then)) else None


def same(left: Features, right: Features) -> bool:
    """Equal to the last value, in types too."""
    return left.keys() == right.keys() and all(_alike(left[name], right[name]) for name in left)


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return type(left) is type(right) and bool(left == right)


def _sample(rows: Sequence[Row]) -> list[Row]:
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, SAMPLE)]


def _timed(objective: Objective, rows: Sequence[Row], processor: Any) -> tuple[list[Features], float]:
    start = time.perf_counter()
    features = [objective.encode(row, processor) for row in rows]
    return features, time.perf_counter() - start


def _apart(objective: Objective, rows: Sequence[Row], processor: Any, count: int) -> Iterator[Features]:
    """By processes that begin as copies of this one, so that nothing is imported or sent to them but places of rows."""
    global _given
    chunks = [range(start, min(start + CHUNK, len(rows))) for start in range(0, len(rows), CHUNK)]
    _given = objective, rows, processor
    try:
        with ProcessPoolExecutor(count, get_context("fork")) as pool:
            with _single_threaded():
                found = pool.map(_chunk, chunks)
            yield from chain.from_iterable(found)
    finally:
        _given = None


_given: tuple[Objective, Sequence[Row], Any] | None = None  # what the processes that begin as copies find


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes that begin here use no threads for tokens; a copy of a process has none of its threads."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before


def _chunk(places: range) -> list[Features]:
    assert _given
    objective, rows, processor = _given
    return [objective.encode(rows[place], processor) for place in places]
