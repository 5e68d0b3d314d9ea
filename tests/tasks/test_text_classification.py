import math

import numpy
import pytest
import torch

from jishi.core import registry, spec
from jishi.core.contracts import Base, Task
from jishi.core.document import Document
from jishi.core.errors import DataError, RowError
from jishi.tasks.text_classification import TextClassification
from tiny import sequence_classifier, tokenizer

BASE = Base("tiny", "text", prefix="query: ", max_length=32)
ROWS = [{"text": "good food", "label": "yes"}, {"text": "bad food", "label": "no"}, {"text": "good", "label": "yes"}]


def parsed(rows, task=None):
    return [(task or TextClassification()).parse(row) for row in rows]


def test_whole_numbers_are_classes_and_floats_are_quantities():
    task = TextClassification()
    whole = task.initialize(parsed([{"text": "a", "label": 1}, {"text": "b", "label": 5}]), BASE)
    assert (whole.problem, whole.labels, whole.metric) == ("single", ("1", "5"), "accuracy")
    real = task.initialize(parsed([{"text": "a", "label": 1.0}, {"text": "b", "label": 5.0}]), BASE)
    assert (real.problem, real.labels, real.mean, real.deviation) == ("regression", (), 3.0, 2.0)
    many = task.initialize(parsed([{"text": "a", "label": ["y", "x"]}, {"text": "b", "label": []}]), BASE)
    assert (many.problem, many.labels, many.metric) == ("multi", ("x", "y"), "micro_f1")


def test_initialize_takes_prefix_and_length_from_the_base_unless_told():
    task = TextClassification().initialize(parsed(ROWS), BASE)
    assert (task.prefix, task.max_length, task.labels) == ("query: ", 32, ("no", "yes"))
    told = TextClassification(prefix="", max_length=8).initialize(parsed(ROWS), BASE)
    assert (told.prefix, told.max_length) == ("", 8)
    assert TextClassification(max_length=4096).initialize(parsed(ROWS), BASE).max_length == 32


def test_a_settled_task_survives_its_record():
    task = TextClassification(label_smoothing=0.1).initialize(parsed(ROWS), BASE)
    assert spec.plugin(Task, Document(spec.dump(task), "record")) == task
    assert registry.name_of(task) == "text-classification"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"text": "", "label": "a"}, "modalities.no-text"),
        ({"text": None, "label": "a"}, "modalities.no-text"),
        ({"text": "a\x00", "label": "a"}, "modalities.text-control"),
        ({"text": "a"}, "tasks.label-missing"),
        ({"text": "a", "label": " "}, "tasks.label-missing"),
        ({"text": "a", "label": float("nan")}, "tasks.label-no-number"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(row, code):
    with pytest.raises(RowError) as caught:
        TextClassification().parse(row)
    assert caught.value.code == code
    assert str(caught.value)


def test_without_training_a_row_needs_no_label():
    assert TextClassification().parse({"text": "a"}, training=False) == {"text": "a"}


def test_a_pair_that_lacks_a_side_is_refused():
    task = TextClassification()
    for row in ({"text": "a", "text_pair": "", "label": "x"}, {"text": "a", "text_pair": None, "label": "x"}):
        with pytest.raises(RowError) as caught:
            task.parse(row)
        assert caught.value.code == "tasks.pair-missing"
        assert TextClassification(pairs="optional").parse(row) == {"text": "a", "label": "x"}
    with pytest.raises(RowError) as caught:
        task.parse({"text": "", "text_pair": "b", "label": "x"})
    assert caught.value.code == "modalities.no-text"


def test_whether_rows_are_pairs_is_learnt_and_held_to():
    pairs = [{"text": "a", "text_pair": "b", "label": "x"}, {"text": "c", "text_pair": "d", "label": "y"}]
    single = [{"text": "a", "label": "x"}, {"text": "c", "label": "y"}]
    always = TextClassification().initialize(parsed(pairs), BASE)
    assert always.parse(pairs[0], training=False) == pairs[0]
    never = TextClassification().initialize(parsed(single), BASE)
    assert (always.required(), never.required()) == (("text", "text_pair"), ("text",))
    for task, row, code in [(always, single[0], "pair-missing"), (never, pairs[0], "pair-unwanted")]:
        with pytest.raises(RowError) as caught:
            task.parse(row, training=False)
        assert caught.value.code == f"tasks.{code}"
    with pytest.raises(DataError, match="1 of the 2"):
        TextClassification().initialize(parsed([pairs[0], single[1]]), BASE)
    assert TextClassification(pairs="optional").initialize(parsed([pairs[0], single[1]]), BASE).pairs == "optional"


def test_the_baseline_of_pairs_sees_how_far_they_overlap():
    rng = numpy.random.default_rng(0)
    texts = [" ".join(rng.choice(list("pqrstuvwxyz"), 4, replace=False)) for _ in range(120)]
    rows = [
        {
            "text": text,
            "text_pair": " ".join(reversed(text.split())) if index % 2 else texts[index - 1],
            "label": "ab"[index % 2],
        }
        for index, text in enumerate(texts)
    ]
    rival = TextClassification(problem="single").baseline(rows[:80])
    assert rival.name == "tf-idf, overlap + logistic regression"
    right = [answer["label"] == row["label"] for answer, row in zip(rival.predict(rows[80:]), rows[80:], strict=True)]
    assert sum(right) >= 36  # of 40; no word alone tells anything
    marks = [{"text": "!", "text_pair": "?", "label": label} for label in "aab"]
    assert TextClassification(problem="single").baseline(marks).name == "majority"


def test_one_class_mixed_kinds_and_unlisted_labels_are_refused():
    for task, rows, code in [
        (TextClassification(), [{"text": "a", "label": "x"}] * 3, "tasks.one-class"),
        (TextClassification(), [{"text": "a", "label": "x"}, {"text": "b", "label": ["y"]}], "tasks.mixed-labels"),
        (TextClassification(labels=("yes",)), ROWS, "tasks.label-not-listed"),
        (TextClassification(), [{"text": "a", "label": 2.5}] * 2, "tasks.one-value"),
        (TextClassification(), [{"text": "a", "label": []}], "tasks.no-label"),
    ]:
        with pytest.raises(DataError) as caught:
            task.initialize(parsed(rows), BASE)
        assert caught.value.code == code


def test_encoding_counts_truncation_and_unknown_tokens():
    processor = tokenizer("good food")
    task = TextClassification(labels=("no", "yes"), problem="single", max_length=4)
    cut = task.encode({"text": "good food good", "label": "yes"}, processor)
    assert cut["input_ids"].tolist() == [2, 5, 6, 3]
    assert (cut["length"], cut["truncated"], cut["unknown"], cut["labels"]) == (4, True, 0.0, 1)
    whole = task.encode({"text": "good wine", "label": "no"}, processor)
    assert (whole["truncated"], whole["unknown"], whole["labels"]) == (False, 0.25, 0)


def test_the_prefix_and_the_second_text_are_read():
    processor = tokenizer("query good food")
    task = TextClassification(prefix="query ", problem="single")
    assert task.encode({"text": "good", "text_pair": "food"}, processor)["input_ids"].tolist() == [2, 5, 6, 3, 7, 3]
    segments = task.encode({"text": "good", "text_pair": "food"}, processor).get("token_type_ids")
    assert segments is None or segments.tolist() == [0, 0, 0, 0, 1, 1]


def test_padding_does_not_change_answers():
    processor = tokenizer("a b c d e f")
    task = TextClassification(problem="single", labels=("x", "y", "z"))
    model = sequence_classifier(len(processor), num_labels=3).eval()
    features = [task.encode({"text": text}, processor) for text in ("a", "b c d e f a b c", "d e")]
    together = task.forward(model, task.collate(features, processor))
    for row, alone in zip(together, features, strict=True):
        assert torch.allclose(row, task.forward(model, task.collate([alone], processor))[0], atol=1e-6)


def test_loss_is_cross_entropy_and_skips_rows_of_unknown_labels():
    task = TextClassification(problem="single", labels=("x", "y"))
    processor = tokenizer("a b")

    def constant(**_):
        return type("Output", (), {"logits": torch.tensor([[2.0, 0.0], [0.0, 1.0]])})

    def value(*labels):
        rows = [task.encode({"text": "a", "label": label}, processor) for label in labels]
        return task.loss(constant, task.collate(rows, processor)).value.item()

    first, second = math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))
    assert value("x", "y") == pytest.approx((first + second) / 2, abs=1e-6)
    assert value("x", "never seen") == pytest.approx(first, abs=1e-6)
    assert value("new", "newer") == 0


def test_decode_gives_the_calibrated_probability_of_every_label():
    task = TextClassification(problem="single", labels=("x", "y"), temperature=2.0)
    (answer,) = task.decode(torch.tensor([[2.0, 0.0]]), [{}], None)
    assert answer["label"] == "x"
    assert answer["score"] == pytest.approx(1 / (1 + math.exp(-1)))
    assert sum(answer["scores"].values()) == pytest.approx(1)


def test_multi_label_gives_every_label_above_the_threshold():
    task = TextClassification(problem="multi", labels=("x", "y", "z"), threshold=0.6)
    (answer,) = task.decode([torch.tensor([3.0, 0.1, -1.0])], [{}], None)
    assert answer["labels"] == ["x"]
    rows = [{"label": ["x", "y"]}, {"label": []}]
    predictions = [answer, {"labels": [], "scores": {}}]
    assert task.score(predictions, rows)["subset_accuracy"] == 0.5
    assert [task.credit(p, r) for p, r in zip(predictions, rows, strict=True)] == [pytest.approx(2 / 3), 1.0]


def test_regression_answers_in_the_unit_of_the_data():
    rows = parsed([{"text": "a", "label": 10.0}, {"text": "b", "label": 30.0}])
    task = TextClassification().initialize(rows, BASE)
    assert task.encode(rows[1], tokenizer("a b"))["labels"] == 1.0
    predictions = task.decode(torch.tensor([[-1.0], [1.0]]), [{}, {}], None)
    assert [answer["value"] for answer in predictions] == [10.0, 30.0]
    assert task.score(predictions, rows)["pearson"] == pytest.approx(1)
    assert task.credit({"value": 20.0}, rows[1]) == pytest.approx(math.exp(-1))


def test_calibration_changes_confidence_and_no_answer():
    task = TextClassification(problem="single", labels=("x", "y"))
    outputs = [torch.tensor([4.0, 0.0])] * 4
    rows = [{"label": "x"}] * 3 + [{"label": "y"}]
    fitted = task.calibrate(outputs * 5000, rows * 5000)  # so many that the prior weighs nothing
    before, after = task.decode(outputs, [{}] * 4, None), fitted.decode(outputs, [{}] * 4, None)
    assert [p["label"] for p in before] == [p["label"] for p in after]
    assert after[0]["score"] == pytest.approx(0.75, abs=1e-3)  # right three times in four


@pytest.mark.parametrize(
    ("labels", "problem"),
    [(["x", "y"] * 4, "single"), ([["x"], ["y", "x"]] * 4, "multi"), ([1.5, -0.5] * 4, "regression")],
)
def test_eight_rows_can_be_learnt_by_heart(labels, problem):
    texts = ["a b", "c d", "a c e", "d f", "e a", "f c b", "b", "d d d"]
    rows = parsed([{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)])
    task = TextClassification().initialize(rows, BASE)
    assert task.problem == problem
    processor = tokenizer("a b c d e f query :")
    config = {key: value for key, value in task.head().config.items() if key != "label2id"}
    model = sequence_classifier(len(processor), **config).eval()
    batch = task.collate([task.encode(row, processor) for row in rows], processor)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        loss = task.loss(model, batch).value
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 10
    predictions = task.decode(task.forward(model, batch), [{}] * 8, None)
    assert task.score(predictions, rows)[task.metric] > 0.99


def test_the_baseline_learns_words_and_falls_back_to_the_majority():
    task = TextClassification(problem="single")
    rival = task.baseline(parsed(ROWS * 3))
    assert rival.name == "tf-idf + logistic regression"
    answers = rival.predict(parsed([{"text": "bad bad", "label": "no"}, {"text": "good", "label": "yes"}]))
    assert [answer["label"] for answer in answers] == ["no", "yes"]
    assert sum(answers[0]["scores"].values()) == pytest.approx(1)
    plain = task.baseline(parsed([{"text": "！", "label": "a"}, {"text": "！", "label": "a"}]))
    assert (plain.name, plain.predict([{"text": "x"}])[0]["label"]) == ("majority", "a")


def test_every_problem_has_a_baseline_and_a_report():
    multi = parsed([{"text": "good food", "label": ["f", "g"]}, {"text": "bad food", "label": ["f"]}] * 4)
    task = TextClassification(problem="multi", labels=("f", "g"))
    assert task.score(task.baseline(multi).predict(multi), multi)["subset_accuracy"] == 1
    numbers = parsed([{"text": "good food", "label": 1.0}, {"text": "bad food", "label": -1.0}] * 4)
    ridge = TextClassification(problem="regression").baseline(numbers)
    assert numpy.sign([answer["value"] for answer in ridge.predict(numbers[:2])]).tolist() == [1, -1]
    rows = parsed(ROWS)
    single = TextClassification(problem="single", labels=("no", "yes"))
    details = single.details([{"label": "yes"}, {"label": "yes"}, {"label": "yes"}], rows)
    assert details["confusion"] == {"labels": ["no", "yes"], "matrix": [[0, 1], [0, 2]]}
    assert details["per_class"][1] == {"label": "yes", "precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2}
