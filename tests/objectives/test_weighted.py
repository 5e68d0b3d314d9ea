"""Several objectives on one backbone: each learns as alone, the backbone is asked once, and the base keeps nothing of it."""

import copy
import json

import numpy
import pytest
import torch

import jishi
from jishi.adaptation.lora import LoRA
from jishi.core.contracts import Base
from jishi.core.errors import ModelError, UsageError
from jishi.models import beside, cross_entropy, load
from jishi.models.spec import ModelSpec
from jishi.objectives.causal_lm import CausalLM
from jishi.objectives.distillation import Distillation
from jishi.objectives.masked_lm import MaskedLM
from jishi.objectives.next_sentence import NextSentence
from jishi.objectives.replaced_token_detection import ReplacedTokenDetection
from jishi.objectives.sentence_order import SentenceOrder
from jishi.objectives.weighted import Part, Weighted
from jishi.tasks.sentence_similarity import SentenceSimilarity
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.text_generation import TextGeneration
from jishi.training.feed import varied

SPEC = ModelSpec("transformer-encoder", size="nano", dropout=0.0)
RAW = [
    {"text": "One is here. Two is there.", "label": "a"},
    {"text": "天冷了。我们走。", "label": "b"},
    {"text": "It rains. We stay at home today.", "label": "a"},
    {"text": "他来了。她走了。", "label": "b"},
]


def made(*parts: Part):
    """The objective of these parts with its rows, features of one draw, model and processor."""
    objective = Weighted(parts)
    rows = [objective.parse(raw) for raw in RAW]
    base, processor = load.base(SPEC), load.processor(SPEC, rows)
    objective = objective.initialize(rows, base)
    torch.manual_seed(0)
    model = load.model(SPEC, objective.head(), base, processor).eval()
    encoded = [objective.encode(row, processor) for row in rows]
    features = [varied(objective, encoded, row, processor, [row, 1], training=True) for row in range(len(rows))]
    return objective, model, processor, encoded, features


BERT = (Part(MaskedLM(share=0.5)), Part(NextSentence(), 0.5), Part(TextClassification(), 2.0))


def test_the_loss_is_the_weighted_sum_of_what_each_part_says_alone():
    objective, model, processor, _, features = made(*BERT)
    batch = objective.collate(features, processor)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    states = model.base_model(**inputs).last_hidden_state
    logits = model(**inputs).logits
    expected = [torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels 0"].flatten())]
    for place, head in enumerate(model.beside, 1):
        said = head.classifier(states[:, 0])
        expected.append(torch.nn.functional.cross_entropy(said, batch[f"labels {place}"]))
    found = objective.loss(model, batch)
    assert found.value.item() == pytest.approx((expected[0] + 0.5 * expected[1] + 2 * expected[2]).item(), abs=1e-5)
    for name, value in zip(("masked-lm", "next-sentence", "text-classification"), expected, strict=True):
        assert found.parts[name] == pytest.approx(value.item(), abs=1e-5)
    assert found.count == int((batch["labels 0"] != -100).sum()) > 0


def test_the_backbone_is_asked_once_and_as_ever_afterwards():
    objective, model, processor, _, features = made(*BERT)
    calls = []
    model.base_model.encoder.register_forward_hook(lambda *_: calls.append(1))
    batch = objective.collate(features, processor)
    objective.loss(model, batch)
    assert len(calls) == 1
    objective.loss(model, batch)
    assert len(calls) == 2 and "forward" not in vars(model.base_model)


@pytest.mark.parametrize("few", [True, False])
def test_every_part_sends_its_gradient_back_however_the_logits_are_made(few, monkeypatch):
    if not few:
        monkeypatch.setattr(cross_entropy, "AT_ONCE", 500)
        monkeypatch.setattr(cross_entropy, "POSITIONS", 1)
    objective, model, processor, _, features = made(*BERT)
    batch = objective.collate(features, processor)
    apart = copy.deepcopy(model)
    total = 0
    for place, part in enumerate(objective.parts):
        own = {name: value for name, value in batch.items() if not name.startswith("labels")}
        own["labels"] = batch[f"labels {place}"]
        total = total + part.weight * part.objective.loss(beside.view(apart, place), own).value
    total.backward()
    objective.loss(model, batch).value.backward()
    for (name, weight), other in zip(model.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("pair", [NextSentence(), SentenceOrder()])
@pytest.mark.parametrize("unit", ["token", "word"])
def test_tokens_are_hidden_in_the_pair_that_is_shown(pair, unit):
    if unit == "word":
        pytest.importorskip("rjieba", reason="needs the extra corpus")
    objective, _, processor, encoded, _ = made(Part(MaskedLM(share=0.5, unit=unit)), Part(pair))
    alone = objective.parts[1].objective
    plain = [{name: value for name, value in row.items() if "labels" not in name} | {"labels": 1} for row in encoded]
    changed = 0
    for seed in range(40):
        shown = varied(objective, encoded, 1, processor, [seed], training=True)
        other = varied(alone, plain, 1, processor, [seed], training=True)
        restored = numpy.where(shown["labels 0"] != -100, shown["labels 0"], shown["input_ids"])
        assert restored.tolist() == other["input_ids"].tolist()
        assert shown["labels 1"] == other["labels"] and "other" not in shown
        changed += not other["labels"]
    assert 0 < changed < 40


def test_columns_are_those_of_all_parts():
    objective = Weighted(BERT)
    assert objective.columns == {"text": "text", "text_pair": "text?"}
    assert objective.targets == (("label",),) and objective.mixes and not Weighted((Part(MaskedLM()),)).mixes
    assert objective.parse(RAW[0]) == {"text": "One is here.", "text_pair": "Two is there.", "label": "a"}


def test_what_does_not_go_together_is_told():
    base = Base("tiny", "text")
    for parts, said in [
        ((Part(MaskedLM()), Part(SentenceSimilarity("simcse"))), "sentence-similarity can't be one"),
        ((Part(MaskedLM()), Part(TextGeneration())), "text-generation can't be one"),
        ((Part(MaskedLM()), Part(Distillation())), "distillation can't be one"),
        ((Part(NextSentence()), Part(SentenceOrder())), "next-sentence, sentence-order both make pairs"),
        ((Part(NextSentence()), Part(ReplacedTokenDetection())), "replaced-token-detection has several heads already"),
        ((Part(Weighted(BERT)),), "weighted has several heads already"),
        ((), "names \\[\\]; name one"),
        ((Part(MaskedLM()), Part(MaskedLM(share=0.3))), "names masked-lm, masked-lm; .* each once"),
    ]:
        with pytest.raises(UsageError, match=said):
            Weighted(parts).initialize(RAW, base)
    with pytest.raises(UsageError, match="text-classification reads other tokens.*prefix"):
        made(Part(MaskedLM()), Part(TextClassification(prefix="query: ")))
    with pytest.raises(ModelError, match="ForMaskedLM can't stand beside another.*first"):
        made(Part(NextSentence()), Part(MaskedLM()))


def test_a_decoder_learns_labels_beside_what_follows():
    spec = ModelSpec("transformer-decoder", size="nano")
    objective = Weighted((Part(CausalLM()), Part(TextClassification())))
    rows = [objective.parse(raw) for raw in RAW]
    base, processor = load.base(spec), load.processor(spec, rows)
    objective = objective.initialize(rows, base)
    model = load.model(spec, objective.head(), base, processor)
    batch = objective.collate([objective.encode(row, processor) for row in rows], processor)
    objective.loss(model, batch).value.backward()
    assert model.beside[0].classifier.weight.grad.abs().sum() > 0


def test_a_head_that_stands_beside_learns_through_a_lora_wrapper_and_the_backbone_stays():
    objective, model, processor, _, features = made(*BERT)
    wrapped = LoRA().apply(model, objective)
    learns = {name for name, weight in wrapped.named_parameters() if weight.requires_grad}
    assert any("beside.1.classifier" in name for name in learns) and all(
        "lora_" in name or "beside" in name for name in learns
    )
    objective.loss(wrapped, objective.collate(features, processor)).value.backward()
    assert all(weight.grad is not None for weight in wrapped.parameters() if weight.requires_grad)


def test_adding_a_head_changes_no_weight_of_the_model():
    _, model, *_ = made(*BERT)
    torch.manual_seed(0)
    rows = [Weighted(BERT).parse(raw) for raw in RAW]
    plain = load.model(SPEC, MaskedLM().head(), load.base(SPEC), load.processor(SPEC, rows))
    found = dict(model.named_parameters())
    assert all(torch.equal(value, found[name]) for name, value in plain.named_parameters())


def test_the_base_of_a_run_is_a_plain_masked_language_model(tmp_path):
    file = tmp_path / "texts.jsonl"
    lines = [{"text": f"{first} is here {number}. {first} has gone."} for number in range(40) for first in ("he", "it")]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    events = []
    run = jishi.pretrain(
        data=str(file), out=str(tmp_path / "run"), model={"name": "transformer-encoder", "size": "nano"},
        objective={"name": "weighted", "parts": ["masked-lm", {"objective": "next-sentence", "weight": 0.5}]},
        train={"epochs": 2, "batch_size": 16, "precision": "fp32", "threads": 1}, listen=events.append,
    )  # fmt: skip
    step = next(event.values for event in events if event.kind == "step")
    assert step["loss"] == pytest.approx(step["masked-lm"] + 0.5 * step["next-sentence"], abs=1e-5)
    model, _ = load.reload(run.base, "ForMaskedLM")  # every weight has its place, and none is left over
    assert not any("beside" in name for name, _ in model.named_parameters())
    assert run.record["objective"]["parts"][1]["weight"] == 0.5
