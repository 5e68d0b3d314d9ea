import numpy
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
)

from jishi.models import heads
from jishi.models.pooling import pool, unit

STATES = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [100.0, 100.0]]])  # (1, 3, 2); the last is padding
MASK = torch.tensor([[1, 1, 0]])


@pytest.mark.parametrize(("pooling", "vector"), [("cls", [1.0, -4.0]), ("mean", [2.0, -3.0]), ("max", [3.0, -2.0])])
def test_padding_has_no_part_in_a_vector(pooling: str, vector: list[float]) -> None:
    assert heads.pool(STATES, MASK, pooling).tolist() == [vector]


@pytest.mark.parametrize(("how", "vector"), [("cls", [1.0, -4.0]), ("mean", [2.0, -3.0]), ("max", [3.0, -2.0])])
def test_arrays_are_pooled_as_tensors_are(how: str, vector: list[float]) -> None:
    assert pool(STATES.numpy(), MASK.numpy(), how).tolist() == [vector]
    assert unit(numpy.asarray([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_without_a_mask_every_position_counts() -> None:
    assert heads.pool(STATES, None, "max").tolist() == [[100.0, 100.0]]


def small() -> BertConfig:
    return BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16, num_labels=3
    )


def pooled(kind: type[heads.Pooled], config: object, **options: object) -> heads.Pooled:
    return kind(heads.PooledConfig(config.to_dict(), num_labels=3, **options)).eval()


def test_logits_are_the_linear_layer_on_the_pooled_states() -> None:
    model = pooled(heads.PooledForSequenceClassification, small(), pooling="mean")
    ids = torch.tensor([[5, 6, 7, 0]])
    mask = torch.tensor([[1, 1, 1, 0]])
    states = model.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    by_hand = states[:, :3].mean(1) @ model.classifier.weight.T + model.classifier.bias
    torch.testing.assert_close(model(ids, mask).logits, by_hand)


def test_every_token_gets_its_own_logits() -> None:
    model = pooled(heads.PooledForTokenClassification, small())
    assert model(torch.tensor([[5, 6, 7]])).logits.shape == (1, 3, 3)


def test_starts_and_ends_of_an_answer_are_the_two_columns_of_the_linear_layer() -> None:
    model = heads.PooledForQuestionAnswering(heads.PooledConfig(small().to_dict(), num_labels=2)).eval()
    ids = torch.tensor([[5, 6, 7]])
    by_hand = model.classifier(model.backbone(input_ids=ids).last_hidden_state)
    said = model(ids)
    torch.testing.assert_close(torch.stack([said.start_logits, said.end_logits], dim=-1), by_hand)


def test_feature_maps_are_averaged_over_the_picture() -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    model = pooled(heads.PooledForImageClassification, config)
    pixels = torch.rand(2, 3, 32, 32)
    by_hand = model.classifier(model.backbone(pixel_values=pixels).last_hidden_state.mean((2, 3)))
    torch.testing.assert_close(model(pixels).logits, by_hand)


def test_the_states_of_patches_are_averaged_where_the_base_says_mean() -> None:
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    pixels = torch.rand(2, 3, 16, 16)
    for pooling, taken in (("mean", lambda states: states.mean(1)), ("max", lambda states: states.amax(1))):
        model = pooled(heads.PooledForImageClassification, config, pooling=pooling)
        by_hand = model.classifier(taken(model.backbone(pixel_values=pixels).last_hidden_state))
        torch.testing.assert_close(model(pixels).logits, by_hand)


def test_a_projection_is_two_layers_and_others_start_from_what_is_below_it() -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    model = pooled(heads.PooledForPreTraining, config, pooling="cls")
    model.config.jishi = {"pooling": "cls"}
    pixels = torch.rand(2, 3, 32, 32)
    states = model.backbone(pixel_values=pixels).last_hidden_state.mean((2, 3))
    hidden = (states @ model.hidden.weight.T + model.hidden.bias).clamp(min=0)
    torch.testing.assert_close(model(pixels).logits, hidden @ model.classifier.weight.T + model.classifier.bias)
    assert heads.head_modules(model) == ["classifier", "hidden"]
    assert heads.shed(model) is model.backbone and model.backbone.config.jishi == {"pooling": "cls"}
    other = pooled(heads.PooledForImageClassification, config)
    assert heads.shed(other) is other


def test_the_backbone_given_is_kept_bit_for_bit() -> None:
    backbone = BertModel(small(), add_pooling_layer=False)
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    for module in backbone.modules():
        module._is_hf_initialized = True  # as from_pretrained leaves it
    model = heads.PooledForSequenceClassification(heads.PooledConfig(small().to_dict(), num_labels=3), backbone)
    assert all(torch.equal(weight, model.backbone.state_dict()[name]) for name, weight in before.items())


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (lambda: BertForSequenceClassification(small()), ["classifier", "bert.pooler"]),
        (lambda: BertForMaskedLM(small()), ["cls"]),
        (lambda: pooled(heads.PooledForTokenClassification, small()), ["classifier"]),
        (lambda: BertModel(small()), []),
        (
            lambda: ResNetForImageClassification(ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1])),
            ["classifier"],
        ),
    ],
)
def test_the_head_is_what_stands_outside_the_backbone(model, names: list[str]) -> None:
    assert heads.head_modules(model()) == names


def test_layers_run_from_the_bottom_to_the_top() -> None:
    model = pooled(heads.PooledForSequenceClassification, small())
    found = heads.layers(model)
    assert len(found) == 3
    assert found[0] is model.backbone.encoder.layer[0]
    assert found[-1] is model.backbone.encoder.layer[-1]
    assert heads.layers(nn.Linear(1, 1)) == []
