"""A student's loss beside its teacher's, worked out by hand, with padding and without."""

import copy

import pytest
import torch

from jishi.core.values import Teaching
from jishi.models.watched import watched
from jishi.tasks.text_classification import TextClassification
from jishi.training.imitation import Imitation
from jishi.training.packing import packed
from tiny import sequence_classifier, tokenizer

WORDS = "good bad fine poor plain"
TASK = TextClassification(problem="single", labels=("a", "b"), pairs="never", prefix="", max_length=16)
PAIRS = ((0, 0), (1, 1))


@pytest.fixture
def asked():
    """A teacher, a student that is not as it is, and a batch of rows of unlike lengths."""
    processor = tokenizer(WORDS)
    teacher = sequence_classifier(len(processor)).eval()
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    rows = [{"text": " ".join(WORDS.split()[:count]), "label": "ab"[count % 2]} for count in (1, 5, 3)]
    return teacher, student, TASK.collate([TASK.encode(row, processor) for row in rows], processor)


def loss(asked, share, states, pairs=PAIRS):
    teacher, student, batch = asked
    imitation = Imitation(teacher, TASK, Teaching(share, states, pairs))
    return imitation.loss(student, batch, lambda given: TASK.loss(student, given))


def value(found):
    return float(found.value.detach())


def test_the_share_of_the_outputs_takes_from_the_tasks_own(asked):
    teacher, student, batch = asked
    with torch.no_grad():
        own = TASK.loss(student, batch)
        apart = (TASK.forward(student, batch) - TASK.forward(teacher, batch)).square().sum() / 6
    found = loss(asked, 0.25, 0.0)
    assert value(found) == pytest.approx(float(0.75 * own.value + 0.25 * apart), rel=1e-5)
    assert found.parts["outputs"] == pytest.approx(float(apart), rel=1e-5) and found.count == own.count
    assert value(loss(asked, 0.0, 0.0)) == float(own.value)


def test_states_are_held_to_the_blocks_named_at_the_real_tokens(asked):
    teacher, student, batch = asked
    own = value(TASK.loss(student, batch))
    with torch.no_grad(), watched(student) as ours, watched(teacher) as theirs:
        TASK.forward(student, batch), TASK.forward(teacher, batch)
    total = size = 0.0
    for row, count in enumerate(batch["attention_mask"].sum(1).tolist()):
        for token in range(count):
            total += float((ours[0][row, token] - theirs[1][row, token]).square().sum())
            size += float(theirs[1][row, token].square().sum())
    found = loss(asked, 0.0, 3.0, ((0, 1),))
    assert found.parts["states"] == pytest.approx(total / size, rel=1e-4)
    assert value(found) == pytest.approx(own + 3 * total / size, rel=1e-4)


def test_padding_or_none_is_the_same_loss(asked):
    _, student, batch = asked
    whole = loss(asked, 0.5, 1.0)
    with packed(student, batch):
        found = loss(asked, 0.5, 1.0)
    assert value(found) == pytest.approx(value(whole), rel=1e-4)
    assert found.parts == pytest.approx(dict(whole.parts), rel=1e-4)


def test_nothing_of_the_teacher_learns(asked):
    loss(asked, 0.5, 1.0).value.backward()
    assert all(weight.grad is None for weight in asked[0].parameters())
    assert all(weight.grad is not None for name, weight in asked[1].named_parameters() if "encoder" in name)


def test_an_image_of_itself_is_at_no_distance(asked):
    teacher, _, batch = asked
    found = loss((teacher, copy.deepcopy(teacher), batch), 1.0, 1.0)
    assert value(found) == pytest.approx(0, abs=1e-9)
