import random
import zlib

import numpy
import pytest

from jishi.data import near_duplicates
from jishi.data.near_duplicates import Texts, _jaccard, find


def texts(values: list[str]) -> Texts:
    hashes = numpy.array([zlib.crc32(value.encode()) for value in values], dtype=numpy.uint64)
    return Texts(numpy.arange(len(values)), hashes, values)


def plain_jaccard(first: str, second: str) -> float:
    """The definition, character by character."""
    one, other = ({text[place : place + 5] for place in range(len(text) - 4)} for text in (first, second))
    return len(one & other) / len(one | other)


def test_the_similarity_is_that_of_the_sets_of_five_characters():
    assert _jaccard("abcdef", "abcdeg") == pytest.approx(1 / 3)  # {abcde, bcdef} and {abcde, bcdeg}
    assert _jaccard("abcdefg", "xbcdefg") == pytest.approx(2 / 4)
    assert _jaccard("ab", "ab") == 1
    assert _jaccard("abcde", "vwxyz") == 0


def test_letter_case_and_spaces_make_no_difference():
    assert _jaccard("Good  Value\n", "good value") == 1


def test_what_is_found_is_what_comparing_every_pair_finds():
    random.seed(0)
    earlier = ["".join(random.choices("abcdefgh 很好不", k=60)) for _ in range(150)]
    earlier = [" ".join(text.split()) for text in earlier]
    later = []
    for text in earlier[:100]:
        characters = list(text)
        for _ in range(random.randrange(6)):
            characters[random.randrange(len(characters))] = "z"
        later.append("".join(characters))
    later.append(earlier[120])  # an exact duplicate is counted elsewhere
    expected = sum(
        any(plain_jaccard(one, other) >= near_duplicates.THRESHOLD and one != other for one in earlier)
        for other in later
    )
    assert 20 < expected < 100
    assert abs(find({"train": texts(earlier), "test": texts(later)})["across"]["train/test"] - expected) <= 1


def test_the_nearest_row_is_shown_and_the_places_are_those_of_the_part():
    earlier = Texts(
        numpy.array([7, 9]),
        numpy.array([1, 2], dtype=numpy.uint64),
        ["这家酒店的房间很干净服务也好", "完全无关的一句话而已没有什么"],
    )
    later = Texts(numpy.array([4]), numpy.array([3], dtype=numpy.uint64), ["这家酒店的房间很干净服务也好！"])
    found = find({"train": earlier, "test": later})
    assert found["across"] == {"train/test": 1}
    assert found["samples"] == [[("train", 7), ("test", 4)]]


def test_large_parts_are_compared_by_a_sample_that_is_told_of(monkeypatch):
    monkeypatch.setattr(near_duplicates, "MAX_ROWS", 10)
    inputs = numpy.arange(100, dtype=numpy.uint64)
    rows = near_duplicates.choose(inputs, 0)
    assert len(set(rows.tolist())) == 10
    assert rows.tolist() != list(range(10))


def test_an_empty_part_has_no_near_duplicates():
    assert find({"train": texts([]), "test": texts(["x"])})["across"] == {"train/test": 0}
