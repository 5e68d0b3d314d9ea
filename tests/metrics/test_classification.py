import numpy
import pytest

from jishi.metrics.classification import confusion, multi_label, overlap, per_class, single_label

TRUTH = ["a", "a", "a", "b", "b", "c"]
GIVEN = ["a", "a", "b", "b", "c", "a"]


def test_per_class_by_hand():
    table = {row["label"]: row for row in per_class(TRUTH, GIVEN)}
    assert table["a"] == {"label": "a", "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    assert table["b"] == {"label": "b", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert table["c"] == {"label": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_scores_by_hand():
    scores = single_label(TRUTH, GIVEN)
    assert scores["accuracy"] == 0.5
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert scores["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 0.5) / 6)


def test_scores_agree_with_scikit_learn():
    from sklearn.metrics import f1_score, precision_recall_fscore_support

    rng = numpy.random.default_rng(0)
    truth = rng.choice(list("abcde"), 200).tolist()
    given = rng.choice(list("abcdf"), 200).tolist()
    scores = single_label(truth, given)
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, given, average="macro", zero_division=0))
    assert scores["weighted_f1"] == pytest.approx(f1_score(truth, given, average="weighted", zero_division=0))
    expected = precision_recall_fscore_support(truth, given, zero_division=0)
    table = per_class(truth, given)
    for column, key in enumerate(("precision", "recall", "f1", "support")):
        assert [row[key] for row in table] == pytest.approx(expected[column].tolist())


def test_multi_label_scores_by_hand():
    scores = multi_label([["a", "b"], ["c"], []], [["a"], ["c", "b"], []])
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert scores["macro_f1"] == pytest.approx((1 + 0 + 1) / 3)
    assert scores["subset_accuracy"] == pytest.approx(1 / 3)


def test_listed_classes_come_first_even_without_rows():
    assert [row["label"] for row in per_class(["b"], ["a"], ["z", "b"])] == ["z", "b", "a"]


def test_confusion_has_the_truth_in_rows():
    assert confusion(TRUTH, GIVEN, ["a", "b", "c"]).tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert confusion(["a"], ["unheard"], ["a"]).tolist() == [[0]]


def test_no_rows_score_nothing():
    assert single_label([], []) == {"accuracy": 0.0, "macro_f1": 0.0, "weighted_f1": 0.0}
    assert multi_label([], []) == {"micro_f1": 0.0, "macro_f1": 0.0, "subset_accuracy": 0.0}
    assert overlap([], []) == 1.0
    assert overlap(["a"], []) == 0.0
