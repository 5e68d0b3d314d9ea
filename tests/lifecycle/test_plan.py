import json
import tempfile

import pytest

import jishi
from jishi.core.errors import DataError
from jishi.training import trial

SMALL = {"model": {"name": "text-cnn", "size": "nano"}, "task": "text-classification"}
TRAIN = {"epochs": 2, "batch_size": 8, "accumulation": 2, "threads": 1, "precision": "fp32"}


@pytest.fixture
def reviews(tmp_path):
    """Forty rows for training, eight for validation: nothing is left to a split."""
    rows = [
        {"text": f"{'很好用' if i % 2 else '质量很差'} {i}", "label": "good" if i % 2 else "bad"} for i in range(48)
    ]
    (tmp_path / "data").mkdir()
    for name, part in (("train", rows[:40]), ("dev", rows[40:])):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (tmp_path / "data" / f"{name}.jsonl").write_text(content, encoding="utf-8")
    return {"train": str(tmp_path / "data"), "split": [1.0, 0.0, 0.0]}


def test_the_figures_are_those_of_the_run(reviews, tmp_path):
    found = jishi.plan(data=reviews, out=tmp_path / "run", train=TRAIN, **SMALL)
    assert (found["rows"], found["steps"]) == (40, 6)  # 5 batches of 8 in windows of 2: 3 steps, twice
    run = jishi.finetune(data=reviews, out=tmp_path / "run", train=TRAIN, **SMALL)
    for name in ("parameters", "trainable_parameters", "steps"):
        assert found[name] == run.resources[name]
    start, *events = (json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines())
    assert found["tokens"] == sum(event["tokens"] for event in events if event["kind"] == "step") / 2
    assert (found["unknown"], found["truncated"]) == (start["unknown"], start["truncated"])


def test_fewer_weights_learn_where_the_base_is_frozen(reviews, tmp_path):
    whole = jishi.plan(data=reviews, out=tmp_path / "run", train=TRAIN, **SMALL)
    frozen = jishi.plan(data=reviews, out=tmp_path / "run", train=TRAIN, adapt="frozen", **SMALL)
    assert frozen["trainable_parameters"] < whole["trainable_parameters"] == whole["parameters"]


def test_twice_the_epochs_take_about_twice_the_time(reviews, tmp_path):
    short, long = (
        jishi.plan(data=reviews, out=tmp_path / "run", train={**TRAIN, "epochs": epochs}, **SMALL)["seconds"]
        for epochs in (2, 200)
    )
    assert 10 < long / short < 1000  # timed on a busy machine


def test_a_plan_leaves_nothing_behind(reviews, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    jishi.plan(data=reviews, out=tmp_path / "run", train=TRAIN, **SMALL)
    assert not (tmp_path / "run").exists() and list((tmp_path / "tmp").iterdir()) == []


def test_a_plan_of_data_that_are_not_fit_is_refused_as_the_run_would_be(tmp_path):
    (tmp_path / "one.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "x"}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        jishi.plan(data=tmp_path / "one.jsonl", out=tmp_path / "run", **SMALL)
    assert caught.value.code == "data.one-class"


def test_the_time_counts_the_steps_that_will_be_taken(reviews, tmp_path):
    """`max_steps` cuts a run short, and the plan with it."""
    whole = jishi.plan(data=reviews, out=tmp_path / "run", train={**TRAIN, "epochs": 1000}, **SMALL)
    cut = jishi.plan(data=reviews, out=tmp_path / "run", train={**TRAIN, "epochs": 1000, "max_steps": 3}, **SMALL)
    assert (whole["steps"], cut["steps"]) == (3000, 3)
    assert cut["seconds"] < whole["seconds"] / 20


@pytest.mark.parametrize(("epochs", "most"), [(0, 2.0), (2, None)])
def test_a_fitted_head_costs_one_pass(epochs, most, reviews, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_pass", lambda loop: 2.0 / sum(loop.features.lengths))
    settings = {**TRAIN, "epochs": epochs, "fit_head": "before"}
    found = jishi.plan(data=reviews, out=tmp_path / "run", train=settings, **SMALL)
    assert found["steps"] == (6 if epochs else 0)
    assert found["seconds"] == pytest.approx(most) if most else found["seconds"] > 2.0
