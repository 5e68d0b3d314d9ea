"""Rows without labels: what is read of them, and a self-training that labels none it may not and goes on where it stopped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import jishi
from commands import jsonl
from jishi.core.errors import DataError, RowError, TrainingError, UsageError
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.lifecycle import finetune, semi_supervised
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.lifecycle.semi_supervised import UnlabelledSpec
from jishi.tasks.text_classification import TextClassification
from jishi.training.loop import Loop

SMALL = {
    "model": {"name": "text-cnn", "size": "nano"}, "task": "text-classification",
    "train": {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "precision": "fp32", "max_unknown": 1.0},
}  # fmt: skip
WORDS = {"good": ("great", "lovely", "fine"), "bad": ("broken", "awful", "poor")}


def row(number: int, label: str) -> dict[str, Any]:
    return {"text": f"{WORDS[label][number % 3]} thing {number}", "label": label}


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [row(number, label) for number in numbers for label in WORDS]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    """48 labelled rows, 40 to validate, 40 to test."""
    parts = {"train": range(24), "validation": range(100, 120), "test": range(200, 220)}
    return {name: str(jsonl(tmp_path / f"{name}.jsonl", rows(*numbers))) for name, numbers in parts.items()}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """120 rows without labels."""
    return jsonl(tmp_path / "many.jsonl", [{"text": one["text"]} for one in rows(*range(300, 360))])


def gathered(tmp_path: Path, data: dict[str, str], given: list[dict[str, Any]], **settings: Any) -> Any:
    task = TextClassification()
    made = prepare(DataSpec(**data), task, tmp_path / "data")
    file = jsonl(tmp_path / "given.jsonl", given)
    return semi_supervised.gather(UnlabelledSpec(DataSpec(str(file), **settings)), task, made)


def test_rows_that_judge_or_have_a_label_are_taken_out_and_counted_and_labels_are_ignored(tmp_path, data) -> None:
    new = [
        {"text": "a new thing"},
        {"text": "a new thing", "label": "bad"},
        {"text": "another", "label": ["odd", None]},
    ]
    found = gathered(tmp_path, data, [*rows(0, 100), row(101, "bad"), *rows(200, 201), *new])
    assert found.rows == [{"text": "a new thing"}, {"text": "another"}]
    assert found.counts == {
        "read": 12, "had_label": 11, "refused": 0, "in_train": 2, "in_validation": 3, "in_test": 4, "repeated": 1, "rows": 2
    }  # fmt: skip


def test_what_can_not_be_read_is_one_sentence(tmp_path, data) -> None:
    with pytest.raises(DataError, match=r"given\.jsonl"):
        gathered(tmp_path, data, [])
    with pytest.raises(DataError, match=r"Of the 4 unlabelled rows .* none is left to learn from \(in_test 4\)"):
        gathered(tmp_path, data, rows(200, 201))
    with pytest.raises(RowError, match=r"given\.jsonl:1"):
        gathered(tmp_path, data, [{"review": "a new thing"}])
    with pytest.raises(DataError, match="review"):
        gathered(tmp_path, data, [{"text": "a"}], columns={"text": "review"})
    found = gathered(tmp_path, data, [{"text": "a"}, {"review": "b"}], on_bad_row="skip")
    assert [found.counts[name] for name in ("read", "refused", "rows")] == [2, 1, 1]


@pytest.mark.parametrize("problem", ["multi", "ordinal", "regression"])
def test_only_tasks_of_one_label_a_row_learn_from_them(problem: str) -> None:
    task = TextClassification(problem=problem, labels=() if problem == "regression" else ("a", "b", "c"))
    with pytest.raises(UsageError, match="one label of several"):
        semi_supervised.check(task)
    semi_supervised.check(TextClassification(problem="single", labels=("a", "b")))


def run(data: dict[str, str], many: Path, out: Path, method: Any, watch: Any = None, **settings: Any) -> Any:
    small = {**SMALL, "train": {**SMALL["train"], **settings}}
    asked = {"data": data, "out": str(out), "unlabelled": {"data": str(many), "method": method}, **small}
    wanted = jishi.api.read(FinetuneSpec, asked)
    loops: list[Loop] = []

    def listen(event: Any) -> None:
        if watch:
            watch(loops, event)

    return finetune.finetune(wanted, listen, loops.append)


def test_a_student_starts_from_the_base_on_the_labels_its_teacher_was_sure_of(tmp_path, data, many) -> None:
    starts: list[dict[str, torch.Tensor]] = []
    given: list[int] = []

    def watch(loops: list[Loop], event: Any) -> None:
        if event.kind == "start":
            starts.append({name: value.detach().clone() for name, value in loops[-1].model.named_parameters()})
            given.append(event.values["rows"])

    made = run(data, many, tmp_path / "run", {"name": "self-training", "precision": 0.9}, watch)
    told = json.loads((made.folder / "unlabelled.json").read_text(encoding="utf-8"))["unlabelled"]
    first = told["rounds"][0]
    labelled = [json.loads(line) for line in (made.folder / "rounds" / "0" / "labelled.jsonl").read_text().splitlines()]
    assert all(torch.equal(starts[0][name], value) for name, value in starts[1].items())
    assert given == [48, 48 + len(labelled)] and labelled
    (by_label,) = told["labels"]
    for label in ("good", "bad"):
        assert by_label[label]["accepted"] == sum(one["label"] == label for one in labelled)
    assert sum(sum(one.values()) for one in by_label.values()) == told["rows"] == 120
    assert first["precision"] >= 0.9 and all(one["score"] >= first["confidence_threshold"] - 1e-4 for one in labelled)
    texts = {json.loads(line)["text"] for line in many.read_text().splitlines()}
    assert {one["text"] for one in labelled} <= texts
    record = json.loads((made.bundle / "jishi.json").read_text(encoding="utf-8"))
    assert record["data"]["unlabelled"] == told and record["data"]["rows"]["train"] == 48
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "Rows without labels" in page and "无标签数据" in page
    assert jishi.load(made.bundle).replay().flips == 0


@pytest.mark.parametrize("stop_in", [0, 1])
def test_self_training_that_was_stopped_ends_bit_for_bit_where_an_undisturbed_one_does(
    tmp_path, data, many, stop_in: int
) -> None:
    method = {"name": "self-training", "precision": 0.8}

    def watch(loops: list[Loop], event: Any) -> None:
        if event.kind == "step" and event.step == 3 and len(loops) == stop_in + 1:
            loops[-1].stop = True

    whole = run(data, many, tmp_path / "whole", method)
    stopped = run(data, many, tmp_path / "stopped", method, watch)
    assert stopped.interrupted and stopped.bundle is None
    begun: list[int] = []
    again = run(
        data, many, tmp_path / "stopped", method,
        lambda _, event: begun.append(event.step) if event.kind == "start" else None,
    )  # fmt: skip
    assert begun == ([3, 0] if stop_in == 0 else [24, 3])  # what was done is not done again
    weights = [(one.bundle / "model.safetensors").read_bytes() for one in (whole, again)]
    assert weights[0] == weights[1]


def test_what_scores_best_on_the_validation_rows_is_kept(tmp_path, data, many, monkeypatch) -> None:
    """A teacher that scores higher than its student stays; of equals the student."""
    scores: list[float] = []
    judge = finetune.rounds.self_training.judge
    monkeypatch.setattr(
        finetune.rounds.self_training, "judge",
        lambda *given: replace(judge(*given), score=scores.pop(0)),
    )  # fmt: skip
    for number, (given, kept) in enumerate((([0.9, 0.8], 0), ([0.9, 0.9], 1), ([0.8, 0.9, 0.85], 1))):
        scores[:] = given
        method = {"name": "self-training", "precision": 0.8, "rounds": len(given) - 1}
        made = run(data, many, tmp_path / str(number), method)
        told = json.loads((made.folder / "unlabelled.json").read_text(encoding="utf-8"))["unlabelled"]
        assert told["kept"] == kept and [one["score"] for one in told["rounds"]] == given


def test_where_no_row_is_sure_enough_the_run_says_what_to_do(tmp_path, data, many) -> None:
    with pytest.raises(TrainingError, match="None of the 120 unlabelled rows was labelled: 0 reach the threshold"):
        run(data, many, tmp_path / "a", {"name": "self-training", "threshold": 1.5}, epochs=1)
    with pytest.raises(TrainingError, match="In no step did an unlabelled row reach the threshold of fixmatch"):
        run(data, many, tmp_path / "b", {"name": "fixmatch", "threshold": 1.0}, epochs=1)


def test_what_self_training_can_not_do_without_is_said_before_it_starts(tmp_path, data, many) -> None:
    with pytest.raises(DataError, match="fitted on validation rows, and there are none"):
        run({**data, "split": [0.5, 0, 0.5], "validation": None}, many, tmp_path / "a", "self-training")
    with pytest.raises(UsageError, match="a folder of this machine"):
        run(data, many, f"file://{tmp_path}/b", "self-training")


def test_consistency_learns_from_both_and_tells_how_many_rows_were_sure(tmp_path, data, many) -> None:
    jsonl(many, [{"text": f"{json.loads(line)['text']} 国"} for line in many.read_text().splitlines()])
    made = run(data, many, tmp_path / "run", {"name": "uda", "threshold": 0.55})
    assert "国" in jishi.load(made.bundle).processor.get_vocab()  # a design learns their words too
    events = [json.loads(line) for line in (made.folder / "metrics.jsonl").read_text().splitlines()]
    shares = [event["accepted_share"] for event in events if event["kind"] == "step"]
    assert events[0]["unlabelled_rows"] == 120 and len(shares) == 24 and 0 < max(shares) <= 1
    assert json.loads((made.folder / "unlabelled.json").read_text())["unlabelled"]["rows"] == 120
    assert jishi.load(made.bundle).replay().flips == 0
