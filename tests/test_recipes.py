"""The recipes run: small here, and as they stand where time and packages allow."""

import asyncio
import csv
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jishi
from jishi.core import document, spec
from jishi.data.rows import read
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


def test_the_picture_base_is_made_without_labels_and_a_classifier_starts_from_it(digits, tmp_path):
    recipe = ROOT / "recipes" / "pretrain" / "pictures.yaml"
    assert "jishi pretrain recipes/pretrain/pictures.yaml" in recipe.read_text(encoding="utf-8")
    small = [
        "train.epochs=2",
        "train.batch_size=32",
        "train.precision=fp32",
        f"data={digits}",
        f"out={tmp_path / 'run'}",
    ]
    made = jishi.pretrain(recipe, overrides=small)
    assert made.record["loss"]["trained"] < made.record["loss"]["untrained"]
    run = jishi.finetune(
        data=str(digits), model=str(made.base), out=str(tmp_path / "probe"), adapt="frozen",
        train={"epochs": 0, "fit_head": "before"},
    )  # fmt: skip
    assert (
        run.evaluation["scores"]["accuracy"]["value"]
        > run.evaluation["rivals"]["untuned"]["scores"]["accuracy"]["value"]
    )


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


def test_questions_are_answered_in_their_text_or_not_at_all(tmp_path):
    data = tmp_path / "data"
    prepared = jishi.prepare("examples/data/questions", out=data, task="question-answering")
    assert (len(prepared.train), len(prepared.validation), len(prepared.test)) == (600, 120, 240)
    small = ["model=text-cnn", "train.max_steps=30", "train.precision=fp32", "train.learning_rate=5e-3"]
    run = jishi.finetune("recipes/questions.yaml", overrides=[*small, f"data={data}", f"out={tmp_path / 'run'}"])
    assert set(run.evaluation["scores"]) == {
        "exact_match", "f1", "answerable_exact_match", "answerable_f1", "unanswerable_accuracy"
    }  # fmt: skip
    row = {"question": "Who owns the shop?", "context": "Old Mill belongs to Greta Holm."}
    (answer,) = jishi.predict(run.bundle, [row])
    assert all(row["context"][one["start"] : one["end"]] == one["answer"] for one in answer["candidates"])


@pytest.mark.slow
@pytest.mark.embedded
def test_the_question_recipe_is_far_better_than_its_plain_rival_after_two_of_its_epochs(tmp_path):
    run = jishi.finetune("recipes/questions.yaml", overrides=["train.epochs=2", f"out={tmp_path / 'run'}"])
    rival = run.evaluation["rivals"][run.baseline]["scores"]["f1"]
    assert run.evaluation["scores"]["f1"]["value"] > rival["value"] + 0.3


def test_the_question_rows_are_what_their_script_writes_and_the_test_part_has_answers_of_its_own():
    written_again("questions")
    folder = ROOT / "examples" / "data" / "questions"
    found = {
        part: {answer["text"] for _, row in read(folder / f"{part}.json") for answer in row["answers"]}
        for part in ("train", "dev", "test")
    }
    assert len(found["test"]) > 30 and not found["test"] & (found["train"] | found["dev"])


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


@pytest.fixture(scope="module")
def phrases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phrases")
    example("phrases.py", folder)
    return folder


def test_the_translator_learns_and_writes(phrases, tmp_path):
    small = [
        "model.size=nano",
        "train.max_steps=150",
        "train.precision=fp32",
        "data.test_rows=20",
        "data.train_rows=400",
    ]
    run = jishi.finetune(
        "recipes/translator.yaml",
        overrides=[*small, "task.decoding.max_new_tokens=16", f"data={phrases}", f"out={tmp_path / 'run'}"],
    )
    assert run.evaluation["scores"]["chrf"]["value"] > run.evaluation["rivals"]["untuned"]["scores"]["chrf"]["value"]
    (answer,) = jishi.predict(run.bundle, ["明天晚上我妈妈会在湖边唱歌。"])
    assert answer["text"] and set(answer) == {"text", "log_probability", "complete"}


def test_nobody_in_the_test_phrases_does_what_they_do_in_training(phrases):
    """Read off the English side: who and what, whatever the form and the tense."""
    assert len(doings(phrases / "test.jsonl")) == 20
    assert not doings(phrases / "test.jsonl") & (doings(phrases / "train.jsonl") | doings(phrases / "dev.jsonl"))


def doings(file: Path) -> set[tuple[str, str]]:
    words = runpy.run_path(str(ROOT / "examples" / "phrases.py"))
    rows = [json.loads(line)["source"] for line in file.read_text(encoding="utf-8").splitlines()]
    return {(who, act) for row in rows for who in words["WHO"] if who in row for act in words["ACT"] if act in row}


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


def test_the_poems_are_what_their_script_writes_and_no_title_of_the_test_part_is_learnt():
    written_again("poems")
    titles = {part: {row["prompt"].partition("：")[2] for row in poems(part)} for part in ("train", "dev", "test")}
    assert len(titles["test"]) > 15 and not titles["test"] & (titles["train"] | titles["dev"])


def test_every_poem_of_the_example_has_the_form_that_its_prompt_asks_for():
    length, couplets = {"五": 5, "七": 7}, {"绝": 2, "律": 4}
    for row in [row for part in ("train", "dev", "test") for row in poems(part)]:
        lines = row["answer"].split("\n")
        assert len(lines) == couplets[row["prompt"][2]]
        verse = f".{{{length[row['prompt'][0]]}}}"
        assert all(re.fullmatch(f"{verse}，{verse}。", line) for line in lines)


def test_the_poetry_recipe_learns_the_form(tmp_path):
    small = ["model.size=nano", "train.epochs=12", "train.precision=fp32", "train.learning_rate=1e-2"]
    run = jishi.finetune("recipes/poetry.yaml", overrides=[*small, f"out={tmp_path / 'run'}"])
    assert run.evaluation["scores"]["bits_per_character"]["value"] < 3.5  # a character drawn from 250 costs 8
    (answer,) = jishi.predict(run.bundle, [{"prompt": "五言绝句：秋夜江亭"}])
    assert answer["complete"] and re.fullmatch("(.{5}，.{5}。\n?)+", answer["text"])


def poems(part: str) -> list[dict[str, str]]:
    file = ROOT / "examples" / "data" / "poems" / f"{part}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_corpus_recipe_says_how_to_run_it_and_drops_what_was_planted(tmp_path):
    pytest.importorskip("ftfy", reason="needs the extra corpus")
    recipe = ROOT / "recipes" / "pretrain" / "corpus.yaml"
    assert "jishi prepare recipes/pretrain/corpus.yaml" in recipe.read_text(encoding="utf-8")
    made = jishi.prepare("recipes/pretrain/corpus.yaml", overrides=[f"out={tmp_path / 'corpus'}"])
    counts = {step["step"]: (step["changed"], step["dropped"]) for step in made.report["ledger"]}
    assert counts == {
        "reading": (0, 1), "normalise": (2, 0), "line-filter": (11, 0), "script-filter": (0, 1), "quality-filter": (0, 1),
        "deduplicate": (0, 3), "mask-personal-data": (3, 0),
    }  # fmt: skip
    assert [one["texts"] for one in made.report["mixture"]] == [9, 18]


@pytest.mark.slow
@pytest.mark.embedded
def test_the_distilling_recipe_makes_a_base_that_gives_vectors_like_its_teacher(tmp_path):
    pytest.importorskip("ftfy", reason="needs the extra corpus")
    jishi.prepare("recipes/pretrain/corpus.yaml", overrides=[f"out={tmp_path / 'corpus'}"])
    small = [f"data={tmp_path / 'corpus'}", f"out={tmp_path / 'small'}", "train.threads=1"]
    run = jishi.pretrain("recipes/pretrain/distill.yaml", overrides=small)
    assert run.record["loss"]["trained"] < run.record["loss"]["untrained"]
    said = json.loads((run.base / "config.json").read_text(encoding="utf-8"))
    assert (said["num_hidden_layers"], said["jishi"]["prefix"], said["jishi"]["pooling"]) == (6, "query: ", "mean")
    assert said["vocab_size"] < 20_000
