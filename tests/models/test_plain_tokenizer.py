"""A tokenizer read without transformers says of every text what the class of transformers says of it."""

import json
import subprocess
import sys

import numpy
import pytest
import transformers

from eight import TEXTS
from jishi.models import passages, plain_tokenizer, processors, subwords, tokenizer, tokens, units, vocabulary
from jishi.training.encoding import same

ROWS = [{"text": text, "text_pair": None} for text in TEXTS]
NASTY = [
    "", " ", "\n\n  a\tb", "<s>good</s> [SEP] [MASK] <mask>", "e\u0301 é ÀÉ ﬁne ½ Ａ１", "🙂👩‍👩‍👧 ok", "\x00\x07\x7f\ufffd",
    "\u202e好abc\u200b用", "很好用good价值value", "a" * 120, "很好用，下次还会买。good value! " * 9,
    "don't 12,345.6 — 《好》", "한국어 テスト العربية 龘",
]  # fmt: skip
PAIRS = [None, "", "good value 好", "包装破损，味道难闻 " * 3]
LETTERS = sorted({letter for text in TEXTS for letter in text})


def bert():
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word: place for place, word in enumerate([*marks, *LETTERS, *(f"##{letter}" for letter in LETTERS)])}
    return transformers.BertTokenizer(vocab=words, model_max_length=64)


def roberta():
    from tokenizers.pre_tokenizers import ByteLevel

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = {letter: place for place, letter in enumerate([*marks, *sorted(ByteLevel.alphabet()), "Ġg", "oo"])}
    return transformers.RobertaTokenizer(vocab=letters, merges=[("Ġ", "g"), ("o", "o")], model_max_length=64)


def xlm_roberta():
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [*((mark, 0.0) for mark in marks), ("▁", -2.0), ("▁good", -3.0), ("好用", -4.0)]
    return transformers.XLMRobertaTokenizer(vocab=[*pieces, *((letter, -9.0) for letter in LETTERS), ("<mask>", 0.0)])


MADE = {
    **{
        kind: lambda kind=kind, size=size: vocabulary.learn(
            kind, TEXTS * 4, size, lowercase=kind != "bpe", max_length=64
        )
        for kind, size in (("bpe", 300), ("unigram", 110), ("wordpiece", 140), ("character", 90))
    },
    "design": lambda: tokenizer.train("text-cnn", ROWS, max_length=64),
    "pattern": lambda: tokenizer.train("text-cnn", ROWS, r"\S", max_length=64),
    "subwords": lambda: subwords.learn("transformer-decoder", ROWS, begins=True, max_length=64),
    "bert": bert,
    "roberta": roberta,
    "xlm-roberta": xlm_roberta,
}


@pytest.fixture(scope="module", params=MADE)
def both(request, tmp_path_factory):
    """A tokenizer as transformers reads it, and as it is read without. It was cut short when it was saved."""
    folder = tmp_path_factory.mktemp(request.param)
    made = MADE[request.param]()
    tokens.encode(made, TEXTS[0], max_length=4)
    made.save_pretrained(folder)
    processors.read(folder, ours=True).save_pretrained(folder)  # as a bundle that is made of another
    return processors.read(folder, ours=True), plain_tokenizer.read(folder)


def test_it_does_the_same_to_a_text_by_its_own_description(both):
    theirs, plain = both
    for each in both:
        tokens.whole(each, "a")
    assert json.loads(plain.backend_tokenizer.to_str()) == json.loads(theirs.backend_tokenizer.to_str())
    names = ["model_input_names", "model_max_length", "truncation_side", "split_special_tokens", "is_fast"]
    names += [f"{role}_token{what}" for role in plain_tokenizer.ROLES for what in ("", "_id")]
    assert {name: getattr(plain, name) for name in names} == {name: getattr(theirs, name) for name in names}


@pytest.mark.parametrize("length", [None, 3, 9, 40])
def test_texts_and_pairs_have_the_same_features_whole_and_cut(both, length):
    theirs, plain = both
    for text in [*NASTY, *TEXTS]:
        for pair in PAIRS:
            expected = theirs(text, pair, truncation=True, max_length=tokens.limit(theirs, length), verbose=False)
            found = tokens.encode(plain, text, pair, max_length=length)
            assert found["input_ids"].tolist() == expected["input_ids"], (text, pair)
            assert same(found, tokens.encode(theirs, text, pair, max_length=length)), (text, pair)
            if pair:
                apart = tokens.encode_pair(plain, text, pair, max_length=length)
                assert same(apart, tokens.encode_pair(theirs, text, pair, max_length=length)), (text, pair)


@pytest.mark.parametrize("length", [12, 40])
def test_places_in_a_text_are_the_same(both, length):
    theirs, plain = both
    for text in [*NASTY, *TEXTS]:
        whole = tokens.whole(plain, text)
        expected = theirs(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        assert whole.offsets == expected["offset_mapping"]
        assert whole.special_tokens_mask == expected["special_tokens_mask"]
        bare = theirs(text, "b", add_special_tokens=False, verbose=False)["input_ids"]
        assert tokens.whole(plain, text, "b", special=False).ids == bare
        alike(units.encode(plain, text, max_length=length), units.encode(theirs, text, max_length=length))
        ask = ("what is 好 here?", text or "x")
        alike(passages.encode(plain, *ask, max_length=length), passages.encode(theirs, *ask, max_length=length))


def alike(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        numpy.testing.assert_equal(found[name], value)


def test_sides_and_special_words_are_the_folders_own(tmp_path):
    made = tokenizer.train("text-cnn", ROWS, max_length=8)
    made.truncation_side, made.init_kwargs["truncation_side"] = "left", "left"
    made.split_special_tokens = made.init_kwargs["split_special_tokens"] = True
    made.save_pretrained(tmp_path)
    theirs, plain = processors.read(tmp_path, ours=True), plain_tokenizer.read(tmp_path)
    assert plain.truncation_side == "left" and plain.split_special_tokens is True
    for text in NASTY:
        assert same(tokens.encode(plain, text), tokens.encode(theirs, text)), text


def test_one_without_a_token_to_pad_with_takes_its_end(tmp_path):
    made = subwords.learn("transformer-decoder", ROWS)
    bare = transformers.PreTrainedTokenizerFast(tokenizer_object=made.backend_tokenizer, eos_token=made.eos_token)
    bare.save_pretrained(tmp_path)
    theirs, plain = processors.read(tmp_path, ours=True), plain_tokenizer.read(tmp_path)
    assert plain.pad_token_id == theirs.pad_token_id == made.eos_token_id is not None
    assert plain.model_max_length == theirs.model_max_length


@pytest.mark.parametrize("name", [kind for kind in plain_tokenizer.KINDS if not kind.endswith("Fast")])
def test_what_a_kind_reads_is_what_its_class_says(name):
    assert list(plain_tokenizer.KINDS[name]) == getattr(transformers, name).model_input_names


def test_one_that_is_not_known_to_be_equal_is_left_to_its_class(tmp_path):
    tokenizer.train("text-cnn", ROWS).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert plain_tokenizer.read(tmp_path) is not None
    for change in ({"tokenizer_class": "LlamaTokenizer"}, {"mask_token": "<new>"}, {"extra_special_tokens": ["<new>"]}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, **change}))
        assert plain_tokenizer.read(tmp_path) is None
    (tmp_path / "tokenizer.json").unlink()
    assert plain_tokenizer.read(tmp_path) is None


def test_what_else_is_asked_its_class_answers(tmp_path):
    made = tokenizer.train("text-cnn", ROWS, max_length=64)
    made.save_pretrained(tmp_path / "first")
    plain = plain_tokenizer.read(tmp_path / "first")
    assert plain.decode([9, 10]) == made.decode([9, 10]) and plain.get_vocab() == made.get_vocab()
    plain.save_pretrained(tmp_path / "second")
    again = plain_tokenizer.read(tmp_path / "second")
    assert same(tokens.encode(again, TEXTS[0]), tokens.encode(made, TEXTS[0]))
    with pytest.raises(AttributeError):
        getattr(plain, "no_such_thing")  # noqa: B009


def test_transformers_is_not_loaded(tmp_path):
    tokenizer.train("text-cnn", ROWS).save_pretrained(tmp_path)
    code = (
        "import sys; from pathlib import Path; from jishi.models import plain_tokenizer, passages, tokens, units\n"
        f"plain = plain_tokenizer.read(Path({str(tmp_path)!r}))\n"
        "tokens.encode(plain, 'a', 'b'); units.encode(plain, 'a')\n"
        "print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
