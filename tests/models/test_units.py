import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from jishi.models import units

PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "a",
    "▁",
    "在北",
    "京",
    "2004年",
    "2004",
    "年",
    "▁New",
    "▁York",
    "在",
    "北",
    "▁a",
    ".",
    "▁a.",
]


def unigram():
    """A SentencePiece-like vocabulary whose pieces cross the edges of names."""
    inner = Tokenizer(
        models.Unigram([(piece, -float(len(PIECES) - index)) for index, piece in enumerate(PIECES)], unk_id=3)
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    inner.decoder = decoders.Metaspace(prepend_scheme="always")
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", model_max_length=64)


def test_a_piece_across_two_names_is_split_at_the_edge():
    text = "在北京2004年"
    features = units.encode(unigram(), text)
    ids = features["input_ids"].tolist()
    assert [PIECES[token] for token in ids] == ["<s>", "▁", "在", "北", "京", "2004", "年", "</s>"]
    assert [text[start:end] for start, end in features["units"]] == ["在", "北", "京", "2004", "年"]
    assert features["firsts"].tolist() == [2, 3, 4, 5, 6]
    assert features["length"] == 8


def test_the_first_part_keeps_the_beginning_of_the_word():
    features = units.encode(unigram(), "New a.")
    assert [PIECES[token] for token in features["input_ids"]] == ["<s>", "▁New", "▁a", ".", "</s>"]


@pytest.mark.parametrize(("limit", "kept", "truncated"), [(8, 5, False), (7, 4, True), (4, 1, True), (2, 0, True)])
def test_truncation_counts_the_split_tokens(limit, kept, truncated):
    features = units.encode(unigram(), "在北京2004年", max_length=limit)
    assert (features["length"], len(features["units"]), features["truncated"]) == (limit, kept, truncated)
    assert features["input_ids"].tolist()[-1] == 2


def test_unknown_characters_keep_their_place():
    features = units.encode(unigram(), "在☃京")
    assert features["units"] == [(0, 1), (1, 2), (2, 3)]
    assert features["unknown"] == 1 / 6
