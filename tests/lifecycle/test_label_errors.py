"""Planted wrong labels are found by probes that have not seen them, and the list of them is a queue."""

import json
import sys

import numpy
import pytest
import torch

import jishi
import tiny
from commands import jsonl
from eight import picture
from jishi.core.errors import DataError, MissingExtra, ModelError, RowError
from jishi.lifecycle import label_errors, queue
from jishi.lifecycle.labelling import Labelling

WORDS = "good great love best bad awful hate worst a the of to it is was one two red blue green"
PLAIN = ["a", "the", "of", "to", "it", "is", "was", "one", "two"]
KINDS = {"pos": "good great love best", "neg": "bad awful hate worst"}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder of a small encoder of fixed random weights: enough to tell words apart."""
    folder = tmp_path_factory.mktemp("base")
    processor = tiny.tokenizer(WORDS)
    tiny.masked_lm(len(processor)).bert.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def reviews(count=80, wrong=()):
    rng = numpy.random.default_rng(0)
    rows = []
    for number in range(count):
        kind = "pos" if number % 2 else "neg"
        words = [*rng.choice(KINDS[kind].split(), 4), *rng.choice(PLAIN, 2)]
        other = "neg" if kind == "pos" else "pos"
        rows.append({"id": number, "text": " ".join(words), "label": other if number in wrong else kind})
    return rows


cleanlab = pytest.importorskip("cleanlab", reason="the extra label is not installed")


def test_planted_errors_come_first_with_their_place_and_what_the_probe_says(base, tmp_path):
    wrong = {3, 20, 41, 66}
    data = jsonl(tmp_path / "train.jsonl", reviews(wrong=wrong))
    told = jishi.label_errors(
        data=str(data), model=base, out=str(tmp_path / "errors.jsonl"), rest=str(tmp_path / "rest.jsonl")
    )
    found = read(tmp_path / "errors.jsonl")
    assert {row["id"] for row in found[:4]} == wrong and len(found) <= 6
    assert told["suspects"] == len(found) and told["read"] == 80 and told["left_out"] == {}
    assert told["accuracy"] == pytest.approx(1 - len(wrong) / 80, abs=0.04)
    for row in found[:4]:
        assert row["where"] == f"{data}:{row['id'] + 1}"
        assert row["guess"]["label"] != row["label"] and row["guess"]["score"] > 0.5
    rest = read(tmp_path / "rest.jsonl")
    assert len(rest) == 80 - len(found) and not {row["id"] for row in rest} & {row["id"] for row in found}


def test_the_list_is_a_queue_that_shows_the_label_it_has(base, tmp_path):
    data = jsonl(tmp_path / "train.jsonl", reviews(wrong={3}))
    jishi.label_errors(data=str(data), model=base, out=str(tmp_path / "errors.jsonl"))
    with Labelling(tmp_path / "errors.jsonl") as page:
        row = page.state()["row"]
        assert row["given"] == ["neg"] and row["guess"]["label"] == "pos"
        page.give(0, ["pos"])
    mended = read(tmp_path / "errors.labelled.jsonl")[0]
    assert mended["id"] == 3 and mended["label"] == "pos" and mended["where"].endswith("train.jsonl:4")


def test_of_several_labels_one_too_many_is_found(base, tmp_path):
    rows = [{**row, "label": [row["label"], "all"] if row["id"] % 4 < 2 else [row["label"]]} for row in reviews(120)]
    for row in rows:
        row["text"] += " red" if "all" in row["label"] else " blue"
    rows[7]["label"] = ["neg", *rows[7]["label"][1:]]
    told = jishi.label_errors(
        data=str(jsonl(tmp_path / "t.jsonl", rows)), model=base, out=str(tmp_path / "errors.jsonl")
    )
    found = read(tmp_path / "errors.jsonl")
    assert found[0]["id"] == 7 and "pos" in found[0]["guess"]["labels"] and told["accuracy"] > 0.9


def test_no_row_is_judged_by_its_copy(base, tmp_path):
    """A wrong label that stands twice would vouch for itself."""
    rows = reviews(60, wrong={5})
    data = jsonl(tmp_path / "t.jsonl", rows + [{**rows[5], "id": 100 + n} for n in range(3)])
    jishi.label_errors(data=str(data), model=base, out=str(tmp_path / "errors.jsonl"))
    assert {5, 100, 101, 102} <= {row["id"] for row in read(tmp_path / "errors.jsonl")}


def test_suspects_are_counted_as_the_paper_counts_them():
    """Confident learning by hand: the thresholds are mean self-confidences, 0.74 and 0.725; one row of each label exceeds the
    other's threshold."""
    said = numpy.array(
        [[0.9, 0.1], [0.9, 0.1], [0.96, 0.04], [0.2, 0.8], [0.1, 0.9], [0.05, 0.95], [0.1, 0.9], [0.85, 0.15]]
    )
    targets = numpy.eye(2, dtype=bool)[[0, 0, 0, 0, 1, 1, 1, 1]]
    assert label_errors.suspects(targets, said, several=False) == [7, 3]


def test_rows_that_can_not_be_judged_are_counted(base, tmp_path):
    rows = [*reviews(40), {"text": "red", "label": "rare"}, {"text": "blue"}]
    told = jishi.label_errors(
        data=str(jsonl(tmp_path / "t.jsonl", rows)),
        model=base,
        out=str(tmp_path / "e.jsonl"),
        rest=str(tmp_path / "rest.jsonl"),
    )
    assert told["left_out"] == {"open": 1, "too_few": 1} and told["read"] == 42
    assert "rare" in {row["label"] for row in read(tmp_path / "rest.jsonl")}


def test_what_can_not_be_looked_through_is_refused(base, tmp_path, monkeypatch):
    data = jsonl(tmp_path / "t.jsonl", reviews(20))
    with pytest.raises(ModelError, match="starts from nothing"):
        jishi.label_errors(data=str(data), model="text-cnn", out=str(tmp_path / "e.jsonl"))
    with pytest.raises(DataError, match=r"ends in \.jsonl"):
        jishi.label_errors(data=str(data), model=base, out=str(tmp_path / "e.csv"))
    with pytest.raises(RowError, match=r"bad\.jsonl:2"):
        bad = jsonl(tmp_path / "bad.jsonl", [{"text": "a", "label": "b"}, {"label": "b"}])
        jishi.label_errors(data=str(bad), model=base, out=str(tmp_path / "e.jsonl"))
    with pytest.raises(DataError, match="none has a label"):
        jishi.label_errors(
            data=str(jsonl(tmp_path / "open.jsonl", [{"text": "a"}])), task="text-classification", model=base,
            out=str(tmp_path / "e.jsonl"),
        )  # fmt: skip
    assert not (tmp_path / "e.jsonl").exists()
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingExtra, match=r"jishi\[label\]"):
        jishi.label_errors(data=str(data), model=base, out=str(tmp_path / "e.jsonl"))


def test_pictures_are_looked_through_too(tmp_path):
    from jishi.core.contracts import Head
    from jishi.models import load
    from jishi.models.spec import ModelSpec

    design = ModelSpec("resnet", size="nano")
    torch.manual_seed(0)
    load.model(design, Head(""), load.base(design), load.processor(design)).save_pretrained(tmp_path / "base")
    load.processor(design).save_pretrained(tmp_path / "base")
    for number in range(8):
        folder = tmp_path / "pictures" / ("b" if number % 2 else "a")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(picture(number))
    told = jishi.label_errors(
        data=str(tmp_path / "pictures"), model=str(tmp_path / "base"), out=str(tmp_path / "errors.jsonl"), folds=2
    )
    assert told["read"] == 8 and 0 <= told["accuracy"] <= 1
    assert all(row["image"].endswith(".png") for row in read(tmp_path / "errors.jsonl"))
    assert queue.beside(tmp_path / "errors.jsonl").name == "errors.labelled.jsonl"
