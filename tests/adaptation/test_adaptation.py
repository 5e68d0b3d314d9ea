"""What every adaptation must do: the right weights move, the others stay bit for bit, and merging changes no answer."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from jishi.adaptation.frozen import Frozen
from jishi.adaptation.full import Full
from jishi.adaptation.lora import LoRA
from jishi.core.errors import ModelError
from jishi.objectives.causal_lm import CausalLM
from jishi.tasks.text_classification import TextClassification
from tiny import sequence_classifier

TASK = TextClassification(problem="single", labels=("x", "y"))
BATCH = {
    "input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 8, 3]]),
    "attention_mask": torch.ones(2, 4, dtype=torch.long),
    "labels": torch.tensor([0, 1]),
}


def trained(adaptation, steps=3):
    """A model, its weights before (by their plain names), and the model after some steps."""
    model = sequence_classifier(20, num_labels=2)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    adapted = adaptation.apply(model, TASK)
    optimizer = torch.optim.AdamW([weight for weight in adapted.parameters() if weight.requires_grad], lr=1e-2)
    adapted.train()
    for _ in range(steps):
        loss = TASK.loss(adapted, BATCH).value
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return before, adapted


def moved(before, model):
    after = dict(model.named_parameters())
    return {name for name, weight in before.items() if not torch.equal(weight, after[name])}


def test_full_moves_every_weight():
    before, model = trained(Full())
    still = before.keys() - moved(before, model)
    assert all("key.bias" in name for name in still)  # softmax does not see the bias of the keys


def test_frozen_moves_the_head_alone():
    before, model = trained(Frozen())
    assert moved(before, model) == {
        "classifier.weight",
        "classifier.bias",
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
    }


def test_frozen_lets_the_top_layers_learn():
    before, model = trained(Frozen(layers=1))
    changed = moved(before, model)
    assert any(name.startswith("bert.encoder.layer.1.") for name in changed)
    assert not any(name.startswith(("bert.encoder.layer.0.", "bert.embeddings.")) for name in changed)
    assert Frozen(layers=1).learning_rate < Frozen().learning_rate


def test_frozen_parts_have_no_dropout_and_learning_parts_keep_theirs():
    model = Frozen(layers=1).apply(sequence_classifier(20, num_labels=2), TASK).train()
    TASK.loss(model, BATCH)
    blocks = model.bert.encoder.layer
    assert not model.bert.embeddings.dropout.training
    assert not blocks[0].output.dropout.training
    assert blocks[1].output.dropout.training
    assert model.dropout.training
    alone = Frozen().apply(sequence_classifier(20, num_labels=2), TASK).train()
    first, second = (alone.bert(BATCH["input_ids"]).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)


def test_frozen_statistics_stay():
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=2)
    model = Frozen().apply(ResNetForImageClassification(config), TASK).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    model(pixel_values=torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == {
        "classifier.1.weight",
        "classifier.1.bias",
    }


def test_lora_moves_the_head_and_leaves_every_weight_of_the_backbone():
    before, model = trained(LoRA(dropout=0.0))
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or "modules_to_save" in name for name in learning)
    layers = {name.split(".lora_")[0] for name in learning if "lora_" in name}
    assert len(layers) == 2 * 6  # six linear layers in each of two blocks; the pooler belongs to the head
    base = {
        name: weight
        for name, weight in model.named_parameters()
        if "lora_" not in name and "modules_to_save" not in name
    }
    plain = {
        name.replace("base_model.model.", "").replace(".base_layer", "").replace(".original_module", ""): weight
        for name, weight in base.items()
    }
    assert plain.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in plain.items())


def test_merging_lora_gives_the_plain_model_with_the_same_answers():
    adaptation = LoRA(rank=4)
    before, model = trained(adaptation)
    model.eval()
    answers = TASK.forward(model, BATCH)
    merged = adaptation.merge(model)
    assert type(merged).__name__ == "BertForSequenceClassification"
    assert dict(merged.named_parameters()).keys() == before.keys()
    assert torch.allclose(TASK.forward(merged, BATCH), answers, atol=1e-5)
    assert {"classifier.weight", "bert.encoder.layer.0.attention.self.query.weight"} <= moved(before, merged)
    untouched = TASK.forward(sequence_classifier(20, num_labels=2).eval(), BATCH)
    assert not torch.allclose(untouched, answers, atol=1e-3)


def test_lora_adapts_the_layers_asked_for():
    model = LoRA(target=["query", "value"]).apply(sequence_classifier(20, num_labels=2), TASK)
    layers = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.named_parameters() if "lora_" in name}
    assert layers == {"query", "value"}


@pytest.mark.parametrize(
    ("adaptation", "code"),
    [
        (Frozen(layers=3), "too-many-layers"),
        (Frozen(layers=-1), "too-many-layers"),
        (LoRA(target="qeury"), "no-such-layer"),
    ],
)
def test_what_the_model_lacks_is_named(adaptation, code):
    with pytest.raises(ModelError) as caught:
        adaptation.apply(sequence_classifier(20, num_labels=2), TASK)
    assert caught.value.code == f"adaptation.{code}"
    assert str(caught.value)


def test_a_language_model_whose_head_is_its_embedding_has_none_to_train():
    tied = {
        "vocab_size": 20,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    model = LlamaForCausalLM(LlamaConfig(**tied, tie_word_embeddings=True))
    with pytest.raises(ModelError, match="adapt=full"):
        Frozen().apply(model, CausalLM())
    assert any(weight.requires_grad for weight in Frozen(layers=1).apply(model, CausalLM()).parameters())


def test_full_and_frozen_merge_into_themselves():
    model = sequence_classifier(20, num_labels=2)
    assert Full().merge(model) is Frozen().merge(model) is model


def test_a_masked_lm_can_be_adapted_too():
    from jishi.objectives.masked_lm import MaskedLM
    from tiny import masked_lm

    inputs = {"input_ids": BATCH["input_ids"], "attention_mask": BATCH["attention_mask"]}
    model = LoRA().apply(masked_lm(20), MaskedLM()).eval()
    answers = model(**inputs).logits
    assert torch.allclose(LoRA().merge(model)(**inputs).logits, answers, atol=1e-5)
    frozen = Frozen(layers=1).apply(masked_lm(20), MaskedLM())
    learning = {name for name, weight in frozen.named_parameters() if weight.requires_grad}
    assert "cls.predictions.transform.dense.weight" in learning
    assert not any("embeddings" in name for name in learning)
