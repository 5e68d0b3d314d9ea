"""Dynamic batching: rows that arrive together share one forward pass, in one worker thread off the event loop.

A row waits `max_wait_ms` at most for company, counted from its arrival, so a busy server never waits. Rows are begun
first in, first out. A row that fails, fails alone; a row nobody waits for any more is skipped.

Answers that are written share every step (continuous batching): rows join as they come and leave as they end, and between two
steps the worker does what else is to be done in its turn (pieces of streams).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from jishi.core.contracts import Features, Prediction
from jishi.core.errors import JishiError, ServingError
from jishi.serving.limits import Limits

Steps = Generator[None, None, Prediction]

log = logging.getLogger(__name__)


@dataclass
class _Item:
    """One row on its way."""

    raw: Any
    future: Future[Prediction] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)
    features: Features | None = None
    steps: Steps | None = None


class Batcher:
    """`encode` makes features of one raw row (its "length" is its tokens), `answer` predictions of many features.

    `begin` is asked first, and says of which rows (by their places) the answers are worked out step by step. `streams` tells how
    many rows besides share those steps.
    """

    def __init__(
        self,
        encode: Callable[[Any], Features],
        answer: Callable[[Sequence[Features]], list[Prediction]],
        limits: Limits,
        observe: Callable[[int], None] = lambda _rows: None,
        begin: Callable[[Sequence[Features]], Mapping[int, Steps]] = lambda _features: {},
        streams: Callable[[], int] = lambda: 0,
    ) -> None:
        self._encode = encode
        self._answer = answer
        self._limits = limits
        self._observe = observe
        self._begin = begin
        self._streams = streams
        self._queue: deque[_Item] = deque()
        self._turns: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._open: list[_Item] = []  # being written
        self._changed = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="jishi-batcher", daemon=True)

    @property
    def depth(self) -> int:
        """Rows that wait for a forward pass."""
        return len(self._queue)

    @property
    def alive(self) -> bool:
        return self._worker.is_alive()

    def start(self) -> None:
        self._worker.start()

    def submit(self, rows: Sequence[Any]) -> list[Future[Prediction]]:
        """Queue all rows of a request or none: ServingError("serving.busy") where they don't fit."""
        items = [_Item(row) for row in rows]
        with self._changed:
            if self._closed or len(self._queue) + len(items) > self._limits.max_queue:
                raise ServingError(
                    "serving.busy", given=len(self._queue), allowed=self._limits.max_queue, retry_after=1
                )
            self._queue.extend(items)
            self._changed.notify()
        return [item.future for item in items]

    def turn(self, work: Callable[[], Any]) -> Future[Any]:
        """Have something done by the worker before its next batch or step. Raises ServingError once closed."""
        future: Future[Any] = Future()
        with self._changed:
            if self._closed:
                raise ServingError("serving.not-ready", retry_after=1)
            self._turns.append((work, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    def _work(self) -> None:
        while self._wait():
            for _ in range(len(self._turns)):
                _do(*self._turns.popleft())
            if batch := self._gather():
                self._run(batch)
            self._open = [item for item in self._open if self._goes_on(item)]

    def _wait(self) -> bool:
        """Until there is something to do; False once closed and drained."""
        with self._changed:
            while not (self._queue or self._turns or self._open):
                if self._closed:
                    return False
                self._changed.wait()
            return True

    def _gather(self) -> list[_Item]:
        """The next batch, its rows encoded while it fills; empty where nothing waits, or there is no room for more."""
        batch: list[_Item] = []
        longest = 0
        taken = len(self._open) + self._streams()
        room = max(self._limits.max_batch - taken, 0 if self._open else 1)  # streams alone never keep all others out
        while len(batch) < room:
            item = self._next(batch[0].arrived + self._limits.max_wait_ms / 1000 if batch else 0)
            if item is None:
                break
            if not self._prepare(item) or item.features is None:
                continue
            longest = max(longest, item.features["length"])
            if batch and longest * (len(batch) + 1) > self._limits.batch_tokens:
                with self._changed:
                    self._queue.appendleft(item)  # it opens the next batch
                break
            batch.append(item)
        return batch

    def _next(self, deadline: float) -> _Item | None:
        """The oldest row; None where none comes before the deadline, or others would wait for it."""
        with self._changed:
            while not self._queue:
                left = deadline - time.monotonic()
                if self._closed or self._turns or self._open or left <= 0:
                    return None
                self._changed.wait(left)
            return self._queue.popleft()

    def _prepare(self, item: _Item) -> bool:
        """Encode a row; False where nobody waits for it or it is refused."""
        if item.features is not None or item.future.cancelled():
            return not item.future.cancelled()
        try:
            item.features = self._encode(item.raw)
        except Exception as error:
            self._fail(item, error)
            return False
        item.raw = None
        return True

    def _run(self, batch: Sequence[_Item]) -> None:
        """Answer a batch in one pass, or begin to; where that fails, each row alone, so that only the faulty one fails."""
        waited = [item for item in batch if not item.future.cancelled()]
        if not waited:
            return
        self._observe(len(waited))
        try:
            begun = self._begin([item.features or {} for item in waited])
        except Exception as error:
            log.error("rows could not be begun together and are answered one by one", exc_info=error)
            self._alone(waited)
            return
        for place, steps in begun.items():
            waited[place].steps = steps
        self._open += [item for item in waited if item.steps]
        self._answered([item for item in waited if not item.steps])

    def _answered(self, batch: Sequence[_Item]) -> None:
        """Answer a batch in one pass."""
        waited = [item for item in batch if item.future.running() or item.future.set_running_or_notify_cancel()]
        if not waited:
            return
        try:
            answers = self._answer([item.features or {} for item in waited])
        except Exception as error:
            if len(waited) == 1:
                self._fail(waited[0], error)
            else:
                self._alone(waited)
            return
        for item, answer in zip(waited, answers, strict=True):
            item.future.set_result(answer)

    def _alone(self, batch: Sequence[_Item]) -> None:
        for item in batch:
            self._answered([item])

    def _goes_on(self, item: _Item) -> bool:
        """A step more of an answer; False once it is written, or nobody waits for it."""
        steps, item.steps = item.steps, None
        if steps is None or item.future.cancelled():
            return False
        try:
            next(steps)
        except StopIteration as end:
            if item.future.set_running_or_notify_cancel():
                item.future.set_result(end.value)
            return False
        except Exception as error:  # whose fault it is, is not known: those that shared the step are answered apart
            log.error("a step failed, and an answer is written anew by itself", exc_info=error)
            self._answered([item])
            return False
        item.steps = steps
        return True

    def _fail(self, item: _Item, error: Exception) -> None:
        if not isinstance(error, JishiError):
            log.error("a row could not be answered", exc_info=error)
        if item.future.running() or item.future.set_running_or_notify_cancel():
            item.future.set_exception(error)


def _do(work: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
