"""Texts cut at few tokens are what `tokenizers` makes of them, without its rests."""

import random

import pytest

from jishi.models import tokens, truncation, vocabulary
from tiny import tokenizer

WORDS = ["good", "value", "for", "money", "很好用", "包装破损", "味道难闻", "don't", "buy", "it"]
KINDS = {
    "words": lambda: tokenizer("good value for money buy it", max_length=1000),
    **{
        kind: lambda kind=kind, size=size: vocabulary.learn(kind, WORDS * 9, size, lowercase=False, max_length=1000)
        for kind, size in {"bpe": 300, "unigram": 40}.items()
    },
}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_what_the_library_keeps(kind, side, monkeypatch):
    monkeypatch.setattr(truncation, "LONG", 0)
    processor, rng = KINDS[kind](), random.Random(0)
    processor.truncation_side = side
    backend = processor.backend_tokenizer
    for _ in range(200):
        first, second = (" ".join(rng.choices(WORDS, k=rng.randrange(1, 12))) for _ in range(2))
        length = rng.randrange(3, 40)
        pair = rng.choice([None, second])
        found = tokens._encoding(processor, first, pair, length)
        backend.enable_truncation(length, direction=side)
        expected = backend.encode(first, pair)
        assert (found.ids, found.type_ids, found.sequence_ids, found.overflowing) == (
            expected.ids, expected.type_ids, expected.sequence_ids, bool(expected.overflowing),
        ), (first, pair, length)  # fmt: skip


def test_long_texts_are_cut_without_their_rests(monkeypatch):
    processor = tokenizer("good value for money buy it", max_length=1000)
    monkeypatch.setattr(truncation, "encode", lambda *_: pytest.fail("it was not long"))
    tokens.encode(processor, "good " * 10, max_length=5)
    with pytest.raises(pytest.fail.Exception, match="not long"):
        tokens.encode(processor, "good " * 20, max_length=5)


@pytest.mark.parametrize(
    ("counts", "room", "kept"),
    [
        ([9], 5, [5]),
        ([2, 9], 8, [2, 6]),
        ([9, 2], 8, [6, 2]),
        ([7, 9], 7, [3, 4]),
        ([9, 7], 7, [4, 3]),
        ([3, 4], 7, [3, 4]),
    ],
)
def test_the_longer_text_gives_way(counts, room, kept):
    assert truncation.shares(counts, room) == kept
