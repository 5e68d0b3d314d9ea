import pytest

from jishi.core.contracts import Base
from jishi.data.prepare import prepare
from jishi.data.report import lines
from jishi.data.spec import DataSpec
from jishi.tasks.token_classification import TokenClassification
from tiny import tokenizer

BASE = Base("tiny", "text", prefix="q ", max_length=6)
ROWS = [
    {"text": "a b", "label": "x"},  # [CLS] q a b [SEP]: 5
    {"text": "a b c d", "label": "y"},  # 7: cut off
    {"text": "a ? ?", "label": "x"},  # 6, two of four words unknown
    {"text": "a", "note": "b", "label": "y"},  # [CLS] q a [SEP] q b [SEP]: 7
]


@pytest.fixture
def processor():
    return tokenizer("q a b c d")


@pytest.fixture
def spec(write):
    return DataSpec(write("a.jsonl", ROWS), split=(1.0, 0.0, 0.0))


def test_lengths_truncation_and_unknown_tokens_are_those_counted_by_hand(task, spec, processor, tmp_path):
    found = prepare(spec, task, tmp_path / "out", processor=processor, base=BASE).report["tokens"]
    assert (found["model"], found["max_length"]) == ("tiny", 6)
    train = found["parts"]["train"]
    assert (train["min"], train["median"], train["max"], train["mean"]) == (5, 6.5, 7, 6.2)  # 6.25, rounded
    assert train["truncated"] == 0.5
    assert train["unknown"] == 2 / 16  # q a b + q a b c d + q a ? ? + q a + q b


def test_the_objective_may_ask_for_less_than_the_model_can_read(task, spec, processor, tmp_path):
    shorter = type(task)(max_length=5)
    found = prepare(spec, shorter, tmp_path / "out", processor=processor, base=BASE).report["tokens"]
    assert (found["max_length"], found["parts"]["train"]["truncated"]) == (5, 0.75)


def test_what_is_read_in_windows_is_not_said_to_be_cut_off(write, processor, tmp_path):
    rows = [{"text": text, "spans": [[0, 1, "X"]]} for text in ("a b", "a b c d e f")]
    spec = DataSpec(write("a.jsonl", rows), split=(1.0, 0.0, 0.0))
    found = prepare(spec, TokenClassification(), tmp_path / "out", processor=processor, base=BASE).report
    train = found["tokens"]["parts"]["train"]
    assert (train["windows"], "truncated" in train) == (0.5, False)
    assert dict(lines(found))["rows read in windows of 6 tokens"] == "train 50.0%"


def test_data_prepared_without_a_model_are_measured_when_there_is_one(task, spec, processor, tmp_path):
    assert prepare(spec, task, tmp_path / "out").report["tokens"] is None
    found = prepare(spec, task, tmp_path / "out", processor=processor, base=BASE).report
    assert found["tokens"]["parts"]["train"]["rows"] == 4
    assert dict(lines(found))["rows cut off at 6 tokens"] == "train 50.0%"


def test_a_large_part_is_measured_by_a_spread_of_its_rows(task, spec, processor, tmp_path, monkeypatch):
    from jishi.data import token_report

    monkeypatch.setattr(token_report, "MAX_ROWS", 2)
    found = prepare(spec, task, tmp_path / "out", processor=processor, base=BASE).report["tokens"]["parts"]["train"]
    assert (found["rows"], found["min"], found["max"]) == (2, 5, 7)


def test_a_processor_of_pictures_counts_no_tokens(task, spec, tmp_path):
    assert prepare(spec, task, tmp_path / "out", processor=object(), base=BASE).report["tokens"] is None
