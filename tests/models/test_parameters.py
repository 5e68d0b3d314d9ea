"""How large a model is, counted by hand."""

import pytest
import torch
from torch import nn

import tiny
from jishi.adaptation.lora import LoRA
from jishi.core.contracts import Head
from jishi.models import load
from jishi.models.parameters import Parameters, by_size, parameters
from jishi.models.spec import ModelSpec
from jishi.tasks.text_classification import TextClassification

# One BERT block of D = 64: four square matrices, two of 4 · D, their biases and two norms; then the head that hides behind.
BLOCK = 4 * (64 * 64 + 64) + 2 * 64 * 256 + 256 + 64 + 2 * 2 * 64
HEAD = 64 * 64 + 64 + 2 * 64


def encoder(size: str) -> tuple[ModelSpec, object]:
    spec = ModelSpec("transformer-encoder", size=size)
    return spec, load.processor(spec, [{"text": "天气 weather"}])


def test_tables_and_the_output_layer_are_no_inner_parameters() -> None:
    spec, processor = encoder("nano")
    words = len(processor)
    model = load.model(spec, Head("ForMaskedLM"), load.base(spec), processor)
    tables = 64 * (words + 512 + 2)
    inner = 2 * BLOCK + HEAD + 2 * 64  # the last: the norm of the embeddings
    assert parameters(model) == Parameters(tables + inner + words, inner)  # the output layer is the table, and a bias


def test_a_weight_that_is_used_twice_counts_once_and_other_networks_have_a_size_too() -> None:
    layer = nn.Linear(3, 4)
    assert parameters(nn.Sequential(nn.Embedding(7, 3), layer, layer)) == Parameters(21 + 16, 16)


def test_an_adaptation_is_counted_with_what_it_adapts() -> None:
    plain = parameters(tiny.sequence_classifier(40, num_labels=2))
    adapted = parameters(LoRA(rank=2).apply(tiny.sequence_classifier(40, num_labels=2), TextClassification()))
    assert adapted.inner - plain.inner == adapted.whole - plain.whole > 0


def test_every_size_is_counted_as_if_it_were_made() -> None:
    spec, processor = encoder("tiny")
    torch.manual_seed(3)
    found = by_size(spec, Head("ForMaskedLM"), load.base(spec), processor)
    assert list(found) == ["nano", "tiny", "mini", "small", "base"]
    assert found["tiny"] == parameters(load.model(spec, Head("ForMaskedLM"), load.base(spec), processor))
    assert found["base"].inner == pytest.approx(12 * 12 * 768**2, rel=0.02)  # 12 D² a block
