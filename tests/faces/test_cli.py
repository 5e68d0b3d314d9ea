"""What each verb prints, for people and for programs."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from commands import SMALL, ask, below, environment, jsonl, lines, refusal
from jishi.cli import app


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


def test_compress_tells_what_changed_and_benchmark_stands_both_side_by_side(trained):
    bundle = trained[0] / "bundle"
    told = ask("compress", bundle, "method=int8", "tolerance=1", "out=small").stdout
    assert "int8: accuracy" in told and "small" in told and "onnxruntime" in told
    refused = refusal("compress", bundle, "method=int9", "out=other", code=2)
    assert refused[0] == "core.unknown-name" and '"int8"' in refused[1]
    beside = ask("benchmark", bundle, "small", "--rounds", 1, "--json").stdout
    assert json.loads(beside)["bundles"][0]["runtime"] == "torch"
    table = ask("benchmark", bundle, "--rounds", 1, "--out", "beside").stdout
    assert "p99" in table and below(Path("beside")) == {"benchmark.json", "benchmark.svg"}


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


def fits(value, schema, held=None) -> bool:
    """Whether a value is what a schema allows, as far as objects, keys, enumerations and types go."""
    held = schema.get("$defs", {}) if held is None else held
    if "$ref" in schema:
        schema = held[schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema:
        return any(fits(value, option, held) for option in schema["anyOf"])
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
    if "items" in schema:
        return all(fits(inner, schema["items"], held) for inner in value)
    if "properties" not in schema:
        return True
    known = schema["properties"]
    if set(schema.get("required", ())) - set(value) or (
        schema.get("additionalProperties") is False and set(value) - set(known)
    ):
        return False
    return all(fits(inner, known[key], held) for key, inner in value.items())


@pytest.mark.parametrize("verb", ["finetune", "pretrain", "prepare", "evaluate", "serve"])
def test_a_dumped_spec_fits_its_schema(verb, reviews):
    words = {
        "finetune": [f"data={reviews}", "out=o", "adapt=lora", "task=text-classification"],
        "pretrain": [f"data={reviews}", "out=o", "model=transformer-encoder", "objective=weighted"],
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
