import copy
import pickle

import numpy as np
import pytest

from jishi.training import feature_file
from jishi.training.encoding import same
from jishi.training.feature_file import Misfit, Stored, Writer

# What encode gives: arrays, numbers, words, lists of them and of pairs; some rows lack a target.
ROWS = [
    {
        "input_ids": np.arange(number, dtype=np.int32), "length": number, "truncated": number == 3, "unknown": number / 3,
        "text": "好🙂" * number, "units": [(place, place + 1) for place in range(number)],
        "mask": np.arange(number) > 1, "states": np.linspace(0, 1, number, dtype=np.float32),
        "names": ["a", ""] * number, "deep": [[float(number)], []], **({"labels": [0.0, float("inf")]} if number % 2 else {}),
    }
    for number in range(8)
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(feature_file, "ROWS", 3)


def write(path, rows):
    with Writer(path) as writer:
        for row in rows:
            writer.add(row)
    return Stored(path)


def test_features_are_read_back_equal_and_of_the_same_types(tmp_path):
    found = write(tmp_path / "a", ROWS)
    assert len(found) == 8
    assert all(map(same, ROWS, found))
    assert all(same(ROWS[place], found[place]) for place in (7, 0, 5, -1, -3))
    assert all(map(same, ROWS[2:6], found[2:6]))
    assert [type(value) for value in found[1].values()] == [type(value) for value in ROWS[1].values()]


def test_what_is_read_may_be_changed(tmp_path):
    found = write(tmp_path / "a", ROWS)
    found[4]["input_ids"][0] = 9
    assert found[4]["input_ids"].tolist() == [0, 1, 2, 3]


def test_a_process_of_its_own_maps_the_file_itself(tmp_path):
    assert all(map(same, ROWS, pickle.loads(pickle.dumps(write(tmp_path / "a", ROWS)))))


@pytest.mark.parametrize(
    "value", [None, 1.0, np.int64(1), 2**70, np.zeros((2, 2)), np.array(["a"]), {"a": 1}, [1], "\ud800", (1, "a")]
)
def test_what_can_not_be_given_back_exactly_is_refused(tmp_path, value):
    rows = copy.deepcopy(ROWS[:2])
    rows[1]["length"] = value
    with pytest.raises(Misfit):
        write(tmp_path / "a", rows)


def test_a_later_batch_may_not_differ_from_the_first(tmp_path):
    with pytest.raises(Misfit):
        write(tmp_path / "a", [*ROWS, {**ROWS[0], "more": 1}])
    with pytest.raises(Misfit):
        write(tmp_path / "a", [*ROWS, {**ROWS[0], "unknown": 1}])
