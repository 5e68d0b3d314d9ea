"""From pictures without labels, or with others, to a base that a picture classifier starts from."""

import json
import shutil

import numpy
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import AutoModel

import jishi
from jishi.core.contracts import Head
from jishi.core.errors import DataError, ModelError, RowError
from jishi.models import load
from jishi.models.spec import ModelSpec

TRAIN = {"precision": "fp32", "threads": 1, "batch_size": 16, "learning_rate": 3e-3, "epochs": 3}
PROBE = {"adapt": "frozen", "train": {"epochs": 0, "fit_head": "before", "threads": 1}}
MODELS = {name: {"name": name, "size": "nano"} for name in ("resnet", "vit")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bars across or down, of any colour and thickness."""
    made = tmp_path_factory.mktemp("bars")
    for number in range(120):
        rng = numpy.random.default_rng(number)
        pixels = numpy.full((32, 32, 3), rng.integers(0, 256, 3), dtype=numpy.uint8)
        start, thick = rng.integers(2, 20), rng.integers(4, 10)
        pixels[start : start + thick] = rng.integers(0, 256, 3)
        down = number % 2
        Image.fromarray(pixels.swapaxes(0, 1) if down else pixels).save(made / f"{number}.png")
    return made


@pytest.fixture(scope="module")
def pictures(folder):
    rows = [{"image": f"{number}.png"} for number in range(120)]
    return written(folder / "pictures.jsonl", rows)


def labelled(folder, names, count=60):
    rows = [{"image": f"{number}.png", "label": names[number % 2]} for number in range(count)]
    return written(folder / f"{names[0]}.jsonl", rows)


def written(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


@pytest.fixture(scope="module")
def made(pictures, tmp_path_factory):
    """A run of every kind: objective and design."""
    out = tmp_path_factory.mktemp("pretrained")
    kinds = [("masked-image", "vit"), ("contrastive-views", "vit"), ("contrastive-views", "resnet")]
    return {
        (objective, name): jishi.pretrain(
            data=pictures, out=str(out / f"{objective}-{name}"), objective=objective, model=MODELS[name], train=TRAIN, seed=0
        )
        for objective, name in kinds
    }  # fmt: skip


def same_weights(before, after):
    """How many weights of a folder stand, under the end of their name, in another as they were."""
    old, new = (load_file(path / "model.safetensors") for path in (before, after))
    ends = {key.split(".", 1)[1] if key.startswith(("vit.", "backbone.", "resnet.")) else key: key for key in old}
    found = {key.split(".", 1)[1]: key for key in new if key.startswith(("vit.", "backbone.", "resnet."))}
    assert found and found.keys() <= ends.keys()
    return sum((old[ends[end]] == new[key]).all() for end, key in found.items()) / len(found)


def test_what_was_held_out_is_foreseen_better_and_no_perplexity_is_told(made):
    for run in made.values():
        loss = run.record["loss"]
        assert loss["trained"] < 0.95 * loss["untrained"]
        assert not run.record["perplexity"]


@pytest.mark.parametrize(
    "kind", [("masked-image", "vit"), ("contrastive-views", "vit"), ("contrastive-views", "resnet")]
)
def test_every_base_is_probed_with_the_weights_it_learnt(made, folder, tmp_path, kind):
    run = jishi.finetune(
        data=labelled(folder, ["across", "down"]), out=str(tmp_path), model=str(made[kind].base), **PROBE
    )
    assert same_weights(made[kind].base, run.bundle) == 1


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_a_contrastive_base_is_a_backbone_that_transformers_loads_by_itself(made, name):
    base = made["contrastive-views", name].base
    model, told = AutoModel.from_pretrained(
        base, local_files_only=True, output_loading_info=True, **({"add_pooling_layer": False} if name == "vit" else {})
    )
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model(pixel_values=torch.zeros(1, 3, 64, 64)).last_hidden_state.isfinite().all()
    assert type(model).__name__ == {"resnet": "ResNetModel", "vit": "ViTModel"}[name]


def test_one_objective_goes_on_from_the_base_of_the_other(made, pictures, tmp_path):
    short = {**TRAIN, "epochs": 1}
    contrast = made["contrastive-views", "vit"]
    masked = jishi.pretrain(
        data=pictures, out=str(tmp_path / "a"), objective="masked-image", model=str(contrast.base), train=short
    )
    assert masked.record["loss"]["trained"] < masked.record["loss"]["untrained"]
    again = jishi.pretrain(
        data=pictures, out=str(tmp_path / "b"), objective="contrastive-views", model=str(masked.base), train=short
    )
    assert again.base is not None
    on = jishi.pretrain(
        data=pictures, out=str(tmp_path / "c"), objective="masked-image", train=short,
        model=str(made["masked-image", "vit"].base),
    )  # fmt: skip
    assert on.record["loss"]["untrained"] == pytest.approx(
        made["masked-image", "vit"].record["loss"]["trained"], rel=1e-4
    )


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_a_classifier_of_other_labels_goes_on_from_what_labels_taught(folder, tmp_path, name):
    first = jishi.finetune(
        data=labelled(folder, ["across", "down"]), out=str(tmp_path / "a"), model=MODELS[name], train=TRAIN
    )
    second = jishi.finetune(
        data=labelled(folder, ["wide", "high"]), out=str(tmp_path / "b"), model=str(first.bundle), **PROBE
    )
    old, new = (load_file(run.bundle / "model.safetensors") for run in (first, second))
    kept = {key for key, value in old.items() if (new[key] == value).all()}
    assert old.keys() == new.keys() and {key.split(".")[0] for key in old.keys() - kept} == {"classifier"}
    assert {answer["label"] for answer in jishi.predict(second.bundle, [str(folder / "0.png")])} <= {"wide", "high"}


def test_objectives_rows_and_models_that_do_not_fit_are_refused(pictures, folder, tmp_path):
    def ask(error, match, **settings):
        with pytest.raises(error, match=match):
            jishi.pretrain(
                **{
                    "data": pictures,
                    "out": str(tmp_path / "run"),
                    "model": MODELS["vit"],
                    "resume": "never",
                    **settings,
                }
            )

    ask(ModelError, "masked-lm needs one that reads text", objective="masked-lm")
    ask(RowError, "has no text", objective="masked-lm", model={"name": "transformer-encoder", "size": "nano"})
    ask(ModelError, "masked-image needs one that reads image", objective="masked-image", model="transformer-encoder")
    ask(ModelError, "can't be given the head", objective="masked-image", model=MODELS["resnet"])
    ask(ModelError, "cut through the model's patches", objective={"name": "masked-image", "square": 4})
    lines = written(folder / "lines.jsonl", [{"text": f"line {number}"} for number in range(9)])
    ask(RowError, "has no picture", objective="contrastive-views", data=lines)
    few = written(folder / "few.jsonl", [{"image": "0.png"}, {"image": "1.png"}])
    ask(DataError, "1 are left to train on", objective="contrastive-views", data={"train": few, "split": (0.5, 0.5, 0)})
    with pytest.raises(ModelError, match="text-classification needs one that reads text"):
        jishi.finetune(data=pictures, task="text-classification", model=MODELS["vit"], out=str(tmp_path / "f"))


def test_a_folder_s_weight_without_a_place_is_still_refused(made, tmp_path):
    """What stands for hidden patches may be left aside; nothing else of a backbone may."""
    base = shutil.copytree(made["masked-image", "vit"].base, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    assert "vit.embeddings.mask_token" in weights
    weights["vit.embeddings.other_token"] = numpy.zeros(1, dtype=numpy.float32)
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    spec = ModelSpec(str(base))
    with pytest.raises(ModelError, match="other_token"):
        load.model(spec, Head("ForImageClassification", {"num_labels": 2}), load.base(spec))
