"""From pictures and texts that are true of them to a dual encoder, and from its halves to a classifier of either."""

import json
import runpy
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file

import jishi
from jishi.core.errors import RowError

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "pretrain" / "image-text.yaml"
PROBE = {"adapt": "frozen", "train": {"epochs": 0, "fit_head": "before", "threads": 1}}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    runpy.run_path(str(ROOT / "examples" / "shapes.py"))["main"](folder, 160)
    return folder


@pytest.fixture(scope="module")
def made(shapes, tmp_path_factory):
    """The recipe, on few pictures."""
    small = [
        "train.epochs=12",
        "train.batch_size=32",
        "train.precision=fp32",
        "train.threads=1",
        f"data={shapes / 'pairs.jsonl'}",
    ]
    return jishi.pretrain(RECIPE, overrides=[*small, f"out={tmp_path_factory.mktemp('run')}"])


def test_texts_are_found_among_those_held_out(made):
    found, loss = made.record["parts"]["found"], made.record["loss"]
    assert loss["trained"] < loss["untrained"] and found["trained"] > found["untrained"]
    assert "jishi pretrain recipes/pretrain/image-text.yaml" in RECIPE.read_text(encoding="utf-8")


@pytest.mark.parametrize("side", ["image", "text"])
def test_a_half_is_a_base_with_the_weights_it_learnt(made, shapes, tmp_path, side):
    pairs = [json.loads(line) for line in (shapes / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    file = tmp_path / "labelled.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for pair in pairs:
            row = {"image": str(shapes / pair["image"]), "text": pair["text"], "label": str("red" in pair["text"])}
            lines.write(json.dumps({side: row[side], "label": row["label"]}) + "\n")
    run = jishi.finetune(
        data=str(file), model={"name": str(made.base / side), "pooling": "mean"}, out=str(tmp_path / "run"), **PROBE
    )
    tower, whole = load_file(made.base / side / "model.safetensors"), load_file(made.base / "model.safetensors")
    assert all(numpy.array_equal(whole[f"towers.{side}.{name}"], value) for name, value in tower.items())
    kept = load_file(run.bundle / "model.safetensors")
    same = [
        key for key in kept if any(key.endswith(name) and numpy.array_equal(kept[key], tower[name]) for name in tower)
    ]
    assert len(same) == len(tower)


def test_it_goes_on_from_where_it_stood(made, shapes, tmp_path):
    again = jishi.pretrain(
        data=str(shapes / "pairs.jsonl"), model=str(made.base), objective="image-text-contrastive", out=str(tmp_path),
        train={"max_steps": 1, "batch_size": 32, "learning_rate": 1e-6, "precision": "fp32", "threads": 1},
    )  # fmt: skip
    assert again.record["loss"]["untrained"] == pytest.approx(made.record["loss"]["trained"], rel=1e-3)


def test_a_row_without_its_picture_is_named(shapes, tmp_path):
    file = shapes / "broken.jsonl"
    file.write_text('{"image": "none.png", "text": "a red circle"}\n')
    with pytest.raises(RowError, match="broken.jsonl:1"):
        jishi.pretrain(data=str(file), model="dual-encoder", objective="image-text-contrastive", out=str(tmp_path))
