"""The report of a predictor, on tables whose every number is known."""

import base64
import io
import json
import time

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from jishi.core import registry
from jishi.core.contracts import Task
from jishi.core.errors import DataError, UsageError
from jishi.evaluation import _slices, _uncertainty
from jishi.evaluation._cases import shorten
from jishi.evaluation._slices import _split
from jishi.evaluation.task_score import TaskScore
from jishi.lifecycle import report


class Table:
    """A predictor that answers from a table."""

    def __init__(self, task, answers):
        self.task, self.answers = task, answers

    def examine(self, rows):
        return iter(self.answers[: len(rows)])


def answer(label, score=0.9):
    return {"label": label, "score": score, "scores": {label: score, "other": 1 - score}}


def rows_of(labels, text="good stuff"):
    return [{"text": text, "label": label} for label in labels]


TRUE = ["a"] * 60 + ["b"] * 40
MODEL = ["a"] * 60 + ["b"] * 30 + ["a"] * 10
RIVAL = ["a"] * 100


def evaluate(task, true=TRUE, model=MODEL, **context):
    rows = rows_of(true)
    return TaskScore().evaluate(Table(task(), [answer(label) for label in model]), rows, **context)


def test_every_metric_has_an_interval_around_its_value(naming):
    report = evaluate(naming)
    accuracy = report["scores"]["accuracy"]
    assert accuracy["value"] == 0.9
    assert accuracy["low"] == pytest.approx(0.9 - 1.96 * 0.03, abs=0.02)
    assert accuracy["high"] == pytest.approx(0.9 + 1.96 * 0.03, abs=0.02)
    f1 = report["scores"]["macro_f1"]
    assert f1["value"] == pytest.approx((2 * 60 / 130 + 2 * 30 / 70) / 2)
    assert f1["low"] < f1["value"] < f1["high"]
    assert (report["rows"], report["metric"], report["task"], report["resamples"]) == (100, "accuracy", "Naming", 1000)


def test_a_rival_is_held_against_the_model_by_mcnemar_where_the_metric_counts_rows(naming):
    report = evaluate(naming, rivals={"baseline": [answer(label) for label in RIVAL]})
    rival = report["rivals"]["baseline"]
    assert rival["scores"]["accuracy"]["value"] == 0.6
    assert rival["difference"] == pytest.approx(0.3)
    assert rival["low"] < 0.3 < rival["high"]
    assert rival["test"] == "mcnemar"
    assert rival["p_value"] == pytest.approx(binomtest(30, 30, 0.5).pvalue)


def test_a_rival_is_held_against_the_model_by_paired_resamples_elsewhere(averaging):
    report = evaluate(averaging, rivals={"baseline": [answer(label) for label in RIVAL]})
    rival = report["rivals"]["baseline"]
    assert rival["test"] == "paired-bootstrap"
    assert rival["p_value"] == pytest.approx(2 / 1001)
    assert rival["difference"] == pytest.approx((2 * 60 / 130 + 2 * 30 / 70) / 2 - 2 * 60 / 160 / 2)


def test_a_rival_with_the_same_answers_is_no_different(averaging):
    rival = evaluate(averaging, rivals={"twin": [answer(label) for label in MODEL]})["rivals"]["twin"]
    assert (rival["difference"], rival["low"], rival["high"], rival["p_value"]) == (0, 0, 0, 1)


def test_a_perfect_score_on_few_rows_is_not_certain(naming):
    accuracy = evaluate(naming, ["a"] * 5 + ["b"] * 5, ["a"] * 5 + ["b"] * 5)["scores"]["accuracy"]
    assert accuracy["value"] == accuracy["high"] == 1
    assert accuracy["low"] == pytest.approx(10 / (10 + 1.959964**2))


def test_calibration_is_measured_where_answers_carry_a_score(naming):
    calibration = evaluate(naming)["calibration"]
    assert calibration["ece"] == pytest.approx(0)
    assert calibration["brier"] == pytest.approx(0.9 * 0.01 + 0.1 * 0.81)
    silent = TaskScore().evaluate(Table(naming(), [{"label": label} for label in MODEL]), rows_of(TRUE))
    assert silent["calibration"] == {}
    assert silent["bad_cases"][0]["confidence"] is None


def test_the_surest_mistakes_come_first(naming):
    rows = rows_of(["a"] * 30)
    answers = [answer("a")] * 27 + [answer("b", 0.6), answer("b", 0.99), answer("b", 0.7)]
    cases = TaskScore(bad_cases=2).evaluate(Table(naming(), answers), rows)["bad_cases"]
    assert [(case["row"], case["confidence"]) for case in cases] == [(28, 0.99), (29, 0.7)]
    assert cases[0]["input"] == {"text": "good stuff"}
    assert cases[0]["reference"] == {"label": "a"}
    assert cases[0]["prediction"]["label"] == "b"


def test_long_inputs_are_cut_and_bytes_are_counted(naming):
    rows = [{"text": "x" * 5000, "label": "a"}]
    case = TaskScore().evaluate(Table(naming(), [answer("b")]), rows)["bad_cases"][0]
    assert len(case["input"]["text"]) == 300
    assert shorten({"image": b"12345"}) == {"image": "<5 bytes>"}


def test_a_picture_among_the_mistakes_is_shown_small(tmp_path):
    Image.new("RGB", (640, 320), "red").save(tmp_path / "red.png")
    task = registry.get(Task, "image-classification")(labels=("a", "b"))
    rows = [{"image": str(tmp_path / "red.png"), "label": "a"}]
    found = TaskScore().evaluate(Table(task, [answer("b")]), rows)
    case = found["bad_cases"][0]
    head, _, data = case["previews"]["image"].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (160, 80) and small.getpixel((80, 40))[0] > 240
    assert f'src="{case["previews"]["image"]}"' in report.html({"evaluation": found})


def test_the_worst_slice_is_named(naming):
    rows = rows_of(["a"] * 100) + rows_of(["a"] * 100, "不好用")
    answers = [answer("a")] * 95 + [answer("b")] * 5 + [answer("a")] * 40 + [answer("b")] * 60
    slices = TaskScore().evaluate(Table(naming(), answers), rows)["slices"]
    worst = {entry["by"]: entry for entry in slices if entry["worse"]}
    assert set(worst) == {"text script", "text length"}
    assert (worst["text script"]["value"], worst["text script"]["credit"], worst["text script"]["rows"]) == (
        "han",
        0.4,
        100,
    )
    assert worst["text length"]["value"] == "3"
    assert len(slices) == 2, "slices above the whole are no weak ones"


def test_small_slices_are_not_cried_wolf(naming):
    """Of 1,000 rows at 90 %, nineteen all wrong are too few to be a slice; twenty at 80 % are no evidence."""
    rows = rows_of(["a"] * 961 + ["rare"] * 19 + ["few"] * 20)
    answers = [answer("a")] * 874 + [answer("few")] * 87 + [answer("a")] * 19 + [answer("few")] * 16 + [answer("a")] * 4
    slices = TaskScore().evaluate(Table(naming(), answers), rows)["slices"]
    assert {entry["value"]: entry["worse"] for entry in slices if entry["by"] == "label"} == {"few": False}


def test_among_many_slices_bad_luck_is_no_finding(naming):
    """Forty labels that are all right nine times in ten: one in forty falls below its 95 % interval by luck."""
    rows = rows_of([f"label {number}" for number in range(40) for _ in range(40)])
    found = [
        entry["worse"]
        for seed in range(10)
        for entry in _slices.worst(
            naming(), rows, np.random.default_rng(seed).binomial(1, 0.9, 1600), count=99, level=0.95
        )
    ]
    assert len(found) > 100
    assert sum(found) <= 1


def test_lists_of_labels_are_sliced_by_each_label_and_numbers_by_quartile():
    spans = {0: [{"start": 0, "end": 1, "label": "PER"}, {"start": 2, "end": 3, "label": "PER"}], 1: []}
    assert _split(spans) == {"PER": [0], "∅": [1]}
    assert _split({3: ["x", "y"], 4: ["y"]}) == {"x": [3], "y": [3, 4]}
    assert _split({index: index for index in range(8)}) == {
        "0 – 1": [0, 1],
        "2 – 3": [2, 3],
        "4 – 5": [4, 5],
        "6 – 7": [6, 7],
    }
    assert _split({0: 1.5, 1: 1.5, 2: 1.5, 3: 9.0}) == {"1.5": [0, 1, 2], "9": [3]}


def test_the_report_is_strict_json_and_the_same_again(naming):
    first, second = evaluate(naming), evaluate(naming)
    assert json.loads(json.dumps(first, allow_nan=False)) == first == second


def test_predictions_already_made_are_used(naming):
    report = TaskScore().evaluate(None, rows_of(TRUE), predictions=[answer(label) for label in TRUE], task=naming())
    assert report["scores"]["accuracy"]["value"] == 1


def test_nothing_to_score_is_an_error(naming):
    with pytest.raises(DataError, match="no rows"):
        evaluate(naming, [], [])
    with pytest.raises(DataError, match="Row 2 has no reference.*label"):
        TaskScore().evaluate(Table(naming(), [answer("a")] * 2), [{"text": "x", "label": "a"}, {"text": "y"}])
    with pytest.raises(UsageError, match="baseline gave 3 predictions for 100 rows"):
        evaluate(naming, rivals={"baseline": [answer("a")] * 3})


def test_three_thousand_rows_of_many_classes_take_seconds(averaging):
    rng = np.random.default_rng(0)
    labels = [f"class {number:02}" for number in rng.integers(0, 77, 3000)]
    guesses = [label if sure else "class 00" for label, sure in zip(labels, rng.random(3000) < 0.9, strict=True)]
    begin = time.perf_counter()
    report = evaluate(averaging, labels, guesses, rivals={"baseline": [answer("class 00")] * 3000})
    assert time.perf_counter() - begin < 15
    assert report["resamples"] >= 100


def test_of_a_long_set_every_row_is_scored_and_a_sample_says_how_sure_that_is(averaging, monkeypatch):
    monkeypatch.setattr(_uncertainty, "SAMPLE", 400)
    rng = np.random.default_rng(3)
    true = rng.choice(["a", "b"], 10_000).tolist()
    model = [
        label if chance < 0.8 else "ab"[label == "a"] for label, chance in zip(true, rng.random(10_000), strict=True)
    ]
    right = np.mean([one == other for one, other in zip(true, model, strict=True)])
    rivals = {"constant": [answer("a")] * 10_000}
    found = evaluate(averaging, true, model, rivals=rivals)
    assert (found["rows"], found["sample"]) == (10_000, 400)
    accuracy = found["scores"]["accuracy"]
    assert accuracy["value"] == pytest.approx(right)
    half = 1.96 * (right * (1 - right) / 10_000) ** 0.5  # of all rows, not of the 400
    assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * half, rel=0.25)
    assert found["rivals"]["constant"]["p_value"] < 0.01
    assert all(entry["rows"] <= 400 for entry in found["slices"])
