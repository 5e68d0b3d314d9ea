"""Bundles side by side: what is counted is counted by hand, what is timed only has to be told."""

import json
import shutil

import pytest

import jishi
from jishi.core import manifest
from jishi.core.errors import UsageError
from jishi.lifecycle import alone, benchmark

ROWS = [
    {"text": f"{'很好用' if i % 3 else '质量很差'} {100 + i}", "label": "good" if i % 3 else "bad"} for i in range(12)
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return file


def test_two_bundles_are_measured_on_the_same_rows(small_run, rows, tmp_path):
    shutil.copytree(small_run / "bundle", tmp_path / "copy")
    found = jishi.benchmark([small_run / "bundle", tmp_path / "copy"], data=rows, rounds=1, out=tmp_path / "out")
    first, second = found["bundles"]
    assert (found["rows"], found["metric"], found["rounds"]) == (12, "accuracy", 1)
    assert (
        first["score"]
        == second["score"]
        == jishi.evaluate(small_run / "bundle", data=rows)["scores"]["accuracy"]["value"]
    )
    assert first["bytes"] == sum(file.stat().st_size for file in (small_run / "bundle").iterdir())
    assert second["flips"] == 0 and first["runtime"] == "torch" and 0 < first["p50"] <= first["p99"]
    assert first["start"] > 0.5 and first["memory"] > 50 * 2**20 and first["rows_a_second"] > 0
    assert json.loads((tmp_path / "out" / benchmark.RESULT).read_text(encoding="utf-8")) == found
    picture = (tmp_path / "out" / benchmark.PICTURE).read_text(encoding="utf-8")
    assert picture.count("<rect") == 1 + 5 * 2 and picture.startswith("<svg")


def test_answers_that_differ_from_the_first_are_counted(monkeypatch):
    told = [
        [{"decisions": list(said), "runtime": "torch", "start": 1, "p50": 1, "p99": 2, "rows_a_second": 3, "memory": 4}]
        for said in ("abcd", "abdc")
    ]
    assert benchmark._result("nowhere", told[1], told[0][0]["decisions"])["flips"] == 2


def test_the_median_round_counts():
    one = {"decisions": [], "runtime": "torch", "p50": 1, "p99": 2, "rows_a_second": 3, "memory": 4}
    told = [{**one, "start": start} for start in (9.0, 1.0, 2.0)]
    assert benchmark._result("nowhere", told, [])["start"] == 2.0


def test_a_bundle_that_can_not_be_measured_is_named_with_the_reason(small_run, monkeypatch):
    monkeypatch.setattr(alone, "ask", lambda *_: {"failed": "SIGKILL"})
    with pytest.raises(UsageError) as caught:
        jishi.benchmark([small_run / "bundle"], rounds=1)
    assert caught.value.code == "compress.not-measured" and "SIGKILL" in str(caught.value)


def test_bundles_of_other_tasks_are_not_compared(small_run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(small_run / "bundle", other)
    record = json.loads((other / "jishi.json").read_text(encoding="utf-8"))
    record["task"] = {"name": "image-classification", "labels": ["a", "b"]}
    (other / "jishi.json").write_text(json.dumps(record), encoding="utf-8")
    manifest.seal(other)
    with pytest.raises(UsageError) as caught:
        jishi.benchmark([small_run / "bundle", other])
    assert caught.value.code == "compress.other-task"
