"""The recipes run: small here, and as they stand where time and packages allow."""

import asyncio
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jishi
from jishi.core import document, spec
from jishi.lifecycle.finetune import FinetuneSpec

ROOT = Path(__file__).parent.parent
TEXT = "王海燕昨天从北京飞往上海。"
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    example("digits.py", folder, 12)
    return folder


def example(name: str, *words: object) -> None:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_is_a_valid_spec_whose_header_says_how_to_run_it(recipe):
    spec.build(FinetuneSpec, document.read(recipe))
    assert f"jishi finetune recipes/{recipe.name}" in recipe.read_text(encoding="utf-8")


def test_the_picture_classifier_reports_every_class(digits, tmp_path):
    small = [
        "train.max_steps=4",
        "train.batch_size=16",
        "train.precision=fp32",
        f"data={digits}",
        f"out={tmp_path / 'run'}",
    ]
    run = jishi.finetune("recipes/image-classifier.yaml", overrides=small)
    classes = run.evaluation["details"]["per_class"]
    assert [entry["label"] for entry in classes] == [str(digit) for digit in range(10)]
    assert all({"precision", "recall", "f1", "support"} <= set(entry) for entry in classes)
    picture = next((digits / "7").iterdir())
    assert jishi.predict(run.bundle, [str(picture)])[0]["label"] in set("0123456789")


def test_the_entity_finder_goes_its_five_steps(tmp_path):
    pytest.importorskip("fastapi", reason="needs the extra serve")
    source, data = "examples/data/entities", tmp_path / "data"
    prepared = jishi.prepare(source, out=data, task="token-classification")
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (360, 60, 120)
    small = ["model=text-cnn", "train.max_steps=60", "train.precision=fp32", "train.learning_rate=5e-3"]
    run = jishi.finetune("recipes/entities.yaml", overrides=[*small, f"data={data}", f"out={tmp_path / 'run'}"])
    report = jishi.evaluate(run.bundle, data=source)
    assert {entry["label"] for entry in report["details"]["per_class"]} == {"organization", "person", "place"}
    assert report["scores"]["f1"]["value"] == pytest.approx(run.evaluation["scores"]["f1"]["value"])
    (answer,) = jishi.predict(run.bundle, [TEXT])
    assert answer["entities"]
    assert all(TEXT[entity["start"] : entity["end"]] == entity["text"] for entity in answer["entities"])

    over_http = asyncio.run(served(run.bundle, TEXT))
    assert [entity["text"] for entity in over_http["entities"]] == [entity["text"] for entity in answer["entities"]]


def test_the_customer_service_reads_intent_and_slots(tmp_path):
    small = ["model=text-cnn", "train.max_steps=150", "train.precision=fp32", "train.learning_rate=5e-3"]
    run = jishi.finetune("recipes/customer-service.yaml", overrides=[*small, f"out={tmp_path / 'run'}"])
    scores = {name: entry["value"] for name, entry in run.evaluation["scores"].items()}
    assert scores["intent_accuracy"] > 0.5
    assert run.evaluation["details"]["partial"]["right"] > 0
    (answer,) = jishi.predict(run.bundle, ["订单A10437到哪里了？"])
    assert answer["intent"] == "track_order"
    assert [(slot["label"], slot["text"]) for slot in answer["slots"]] == [("order", "A10437")]


async def served(bundle: Path, text: str) -> dict[str, Any]:
    from asking import ask, asking

    async with asking(jishi.load(bundle)) as client:
        return (await ask(client, text)).json()["predictions"][0]


def test_the_title_classifier_is_trained_saved_reloaded_and_predicts(tmp_path):
    small = ["model=text-cnn", "adapt=full", "train.epochs=12", "train.precision=fp32", "train.learning_rate=3e-3"]
    run = jishi.finetune("recipes/titles.yaml", overrides=[*small, f"out={tmp_path / 'run'}"])
    predictor = jishi.load(run.bundle)
    assert predictor.replay().flips == 0
    with (ROOT / "examples" / "data" / "titles.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = predictor.predict([row["text"] for row in rows])
    right = [answer["label"] == row["label"] for answer, row in zip(answers, rows, strict=True)]
    assert sum(right) / len(right) > 0.6  # it was trained on six rows in ten


@pytest.mark.slow
@pytest.mark.embedded
def test_the_title_classifier_as_it_stands_is_far_better_than_its_plain_rival(tmp_path):
    run = jishi.finetune("recipes/titles.yaml", out=tmp_path / "run")
    rival = run.evaluation["rivals"][run.baseline]["scores"]["accuracy"]
    assert run.evaluation["scores"]["accuracy"]["value"] > rival["value"] + 0.3


def test_the_grader_reads_two_columns_as_one_and_keeps_the_order_of_grades(tmp_path):
    small = ["model=text-cnn", "train.max_steps=4", "train.precision=fp32"]
    run = jishi.finetune("recipes/answer-grading.yaml", overrides=[*small, f"out={tmp_path / 'run'}"])
    assert set(run.evaluation["scores"]) == {"quadratic_kappa", "mae", "accuracy", "macro_f1"}
    assert run.evaluation["details"]["confusion"]["labels"] == ["wrong", "partly", "right"]
    row = {"text": "月亮为什么会发光？\n月亮反射太阳的光。", "text_pair": "它反射太阳光。"}
    assert list(jishi.predict(run.bundle, [row])[0]["scores"]) == ["wrong", "partly", "right"]


def test_the_chooser_says_the_same_whatever_the_order(tmp_path):
    small = ["model=transformer-encoder", "train.max_steps=4", "train.precision=fp32"]
    run = jishi.finetune("recipes/multiple-choice.yaml", overrides=[*small, f"out={tmp_path / 'run'}"])
    assert [entry["label"] for entry in run.evaluation["details"]["per_class"]] == list("ABCD")
    asked = [("Where is my kettle?", ["refunds", "delivery"]), ("Where is my kettle?", ["delivery", "refunds"])]
    first, second = jishi.predict(run.bundle, [{"question": text, "choices": choices} for text, choices in asked])
    assert first["answer"] == 1 - second["answer"]


@pytest.mark.slow
@pytest.mark.embedded
def test_the_chooser_as_it_stands_is_far_better_than_its_plain_rival(tmp_path):
    run = jishi.finetune("recipes/multiple-choice.yaml", out=tmp_path / "run")
    rival = run.evaluation["rivals"][run.baseline]["scores"]["accuracy"]
    assert run.evaluation["scores"]["accuracy"]["value"] > rival["value"] + 0.2


def test_the_rows_of_choices_are_what_their_script_writes():
    written_again("choices")


def test_the_entity_rows_are_what_their_script_writes():
    written_again("entities")


def test_the_requests_are_what_their_script_writes():
    written_again("requests")


def written_again(name: str) -> None:
    folder = ROOT / "examples" / "data" / name
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    example(f"{name}.py")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_no_name_of_the_entity_test_part_occurs_in_training():
    assert len(names("test")) > 50
    assert not names("test") & (names("train") | names("dev"))


def names(part: str) -> set[str]:
    file = ROOT / "examples" / "data" / "entities" / f"{part}.jsonl"
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {row["text"][span["start"] : span["end"]] for row in rows for span in row["spans"]}
