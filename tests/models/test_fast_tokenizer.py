import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from eight import TEXTS
from jishi.models import fast_tokenizer, tokens
from jishi.training.encoding import same
from tiny import tokenizer

pytest.importorskip("fastokens")
HARD = [
    "",
    " ",
    "\n\n  a",
    "<s>a</s>",
    "e\u0301 é",
    "🙂👩‍👩‍👧",
    "\x00\x7f",
    "a" * 300,
    "don't 12345 — ＡＢ",
    "\u202eabc",
    *TEXTS,
]


@pytest.fixture(scope="module")
def bpe():
    """A byte-level BPE with tokens around every text, as decoders and RoBERTa have them."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(TEXTS * 3, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", model_max_length=64)


@pytest.mark.parametrize("length", [None, 9, 3])
@pytest.mark.parametrize("side", ["right", "left"])
def test_texts_have_the_same_tokens_whole_and_cut(bpe, length, side):
    bpe.truncation_side = side
    fast = fast_tokenizer.faster(bpe)
    for text in HARD:
        for pair in (None, "good 好"):
            expected = tokens.encode(bpe, text, pair, max_length=length)
            assert same(tokens.encode(fast, text, pair, max_length=length), expected), (text, pair)
    assert isinstance(fast.backend_tokenizer.encode("good"), tokens.Encoding)  # it was not `tokenizers` that answered


def test_the_processor_itself_is_left_as_it_was(bpe):
    backend = bpe.backend_tokenizer
    fast = fast_tokenizer.faster(bpe)
    assert bpe.backend_tokenizer is backend and fast.backend_tokenizer.plain is backend
    assert fast.convert_ids_to_tokens([0, 1]) == ["<s>", "</s>"]
    assert fast("good", return_offsets_mapping=True) == bpe("good", return_offsets_mapping=True)


def test_what_it_does_not_support_keeps_its_own_encoder():
    assert fast_tokenizer.faster(tokenizer("a b c")) is None
    assert fast_tokenizer.faster(None) is None
