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


def test_a_text_beyond_the_limit_is_read_in_windows_of_the_split_tokens():
    """Six tokens between two marks; windows of five begin four apart, the last ends with the text; they meet at the third."""
    features = units.encode(unigram(), "在北京2004年", max_length=7)
    whole = features["input_ids"].tolist()
    assert [window["input_ids"].tolist() for window in features["windows"]] == [
        [*whole[:6], whole[-1]], [whole[0], *whole[2:]]
    ]  # fmt: skip
    assert features["own"] == [(0, 4), (3, 7)]
    assert (features["length"], features["truncated"], len(features["units"])) == (14, False, 5)
    assert "windows" not in units.encode(unigram(), "在北京2004年", max_length=8)


def test_unknown_characters_keep_their_place():
    features = units.encode(unigram(), "在☃京")
    assert features["units"] == [(0, 1), (1, 2), (2, 3)]
    assert features["unknown"] == 1 / 6
