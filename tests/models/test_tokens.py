from jishi.models import tokens
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
