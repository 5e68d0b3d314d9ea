import pytest

from jishi.core.errors import ModelError
from jishi.models import load, tokenizer
from jishi.models.spec import ModelSpec

SMILES = r"\[[^\]]+\]|Br|Cl|%\d\d|."
ROWS = [{"text": "CC(=O)Cl[NH4+]c1", "label": "secret"}, {"text": "CCBr%12N", "label": "x"}]


def test_a_pattern_says_what_a_token_is_and_case_counts():
    words = tokenizer.train("design", ROWS, SMILES)
    assert words.tokenize("CCl[NH4+]c%12") == ["C", "Cl", "[NH4+]", "c", "%12"]
    ids = words("Cc")["input_ids"]
    assert len(set(ids)) == 4 and words.unk_token_id not in ids
    assert words("O[Zn]")["input_ids"].count(words.unk_token_id) == 1
    assert "secret" not in words.get_vocab()


def test_what_lies_between_tokens_is_not_lost():
    words = tokenizer.train("design", [{"text": "ACGTAC"}, {"text": "ACG-T"}], "[ACGT]{3}")
    assert words.tokenize("ACGTAC") == ["ACG", "TAC"]
    assert words.tokenize("ACG-TAC") == ["ACG", "[UNK]", "TAC"]


def test_the_tokens_are_saved_with_the_model(tmp_path):
    from transformers import AutoTokenizer

    words = tokenizer.train("design", ROWS, SMILES)
    words.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("BrCl")["input_ids"] == words("BrCl")["input_ids"]


def test_without_a_pattern_words_are_lower_cased_pieces():
    assert tokenizer.train("design", [{"text": "Good food"}] * 2).tokenize("GOOD food") == ["good", "food"]


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (ModelSpec("text-cnn", tokens="[ACGT"), "models.bad-pattern"),
        (ModelSpec("resnet", tokens="."), "models.no-pattern"),
        (ModelSpec("transformer-encoder-decoder", tokens="."), "models.no-pattern"),
    ],
)
def test_a_pattern_that_is_none_or_has_no_use_is_refused(spec, code):
    with pytest.raises(ModelError) as caught:
        load.processor(spec, ROWS)
    assert caught.value.code == code
