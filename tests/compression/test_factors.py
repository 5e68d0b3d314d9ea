"""Matrices as two thinner ones: exact where the rank is whole, else off by the singular values that are left out."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, GPT2Config, LlamaConfig, ModernBertConfig

from jishi.compression._factors import Factors, decomposed, factored, layers, moments
from jishi.compression.low_rank import LowRank
from jishi.core.errors import ModelError, UsageError
from jishi.core.values import Teaching
from jishi.tasks.text_classification import TextClassification
from tiny import tokenizer

WORDS = "good bad fine poor plain"
ROWS = [{"text": " ".join(WORDS.split()[: 1 + i % 5]), "label": "ab"[i % 2]} for i in range(40)]
SMALL = {"vocab_size": 16, "num_labels": 2, "pad_token_id": 0}
WIDE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
FAMILIES = {
    "bert": BertConfig(**SMALL, **WIDE),
    "modernbert": ModernBertConfig(**SMALL, **WIDE, global_attn_every_n_layers=2, local_attention=4),
    "gpt2": GPT2Config(**SMALL, n_embd=32, n_inner=48, n_layer=2, n_head=4),
    "llama": LlamaConfig(**SMALL, **WIDE, num_key_value_heads=2),
}


def predictor(family):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(copy.deepcopy(FAMILIES[family])).eval()
    task = TextClassification(problem="single", labels=("a", "b"), pairs="never", prefix="", max_length=16)
    return SimpleNamespace(model=model, task=task, processor=tokenizer(WORDS), record={}, path="bundle")


def answers(given, model):
    batch = given.task.collate([given.task.encode(row, given.processor) for row in ROWS[:6]], given.processor)
    with torch.no_grad():
        return given.task.forward(model.eval(), batch)


def product(parts, rank):
    first, values, second = parts
    return (first[:, :rank] * values[:rank]) @ second[:rank]


def known():
    """A matrix (4, 3) of the singular values 5, 2, 1, made of turns of both sides."""
    left = torch.tensor([[0.6, -0.8, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 0.6, -0.8], [0, 0, 0.8, 0.6]], dtype=torch.float64)
    right = torch.tensor([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]], dtype=torch.float64)
    return (left[:, [0, 2, 1]] * torch.tensor([5.0, 2.0, 1.0], dtype=torch.float64)) @ right


def test_a_matrix_loses_the_singular_values_that_are_left_out_and_nothing_at_whole_rank():
    parts = decomposed(known(), None)
    assert parts[1].tolist() == pytest.approx([5, 2, 1])
    assert torch.allclose(product(parts, 3), known(), atol=1e-12)
    assert float((product(parts, 1) - known()).norm()) == pytest.approx(5**0.5)  # of 2 and 1


def test_outputs_lose_what_the_values_say_where_inputs_are_known():
    torch.manual_seed(0)
    given = torch.randn(200, 6, dtype=torch.float64) @ torch.diag(torch.tensor([9.0, 4, 1, 1, 0.3, 0.1]).double())
    given = given @ torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    weight = torch.randn(6, 5, dtype=torch.float64)
    parts = decomposed(weight, given.T @ given / len(given))
    assert torch.allclose(product(parts, 5), weight, atol=1e-9)
    for rank in (1, 2, 3):
        lost = float((given @ (product(parts, rank) - weight)).square().sum() / len(given))
        assert lost == pytest.approx(float(parts[1][rank:].square().sum()), rel=1e-3)
        best = torch.linalg.svd(given @ weight)[1][rank:].square().sum() / len(given)  # of any matrix of that rank
        plain = float((given @ (product(decomposed(weight, None), rank) - weight)).square().sum() / len(given))
        assert lost == pytest.approx(float(best), rel=1e-3) and lost < 0.9 * plain


def test_inputs_that_no_row_has_cost_little_and_are_not_forgotten():
    given = torch.tensor([[3.0, 0, 0], [0, 1.0, 0]], dtype=torch.float64)  # nothing on the third
    parts = decomposed(known()[:3], given.T @ given / 2)
    assert all(part.isfinite().all() for part in parts)
    assert torch.allclose(given @ product(parts, 2), given @ known()[:3], atol=1e-2)
    assert torch.allclose(product(parts, 3), known()[:3], atol=1e-6)


def test_moments_are_those_of_real_tokens_alone():
    given = predictor("bert")
    name, layer = next(iter(layers(given.model).items()))
    seen = []
    for row in ROWS[:20]:  # each alone: there is no padding
        hook = layer.register_forward_pre_hook(lambda _, read: seen.append(read[0][0].double()))
        batch = given.task.collate([given.task.encode(row, given.processor)], given.processor)
        with torch.no_grad():
            given.task.forward(given.model, batch)
        hook.remove()
    tokens = torch.cat(seen)
    found = moments(given, ROWS[:20])
    assert set(found) == set(layers(given.model)) and torch.allclose(
        found[name], tokens.T @ tokens / len(tokens), atol=1e-5
    )


@pytest.mark.parametrize("weighed", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_thin_matrices_answers_the_same(family, weighed):
    given = predictor(family)
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in layers(given.model).values():
            rows, columns = layer.weight.shape
            layer.weight.copy_(torch.randn(rows, 4) @ torch.randn(4, columns) / 8)
            if layer.bias is not None:
                layer.bias.normal_()
    before = {name: value.clone() for name, value in given.model.state_dict().items()}
    small = factored(given.model, moments(given, ROWS) if weighed else {}, 0.7)
    made = [module for module in small.modules() if isinstance(module, Factors)]
    assert len(made) == len(layers(given.model))
    assert torch.allclose(answers(given, small), answers(given, given.model), atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in given.model.state_dict().items())


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_so_many_weights_stay_and_no_more(share):
    given = predictor("bert")
    whole = sum(layer.weight.numel() for layer in layers(given.model).values())
    lost = sum(value.numel() for value in given.model.parameters())
    lost -= sum(value.numel() for value in factored(given.model, {}, share).parameters())
    assert share - 0.1 < (whole - lost) / whole <= share


def test_each_block_is_taught_by_its_own_or_nothing_is():
    given = predictor("bert")
    assert LowRank(heal=True, taught=0.3).apply(given, ROWS).teaching == Teaching(0.3, 1.0, ((0, 0), (1, 1)))
    assert LowRank().apply(given, ROWS).teaching is None


@pytest.mark.parametrize(("code", "rows"), [("compress.few-rows", 3), ("compress.merge-first", 40)])
def test_what_can_not_be_done_is_one_sentence(code, rows):
    given = predictor("bert")
    if code == "compress.merge-first":
        given.record = {"base": "elsewhere"}
    with pytest.raises((ModelError, UsageError)) as caught:
        LowRank().apply(given, ROWS[:rows])
    assert caught.value.code == code and "{" not in str(caught.value)
