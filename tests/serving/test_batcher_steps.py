"""Answers that are worked out step by step: rows join as they come, leave as they end, and others have their turn between."""

import threading
import time
from concurrent.futures import wait

import pytest

from jishi.core.errors import ServingError
from jishi.serving.batcher import Batcher
from jishi.serving.limits import Limits


class Writer:
    """Answers a number with as many steps; what is asked as a text is answered at once. `at(step)` is run before each."""

    def __init__(self):
        self.said, self.ended, self.left = [], [], []
        self.at = lambda step: None

    def encode(self, raw):
        return {"raw": raw, "length": 1}

    def begin(self, features):
        rows = [row["raw"] for row in features]
        if "unreadable" in rows:
            raise MemoryError
        return {place: self.steps(raw) for place, raw in enumerate(rows) if isinstance(raw, int)}

    def steps(self, count):
        try:
            for _ in range(count):
                self.at(len(self.said))
                self.said.append(count)
                yield
            self.ended.append(count)
            return f"{count} written"
        finally:
            if count not in self.ended:
                self.left.append(count)

    def answer(self, features):
        self.said += [row["raw"] for row in features]
        return [f"{row['raw']} at once" for row in features]


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def start(writer):
    started = []

    def batcher(*, streams=0, **limits):
        given = Limits(**{"max_wait_ms": 30, **limits})
        started.append(Batcher(writer.encode, writer.answer, given, begin=writer.begin, streams=lambda: streams))
        started[-1].start()
        return started[-1]

    yield batcher
    for one in started:
        one.close()


def results(futures):
    return [future.result(5) for future in futures]


def test_rows_are_gone_on_with_in_turn_until_each_has_ended(writer, start):
    assert results(start().submit([2, 4])) == ["2 written", "4 written"]
    assert writer.said == [2, 4, 2, 4, 4, 4]


def test_a_short_row_that_comes_later_ends_first(writer, start):
    batcher, later = start(), []
    writer.at = lambda step: step == 3 and later.extend(batcher.submit([2]))
    assert results(batcher.submit([9])) == ["9 written"]
    assert results(later) == ["2 written"] and writer.ended == [2, 9]
    assert writer.said == [9, 9, 9, 9, 9, 2, 9, 2, 9, 9, 9]


def test_what_comes_at_once_does_not_wait_for_what_is_written(writer, start):
    batcher, later = start(), []
    writer.at = lambda step: step == 3 and later.extend(batcher.submit(["a"]))
    assert results(batcher.submit([9])) == ["9 written"]
    assert results(later) == ["a at once"] and writer.said.index("a") == 4


def test_no_more_rows_are_open_than_one_pass_may_have(writer, start):
    assert results(start(max_batch=2).submit([3, 1, 2])) == ["3 written", "1 written", "2 written"]
    assert writer.said == [3, 1, 3, 3, 2, 2]


def test_streams_count_among_the_rows_of_a_pass_and_keep_none_out(writer, start):
    assert results(start(max_batch=3, streams=1).submit([3, 1, 2])) == ["3 written", "1 written", "2 written"]
    assert writer.said == [3, 1, 3, 3, 2, 2]
    assert results(start(max_batch=2, streams=7).submit([2, 3])) == ["2 written", "3 written"]
    assert writer.said[6:] == [2, 2, 3, 3, 3]


def test_a_row_that_nobody_waits_for_is_left(writer, start):
    batcher, futures = start(), []
    writer.at = lambda step: step == 3 and futures[0].cancel()
    with batcher._changed:
        futures += batcher.submit([99, 5])
    assert futures[1].result(5) == "5 written"
    assert writer.left == [99] and writer.said.count(99) == 2
    assert not batcher._open


def test_rows_that_can_not_be_begun_together_are_answered_apart_and_the_log_says_why(start, caplog):
    assert results(start().submit([2, "unreadable"])) == ["2 at once", "unreadable at once"]
    assert "begun together" in caplog.text and "MemoryError" in caplog.text


def test_rows_whose_step_failed_are_answered_apart_and_the_log_says_why(writer, start, caplog):
    def at(step):
        if step == 3:
            raise MemoryError

    writer.at = at
    assert results(start().submit([4, 3])) == ["4 written", "3 at once"]
    assert "a step failed" in caplog.text and "MemoryError" in caplog.text


def test_other_work_has_its_turn_between_two_steps(writer, start):
    batcher, found = start(), []
    writer.at = lambda step: step == 2 and found.append(batcher.turn(lambda: len(writer.said)))
    assert results(batcher.submit([5])) == ["5 written"]
    assert found[0].result(5) == 3


def test_other_work_does_not_wait_for_rows_that_wait_for_company(start):
    batcher = start(max_wait_ms=60_000)
    batcher.submit(["a"])
    while batcher.depth:
        time.sleep(0.001)
    assert batcher.turn(lambda: "done").result(5) == "done"


def test_work_that_fails_tells_who_waits_and_nobody_else(start):
    batcher = start()
    failed = batcher.turn(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(5)
    assert results(batcher.submit([1])) == ["1 written"]


def test_work_that_nobody_waits_for_is_not_done(writer, start):
    batcher, held, done = start(), threading.Event(), []
    batcher.turn(lambda: held.wait(5))
    gone = batcher.turn(lambda: done.append("gone"))
    assert gone.cancel()
    held.set()
    assert batcher.turn(lambda: done).result(5) == []


def test_closing_writes_what_was_begun_to_its_end_and_takes_no_more(writer, start):
    batcher = start()
    futures = batcher.submit([50, 2])
    batcher.close()
    assert wait(futures, 0).not_done == set() and results(futures) == ["50 written", "2 written"]
    with pytest.raises(ServingError):
        batcher.turn(lambda: None)
