"""Ways to adapt that end in a plain model: what moves, by how much, and that what is folded in is what was computed."""

import math

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MarianConfig,
    MarianMTModel,
    ResNetConfig,
    ResNetForImageClassification,
)

from jishi.adaptation import adalora
from jishi.adaptation.adalora import AdaLoRA
from jishi.adaptation.bitfit import BitFit
from jishi.adaptation.dora import DoRA
from jishi.adaptation.gradual_unfreezing import GradualUnfreezing
from jishi.adaptation.ia3 import IA3
from jishi.adaptation.layer_decay import LayerDecay
from jishi.adaptation.residual_adapter import ResidualAdapter
from jishi.core import spec
from jishi.core.contracts import Adaptation
from jishi.core.document import Document
from jishi.core.errors import ModelError, UsageError
from jishi.models import heads
from jishi.tasks.text_classification import TextClassification
from jishi.training import optimizer
from jishi.training.spec import TrainSpec
from tiny import sequence_classifier

TASK = TextClassification(problem="single", labels=("x", "y"))
BATCH = {
    "input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 8, 3]]),
    "attention_mask": torch.ones(2, 4, dtype=torch.long),
    "labels": torch.tensor([0, 1]),
}
HEAD = ["classifier", "bert.pooler"]


def classifier():
    return sequence_classifier(20, num_labels=2)


def resnet():
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=2)
    return ResNetForImageClassification(config)


def learning(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_bitfit_trains_every_bias_and_the_head():
    model = BitFit().apply(classifier(), TASK)
    inner = {name for name in learning(model) if not optimizer.in_modules(name, HEAD)}
    assert inner == {name for name, _ in model.bert.named_parameters(prefix="bert") if name.endswith("bias")} - {
        "bert.pooler.dense.bias"
    }
    assert {"classifier.weight", "bert.pooler.dense.weight"} <= learning(model)


def test_bitfit_needs_biases():
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    with pytest.raises(ModelError, match="has no biases"):
        BitFit().apply(LlamaForCausalLM(config), TASK)


def test_depth_is_counted_down_from_the_head():
    found = heads.depths(classifier())
    assert found["bert.encoder.layer.1"] == 1 and found["bert.encoder.layer.0"] == 2
    assert found["bert.embeddings.word_embeddings"] == 3
    assert not any(name.startswith(("classifier", "bert.pooler")) for name in found)


def test_both_stacks_of_an_encoder_decoder_are_counted_from_their_own_top():
    config = MarianConfig(
        vocab_size=20, d_model=16, encoder_layers=3, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=16, pad_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    found = heads.depths(MarianMTModel(config))
    assert [found[f"model.encoder.layers.{place}"] for place in range(3)] == [3, 2, 1]
    assert [found[f"model.decoder.layers.{place}"] for place in range(2)] == [2, 1]
    assert found["model.shared"] == 4


def rates(adaptation, progress=0.0):
    """Weight name → its learning rate, at a peak of 1 (the head's, which begins anew, has its own)."""
    model = adaptation.apply(classifier(), TASK)
    train = TrainSpec(warmup=0.0, scheduler="constant", head_learning_rate=7.0)
    found = optimizer.build(model, HEAD, train, 1.0, apart=adaptation.rates(model, 0.0))
    optimizer.set_rate(found, train, 0, 1, adaptation.rates(model, progress))
    held = {id(weight): group["lr"] for group in found.param_groups for weight in group["params"]}
    return {name: held[id(weight)] for name, weight in model.named_parameters()}


def test_each_block_learns_slower_than_the_one_above():
    found = rates(LayerDecay(decay=0.5))
    assert found["classifier.weight"] == 7.0
    assert found["bert.encoder.layer.1.output.dense.weight"] == 0.5
    assert found["bert.encoder.layer.0.output.dense.bias"] == 0.25
    assert found["bert.embeddings.word_embeddings.weight"] == 0.125


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.0, (0, 0, 0)), (0.16, (0, 0, 0)), (0.17, (1, 0, 0)), (0.34, (1, 1, 0)), (0.5, (1, 1, 1))],
)
def test_blocks_join_from_the_top(progress, expected):
    """Two blocks and the embeddings join over half the training: one after each sixth."""
    found = rates(GradualUnfreezing(share=0.5), progress)
    parts = ("encoder.layer.1.output.dense", "encoder.layer.0.output.dense", "embeddings.word_embeddings")
    assert tuple(found[f"bert.{part}.weight"] for part in parts) == expected
    assert found["classifier.weight"] == 7.0


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("layer-decay", "decay", 0.0), ("layer-decay", "decay", 1.5), ("gradual-unfreezing", "share", 0.0), ("lora", "rank", 0),
        ("dora", "rank", -1), ("dora", "dropout", 1.0), ("adalora", "begin", 0), ("bottleneck-adapter", "width", 0),
        ("parallel-adapter", "width", -1), ("prefix-tuning", "tokens", 0), ("prefix-tuning", "hidden", -1),
        ("prompt-tuning", "tokens", 0),
    ],
)  # fmt: skip
def test_a_size_that_is_none_is_refused_by_the_spec(name, key, value):
    with pytest.raises(UsageError, match=key):
        spec.plugin(Adaptation, Document({"name": name, key: value}, "test"))


def test_adalora_can_not_leave_more_ranks_than_it_begins_with():
    with pytest.raises(UsageError, match="raise begin"):
        AdaLoRA(rank=16, begin=8)


def test_ia3_has_a_factor_for_each_key_value_and_inner_unit():
    """Per block 32 keys, 32 values and 64 units, in two blocks."""
    model = IA3().apply(classifier(), TASK)
    added = {name: weight for name, weight in model.named_parameters() if "ia3_" in name}
    assert sum(weight.numel() for weight in added.values()) == 2 * (32 + 32 + 64)
    assert {name.split(".ia3_")[0].rpartition("layer.")[2] for name in added} == {
        f"{block}.{layer}"
        for block in (0, 1)
        for layer in ("attention.self.key", "attention.self.value", "output.dense")
    }
    assert {"base_model.model.classifier.weight"} <= learning(model)


def test_dora_changes_direction_and_length_apart():
    """Its weight is m · (W + BA) / ‖W + BA‖, row by row: worked out for one layer."""
    model = DoRA(rank=4, dropout=0.0).apply(classifier(), TASK).eval()
    layer = model.base_model.model.bert.encoder.layer[0].output.dense
    torch.manual_seed(1)
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
        layer.lora_magnitude_vector["default"].weight.mul_(1.5)
    weight = layer.base_layer.weight + 16 / 4 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    weight = layer.lora_magnitude_vector["default"].weight[:, None] * weight / weight.norm(dim=1, keepdim=True)
    given = torch.randn(3, 64)
    torch.testing.assert_close(layer(given), given @ weight.T + layer.base_layer.bias)


@pytest.mark.parametrize(
    ("name", "channels", "padding"),
    [("embedder.embedder", 3, 3), ("encoder.stages.1.layers.0.layer.0", 8, 1)],  # 7×7 and 3×3, both of stride 2
)
def test_a_residual_adapter_is_a_convolution_of_one_by_one_beside(name, channels, padding):
    model = ResidualAdapter().apply(resnet(), TASK).eval()
    layer = model.resnet.get_submodule(f"{name}.convolution")
    before, given = layer.parametrizations.weight.original.detach().clone(), torch.randn(2, channels, 9, 9)
    torch.manual_seed(1)
    change = layer.parametrizations.weight[0].change
    with torch.no_grad():
        change.normal_()
    beside = torch.nn.functional.conv2d(given, change[..., None, None], stride=2)
    expected = torch.nn.functional.conv2d(given, before, stride=2, padding=padding) + beside
    torch.testing.assert_close(layer(given), expected)
    merged = ResidualAdapter().merge(model)
    assert type(layer) is torch.nn.Conv2d and merged is model
    torch.testing.assert_close(layer(given), expected)


def test_a_residual_adapter_adds_a_weight_for_each_pair_of_channels():
    """The stem is 7×7 from 3 to 8; the stages have 3×3 convolutions 8→8, 8→8, 8→16 and 16→16."""
    model = ResidualAdapter().apply(resnet(), TASK)
    added = sum(weight.numel() for name, weight in model.named_parameters() if name.endswith(".change"))
    assert added == 3 * 8 + 8 * 8 + 8 * 8 + 8 * 16 + 16 * 16
    assert not any(name.endswith("weight.original") for name in learning(model))
    assert any("normalization" in name for name in learning(model))


def test_residual_adapters_need_convolutions():
    with pytest.raises(ModelError) as caught:
        ResidualAdapter().apply(classifier(), TASK)
    assert caught.value.code == "adaptation.no-convolution"


def layers(model):
    return [module for module in model.modules() if hasattr(module, "lora_E")]


def trained(steps, **options):
    adaptation = AdaLoRA(rank=2, begin=4, **options)
    model = adaptation.apply(classifier(), TASK).train()
    rates = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for step in range(1, steps + 1):
        TASK.loss(model, BATCH).value.backward()
        rates.step()
        adaptation.advance(model, step, steps)
        rates.zero_grad()
        yield step, [int((layer.lora_E["default"] != 0).sum()) for layer in layers(model)]


def test_adalora_ends_with_the_rank_asked_for_and_keeps_it():
    counts = dict(trained(20))
    assert sum(counts[2]) == 12 * 4  # twelve linear layers in two blocks begin with four each
    assert sum(counts[14]) == sum(counts[20]) == 12 * 2
    assert counts[14] == counts[20]
    assert len(set(counts[20])) > 1  # some layers have more than others


def test_adalora_cuts_what_matters_least():
    """Two layers of two ranks; what matters is the average times the uncertainty of λ, and the mean over each vector."""
    first, second = (torch.nn.Module() for _ in range(2))
    values = {
        "lora_E": [[3.0, 0.0], [1.0, 2.0]],
        "lora_A": [[0.0, 2.0], [0.0, 0.0]],
        "lora_B": [[0.0, 0.0], [0.0, 0.0]],
    }
    for place, layer in enumerate((first, second)):
        scale = torch.tensor(values["lora_E"][place])[:, None]
        rows = torch.tensor(values["lora_A"][place])[:, None].expand(2, 3)
        columns = torch.tensor(values["lora_B"][place])[None].expand(3, 2)
        for part, value in zip(adalora.PARTS, (rows, scale, columns), strict=True):
            layer.register_buffer(f"{part}_average", value.clone())
            layer.register_buffer(f"{part}_uncertainty", torch.ones_like(value))
        layer.lora_E = {"default": torch.ones(2, 1)}
        layer.register_buffer("kept", torch.ones(2, 1))
    # scores: first 3 + 0 and 0 + 2, second 1 and 2 + 0; three are left
    adalora._cut([first, second], 3)
    assert first.kept[:, 0].tolist() == [1.0, 1.0] and second.kept[:, 0].tolist() == [0.0, 1.0]
    assert second.lora_E["default"][:, 0].tolist() == [0.0, 1.0]


def test_adalora_weighs_by_how_much_the_loss_hangs_on_a_number_and_how_unsteadily():
    """|w · g| smoothed by 0.85: 0.15 · 6 = 0.9; its distance from that, 5.1, smoothed: 0.765."""
    layer = torch.nn.Module()
    for part in adalora.PARTS:
        weight = torch.nn.Parameter(torch.tensor([[2.0]]))
        weight.grad = torch.tensor([[-3.0]])
        setattr(layer, part, {"default": weight})
        for kind in ("average", "uncertainty"):
            layer.register_buffer(f"{part}_{kind}", torch.zeros(1, 1))
    adalora._weigh([layer])
    assert math.isclose(layer.lora_E_average.item(), 0.9, rel_tol=1e-6)
    assert math.isclose(layer.lora_E_uncertainty.item(), 0.765, rel_tol=1e-6)


def test_straightened_rows_become_orthogonal():
    torch.manual_seed(0)
    rows = torch.nn.init.orthogonal_(torch.empty(4, 9)) + 0.1 * torch.randn(4, 9)
    before = (rows @ rows.T - torch.eye(4)).norm()
    for _ in range(60):
        adalora._straighten(rows)
    assert (rows @ rows.T - torch.eye(4)).norm() < 1e-3 * before
