"""A student's blocks imitate a teacher's: the loss beside transformers alone, and who imitates whom."""

import json

import pytest
import torch
from transformers import AutoTokenizer, BertModel

import jishi
from jishi.core.errors import ModelError
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.objectives.state_distillation import StateDistillation
from tiny import tokenizer

TEXTS = ["w1 w2 w3", "w9", "w2 w2 w2 w2 w8 w7"]


def student(folder, **options):
    asked = ModelSpec(str(folder), **options)
    objective = StateDistillation(teacher=ModelSpec(str(folder)))
    base = load.base(asked)
    processor = load.processor(asked, [{"text": text} for text in TEXTS])
    return objective.initialize([], base), load.model(asked, objective.head(), base, processor).eval(), processor


def loss(objective, model, processor):
    features = [objective.encode({"text": text}, processor) for text in TEXTS]
    return objective.loss(model, objective.collate(features, processor))


def states(model, words, text):
    """(blocks + 1, T, D) of one text alone, behind the prefix."""
    return torch.stack(model(**words(f"w0 {text}", return_tensors="pt"), output_hidden_states=True).hidden_states)[:, 0]


def test_the_loss_is_the_mean_squared_difference_of_paired_blocks_at_real_tokens(taught):
    folder, other = taught(), taught("other", seed=3)
    objective, model, processor = student(folder, layers=2)
    model.load_state_dict(
        load.model(ModelSpec(str(other), layers=2), objective.head(), load.base(ModelSpec(str(other)))).state_dict()
    )
    mine = BertModel.from_pretrained(other).eval()
    del mine.encoder.layer[1:3]
    teacher, words = BertModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        squares = [(states(mine, words, text)[1:] - states(teacher, words, text)[[1, 4]]).square() for text in TEXTS]
    tokens = sum(one.shape[1] for one in squares)
    expected = sum(float(one.sum()) for one in squares) / (tokens * 2 * 16)
    found = loss(objective, model, processor)
    assert found.value.item() == pytest.approx(expected, rel=1e-4)
    assert found.count == tokens == (3 + 1 + 6) + 3 * 3  # words, and two marks and a prefix each


def test_the_blocks_asked_for_are_imitated(taught):
    """A student that keeps the first two blocks is its teacher there, and nowhere else."""
    folder = taught()
    objective, model, processor = student(folder, layers=(0, 1))
    same = StateDistillation(objective.teacher, (0, 1), objective.max_length, objective.prefix, objective.fingerprint)
    assert loss(same, model, processor).value.item() == pytest.approx(0, abs=1e-10)
    assert loss(objective, model, processor).value.item() > 1e-3
    for blocks in ((0,), (1, 0), (0, 4)):
        wrong = StateDistillation(objective.teacher, blocks, fingerprint=objective.fingerprint)
        with pytest.raises(ModelError, match="teacher's 4 blocks"):
            loss(wrong, model, processor)


def test_a_student_of_one_block_is_refused(taught):
    objective, model, processor = student(taught(), layers=1)
    with pytest.raises(ModelError, match="of two or more each; the student has 0"):
        loss(objective, model, processor)


def test_a_student_of_a_smaller_vocabulary_is_understood(taught):
    """What is cut down says the same of its own texts, so a whole student with other numbers has no loss."""
    folder = taught()
    objective, model, processor = student(folder, vocabulary="corpus")
    assert len(processor) < len(load.processor(ModelSpec(str(folder))))
    assert loss(objective, model, processor).value.item() == pytest.approx(0, abs=1e-10)


def test_tokens_that_the_teacher_lacks_and_other_widths_are_refused(taught):
    folder = taught()
    objective, model, _ = student(folder)
    with pytest.raises(ModelError, match=r"1 of the student's \d+ tokens \(new"):
        loss(objective, model, tokenizer("w1 w2 new"))
    wide = taught("wide", hidden_size=24)
    objective, model, processor = student(wide)
    narrow = StateDistillation(teacher=ModelSpec(str(folder))).initialize([], load.base(ModelSpec(str(wide))))
    with pytest.raises(ModelError, match="24 numbers and the teacher's 16"):
        loss(narrow, model, processor)


def test_no_gradient_reaches_the_teacher(taught):
    objective, model, processor = student(taught(), layers=2)
    loss(objective, model.train(), processor).value.backward()
    assert all(weight.grad is None for weight in objective._asked.model.parameters())
    assert not objective._asked.model.training


def test_a_run_comes_nearer_to_the_teacher(taught, tmp_path):
    folder, file = taught(), tmp_path / "texts.jsonl"
    file.write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in TEXTS + [f"w{n} w{n + 1}" for n in range(38)])
    )
    run = jishi.pretrain(
        data=str(file), out=str(tmp_path / "run"), seed=0, model={"name": str(folder), "layers": 2, "dropout": 0.0},
        objective={"name": "state-distillation", "teacher": str(folder)},
        train={"precision": "fp32", "threads": 1, "batch_size": 8, "learning_rate": 3e-3, "epochs": 6},
    )  # fmt: skip
    assert run.record["loss"]["trained"] < 0.8 * run.record["loss"]["untrained"]
    assert load.base(ModelSpec(str(run.base))).pooling == "mean"
