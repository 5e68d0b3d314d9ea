"""Dynamic batching: rows that arrive together share one forward pass, in one worker thread off the event loop.

A row waits `max_wait_s` at most for company, counted from its arrival, so a busy server never waits. Rows are answered
first in, first out. A row that fails, fails alone; a row nobody waits for any more is skipped.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from jishi.core.contracts import Features, Prediction
from jishi.core.errors import JishiError, ServingError
from jishi.serving.limits import Limits

log = logging.getLogger(__name__)


@dataclass
class _Item:
    """One row on its way."""

    raw: Any
    future: Future[Prediction] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)
    features: Features | None = None


class Batcher:
    """`encode` makes features of one raw row (its "length" is its tokens), `answer` predictions of many features."""

    def __init__(
        self,
        encode: Callable[[Any], Features],
        answer: Callable[[Sequence[Features]], list[Prediction]],
        limits: Limits,
        observe: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        self._encode = encode
        self._answer = answer
        self._limits = limits
        self._observe = observe
        self._queue: deque[_Item] = deque()
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

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    def _work(self) -> None:
        while batch := self._gather():
            self._run(batch)

    def _gather(self) -> list[_Item]:
        """The next batch, its rows encoded while it fills; empty once closed and drained."""
        batch: list[_Item] = []
        longest = 0
        while len(batch) < self._limits.max_batch:
            item = self._next(batch[0].arrived + self._limits.max_wait_ms / 1000 if batch else None)
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

    def _next(self, deadline: float | None) -> _Item | None:
        """The oldest row; None at the deadline (None: whenever one comes) or when closed."""
        with self._changed:
            while not self._queue:
                left = None if deadline is None else deadline - time.monotonic()
                if self._closed or (left is not None and left <= 0):
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
        """Answer a batch in one pass; where that fails, each row alone, so that only the faulty one fails."""
        waited = [item for item in batch if item.future.running() or item.future.set_running_or_notify_cancel()]
        if not waited:
            return
        self._observe(len(waited))
        try:
            answers = self._answer([item.features or {} for item in waited])
        except Exception as error:
            if len(waited) == 1:
                self._fail(waited[0], error)
            else:
                for item in waited:
                    self._run([item])
            return
        for item, answer in zip(waited, answers, strict=True):
            item.future.set_result(answer)

    def _fail(self, item: _Item, error: Exception) -> None:
        if not isinstance(error, JishiError):
            log.error("a row could not be answered", exc_info=error)
        if item.future.running() or item.future.set_running_or_notify_cancel():
            item.future.set_exception(error)
