"""What is not to learn keeps the statistics it normalises by; and a fitted head meets the states it was fitted to."""

import io
import json

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import jishi
from jishi.training import still


def layers(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, **options))
    with torch.no_grad():
        model.train()(torch.randn(8, 3, 6, 6))
    return model


def moves(model):
    """Whether rows of another kind move the statistics."""
    before = model[1].running_mean.clone()
    with torch.no_grad():
        model.train()(5 + torch.randn(8, 3, 6, 6))
    return not torch.equal(before, model[1].running_mean)


def test_a_frozen_layer_keeps_its_statistics_until_it_learns():
    model = layers()
    assert moves(model)
    model[1].requires_grad_(False)
    still.hold(model, known=False)
    assert not moves(model)
    model[1].requires_grad_(True)  # as gradual unfreezing does
    assert moves(model) and model[1].training


def test_what_has_seen_rows_is_held_where_a_head_is_fitted_to_it_and_what_has_not_learns():
    model, fresh = layers(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for one in (model, fresh):
        still.hold(one, known=True)
    assert not moves(model) and moves(fresh)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small CNN that tells dark pictures from bright ones, and the folder of them."""
    folder, rng = tmp_path_factory.mktemp("still"), numpy.random.default_rng(0)
    for label, level in (("dark", 60), ("bright", 180)):
        (folder / "pictures" / label).mkdir(parents=True)
        for place in range(24):
            content = io.BytesIO()
            Image.fromarray(rng.normal(level, 40, (16, 16, 3)).clip(0, 255).astype("uint8")).save(content, "PNG")
            (folder / "pictures" / label / f"{place}.png").write_bytes(content.getvalue())
    asked = {"data": folder / "pictures", "task": {"name": "image-classification", "augment": False}}
    jishi.finetune(
        **asked, out=folder / "base", model={"name": "resnet", "size": "nano"},
        train={"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "threads": 1},
    )  # fmt: skip
    return folder, asked


def test_a_backbone_that_is_only_adapted_keeps_its_statistics(trained, tmp_path):
    folder, asked = trained
    jishi.finetune(
        **asked, out=tmp_path / "run", model=str(folder / "base" / "bundle"), adapt={"name": "lora", "target": ["convolution"]},
        train={"epochs": 1, "batch_size": 8, "learning_rate": 1e-2, "threads": 1},
    )  # fmt: skip
    old, new = (load_file(one / "bundle" / "model.safetensors") for one in (folder / "base", tmp_path / "run"))
    statistics = [name for name in old if "running" in name]
    assert statistics and all(torch.equal(old[name], new[name]) for name in statistics)


def test_the_first_step_after_a_fitted_head_has_the_loss_it_was_fitted_to(trained, tmp_path):
    folder, asked = trained
    jishi.finetune(
        **asked, out=tmp_path / "run", model=str(folder / "base" / "bundle"),
        train={"epochs": 1, "batch_size": 64, "learning_rate": 1e-6, "fit_head": "before", "threads": 1},
    )  # fmt: skip
    events = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (fitted,) = [one for one in events if "loss_after" in one]
    (step,) = [one for one in events if one["kind"] == "step"]
    assert step["loss"] == pytest.approx(fitted["loss_after"], abs=1e-3)
