import threading
import time
from concurrent.futures import CancelledError, wait

import pytest

from jishi.core.errors import RowError, ServingError
from jishi.serving.batcher import Batcher
from jishi.serving.limits import Limits


class Model:
    """Answers a text with its length and remembers the batches it was given; held back until `gate` opens."""

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, raw):
        if raw == "refused":
            raise RowError("modalities.no-text", given=raw)
        return {"text": raw, "length": len(raw)}

    def answer(self, features):
        self.gate.wait(5)
        texts = [feature["text"] for feature in features]
        self.batches.append(texts)
        if "poison" in texts:
            raise RuntimeError("the model fell over")
        return [{"length": len(text)} for text in texts]


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def start(model):
    started = []

    def batcher(**limits):
        started.append(Batcher(model.encode, model.answer, Limits(**{"max_wait_ms": 30, **limits})))
        started[-1].start()
        return started[-1]

    yield batcher
    model.gate.set()
    for one in started:
        one.close()


def hold(model, batcher):
    """Keep the worker busy with a first row, so that what follows queues up."""
    model.gate.clear()
    first = batcher.submit(["first"])[0]
    while batcher.depth or not first.running():
        time.sleep(0.001)
    return first


def test_rows_that_come_together_share_one_pass(model, start):
    futures = start().submit(["a", "bb", "ccc"])
    assert [future.result(5) for future in futures] == [{"length": 1}, {"length": 2}, {"length": 3}]
    assert model.batches == [["a", "bb", "ccc"]]


def test_rows_of_different_requests_share_one_pass(model, start):
    batcher = start(max_wait_ms=300, max_batch=2)
    futures = batcher.submit(["a"]) + batcher.submit(["b"])
    wait(futures, 5)
    assert model.batches == [["a", "b"]]


def test_a_lone_row_waits_no_longer_than_its_limit(start):
    began = time.monotonic()
    start(max_wait_ms=50).submit(["a"])[0].result(5)
    assert 0.04 < time.monotonic() - began < 1


def test_a_full_batch_does_not_wait(start):
    began = time.monotonic()
    wait(start(max_wait_ms=10_000, max_batch=2).submit(["a", "b"]), 5)
    assert time.monotonic() - began < 5


def test_a_pass_keeps_to_its_token_budget_padding_counted(model, start):
    futures = start(batch_tokens=12).submit(["aaaa", "bbbb", "cccccc", "d"])
    wait(futures, 5)
    assert model.batches == [["aaaa", "bbbb"], ["cccccc", "d"]]  # three rows of six would be eighteen


def test_a_row_beyond_the_budget_is_answered_alone(model, start):
    futures = start(batch_tokens=4).submit(["a", "b" * 9, "c"])
    assert [future.result(5)["length"] for future in futures] == [1, 9, 1]
    assert ["b" * 9] in model.batches


def test_a_refused_row_does_not_fail_its_neighbours(start):
    good, bad, last = start().submit(["a", "refused", "b"])
    assert (good.result(5), last.result(5)) == ({"length": 1}, {"length": 1})
    with pytest.raises(RowError):
        bad.result(5)


def test_a_row_that_breaks_the_pass_fails_alone(model, start, caplog):
    good, bad, last = start().submit(["a", "poison", "b"])
    assert (good.result(5), last.result(5)) == ({"length": 1}, {"length": 1})
    with pytest.raises(RuntimeError):
        bad.result(5)
    assert model.batches == [["a", "poison", "b"], ["a"], ["poison"], ["b"]]
    assert "could not be answered" in caplog.text


def test_a_cancelled_row_is_not_answered(model, start):
    batcher = start()
    first = hold(model, batcher)
    gone, kept = batcher.submit(["gone", "kept"])
    assert gone.cancel()
    model.gate.set()
    assert (first.result(5), kept.result(5)) == ({"length": 5}, {"length": 4})
    assert model.batches == [["first"], ["kept"]]
    with pytest.raises(CancelledError):
        gone.result(0)


def test_a_full_queue_takes_all_rows_of_a_request_or_none(model, start):
    batcher = start(max_queue=3)
    hold(model, batcher)
    batcher.submit(["a", "b"])
    with pytest.raises(ServingError, match="busy"):
        batcher.submit(["c", "d"])
    assert batcher.depth == 2
    batcher.submit(["e"])


def test_rows_are_answered_first_in_first_out_under_load(model, start):
    batcher = start(max_batch=4)
    hold(model, batcher)
    futures = [batcher.submit([f"row {index}"])[0] for index in range(10)]
    model.gate.set()
    wait(futures, 5)
    assert [text for batch in model.batches[1:] for text in batch] == [f"row {index}" for index in range(10)]
    assert [len(batch) for batch in model.batches[1:]] == [4, 4, 2]


def test_closing_answers_what_is_queued_and_takes_no_more(model, start):
    batcher = start()
    first = hold(model, batcher)
    later = batcher.submit(["later"])[0]
    model.gate.set()
    batcher.close()
    assert (first.result(0), later.result(0)) == ({"length": 5}, {"length": 5})
    assert not batcher.alive
    with pytest.raises(ServingError):
        batcher.submit(["too late"])
