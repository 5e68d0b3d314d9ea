import pytest

from jishi.models import load, tokens
from jishi.models.spec import ModelSpec
from tiny import tokenizer


def test_truncation_is_seen_only_where_something_was_cut():
    processor = tokenizer("a b c", max_length=5)
    whole, cut = tokens.encode(processor, "a b c"), tokens.encode(processor, "a b c a")
    assert (whole["length"], whole["truncated"]) == (5, False)
    assert (cut["length"], cut["truncated"]) == (5, True)
    assert tokens.encode(processor, "a b", max_length=3)["input_ids"].tolist() == [2, 5, 3]


def test_a_batch_is_as_long_as_its_longest_row():
    processor = tokenizer("a b c")
    batch = tokens.pad([tokens.encode(processor, "a b c"), tokens.encode(processor, "b")], processor)
    assert batch["input_ids"].tolist() == [[2, 5, 6, 7, 3], [2, 6, 3, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


@pytest.mark.parametrize("length", [3, 6, None])
@pytest.mark.parametrize("pair", [None, "", "c b a ☃"])
def test_the_backend_asked_directly_says_what_calling_the_tokenizer_says(length, pair):
    learnt = load.processor(ModelSpec("text-cnn", size="nano"), [{"text": "a b c 好 a b c 好"}])
    for processor in (tokenizer("a b c"), learnt):
        for text in ("", "a", "a b c a b", "[SEP] ☃好 [MASK]"):
            called = processor(text, pair, truncation=True, max_length=tokens.limit(processor, length))
            found = tokens.encode(processor, text, pair, max_length=length)
            assert found["input_ids"].tolist() == called["input_ids"]
            assert found["truncated"] == bool(called.encodings[0].overflowing)
            assert list(found.get("token_type_ids", ())) == called.get("token_type_ids", [])


def test_a_tokenizer_with_a_call_of_its_own_is_called():
    class Louder(type(tokenizer("a"))):
        def _encode_plus(self, text, text_pair=None, **options):
            return super()._encode_plus(text.lower(), text_pair, **options)

    plain = tokenizer("a b c", max_length=5)
    louder = Louder(tokenizer_object=plain.backend_tokenizer, model_max_length=5, unk_token="[UNK]")
    assert tokens.encode(louder, "A B")["input_ids"].tolist() == [2, 5, 6, 3]
    assert [tokens.encode(louder, text)["truncated"] for text in ("A B C", "A B C A")] == [False, True]
