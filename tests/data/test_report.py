"""The facts of prepared data, by hand, and what is said of them."""

import pytest

from jishi.core import i18n
from jishi.data.prepare import prepare
from jishi.data.report import lines
from jishi.data.spec import DataSpec

TRAIN = [
    {"text": "ab", "label": "x"},
    {"text": "abcd", "label": "x"},
    {"text": "abcd", "note": "efg", "label": "y"},
    {"text": "abcd", "label": "z"},
    {"text": " ", "label": "y"},
]
TEST = [{"text": "abcd", "label": "x"}, {"text": "这家酒店的房间很干净服务也好", "label": "y"}]


@pytest.fixture
def report(task, write, tmp_path):
    spec = DataSpec(write("a.jsonl", TRAIN), test=write("b.jsonl", TEST), split=(1.0, 0.0, 0.0))
    return prepare(spec, task, tmp_path / "out").report


def test_labels_are_counted_by_part_the_most_frequent_first(report):
    assert list(report["labels"]["train"].items()) == [("x", 2), ("y", 2), ("z", 1)]
    assert report["labels"]["test"] == {"x": 1, "y": 1}
    assert report["missing_in_train"] == []
    assert report["missing_in_part"] == {"test": ["z"]}
    assert report["optional"] == {"note": {"train": 1, "test": 0}}


def test_lengths_are_in_characters_with_both_texts_of_a_row(report):
    # 2, 4, 4 + a line end + 3, 4 and 1 characters
    assert report["characters"]["train"] == {"min": 1, "median": 4, "p95": pytest.approx(7.2), "max": 8, "mean": 3.8}


def test_repeats_conflicts_and_empty_rows_are_counted(report):
    assert report["duplicates"]["within"] == {"train": 1, "test": 0}  # a second text makes another input
    assert report["duplicates"]["across"] == {"train/test": 1}
    assert report["duplicates"]["samples"] == [{"rows": ["train[1]", "test[0]"], "texts": ["abcd", "abcd"]}]
    assert report["conflicts"]["rows"] == 3  # x, z and, in the test, x
    assert report["empty"] == {"train": 1, "test": 0}


def test_labels_that_a_small_sample_misses_are_named(task, write, tmp_path):
    rows = [{"text": f"{label} {n}", "label": label} for label in "abc" for n in range(20)]
    data = prepare(DataSpec(write("a.jsonl", rows), train_rows=2), task, tmp_path / "out")
    assert len(data.report["missing_in_train"]) == 1


def test_the_report_is_told_in_both_languages(report):
    english = dict(lines(report))
    assert english["rows"] == "train 5 · test 2"
    assert english["account"] == "7 read = 7 accepted + 0 refused + 0 left out"
    assert english["labels (train)"] == "x 2, y 2, z 1"
    i18n.set_language("zh")
    try:
        chinese = dict(lines(report))
    finally:
        i18n.set_language(None)
    assert chinese["行数"] == "训练 5 · 测试 2"
    assert len(chinese) == len(english)


def test_many_labels_are_told_by_the_most_and_the_least_frequent(task, write, tmp_path):
    rows = [{"text": f"{n} {m}", "label": f"label {n}"} for n in range(12) for m in range(n + 1)]
    data = prepare(DataSpec(write("a.jsonl", rows), split=(1.0, 0.0, 0.0)), task, tmp_path / "out")
    assert dict(lines(data.report))["labels (train)"] == "12; most rows: label 11 12; fewest: label 0 1"


def test_refused_rows_are_shown_with_their_place(task, write, reviews, tmp_path):
    source = write("a.jsonl", [{"text": "x"}, {"text": "y"}, *reviews(20)])
    data = prepare(DataSpec(source, on_bad_row="skip"), task, tmp_path / "out")
    told = dict(lines(data.report))
    assert "no label" in told[f"{source}:1"]
    assert f"{source}:2" in told
    assert told["account"] == "22 read = 20 accepted + 2 refused + 0 left out"
