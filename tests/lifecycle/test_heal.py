"""A bundle of which half is taken out, taught again on its training rows, and held to the answers of the whole."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification

import jishi
from commands import jsonl
from jishi.core import bundle
from jishi.core.errors import BundleError, UsageError
from jishi.data.dataset import Dataset
from jishi.lifecycle import heal as lifecycle_heal
from jishi.training.imitation import Imitation

WORDS = {"good": ["很好用", "喜欢", "值得买"], "bad": ["质量很差", "退货", "坏了"]}
ROWS = [
    {"text": f"{words[i % 3]} {i} {words[(i + 1) % 3] * (i % 4)}", "label": label}
    for i in range(40)
    for label, words in WORDS.items()
]
TRAIN = {"epochs": 4, "batch_size": 8, "learning_rate": 1e-3, "threads": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healed")
    jishi.finetune(
        data=jsonl(folder / "rows.jsonl", ROWS), out=folder / "run",
        model={"name": "transformer-encoder", "size": "nano", "pooling": "mean", "dropout": 0.0},
        task={"name": "text-classification", "max_length": 32},
        train={"epochs": 8, "batch_size": 8, "learning_rate": 3e-3, "threads": 1},
    )  # fmt: skip
    return folder / "run"


def pruned(run, out, listen=lambda _: None, **train):
    method = {"name": "pruning", "width": 0.75, "layers": 0.5}
    return jishi.compress(run / "bundle", method=[method], out=out, train=TRAIN | train, tolerance=0.2, listen=listen)


def test_what_is_left_is_smaller_and_heals(run, tmp_path):
    heard = []
    told = pruned(run, tmp_path / "small", listen=heard.append)
    (hop,) = told["hops"]
    assert [event.step for event in heard if event.kind == "step"] == list(range(1, 4 * 8 + 1))
    assert hop["healed"]["steps"] == 4 * 8 and hop["healed"]["loss"] < hop["healed"]["first_loss"]
    assert told["bytes"]["after"] < told["bytes"]["before"] and hop["after"] >= hop["before"] - 0.2
    record, first = bundle.read(tmp_path / "small").record, bundle.read(run / "bundle")
    assert record["parent"] == first.fingerprint and not record["graph"]
    assert record["compression"][0]["name"] == "pruning" and record["parity"][-1]["healed"]["train"]["epochs"] == 4
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path / "small").config
    assert (config.backbone["num_hidden_layers"], config.backbone["intermediate_size"]) == (1, 64)
    assert jishi.load(tmp_path / "small").replay().flips == 0


def test_confidences_are_fitted_to_what_is_left(run, tmp_path):
    pruned(run, tmp_path / "small", learning_rate=3e-4)  # so little that it is not sure of itself
    before, after = (jishi.load(path) for path in (run / "bundle", tmp_path / "small"))
    rows = Dataset.load(run / "data").validation
    logits = torch.tensor(np.array([np.asarray(one) for one in after.outputs(rows)]))
    truth = torch.tensor([after.task.labels.index(row["label"]) for row in rows])

    def cost(temperature):  # the surprise of the labels, and a normal prior of the logarithm with deviation 0.5
        surprise = cross_entropy(logits / temperature, truth, reduction="sum").item()
        return surprise + math.log(temperature) ** 2 / (2 * 0.5**2)

    fitted = after.task.temperature
    assert fitted != pytest.approx(before.task.temperature, rel=1e-4)
    assert cost(fitted) < min(cost(fitted * 1.01), cost(fitted / 1.01))


def test_the_model_it_comes_of_stays_as_it_was(run, tmp_path):
    before = bundle.read(run / "bundle").fingerprint
    pruned(run, tmp_path / "one")
    pruned(run, tmp_path / "other")
    assert bundle.read(run / "bundle").fingerprint == before
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "other")]
    assert weights[0] == weights[1]


def test_what_is_pruned_may_become_a_graph(run, tmp_path):
    method = [{"name": "pruning", "width": 0.5}, "int8"]
    told = jishi.compress(run / "bundle", method=method, out=tmp_path / "small", train=TRAIN, tolerance=0.2)
    assert [hop["hop"] for hop in told["hops"]] == ["pruning", "int8"]
    with pytest.raises(UsageError) as caught:
        jishi.compress(tmp_path / "small", method=["pruning"], out=tmp_path / "again", data=run / "data")
    assert caught.value.code == "compress.needs-weights"


def test_what_does_not_heal_is_not_written(run, tmp_path, monkeypatch):
    def astray(self, model, batch, ask):
        return ask({**batch, "labels": 1 - batch["labels"]})  # taught the wrong way round

    monkeypatch.setattr(Imitation, "loss", astray)
    with pytest.raises(BundleError) as caught:
        pruned(run, tmp_path / "small", learning_rate=1e-2)
    assert caught.value.code == "compress.loses" and not list(tmp_path.iterdir())


def test_thin_matrices_heal_and_become_a_graph_that_integers_follow(run, tmp_path):
    method = [{"name": "low-rank", "share": 0.4, "heal": True}, "int8"]
    told = jishi.compress(run / "bundle", method=method, out=tmp_path / "small", train=TRAIN, tolerance=0.2)
    thin, integers = told["hops"]
    assert thin["healed"]["steps"] == 4 * 8 and thin["healed"]["loss"] < thin["healed"]["first_loss"]
    assert thin["max_difference"] > 0 and integers["after"] >= thin["before"] - 0.2
    record = bundle.read(tmp_path / "small").record
    assert record["graph"] and [one["name"] for one in record["compression"]] == ["low-rank", "int8"]
    assert jishi.load(tmp_path / "small").replay().flips == 0
    with pytest.raises(UsageError) as caught:
        jishi.compress(tmp_path / "small", method=["low-rank"], out=tmp_path / "again", data=run / "data")
    assert caught.value.code == "compress.needs-weights"


def test_the_graph_of_thin_matrices_is_that_of_the_healed_model(run, tmp_path, monkeypatch):
    heal = lifecycle_heal.heal

    def scrambled(made, *rest):
        told = heal(made, *rest)
        with torch.no_grad():
            for value in made.model.parameters():
                value.zero_()
        return told

    monkeypatch.setattr(lifecycle_heal, "heal", scrambled)
    with pytest.raises(BundleError) as caught:
        jishi.compress(
            run / "bundle",
            method=[{"name": "low-rank", "heal": True}],
            out=tmp_path / "small",
            train=TRAIN,
            tolerance=0.2,
        )
    assert caught.value.code == "compress.loses" and not list(tmp_path.iterdir())


def test_a_few_rows_are_too_few(run, tmp_path):
    for part, rows in (("train", ROWS[:3]), ("test", ROWS[40:60])):
        jsonl(tmp_path / "few" / f"{part}.jsonl", rows)
    for method in ("pruning", "low-rank"):
        with pytest.raises(UsageError) as caught:
            jishi.compress(run / "bundle", method=[method], out=tmp_path / "small", data=tmp_path / "few")
        assert caught.value.code == "compress.few-rows" and not (tmp_path / "small").exists()
