import json
import shutil

import pytest

import jishi
from commands import jsonl
from jishi.core import manifest
from jishi.core.errors import BundleError, DataError

TEST = [
    {"text": f"{'很好用' if i % 3 else '质量很差'} {100 + i}", "label": "good" if i % 3 else "bad"} for i in range(12)
]


def test_all_rows_of_a_file_are_judged_and_the_score_is_the_share_right(small_run, tmp_path):
    file = jsonl(tmp_path / "rows.jsonl", TEST)
    found = jishi.evaluate(small_run / "bundle", data=file)
    answers = jishi.predict(small_run / "bundle", [row["text"] for row in TEST])
    right = sum(answer["label"] == row["label"] for answer, row in zip(answers, TEST, strict=True))
    assert found["rows"] == 12 and found["scores"]["accuracy"]["value"] == pytest.approx(right / 12)
    assert right >= 10  # it has learnt: a model that says one thing would have 8
    assert found["parity"]["flips"] == 0 and found["parity"]["rows"] > 0


def test_rows_of_one_class_can_be_judged(small_run, tmp_path):
    file = jsonl(tmp_path / "rows.jsonl", [row for row in TEST if row["label"] == "good"])
    assert jishi.evaluate(small_run / "bundle", data=file)["rows"] == 8


def test_of_a_folder_the_test_part_is_judged(small_run, tmp_path):
    jsonl(tmp_path / "data" / "train.jsonl", TEST[:8] * 2)
    jsonl(tmp_path / "data" / "test.jsonl", TEST[8:])
    assert jishi.evaluate(small_run / "bundle", data=tmp_path / "data")["rows"] == 4


def test_training_rows_never_judge_where_others_can(small_run, tmp_path):
    jsonl(tmp_path / "data" / "train.jsonl", TEST[:8])
    jsonl(tmp_path / "data" / "dev.jsonl", TEST[8:])
    found = jishi.evaluate(small_run / "bundle", data=tmp_path / "data")
    assert (found["rows"], found["part"]) == (4, "validation")


@pytest.mark.parametrize("names", [["test.jsonl"], ["test.jsonl", "dev.jsonl"], ["test-reviews.csv"]])
def test_a_folder_may_hold_the_test_file_alone(names, small_run, tmp_path):
    for name in names:
        if name.endswith(".csv"):
            (tmp_path / "data").mkdir()
            (tmp_path / "data" / name).write_text("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in TEST))
        else:
            jsonl(tmp_path / "data" / name, TEST if name.startswith("test") else TEST[:2])
    assert jishi.evaluate(small_run / "bundle", data=tmp_path / "data")["rows"] == 12


def test_a_folder_of_validation_rows_alone_is_refused(small_run, tmp_path):
    jsonl(tmp_path / "data" / "dev.jsonl", TEST)
    with pytest.raises(DataError) as caught:
        jishi.evaluate(small_run / "bundle", data=tmp_path / "data")
    assert caught.value.code == "data.no-train-part"


def test_it_writes_a_report_where_it_is_told_and_nothing_elsewhere(small_run, tmp_path):
    file = jsonl(tmp_path / "rows.jsonl", TEST)
    before = {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()}
    jishi.evaluate(small_run / "bundle", data=file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]
    jishi.evaluate(small_run / "bundle", data=file, out=tmp_path / "judged")
    assert {path.name for path in (tmp_path / "judged").iterdir()} == {"evaluation.json", "report.html"}
    assert {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()} == before


def test_a_bundle_that_answers_otherwise_is_not_judged(small_run, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(small_run / "bundle", copy)
    probes = [json.loads(line) for line in (copy / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    probes[0]["outputs"][0] += 0.1
    jsonl(copy / "probes.jsonl", probes)
    (copy / "MANIFEST.json").unlink()
    manifest.seal(copy)
    with pytest.raises(BundleError) as caught:
        jishi.evaluate(copy, data=jsonl(tmp_path / "rows.jsonl", TEST))
    assert caught.value.code == "core.probe-mismatch"
