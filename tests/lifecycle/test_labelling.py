"""Labels are on the disk before they are acknowledged; a kill at any byte loses none, and what it half wrote is cut off."""

import json
import os
import signal
import subprocess
import sys

import pytest

from commands import environment, jsonl
from eight import picture
from jishi.core.errors import DataError, RowError, UsageError
from jishi.lifecycle import labelling
from jishi.lifecycle.labelling import Labelling, Log

LABELS = {"a": 0.6, "b": 0.4}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def asked(folder, count=3, **guess):
    found = {"task": "text-classification", "label": "a", "score": 0.6, "scores": LABELS, "by": "margin", **guess}
    return jsonl(folder / "queue.jsonl", [{"text": f"text {n}", "id": n, "guess": found} for n in range(count)])


def test_one_answers_row_by_row_and_takes_answers_back(tmp_path):
    with Labelling(asked(tmp_path)) as page:
        state = page.state()
        assert state["row"] == {
            "place": 0, "fields": [{"name": "text", "text": "text 0"}],
            "guess": {"task": "text-classification", "label": "a", "score": 0.6, "scores": LABELS, "by": "margin"},
            "given": None,
        }  # fmt: skip
        assert (state["total"], state["labelled"], state["skipped"], state["undo"]) == (3, 0, 0, False)
        page.give(0, ["b"])
        page.skip(1)
        assert page.state()["row"]["place"] == 2 and page.state()["skipped"] == 1
        page.undo()
        page.undo()
        assert page.state()["row"]["place"] == 0 and read(tmp_path / "queue.labelled.jsonl") == []
        page.give(0, ["a"])
        page.give(1, ["b"])
        page.give(2, ["b"])
        assert page.state()["row"] is None
        with pytest.raises(DataError, match="answered already"):
            page.give(1, ["a"])
        with pytest.raises(DataError, match="answered already"):
            page.skip(7)
    assert read(tmp_path / "queue.labelled.jsonl") == [
        {"text": f"text {n}", "id": n, "label": label} for n, label in enumerate("abb")
    ]
    assert not (tmp_path / "queue.skipped.jsonl").exists()  # nothing was passed over


def test_the_next_session_goes_on_where_the_last_one_was(tmp_path):
    path = asked(tmp_path)
    with Labelling(path) as page:
        page.give(0, ["b"])
        page.skip(2)
    with Labelling(path) as page:
        assert page.state()["row"]["place"] == 1 and page.state()["undo"]
        page.undo()  # the label: passing over is taken back after it
        assert page.state()["row"]["place"] == 0
        page.undo()
        assert (page.state()["labelled"], page.state()["skipped"]) == (0, 0)
        with pytest.raises(DataError, match="no answer to take back"):
            page.undo()


def test_rows_labelled_elsewhere_are_never_taken_back(tmp_path):
    path = asked(tmp_path)
    rows = [{"text": "text 1", "label": "a"}, {"text": "of another queue", "label": "b"}]
    jsonl(tmp_path / "queue.labelled.jsonl", rows)
    with Labelling(path) as page:
        assert page.state()["labelled"] == 1 and not page.state()["undo"]
        page.give(0, ["b"])
        page.undo()
    assert read(tmp_path / "queue.labelled.jsonl") == rows


def test_equal_rows_are_answered_one_by_one(tmp_path):
    found = {"task": "text-classification", "label": "a", "score": 0.6, "scores": LABELS, "by": "margin"}
    path = jsonl(tmp_path / "queue.jsonl", [{"text": "same", "guess": found}] * 2)
    with Labelling(path) as page:
        page.give(0, ["a"])
    with Labelling(path) as page:
        page.give(1, ["a"])
    with Labelling(path) as page:
        assert page.state()["row"] is None


def test_several_labels_keep_the_order_of_the_queue_and_may_be_none(tmp_path):
    with Labelling(asked(tmp_path, labels=["b"])) as page:
        page.give(0, ["b", "a"])
        page.give(1, [])
    assert [row["label"] for row in read(tmp_path / "queue.labelled.jsonl")] == [["a", "b"], []]


@pytest.mark.parametrize("labels", [["c"], [], ["a", "b"]])
def test_a_label_that_the_queue_does_not_know_is_refused(tmp_path, labels):
    with Labelling(asked(tmp_path)) as page:
        with pytest.raises(DataError, match="no label to give"):
            page.give(0, labels)
        assert page.state()["row"]["place"] == 0


def test_pictures_are_shown_as_pictures(tmp_path):
    (tmp_path / "one.png").write_bytes(picture(0))
    found = {"task": "image-classification", "label": "a", "score": 0.6, "scores": LABELS, "by": "margin"}
    with Labelling(jsonl(tmp_path / "queue.jsonl", [{"image": str(tmp_path / "one.png"), "guess": found}])) as page:
        (field,) = page.state()["row"]["fields"]
    assert field["name"] == "image" and field["picture"].startswith("data:image/jpeg;base64,")


def test_what_a_kill_left_half_written_is_cut_off_and_what_is_whole_stays(tmp_path):
    whole = '{"text": "x", "label": "好"}\n'.encode()
    for length in range(len(whole)):
        file = tmp_path / f"{length}.jsonl"
        file.write_bytes(whole + whole[:length])
        log = Log(file)
        assert log.rows == [{"text": "x", "label": "好"}] * (1 + (length == len(whole) - 1))
        log.add({"text": "y", "label": "z"})
        log.close()
        assert read(file)[-1] == {"text": "y", "label": "z"} and len(read(file)) == len(log.rows)


def test_a_label_that_can_not_be_written_is_not_half_there(tmp_path, monkeypatch):
    log = Log(tmp_path / "labels.jsonl")
    log.add({"text": "x"})
    real, failed = os.fsync, []

    def full(descriptor):
        if not failed:
            failed.append(True)
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(labelling.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        log.add({"text": "y"})
    assert log.rows == [{"text": "x"}] == read(tmp_path / "labels.jsonl")
    log.add({"text": "z"})
    log.close()
    assert read(tmp_path / "labels.jsonl") == [{"text": "x"}, {"text": "z"}]


def test_every_row_is_flushed_to_the_disk(tmp_path, monkeypatch):
    sizes = []
    real = os.fsync
    monkeypatch.setattr(
        labelling.os, "fsync", lambda descriptor: (sizes.append(os.fstat(descriptor).st_size), real(descriptor))
    )
    log = Log(tmp_path / "labels.jsonl")
    log.add({"text": "x"})
    log.close()
    assert sizes == [(tmp_path / "labels.jsonl").stat().st_size] and sizes[0] > 0


KILLED = """
import sys
from pathlib import Path
from jishi.lifecycle.labelling import Labelling
page = Labelling(Path(sys.argv[1]))
for place in range(1000):
    page.give(place, ["a"])
    print(place, flush=True)
"""


def test_a_kill_loses_no_acknowledged_label(tmp_path):
    path = asked(tmp_path, 1000)
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        acknowledged = 20 + len(process.stdout.read().splitlines())
    with Labelling(path) as page:
        assert acknowledged <= page.state()["labelled"] <= acknowledged + 1
        page.give(page.state()["row"]["place"], ["b"])


def test_two_pages_do_not_write_one_file(tmp_path):
    path = asked(tmp_path)
    with Labelling(path), pytest.raises(UsageError, match="labelled by another process"):
        Labelling(path)


def test_what_is_no_queue_is_refused(tmp_path):
    with pytest.raises(RowError, match=r"plain\.jsonl:1: .*no queue"):
        Labelling(jsonl(tmp_path / "plain.jsonl", [{"text": "x"}]))
    with pytest.raises(DataError, match="does not exist"):
        Labelling(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="can't be written"):
        Labelling(asked(tmp_path), tmp_path / "queue.jsonl" / "labels.jsonl")
