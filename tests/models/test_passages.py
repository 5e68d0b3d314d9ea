"""Questions with passages of any length: windows, and what they say put together again."""

import numpy
import pytest
import torch

from jishi.models import passages, tokens
from tiny import tokenizer

WORDS = "who ran a b c d e f g h i j k l m n o p q r s t"
PROCESSOR = tokenizer(WORDS)


def test_windows_and_their_places_worked_out_by_hand():
    # [CLS] who ran [SEP] … [SEP]: 4 tokens before, 1 after, so that 5 of the 8 tokens of the passage fit into 10
    features = passages.encode(PROCESSOR, "who ran", "a b c d e f g h", max_length=10, stride=2)
    assert (features["before"], features["after"], features["units"]) == (4, 1, 8)
    assert features["windows"] == [(0, 5), (2, 7), (3, 8)]
    named, starts, ends = passages.places(features, (2, 7))
    assert (named.tolist(), starts.tolist(), ends.tolist()) == ([2, 3, 4, 5, 6], [4, 5, 6, 7, 8], [4, 5, 6, 7, 8])
    batch = tokens.tensors(passages.arrays([features], PROCESSOR))
    assert batch["input_ids"].tolist() == [
        [2, 5, 6, 3, 7, 8, 9, 10, 11, 3], [2, 5, 6, 3, 9, 10, 11, 12, 13, 3], [2, 5, 6, 3, 10, 11, 12, 13, 14, 3]
    ]  # fmt: skip
    assert batch["starts"].int().tolist() == [[1, 0, 0, 0, 1, 1, 1, 1, 1, 0]] * 3
    assert [part[0].tolist() for part in batch["own"][0][1]] == [[0, 1, 2, 3], [4], [5, 6, 7]]


def test_every_unit_is_spoken_for_once_and_no_answer_is_as_the_least_sure_window_says():
    features = passages.encode(PROCESSOR, "who ran", "a b c d e f g h", max_length=10, stride=2)
    batch = tokens.tensors(passages.arrays([features, features], PROCESSOR))
    logs = -torch.arange(6 * 10 * 2, dtype=torch.float32).view(6, 10, 2) / 100
    one, other = passages.stitch(logs, batch["own"])
    # unit 0 is token 4 of window 0, unit 4 is token 4 + 4 - 2 of window 1, unit 7 token 4 + 7 - 3 of window 2
    for unit, (window, token) in {0: (0, 4), 3: (0, 7), 4: (1, 6), 5: (2, 6), 7: (2, 8)}.items():
        assert torch.equal(one[1 + unit], logs[window, token])
        assert torch.equal(other[1 + unit], logs[3 + window, token])
    assert torch.equal(one[0], logs[2, 0]) and torch.equal(other[0], logs[5, 0])


def test_a_question_takes_half_of_a_window_at_most_and_the_cut_is_told():
    features = passages.encode(PROCESSOR, " ".join(WORDS.split()[2:]), "who ran", max_length=16)
    assert features["truncated"] and features["before"] == 2 + 8
    assert not passages.encode(PROCESSOR, "a b c", "who ran", max_length=16)["truncated"]


def test_a_unit_without_a_token_is_never_an_answer():
    processor = tokenizer("who a b")
    processor.backend_tokenizer.normalizer = __import__("tokenizers").normalizers.Replace("a", " ")
    features = passages.encode(processor, "who", "a b", max_length=16)
    assert features["units"] == 2 and features["named"].tolist() == [1]
    batch = tokens.tensors(passages.arrays([features], processor))
    (row,) = passages.stitch(torch.zeros(1, features["length"], 2), batch["own"])
    assert row.tolist() == [[0, 0], [passages.NEVER] * 2, [0, 0]]


@pytest.mark.parametrize("stride", [None, 1, 7, 1000])
def test_any_stride_reads_the_whole_passage(stride):
    text = " ".join(numpy.random.default_rng(0).choice(WORDS.split(), 200))
    features = passages.encode(PROCESSOR, "who", text, max_length=16, stride=stride)
    named = [
        unit
        for _, parts in tokens.tensors(passages.arrays([features], PROCESSOR))["own"]
        for part in parts
        for unit in part[0].tolist()
    ]
    assert named == list(range(200))
