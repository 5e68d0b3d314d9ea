import numpy
import pytest

from jishi.core.errors import RowError
from jishi.modalities.choices import Choices


def test_a_list_is_read_as_it_stands_or_from_json():
    assert Choices().read(["a", 2]) == ["a", "2"]
    assert Choices().read('["是", "否"]') == ["是", "否"]


@pytest.mark.parametrize("value", [None, "a", "[1", ["a"], {"a": 1, "b": 2}, ["a"] * 101, [["a"], "b"], ["a", " "]])
def test_what_is_no_list_of_texts_is_refused(value):
    with pytest.raises(RowError):
        Choices().read(value)


def test_facts_and_damage_are_those_of_the_texts():
    raw = ["good morning", "bye"]
    assert Choices().statistics(raw) == {"count": 2.0, "characters": 7.5}
    assert Choices().corrupt(raw, 0.0, numpy.random.default_rng(0)) == raw
    assert Choices().corrupt(raw, 1.0, numpy.random.default_rng(0)) != raw
