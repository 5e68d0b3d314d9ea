"""A queue goes out as Label Studio tasks and comes back as labelled rows; nothing that is left out goes uncounted."""

import base64
import io
import json
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

import jishi
from commands import jsonl
from eight import picture
from jishi.core.errors import DataError, RowError, UsageError
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.lifecycle import queue
from jishi.tasks.text_classification import TextClassification


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def guess(**answer):
    return {
        "task": "text-classification",
        "score": 0.5,
        "scores": {"a & b": 0.5, "好": 0.3, "c": 0.2},
        "by": "margin",
        **answer,
    }


@pytest.fixture
def asked(tmp_path):
    rows = [{"text": f"text {n} <b>", "id": n, "guess": guess(label="好")} for n in range(6)]
    return jsonl(tmp_path / "queue.jsonl", rows)


def annotation(*labels, **more):
    value = (
        [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": list(labels)}}]
        if labels
        else []
    )
    return {"result": value, "was_cancelled": False, **more}


def annotated(file, *annotations):
    """The tasks as a project exports them once they have these annotations, one list a task."""
    tasks = json.loads(file.read_text(encoding="utf-8"))
    for task, found in zip(tasks, annotations, strict=False):
        task["annotations"] = found
    for task in tasks[len(annotations) :]:
        task["annotations"] = []
    file.write_text(json.dumps(tasks), encoding="utf-8")
    return file


def test_tasks_carry_the_row_the_guess_and_an_interface_that_fits(asked, tmp_path):
    told = jishi.label_export(asked, tmp_path / "tasks.json")
    assert told == {"file": str(tmp_path / "tasks.json"), "interface": str(tmp_path / "tasks.xml"), "written": 6}
    first = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))[0]
    assert first["data"] == {"text": "text 0 <b>", "id": 0}
    (prediction,) = first["predictions"]
    assert prediction["score"] == 0.5 and prediction["model_version"] == "jishi margin"
    assert prediction["result"] == [
        {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["好"]}}
    ]
    view = ElementTree.fromstring((tmp_path / "tasks.xml").read_text(encoding="utf-8"))
    choices = view.find("Choices")
    assert [choice.get("value") for choice in choices] == ["a & b", "好", "c"]
    assert (choices.get("name"), choices.get("toName"), choices.get("choice")) == ("label", "text", "single")
    assert view.find("Text").attrib == {"name": "text", "value": "$text"}


def test_what_comes_back_can_be_trained_on_and_all_else_is_counted(asked, tmp_path):
    file = tmp_path / "tasks.json"
    jishi.label_export(asked, file)
    annotated(
        file,
        [annotation("好")],
        [annotation("c"), annotation("c"), annotation("好")],  # two of three
        [annotation("c"), annotation("好")],
        [annotation(was_cancelled=True)],
        [annotation("weather")],
    )
    told = jishi.label_import(file, asked)
    assert told == {
        "labelled": str(tmp_path / "queue.labelled.jsonl"), "read": 6, "taken": 2, "agreed": 1,
        "left_out": {"disputed": 1, "skipped": 1, "open": 1, "unknown": 1}, "unknown_labels": {"weather": 1},
    }  # fmt: skip
    assert read(tmp_path / "queue.labelled.jsonl") == [
        {"text": "text 0 <b>", "id": 0, "label": "好"}, {"text": "text 1 <b>", "id": 1, "label": "c"},
    ]  # fmt: skip
    data = prepare(
        DataSpec(str(tmp_path / "queue.labelled.jsonl"), split=(1.0, 0.0, 0.0)), TextClassification(), tmp_path / "data"
    )
    assert [row["label"] for row in data.train] == ["好", "c"]
    again = jishi.label_import(file, asked)
    assert again["taken"] == 0 and again["left_out"]["repeated"] == 2
    assert jishi.label_export(asked, file)["written"] == 4  # labelled rows do not go out again


def test_of_several_labels_none_is_an_answer_too(tmp_path):
    asked = jsonl(tmp_path / "queue.jsonl", [{"text": str(n), "guess": guess(labels=["c"])} for n in range(3)])
    jishi.label_export(asked, tmp_path / "tasks.json")
    assert 'choice="multiple"' in (tmp_path / "tasks.xml").read_text(encoding="utf-8")
    annotated(tmp_path / "tasks.json", [annotation("好", "c")], [annotation()])
    told = jishi.label_import(tmp_path / "tasks.json", asked, tmp_path / "labelled.jsonl")
    assert told["taken"] == 2 and told["left_out"] == {"open": 1}
    assert [row["label"] for row in read(tmp_path / "labelled.jsonl")] == [["c", "好"], []]


def test_where_one_label_is_wanted_an_empty_annotation_is_none(asked, tmp_path):
    jishi.label_export(asked, tmp_path / "tasks.json")
    annotated(tmp_path / "tasks.json", [annotation()], [annotation("c")])
    assert jishi.label_import(tmp_path / "tasks.json", asked)["left_out"] == {"open": 5}


def test_the_minimal_export_is_read_too(tmp_path):
    rows = [
        {"text": "x", "row": 7, "id": 31, "label": "a", "annotator": 1, "annotation_id": 5, "lead_time": 2.0},
        {"text": "y", "id": 32, "label": {"choices": ["b", "c"]}, "annotation_id": 6},
        {"text": "z", "id": 33, "annotation_id": 7},
    ]
    (tmp_path / "min.json").write_text(json.dumps(rows), encoding="utf-8")
    told = jishi.label_import(tmp_path / "min.json", out=tmp_path / "labelled.jsonl")
    assert told["left_out"] == {"open": 2}  # two labels where no queue says that there may be several
    assert read(tmp_path / "labelled.jsonl") == [{"text": "x", "row": 7, "label": "a"}]


def test_rows_filled_in_by_hand_come_back(asked, tmp_path):
    assert jishi.label_export(asked, tmp_path / "open.jsonl")["written"] == 6
    rows = read(tmp_path / "open.jsonl")
    assert all(row["label"] is None and row["guess"] for row in rows)
    rows[0]["label"], rows[1]["label"] = "c", ["c", "好"]
    told = jishi.label_import(jsonl(tmp_path / "open.jsonl", rows), asked)
    assert told["taken"] == 1 and told["left_out"] == {"open": 4, "several": 1}
    assert read(queue.beside(asked)) == [{"text": "text 0 <b>", "id": 0, "label": "c"}]


def test_pictures_travel_in_their_task_and_come_back_as_paths(tmp_path):
    (tmp_path / "one.png").write_bytes(picture(0))
    row = {"image": str(tmp_path / "one.png"), "guess": {**guess(label="c"), "task": "image-classification"}}
    asked = jsonl(tmp_path / "queue.jsonl", [row])
    jishi.label_export(asked, tmp_path / "tasks.json")
    (task,) = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    kind, _, body = task["data"]["image"].partition(",")
    assert kind == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(body))).size == (32, 32)
    assert (
        ElementTree.fromstring((tmp_path / "tasks.xml").read_text(encoding="utf-8")).find("Image").get("value")
        == "$image"
    )
    jishi.label_import(annotated(tmp_path / "tasks.json", [annotation("c")]), asked)
    assert read(queue.beside(asked)) == [{"image": str(tmp_path / "one.png"), "label": "c"}]


def test_what_can_not_be_read_or_written_is_told(asked, tmp_path):
    with pytest.raises(DataError, match=r"\.json \(Label Studio\)"):
        jishi.label_export(asked, tmp_path / "tasks.csv")
    with pytest.raises(UsageError, match="--queue QUEUE"):
        jishi.label_import(asked)
    bad = tmp_path / "bad.json"
    bad.write_text(
        '[\n{"data": {"text": "x"}, "annotations": []},\n{"data": {"text": "x"}, "annotations": [3]}]', encoding="utf-8"
    )
    with pytest.raises(RowError, match=r"bad\.json:3: This is no task"):
        jishi.label_import(bad, asked)
    jishi.label_export(asked, tmp_path / "tasks.json")
    with pytest.raises(DataError, match=r"none has a label to take \(open 6\)"):
        jishi.label_import(annotated(tmp_path / "tasks.json"), asked)
    jsonl(queue.beside(asked), [{**queue.plain(row), "label": "c"} for row in read(asked)])
    with pytest.raises(DataError, match="All 6 rows"):
        jishi.label_export(asked, tmp_path / "tasks.json")
