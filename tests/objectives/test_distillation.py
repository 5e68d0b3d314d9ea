"""A student learns its teacher's vectors: the loss by hand, whom it is from, and that the teacher stays what and where it is."""

import hashlib
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, BertModel

import jishi
from jishi.core.contracts import Base
from jishi.core.errors import ModelError
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.objectives import _teacher
from jishi.objectives.distillation import Distillation
from tiny import tokenizer

TRAIN = {"precision": "fp32", "threads": 1, "batch_size": 8, "learning_rate": 3e-3, "epochs": 3, "max_unknown": 1}


def batch(*vectors):
    return {"vectors": torch.tensor(vectors)}


def rows(count: int = 40):
    draw = numpy.random.default_rng(0)
    return [
        {"text": " ".join(f"w{number}" for number in draw.integers(40, size=draw.integers(2, 9)))} for _ in range(count)
    ]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(60)), encoding="utf-8")
    return file


def digest(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_the_loss_is_one_minus_the_cosine():
    """(0.6, 0.8) and (1, 0): 1 - 0.6; (0, 1) and (0, 1): 0. The mean is 0.2."""
    student = [torch.tensor([0.6, 0.8]), torch.tensor([0.0, 1.0])]
    loss = Distillation().compare(student, [batch([1.0, 0.0]), batch([0.0, 1.0])])
    assert (loss.value.item(), loss.count) == (pytest.approx(0.2), 2)


def test_relations_are_the_divergence_of_the_chances_of_the_other_texts():
    """Teacher: cosines of the first to the others 0.6 and 0, student's 0 and 0.6; of the second 0.6, 0.8 and 0, 0.8, …"""
    teacher, student = [(1.0, 0.0), (0.6, 0.8), (0.0, 1.0)], [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8)]
    temperature, total = 0.5, 0.0
    for first in range(3):
        chances = []
        for given in (teacher, student):
            others = [
                math.exp(sum(a * b for a, b in zip(given[first], given[other], strict=True)) / temperature)
                for other in range(3) if other != first
            ]  # fmt: skip
            chances.append([one / sum(others) for one in others])
        total += sum(p * math.log(p / q) for p, q in zip(*chances, strict=True))
    objective = Distillation(vectors=0.0, relations=2.0, temperature=temperature)
    loss = objective.compare([torch.tensor(one) for one in student], [batch(*teacher)])
    assert loss.value.item() == pytest.approx(2 * total / 3, rel=1e-5)
    assert objective.joint and not Distillation().joint


def test_relations_of_two_texts_say_nothing_and_of_other_widths_are_compared():
    objective = Distillation(vectors=0.0, relations=1.0)
    assert objective.compare([torch.tensor([1.0, 0.0])] * 2, [batch([1.0, 0.0], [0.0, 1.0])]).value.item() == 0
    three = torch.eye(3)
    assert objective.compare(list(three), [{"vectors": torch.eye(3, 5)}]).value.item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(ModelError, match="3 numbers and the teacher's 5"):
        Distillation().compare(list(three), [{"vectors": torch.eye(3, 5)}])


def test_a_row_s_target_is_what_the_teacher_says_of_its_text_with_the_teacher_s_prefix(taught):
    """By transformers alone, one text at a time; the student has another vocabulary and another prefix."""
    folder = taught()
    own = tokenizer("w1 w2 w3 new")
    objective = Distillation(teacher=ModelSpec(str(folder))).initialize([], Base("s", "text", "cls", prefix="new "))
    encoded = [objective.encode(row, own) for row in ({"text": "w1 w2 w3"}, {"text": "w9"}, {"text": "w2 w2 w2 w2 w8"})]
    assert encoded[0]["input_ids"].tolist() == own("new w1 w2 w3")["input_ids"]
    found = objective.collate(objective.enrich(encoded, own), own)["vectors"]
    model, words = BertModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for row, text in zip(found, ("w0 w1 w2 w3", "w0 w9", "w0 w2 w2 w2 w2 w8"), strict=True):
        states = model(**words(text, return_tensors="pt")).last_hidden_state[0].detach().mean(0)
        expected = states / states.norm()
        assert row.norm().item() == pytest.approx(1, abs=1e-6)
        torch.testing.assert_close(row, expected, rtol=0, atol=2e-2)  # bf16 where the machine is faster with it
        assert float(row @ expected) > 0.9998


def test_the_teacher_does_not_learn_and_takes_no_random_number(taught):
    objective = Distillation(teacher=ModelSpec(str(taught()))).initialize([], Base("s", "text"))
    before = torch.random.get_rng_state()
    asked = objective._asked
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not asked.model.training and not any(weight.requires_grad for weight in asked.model.parameters())


def test_a_run_leaves_the_teacher_as_it_was_and_saves_nothing_of_it(taught, texts, tmp_path):
    folder = taught()
    before = digest(folder)
    run = jishi.pretrain(
        data=str(texts), out=str(tmp_path / "run"), train=TRAIN, seed=0,
        model={"name": str(folder), "layers": 2, "vocabulary": "corpus", "dropout": 0.0},
        objective={"name": "distillation", "teacher": str(folder), "relations": 0.5},
    )  # fmt: skip
    assert digest(folder) == before
    expected = {
        name for name in names(folder) if not name.startswith(("encoder.layer.2.", "encoder.layer.3.", "pooler."))
    }
    assert names(run.base) == expected
    states = list((tmp_path / "run" / "checkpoints").rglob("weights.safetensors"))
    assert states and all({name for name in tensors(file) if not name.endswith("_ids")} == expected for file in states)
    assert run.record["loss"]["trained"] < run.record["loss"]["untrained"] and not run.record["perplexity"]
    assert run.record["objective"]["fingerprint"] == _teacher.fingerprint(ModelSpec(str(folder)), "")


def test_the_base_that_is_written_pools_and_prompts_as_it_was_taught(taught, texts, tmp_path):
    folder = taught()
    run = jishi.pretrain(
        data=str(texts), out=str(tmp_path / "run"), train={**TRAIN, "max_steps": 2}, seed=0,
        model={"name": str(folder), "layers": (0, 3)}, objective={"name": "distillation", "teacher": str(folder)},
    )  # fmt: skip
    base = load.base(ModelSpec(str(run.base)))
    assert (base.pooling, base.prefix) == ("mean", "w0 ")
    pairs = tmp_path / "pairs.jsonl"
    told = [{"text": row["text"], "text_pair": other["text"], "score": 1 + place % 3}
            for place, (row, other) in enumerate(zip(rows(), reversed(rows()), strict=True))]  # fmt: skip
    pairs.write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")
    tuned = jishi.finetune(
        data=str(pairs), out=str(tmp_path / "tuned"), model=str(run.base), task="sentence-similarity",
        train={**TRAIN, "learning_rate": 1e-9, "max_steps": 1},
    )  # fmt: skip
    predictor = jishi.load(tuned.bundle)
    assert (predictor.task.pooling, predictor.task.prefix) == ("mean", "w0 ")
    model, words = BertModel.from_pretrained(run.base).eval(), AutoTokenizer.from_pretrained(run.base)
    expected = model(**words("w0 w5 w6", return_tensors="pt")).last_hidden_state[0].detach().mean(0)
    found = torch.tensor(predictor.predict(["w5 w6"])[0]["embedding"])
    torch.testing.assert_close(found, expected / expected.norm(), rtol=0, atol=1e-4)


def test_each_text_is_asked_about_once_and_not_again_in_a_run_with_other_settings(taught, texts, tmp_path, monkeypatch):
    folder, asked = taught(), []
    ask = _teacher.Teacher._ask
    monkeypatch.setattr(_teacher.Teacher, "_ask", lambda self, rows: (asked.append(len(rows)), ask(self, rows))[1])
    spec = {"data": str(texts), "model": {"name": str(folder), "layers": 2}, "train": TRAIN, "seed": 0}
    teacher = {"name": "distillation", "teacher": str(folder)}
    run = jishi.pretrain(out=str(tmp_path / "one"), objective=teacher, **spec)
    assert sum(asked) == sum(run.record["data"]["rows"].values()) - run.record["data"]["rows"].get("test", 0)
    jishi.pretrain(out=str(tmp_path / "two"), objective={**teacher, "relations": 1.0}, **spec)
    assert len(asked) == 2


def test_another_teacher_under_the_same_name_is_asked_anew(taught):
    spec = ModelSpec(str(taught()))
    objective = Distillation(teacher=spec)
    first = objective.initialize([], Base("s", "text"))
    words = tokenizer("w1")
    ids = [first.encode({"text": "w1 w2"}, words)]
    before = first.enrich(ids, words)[0]["vector"]
    taught(seed=1)
    second = objective.initialize([], Base("s", "text"))
    assert second.fingerprint != first.fingerprint
    assert not numpy.array_equal(second.enrich(ids, words)[0]["vector"], before)
    with pytest.raises(ModelError, match="SHA-256"):
        first.initialize([], Base("s", "text"))


def test_a_design_teaches_nobody():
    with pytest.raises(ModelError, match="without training"):
        Distillation(teacher=ModelSpec("transformer-encoder")).initialize([], Base("s", "text"))


def test_vectors_are_told_where_the_disk_takes_none(taught, monkeypatch):
    objective = Distillation(teacher=ModelSpec(str(taught()))).initialize([], Base("s", "text"))
    words = tokenizer("w1")
    features = [objective.encode({"text": text}, words) for text in ("w1", "w2 w3", "w4")]
    expected = [row["vector"] for row in objective.enrich(features, words)]

    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr(_teacher.cache, "folder", full)
    assert numpy.array_equal([row["vector"] for row in objective.enrich(features, words)], expected)


def test_a_piece_of_a_step_counts_as_in_the_whole(taught):
    """The gradient of vectors and relations over two batches is that of one batch of all rows."""
    objective = Distillation(relations=1.0)
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.nn.functional.normalize(torch.randn(6, 4, generator=draw), dim=-1) for _ in range(2))
    whole = objective.compare(list(student), [{"vectors": teacher}])
    parts = objective.compare(list(student), [{"vectors": teacher[:2]}, {"vectors": teacher[2:]}])
    assert whole.value == parts.value and whole.count == parts.count == 6


def names(folder: Path) -> set[str]:
    return tensors(folder / "model.safetensors")


def tensors(file: Path) -> set[str]:
    with safe_open(file, framework="np") as held:
        return set(held.keys())


def test_a_student_is_asked_with_its_own_tokens_and_pooled_as_its_base_is(taught):
    """Three tokens whose states are (3, 0, …), (0, 4, …) and 0: their mean is (1, 4/3, …), of length 5/3."""
    objective = Distillation(teacher=ModelSpec(str(taught()))).initialize([], Base("s", "text", "mean"))
    words = tokenizer("w1 w2")
    made = objective.collate(objective.enrich([objective.encode({"text": "w1"}, words)], words), words)

    def model(**inputs):
        assert set(inputs) == {"input_ids", "attention_mask"}
        states = torch.zeros(1, 3, 16)
        states[0, 0, 0], states[0, 1, 1] = 3, 4
        return SimpleNamespace(last_hidden_state=states)

    assert objective.represent(model, made)[0].tolist() == pytest.approx([0.6, 0.8] + [0] * 14)
