"""A predictor behind a batcher, and beside it the answers that are streamed: a model ready to be asked, in this process."""

import ctypes
import gc
import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from jishi.core.contracts import Features
from jishi.core.errors import JishiError, ServingError
from jishi.models.decoding import Decoding
from jishi.predictor import Predictor
from jishi.serving import describe
from jishi.serving.batcher import Batcher, Steps
from jishi.serving.limits import Limits, too_long
from jishi.serving.values import Answered, Asked, Ended

log = logging.getLogger(__name__)


class Answerer:
    """`observe` hears how many rows share a forward pass."""

    def __init__(self, predictor: Predictor, limits: Limits, observe: Callable[[int], None]) -> None:
        self.predictor = predictor
        self.limits = limits
        self.profile = describe.profile(predictor)
        self.streams = 0
        self.batcher = Batcher(self._encode, self._answer, limits, observe, self._begin, lambda: self.streams)

    @property
    def alive(self) -> bool:
        return self.batcher.alive

    @property
    def depth(self) -> int:
        return self.batcher.depth

    def ask(self, rows: Sequence[Asked]) -> Future[list[Any]]:
        """The answers of rows, or why there is none, each in its place. Raises ServingError where there is no room for them."""
        return _all(self.batcher.submit(rows))

    def write(self, asked: Asked) -> "Stream":
        return Stream(self, self._written(asked))

    def close(self) -> None:
        """Answer what is queued, then stop."""
        self.batcher.close()

    def _encode(self, asked: Asked) -> Features:
        return {**self._features(self._writing(asked.decoding), asked.raw), "decoding": asked.decoding}

    def _features(self, predictor: Predictor, raw: Any) -> Features:
        row = predictor.from_json(raw)
        too_long(row, self.limits)
        return predictor.encode(row)

    def _writing(self, decoding: Decoding | None) -> Predictor:
        return self.predictor if decoding is None else self.predictor.writing(decoding)

    def _written(self, asked: Asked) -> Generator[str, None, Ended]:
        predictor = self._writing(asked.decoding)
        features = self._features(predictor, asked.raw)
        end = yield from predictor.write(features)
        return Ended(end.complete, _read(features), end.tokens, bool(features.get("truncated")))

    def _begin(self, features: Sequence[Features]) -> dict[int, Steps]:
        """The answers that are worked out step by step, by their places; prompts that are gone on with alike are read at once."""
        begun: dict[int, Steps] = {}
        if self.profile.generates:
            for predictor, places, rows in self._alike(features):
                begun |= zip(places, map(_told, rows, predictor.begin(rows)), strict=False)
        return begun

    def _answer(self, features: Sequence[Features]) -> list[Answered]:
        """The answers of a batch: those that are to be written alike share a pass."""
        found: dict[int, Answered] = {}
        for predictor, places, rows in self._alike(features):
            if predictor.task.generates:
                told = predictor.written(rows)
            else:
                told = [(prediction, 0) for prediction in predictor.answer(rows)]
            for place, row, (prediction, written) in zip(places, rows, told, strict=True):
                found[place] = Answered(prediction, _read(row), written)
        return [found[place] for place in range(len(features))]

    def _alike(self, features: Sequence[Features]) -> Iterator[tuple[Predictor, list[int], list[Features]]]:
        """What answers rows that are to be written alike, their places, and they."""
        groups: dict[Decoding | None, list[int]] = {}
        for place, row in enumerate(features):
            groups.setdefault(row["decoding"], []).append(place)
        for decoding, places in groups.items():
            rows = [{key: value for key, value in features[place].items() if key != "decoding"} for place in places]
            yield self._writing(decoding), places, rows


class Stream:
    """An answer that is told while it is written; `close` it, whether it was read to its end or not."""

    def __init__(self, answerer: Answerer, steps: Generator[str, None, Ended]) -> None:
        self._answerer = answerer
        self._steps = steps
        self._open = True
        answerer.streams += 1

    def step(self) -> Future[str | Ended]:
        """The next piece, or how the answer ended; worked out in the turn of the model's thread."""
        return self._answerer.batcher.turn(self._next)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._answerer.streams -= 1

    def _next(self) -> str | Ended:
        try:
            return next(self._steps)
        except StopIteration as end:
            return end.value


def opened(read: Callable[[], Predictor], limits: Limits, observe: Callable[[int], None]) -> Answerer:
    """A model ready to be asked, once its probes were answered as recorded. Raises the JishiError why they were not."""
    give_back()
    try:
        predictor = read()
        predictor.replay()
    except JishiError:
        raise
    except Exception as error:
        log.exception("the probes could not be replayed")
        raise ServingError("serving.warm-up-failed", kind=type(error).__name__, reason=error) from error
    give_back()
    answerer = Answerer(predictor, limits, observe)
    answerer.batcher.start()
    return answerer


def give_back() -> None:
    """Return to the system the memory of what is gone: hooks of adapters tie knots, and glibc keeps what its threads freed."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _all(futures: Sequence[Future[Any]]) -> Future[list[Any]]:
    """What all of them come to; who cancels it cancels them."""
    whole: Future[list[Any]] = Future()
    left = len(futures)
    counting = threading.Lock()

    def one_less(_: Future[Any]) -> None:
        nonlocal left
        with counting:
            left -= 1
            last = not left
        if last and whole.set_running_or_notify_cancel():
            whole.set_result([future.exception() or future.result() for future in futures])

    def cancel(_: Future[Any]) -> None:
        for future in futures if whole.cancelled() else ():
            future.cancel()

    whole.add_done_callback(cancel)
    for future in futures:
        future.add_done_callback(one_less)
    return whole


def _told(features: Features, steps: Generator[None, None, tuple[Any, int]]) -> Steps:
    prediction, written = yield from steps
    return Answered(prediction, _read(features), written)


def _read(features: Features) -> int:
    """The tokens that are read of a row before it is answered."""
    prompt = features.get("prompt_ids")
    return features["length"] if prompt is None else len(prompt)
