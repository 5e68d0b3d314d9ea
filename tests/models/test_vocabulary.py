"""Vocabularies of a size that is asked for: the same every time, read back what was written, and say how good they are."""

import pytest

from jishi.core.errors import ModelError
from jishi.models import vocabulary

TEXTS = [
    f"The {one} sat on the {other}. 猫坐在{'垫子' if one == 'cat' else '椅子'}上。"
    for one in ("cat", "dog", "hen")
    for other in ("mat", "rug", "bed", "box")
] * 3


def learn(kind, size, texts=TEXTS, **settings):
    pytest.importorskip("sentencepiece", reason="needs the extra corpus")
    return vocabulary.learn(kind, texts, size, **{"lowercase": False, "max_length": 64, **settings})


@pytest.mark.parametrize(("kind", "size"), [("wordpiece", 60), ("bpe", 300), ("unigram", 60), ("character", 50)])
def test_the_same_texts_give_the_same_tokens_and_read_back(kind, size):
    first, again = learn(kind, size), learn(kind, size)
    assert first.get_vocab() == again.get_vocab() and len(first) <= size
    assert len({first.convert_tokens_to_ids(mark) for mark in vocabulary.SPECIAL}) == 5
    ids = first("The cat sat on the rug.")["input_ids"]
    assert ids[0] == first.cls_token_id == first.bos_token_id and ids[-1] == first.sep_token_id == first.eos_token_id
    assert "".join(first.decode(ids, skip_special_tokens=True).split()) == "Thecatsatontherug."
    plain = first("[MASK] </s>")["input_ids"]
    assert first.mask_token_id not in plain  # what a text says is no mark


def test_bytes_know_every_text_and_others_say_what_they_do_not_know():
    assert vocabulary.report(learn("bpe", 300), ["Жук 𠀀"])["all"]["unknown"] == 0
    assert vocabulary.report(learn("character", 50), ["Жук"])["all"]["unknown"] == 1


def test_letter_case_is_set_aside_where_asked_for():
    upper, lower = (learn("wordpiece", 60, lowercase=True)(text)["input_ids"] for text in ("THE CAT", "the cat"))
    assert upper == lower


def test_the_report_counts_by_hand():
    """Characters as tokens: 3 + 1 + 3 letters and a space are 2 words; 4 Chinese characters are 4 words."""
    found = vocabulary.report(learn("character", 50), ["The cat", "猫坐在上"])
    assert set(found) == {"all", "latin", "han"}
    assert found["latin"] == {"texts": 1, "tokens": 7, "unknown": 0, "fertility": 3.5, "bytes": 1, "coverage": 0}
    assert found["han"] == {"texts": 1, "tokens": 4, "unknown": 0, "fertility": 1, "bytes": 3, "coverage": 1}
    assert found["all"]["tokens"] == 11 and found["all"]["coverage"] == 4 / 6


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "character"])
def test_a_vocabulary_that_the_texts_do_not_fill_is_refused(kind):
    with pytest.raises(ModelError, match="A vocabulary of 5000 was asked for"):
        learn(kind, 5000)
