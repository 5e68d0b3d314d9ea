import numpy

from jishi.data import duplicates
from jishi.data.duplicates import Marks


def marks(inputs: list[int], wholes: list[int]) -> Marks:
    return Marks(numpy.array(inputs, dtype=numpy.uint64), numpy.array(wholes, dtype=numpy.uint64))


PARTS = {"train": marks([1, 2, 2, 3, 2], [1, 2, 2, 3, 9]), "test": marks([2, 5, 3, 3], [2, 5, 3, 8])}


def test_repeats_are_counted_within_and_across_parts():
    found = duplicates.find(PARTS)
    assert found["within"] == {"train": 2, "test": 1}
    assert found["across"] == {"train/test": 3}
    assert found["samples"] == [[("train", 1), ("test", 0)], [("train", 3), ("test", 2)], [("train", 3), ("test", 3)]]


def test_equal_inputs_with_different_targets_are_conflicts():
    # The input 2 has the targets 2, 2, 9 and 2; the input 3 has 3, 3 and 8.
    found = duplicates.conflicts(PARTS)
    assert found["rows"] == 7
    assert found["samples"] == [[("train", 1), ("train", 4)], [("train", 3), ("test", 3)]]
