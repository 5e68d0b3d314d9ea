"""A vocabulary that goes on keeps the numbers of its pieces, cuts new texts into fewer, and gives their rows a start."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from jishi.core.errors import ModelError
from jishi.models import grow, vocabulary
from jishi.models.tokenizer import SPECIAL

OLD = [f"the {who} says {what} {number}" for number in range(20) for who, what in (("cat", "purr"), ("dog", "bark"))]
NEW = [f"quantum computing needs cryogenic cooling {number} 量子计算需要低温" for number in range(60)]
KINDS = ("wordpiece", "bpe", "unigram")


def learnt(kind, size=64):
    if kind == "unigram":
        return priced()
    size = {"bpe": 300}.get(kind, size)
    return vocabulary.learn(kind, OLD, size, lowercase=False, max_length=64)


def priced():
    """Letters and their prices, the marks among them, as XLM-R has them."""
    pieces = [*((mark, 0.0) for mark in SPECIAL), *((letter, -3.0) for letter in "▁ abcdeghklnoprstuwy0123456789")]
    words = Tokenizer(models.Unigram(pieces, 1, False))
    words.add_special_tokens(list(SPECIAL))
    words.pre_tokenizer, words.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=64, pad_token=SPECIAL[0], unk_token=SPECIAL[1]
    )


def letters():
    """Bytes that nothing joins."""
    return vocabulary.learn("bpe", ["a b c d"], 261, lowercase=False, max_length=64)


@pytest.mark.parametrize("kind", KINDS)
def test_old_pieces_keep_their_numbers(kind):
    full = learnt(kind)
    grown = grow.tokenizer(full, NEW, len(full) + 60)
    assert grow.continues(full, grown) and not grow.continues(grown, full)
    assert len(full) < len(grown) <= len(full) + 60
    assert sorted(grown.get_vocab().values()) == list(range(len(grown)))
    assert all(grown.decode(grown(text)["input_ids"]) == full.decode(full(text)["input_ids"]) for text in OLD)
    assert grown.special_tokens_map == full.special_tokens_map and grown.model_max_length == 64


@pytest.mark.parametrize("kind", KINDS)
def test_new_texts_are_cut_into_fewer_pieces_and_come_back_whole(kind):
    full = learnt(kind)
    grown = grow.tokenizer(full, NEW, len(full) + 60)
    before, after = (vocabulary.report(one, NEW)["all"] for one in (full, grown))
    assert after["unknown"] == 0 and after["tokens"] < before["tokens"] + (kind == "wordpiece") * 10**6
    whole = grown.decode(grown(NEW[0], add_special_tokens=False)["input_ids"])
    assert whole.replace(" ", "") == NEW[0].replace(" ", "")
    assert grow.tokenizer(full, NEW, len(full) + 60).get_vocab() == grown.get_vocab()


def test_what_stands_together_is_joined_by_hand():
    full = letters()
    grown = grow.tokenizer(full, ["abab abab cd", "abab cd"], len(full) + 3)
    added = sorted(grown.get_vocab().keys() - full.get_vocab().keys(), key=grown.get_vocab().get)
    assert added == ["ab", "abab", "cd"]  # ab stands there six times; abab three times and cd twice, then


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_begin_as_the_mean_of_their_old_pieces(tied):
    full = letters()
    grown = grow.tokenizer(full, ["abab abab cd", "abab cd"], len(full) + 3)
    config = BertConfig(
        vocab_size=len(full), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        tie_word_embeddings=tied,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    with torch.no_grad():
        model.get_output_embeddings().bias.copy_(torch.arange(len(full)))
    tables = (
        "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    )
    before = {name: model.state_dict()[name].clone() for name in tables}
    grow.embeddings(model, full, grown)
    old, new = full.get_vocab(), grown.get_vocab()
    assert model.config.vocab_size == len(grown)
    for name in tables:
        rows = model.state_dict()[name]
        assert torch.equal(rows[: len(full)], before[name])
        for piece in ("ab", "abab", "cd"):
            mean = sum(before[name][old[letter]] for letter in piece) / len(piece)
            assert torch.allclose(rows[new[piece]], mean, atol=1e-6)


def test_a_row_of_unknown_characters_begins_as_the_mean_of_all():
    full = learnt("wordpiece")
    grown = grow.tokenizer(full, NEW, len(full) + 60)
    model = BertForMaskedLM(BertConfig(vocab_size=len(full), hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    before = model.get_input_embeddings().weight.detach().clone()
    grow.embeddings(model, full, grown)
    found = model.get_input_embeddings().weight[grown.convert_tokens_to_ids("量")]
    assert torch.allclose(found, before.mean(0), atol=1e-6)


def test_what_can_not_grow_is_told():
    full = learnt("bpe")
    with pytest.raises(ModelError, match="the one to go on from has"):
        grow.tokenizer(full, NEW, len(full))
    with pytest.raises(ModelError, match="give more texts"):
        grow.tokenizer(full, NEW[:1], len(full) + 5000)
    with pytest.raises(ModelError, match="This WordLevel vocabulary can't be added to"):
        grow.tokenizer(vocabulary.learn("character", OLD, 32, lowercase=False, max_length=64), NEW, 100)
