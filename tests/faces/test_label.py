"""`jishi label` and its sub-commands, as a user types them."""

import json
from pathlib import Path

import pytest

import jishi
from commands import ask, jsonl, refusal
from jishi import api, cli


@pytest.fixture
def open_rows(tmp_path) -> Path:
    return jsonl(tmp_path / "open.jsonl", [{"text": f"很好用 {n}", "id": n} for n in range(8)])


def test_a_queue_is_made_added_to_and_told(trained, open_rows):
    bundle = trained[0] / "bundle"
    told = json.loads(ask("label", bundle, f"data={open_rows}", "out=queue.jsonl", "count=3", "--json").stdout)
    assert told == {"queue": "queue.jsonl", "asked": 3, "read": 8, "left_out": {}}
    shown = ask("label", "choose", bundle, f"data={open_rows}", "out=queue.jsonl", "by=entropy", "count=3").stdout
    assert "queue.jsonl" in shown and "asked for or labelled before" in shown
    by = [json.loads(line)["guess"]["by"] for line in Path("queue.jsonl").read_text(encoding="utf-8").splitlines()]
    assert by == ["margin"] * 3 + ["entropy"] * 3
    zh = ask("label", bundle, f"data={open_rows}", "out=queue.jsonl", "by=at-random", "--lang", "zh").stdout
    assert "选出的行数" in zh
    assert refusal("label", bundle, f"data={open_rows}", "out=queue.jsonl")[0] == "label.nothing-left"


def test_a_spec_file_says_the_same(trained, open_rows):
    spec = Path("label.yaml")
    spec.write_text(
        f"bundle: {trained[0] / 'bundle'}\ndata: {open_rows}\nout: q.jsonl\nby: {{name: bald, passes: 2}}\ncount: 2\n"
    )
    assert json.loads(ask("label", spec, "seed=1", "--json").stdout)["asked"] == 2
    wanted = api.read(api.spec_of("label"), spec)
    assert wanted.by.passes == 2 and wanted.count == 2


def test_labels_go_out_and_come_back(trained, open_rows):
    ask("label", trained[0] / "bundle", f"data={open_rows}", "out=queue.jsonl", "count=3")
    assert "tasks.xml" in ask("label", "export", "queue.jsonl", "tasks.json").stdout
    ask("label", "export", "queue.jsonl", "open.jsonl")
    rows = [json.loads(line) for line in Path("open.jsonl").read_text(encoding="utf-8").splitlines()]
    jsonl(Path("filled.jsonl"), [{**rows[0], "label": "good"}, {**rows[1], "label": "odd"}, rows[2]])
    shown = ask("label", "import", "filled.jsonl", "--queue", "queue.jsonl").stdout
    assert "odd 1" in shown and "queue.labelled.jsonl" in shown
    assert refusal("label", "import", "filled.jsonl", code=2)[0] == "label.no-place"
    assert refusal("label", "export", "queue.jsonl", "tasks.csv")[0] == "label.bad-export"


def test_a_key_that_is_none_and_a_way_that_is_none_are_refused(trained, open_rows):
    words = [trained[0] / "bundle", f"data={open_rows}", "out=queue.jsonl"]
    assert refusal("label", *words, "cuont=3", code=2)[0] == "core.unknown-key"
    code, sentence = refusal("label", *words, "by=random", code=2)
    assert code == "core.unknown-name" and "at-random" in sentence
    assert refusal("label", *words, "count=0", code=2)[0] == "core.bad-value"


def test_the_page_is_asked_for_by_name(monkeypatch):
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(cli.api, "label_page", lambda queue, out, port: asked.append((queue, out, port)))
        ask("label", "page", "queue.jsonl", "--port", "0")
    assert asked == [("queue.jsonl", None, 0)]
    assert refusal("label", "page", "none.jsonl")[0] == "data.missing-path"


def test_errors_are_asked_for_by_spec(monkeypatch):
    asked = []
    monkeypatch.setattr(
        cli.api, "label_errors", lambda main, overrides: asked.append((main, overrides)) or {"suspects": 2}
    )
    assert json.loads(ask("label", "errors", "train.csv", "out=e.jsonl", "--json").stdout) == {"suspects": 2}
    assert asked == [("train.csv", ["out=e.jsonl"])]
    assert api.schema("errors")["properties"].keys() >= {"data", "out", "rest", "model", "folds"}


def test_help_names_every_part():
    shown = ask("label", "--help").stdout
    assert all(name in shown for name in ("choose", "page", "export", "import", "errors"))
    assert callable(jishi.label) and callable(jishi.label_errors)
