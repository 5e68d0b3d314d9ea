import math

import pytest
import torch

from jishi.core.contracts import Base
from jishi.core.errors import UsageError
from jishi.tasks._contrastive import TEMPERATURE, contrast
from jishi.tasks.text_classification import TextClassification
from tiny import sequence_classifier, tokenizer

BASE = Base("tiny", "text", max_length=32)
ROWS = [
    {"text": text, "label": "xy"[index % 2]} for index, text in enumerate(["a b", "c d", "a c", "d f", "e a", "f c"])
]


def test_the_contrast_by_hand():
    vectors = torch.tensor([[2.0, 0.0], [0.6, 0.8], [0.0, 5.0]])  # cosines 0.6, 0 and 0.8
    first = -0.6 / TEMPERATURE + math.log(math.exp(0.6 / TEMPERATURE) + math.exp(0))
    second = -0.6 / TEMPERATURE + math.log(math.exp(0.6 / TEMPERATURE) + math.exp(0.8 / TEMPERATURE))
    found = contrast(vectors, torch.tensor([1, 1, 0]))  # the third has no partner
    assert found.item() == pytest.approx((first + second) / 2, abs=1e-5)


def test_rows_without_a_partner_or_a_known_label_say_nothing():
    vectors = torch.randn(3, 4, requires_grad=True)
    for targets in ([0, 1, 2], [-100, -100, 1]):
        found = contrast(vectors, torch.tensor(targets))
        assert found.item() == 0
        found.backward()
    assert vectors.grad.abs().sum() == 0


def ready(share):
    task = TextClassification(contrastive=share).initialize(ROWS, BASE)
    processor = tokenizer("a b c d e f")
    batch = task.collate([task.encode(row, processor) for row in ROWS], processor)
    return task, batch, sequence_classifier(len(processor), num_labels=2).eval()


def test_the_share_weighs_both_losses_and_vectors_of_a_class_come_closer():
    plain, batch, model = ready(0.0)
    task, *_ = ready(0.75)
    head = plain.loss(model, batch).value.item()
    mixed = task.loss(model, batch)
    assert mixed.value.item() == pytest.approx(head / 4 + 3 / 4 * mixed.parts["contrast"])
    assert mixed.count == 6
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(40):
        loss = task.loss(model, batch)
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
    assert loss.parts["contrast"] < mixed.parts["contrast"] / 2
    assert loss.outputs.argmax(1).tolist() == batch["labels"].tolist()


def test_judging_knows_the_head_s_loss_alone():
    plain, batch, model = ready(0.0)
    task, *_ = ready(0.75)
    with torch.no_grad():
        assert task.loss(model, batch).value == plain.loss(model, batch).value


@pytest.mark.parametrize("labels", [[["x"], ["y"]], [1.5, 2.5]])
def test_what_is_of_no_class_is_refused(labels):
    rows = [{"text": "a", "label": label} for label in labels]
    with pytest.raises(UsageError, match="contrastive"):
        TextClassification(contrastive=0.5).initialize(rows, BASE)
