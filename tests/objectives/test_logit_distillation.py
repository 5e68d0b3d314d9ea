"""A student learns its teacher's chances of tokens: the loss row by row, and what stands in the way."""

import json
import math

import numpy
import pytest
import torch

import jishi
from jishi.core.contracts import Base
from jishi.core.errors import ModelError
from jishi.models import cross_entropy, load
from jishi.models.spec import ModelSpec
from jishi.objectives import logit_distillation
from jishi.objectives.causal_lm import CausalLM
from jishi.objectives.distillation import Distillation
from jishi.objectives.logit_distillation import LogitDistillation
from jishi.objectives.masked_lm import MaskedLM
from tiny import tokenizer

TEXTS = ["w1 w2 w3", "w9 w4", "w2 w2 w2 w2 w8 w7"]
HELD = {"masked": MaskedLM(share=0.5), "causal": CausalLM()}


def ready(folder, held, **options):
    objective = LogitDistillation(ModelSpec(str(folder("teacher", language=True))), HELD[held], **options)
    asked = ModelSpec(str(folder("student", seed=5, language=True)))
    base, processor = load.base(asked), load.processor(asked)
    objective = objective.initialize([], base)
    model = load.model(asked, objective.head(), base, processor).eval()
    features = [objective.encode({"text": text}, processor) for text in TEXTS]
    varied = [
        objective.vary(row, processor, numpy.random.default_rng(place), training=True)
        for place, row in enumerate(features)
    ]
    return objective, model, processor, varied


def divergence(student, teacher, temperature):
    """Of two lists of logits, from the definition."""
    chances = []
    for logits in (student, teacher):
        powers = [math.exp(value / temperature) for value in logits]
        chances.append([one / sum(powers) for one in powers])
    return sum(p * math.log(p / q) for q, p in zip(*chances, strict=True)) * temperature**2


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("held", HELD)
def test_the_loss_is_the_text_s_and_the_divergence_of_both_models_at_each_token_foretold(
    taught, held, few, monkeypatch
):
    if not few:  # states stand in the place of many logits, and are looked at some at a time
        monkeypatch.setattr(cross_entropy, "AT_ONCE", 90)
        monkeypatch.setattr(cross_entropy, "POSITIONS", 1)
        monkeypatch.setattr(logit_distillation, "AT_ONCE", 90)
    objective, model, processor, varied = ready(taught, held, share=0.3, temperature=3.0)
    teacher, soft, hard, count = objective._asked.model, 0.0, 0.0, 0
    for row in varied:
        ids = torch.from_numpy(row["input_ids"]).long()
        targets = row["labels"].tolist() if held == "masked" else [*ids[1:].tolist(), -100]
        ours, theirs = (one(input_ids=ids[None]).logits[0].detach().double() for one in (model, teacher))
        for place, target in enumerate(targets):
            if target != -100:
                count += 1
                hard -= float(ours[place].log_softmax(-1)[target])
                soft += divergence(ours[place].tolist(), theirs[place].tolist(), 3.0)
    found = objective.loss(model, objective.collate(varied, processor))
    assert found.count == count > 3
    assert found.value.item() == pytest.approx((0.7 * hard + 0.3 * soft) / count, rel=1e-3)


def test_a_model_is_its_own_best_student(taught):
    objective, _, processor, varied = ready(taught, "masked", share=1.0)
    same = objective._asked.model
    assert objective.loss(same, objective.collate(varied, processor)).value.item() == pytest.approx(0, abs=1e-6)


def test_only_the_student_has_a_gradient_and_all_of_it(taught):
    objective, model, processor, varied = ready(taught, "causal", share=1.0)
    objective.loss(model, objective.collate(varied, processor)).value.backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)
    assert all(weight.grad is None for weight in objective._asked.model.parameters())


def test_other_words_and_an_objective_that_foretells_none_are_refused(taught):
    objective, _, _, varied = ready(taught, "masked")
    with pytest.raises(ModelError, match="tells 7 tokens apart and the teacher 45"):
        objective.collate(varied, tokenizer("w0 w1"))
    with pytest.raises(ModelError, match="and distillation does not"):
        LogitDistillation(objective.teacher, Distillation()).initialize([], Base("s", "text"))


def test_a_teacher_whose_head_is_new_is_refused_and_no_random_number_is_taken(taught):
    plain, whole = (ModelSpec(str(taught(str(language), language=language))) for language in (False, True))
    base, before = Base("s", "text"), torch.random.get_rng_state()
    with pytest.raises(ModelError, match="has no trained head"):
        assert LogitDistillation(plain).initialize([], base)._asked
    assert LogitDistillation(whole).initialize([], base)._asked
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_run_comes_nearer_to_the_teacher(taught, tmp_path):
    folder, file = taught(language=True), tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": f"w{n} w{n + 1} w{n}"}) + "\n" for n in range(38)))
    run = jishi.pretrain(
        data=str(file), out=str(tmp_path / "run"), seed=0, model={"name": str(folder), "layers": 2, "dropout": 0.0},
        objective={"name": "logit-distillation", "teacher": str(folder), "objective": "causal-lm", "share": 1.0},
        train={"precision": "fp32", "threads": 1, "batch_size": 8, "learning_rate": 3e-3, "epochs": 6},
    )  # fmt: skip
    assert run.record["loss"]["trained"] < 0.8 * run.record["loss"]["untrained"]
