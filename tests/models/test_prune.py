import copy
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertForMaskedLM, PreTrainedTokenizerFast

from jishi.core.contracts import Head
from jishi.core.errors import ModelError
from jishi.models import load, prune
from jishi.models.spec import ModelSpec

CORPUS = ["今天的天气真好", "the weather is lovely"]


def unigram(**pieces: float) -> PreTrainedTokenizerFast:
    """Splits by score."""
    special = {"<unk>": 0.0, "<s>": 0.0, "▁": -2.0}
    inner = Tokenizer(models.Unigram([*special.items(), *pieces.items()], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<s>", model_max_length=64)


def test_answers_on_the_corpus_do_not_change(bert: Path) -> None:
    spec = ModelSpec(str(bert))
    full = load.processor(spec)
    model = load.model(spec, Head("ForSequenceClassification", {"num_labels": 3}), load.base(spec), full).eval()
    before = sum(weight.numel() for weight in model.parameters())
    expected = model(**full(CORPUS, return_tensors="pt", padding=True)).logits
    smaller, cut = prune.prune(model, full, CORPUS)
    assert torch.equal(smaller(**cut(CORPUS, return_tensors="pt", padding=True)).logits, expected)
    assert len(cut) < len(full)
    assert before - sum(weight.numel() for weight in smaller.parameters()) == 16 * (len(full) - len(cut))
    assert smaller.config.vocab_size == len(cut)


def test_predictions_of_masked_tokens_keep_their_tied_table_and_bias(bert: Path) -> None:
    spec = ModelSpec(str(bert))
    full = load.processor(spec)
    model = load.model(spec, Head("ForMaskedLM"), load.base(spec), full).eval()
    assert isinstance(model, BertForMaskedLM)
    with torch.no_grad():
        model.cls.predictions.bias.normal_()
    expected = model(**full(CORPUS, return_tensors="pt", padding=True)).logits
    smaller, cut = prune.prune(copy.deepcopy(model), full, CORPUS)
    kept = [full.convert_tokens_to_ids(piece) for piece in cut.convert_ids_to_tokens(range(len(cut)))]
    found = smaller(**cut(CORPUS, return_tensors="pt", padding=True)).logits
    torch.testing.assert_close(found, expected[..., kept])
    assert smaller.get_output_embeddings().weight is smaller.get_input_embeddings().weight


def test_special_tokens_keep_their_meaning(bert: Path) -> None:
    full = load.processor(ModelSpec(str(bert)))
    cut = prune.tokenizer(full, CORPUS)
    for name in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"):
        assert getattr(cut, name) == getattr(full, name)
        assert cut.convert_ids_to_tokens(getattr(cut, f"{name}_id")) == getattr(full, name)
    assert cut.convert_ids_to_tokens(cut("天气", "好").input_ids) == full.convert_ids_to_tokens(
        full("天气", "好").input_ids
    )
    assert cut("天气", "好").keys() == full("天气", "好").keys()


def test_letters_of_the_scripts_of_the_corpus_stay() -> None:
    full = unigram(a=-3.0, b=-3.5, c=-4.0, ab=-5.0, bc=-9.0, 好=-6.0, 坏=-6.5, 好坏=-19.0, 龘龘=-30.0)
    assert set(full.get_vocab()) - set(prune.tokenizer(full, ["ab 好"]).get_vocab()) == {"bc", "好坏"}
    assert set(full.get_vocab()) - set(prune.tokenizer(full, ["ab"]).get_vocab()) == {"bc", "好", "坏", "好坏"}


def test_the_price_of_an_unknown_character_stays() -> None:
    """It is the lowest score less ten: here -40, so wx·y (-40) beats an unknown w and xy (-41).

    Without 龘 it would be -30, and the second split (-31) would win.
    """
    full = unigram(wx=-20.0, y=-20.0, xy=-1.0, 龘=-30.0)
    assert full.tokenize("wxy xy") == ["▁", "wx", "y", "▁", "xy"]
    assert prune.tokenizer(full, ["wxy xy"]).tokenize("wxy xy") == full.tokenize("wxy xy")


def test_a_vocabulary_of_merges_is_refused() -> None:
    inner = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    with pytest.raises(ModelError, match="vocabulary=full"):
        prune.tokenizer(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="a"), ["ab"])


def test_with_scripts_new_text_in_the_main_scripts_is_read_as_before() -> None:
    """Latin is one letter in thirty-one of this corpus: beside the pieces it uses, only its single letters stay."""
    full = unigram(**dict.fromkeys(("很", "好", "用", "很好", "好用", "ab", "abc", "a", "b", "c"), -1.0))
    corpus = ["很好用" * 20 + "ab"]
    cut = prune.tokenizer(full, corpus, prefix="a" * 60, scripts=True)
    assert {"很", "好", "用", "很好", "好用", "ab", "a", "b", "c"} <= set(cut.get_vocab())
    assert "abc" not in cut.get_vocab()
    assert cut.tokenize("好用") == full.tokenize("好用") == ["▁", "好用"]
    smallest = prune.tokenizer(full, ["很好" * 8])
    assert "好用" not in smallest.get_vocab()


def test_only_pieces_used_often_enough_stay_and_those_of_the_prefix() -> None:
    full = unigram(ab=-1.0, cd=-1.0, ef=-1.0, gh=-9.0)
    texts = ["ab cd", "ab", "ab"]
    kept = {seen: set(prune.tokenizer(full, texts, prefix="ef", seen=seen).get_vocab()) for seen in (1, 3, 9)}
    ours = {"ab", "cd", "ef"}
    assert [kept[seen] & ours for seen in (1, 3, 9)] == [ours, {"ab", "ef"}, {"ef"}]
