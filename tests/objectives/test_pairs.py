"""Pairs of texts that belong together and pairs that do not: next-sentence and sentence-order."""

import numpy
import pytest
import torch

from jishi.core.contracts import Base
from jishi.core.errors import RowError
from jishi.objectives.next_sentence import NextSentence
from jishi.objectives.sentence_order import SentenceOrder
from jishi.training.feed import varied
from tiny import sequence_classifier, tokenizer

PROCESSOR = tokenizer(" ".join(f"w{number}" for number in range(20)))
PROCESSOR.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
CLS, SEP = 2, 3
ROWS = [
    {"text": "w1 w2 w3", "text_pair": "w4 w5"},
    {"text": "w6", "text_pair": "w7 w8 w9"},
]


def ids(*words: int) -> list[int]:
    return [word + 5 for word in words]


def draws(objective, row: int = 0, count: int = 400):
    features = [objective.encode(one, PROCESSOR) for one in ROWS]
    return [varied(objective, features, row, PROCESSOR, [seed], training=True) for seed in range(count)]


def seen(features) -> tuple:
    return features["input_ids"].tolist(), features["token_type_ids"].tolist(), features["labels"]


def test_half_of_the_rows_get_the_second_text_of_another():
    found = draws(NextSentence())
    together = ([CLS, *ids(1, 2, 3), SEP, *ids(4, 5), SEP], [0] * 5 + [1] * 3, 1)
    apart = ([CLS, *ids(1, 2, 3), SEP, *ids(7, 8), SEP], [0] * 5 + [1] * 3, 0)  # no longer than its own
    assert {tuple(map(str, seen(one))) for one in found} == {tuple(map(str, one)) for one in (together, apart)}
    assert abs(sum(one["labels"] for one in found) / 400 - 0.5) < 3 * 0.5 / 20
    assert all(one["length"] == len(one["input_ids"]) and not {"other", "texts"} & set(one) for one in found)


def test_a_second_text_that_is_shorter_shortens_the_row():
    shorter = next(one for one in draws(NextSentence(), row=1) if not one["labels"])
    assert seen(shorter) == ([CLS, *ids(6), SEP, *ids(4, 5), SEP], [0] * 3 + [1] * 3, 0)
    assert shorter["length"] == 6


def test_half_of_the_pairs_are_exchanged_and_no_mark_tells_which():
    found = draws(SentenceOrder())
    kept = ([CLS, *ids(1, 2, 3), SEP, *ids(4, 5), SEP], [0] * 5 + [1] * 3, 1)
    exchanged = ([CLS, *ids(4, 5), SEP, *ids(1, 2, 3), SEP], [0] * 4 + [1] * 4, 0)
    assert {tuple(map(str, seen(one))) for one in found} == {tuple(map(str, one)) for one in (kept, exchanged)}
    assert abs(sum(one["labels"] for one in found) / 400 - 0.5) < 3 * 0.5 / 20


@pytest.mark.parametrize("objective", [NextSentence(), SentenceOrder()])
def test_one_text_becomes_two_and_two_stay(objective):
    assert objective.parse({"text": "One is here. Two is there."}) == {
        "text": "One is here.",
        "text_pair": "Two is there.",
    }
    assert objective.parse({"text": "a", "text_pair": "b"}) == {"text": "a", "text_pair": "b"}
    with pytest.raises(RowError, match="on_bad_row=skip"):
        objective.parse({"text": "好"})


def test_a_long_pair_is_cut_on_both_sides_and_still_exchanged():
    objective = SentenceOrder().initialize([], Base("tiny", "text", max_length=7))
    rows = [{"text": "w1 w2 w3 w4", "text_pair": "w5 w6 w7 w8"}] * 2
    features = [objective.encode(row, PROCESSOR) for row in rows]
    assert features[0]["truncated"] and features[0]["length"] == 7
    exchanged = next(
        one
        for seed in range(50)
        if not (one := varied(objective, features, 0, PROCESSOR, [seed], training=True))["labels"]
    )
    assert exchanged["input_ids"].tolist() == [CLS, *ids(5, 6), SEP, *ids(1, 2), SEP]


@pytest.mark.parametrize("objective", [NextSentence(), SentenceOrder()])
def test_the_loss_is_the_cross_entropy_of_two_kinds(objective):
    model = sequence_classifier(25, num_labels=2).eval()
    rows = [one for row in (0, 1) for one in draws(objective, row, 4)]
    batch = objective.collate(rows, PROCESSOR)
    chances = model(**{key: value for key, value in batch.items() if key != "labels"}).logits.softmax(-1)
    found = objective.loss(model, batch)
    own = chances[torch.arange(8), batch["labels"]]
    assert found.value.item() == pytest.approx(-own.log().mean().item(), abs=1e-6)
    assert found.parts == {"right": pytest.approx((own > 0.5).float().mean().item())}
    assert numpy.unique(batch["labels"]).tolist() == [0, 1]
