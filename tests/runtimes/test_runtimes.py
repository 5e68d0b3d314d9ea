"""Every runtime that reads a graph answers as torch did; which one answers is a choice, measured or asked for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy
import pytest

import jishi
from eight import DESIGNS, ROWS
from jishi import predictor as predictors
from jishi.core import registry
from jishi.core.contracts import Runtime
from jishi.core.errors import MissingExtra, ModelError, UnknownName, UsageError
from jishi.lifecycle import search
from jishi.predictor import Predictor

pytest.importorskip("onnxruntime")
GRAPHS = [name for name in registry.names(Runtime) if registry.get(Runtime, name).reads.endswith(".onnx")]


def made(folder, task, **train):
    """A bundle of weights for a task, and the graph made of it."""
    rows = [{**row, "text": f"{row['text']} {i}"} for i in range(6) for row in ROWS[task]]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    jishi.finetune(
        data=folder / "rows.jsonl", out=folder / "run", task=task, model={"name": "text-cnn", "size": "nano"},
        train={"batch_size": 8, "threads": 1, **train},
    )  # fmt: skip
    jishi.compress(folder / "run" / "bundle", method=["onnx"], out=folder / "graph")
    return folder / "run" / "bundle", folder / "graph"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    return made(tmp_path_factory.mktemp("runtimes"), "text-classification", epochs=4, learning_rate=3e-3)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return made(tmp_path_factory.mktemp("vectors"), "sentence-similarity", epochs=1)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_runtime_answers_as_torch_did(name, bundles):
    weights, graph = (Predictor.load(path, runtime=one) for path, one in zip(bundles, ("torch", name), strict=True))
    assert (weights.runtime, graph.runtime) == ("torch", name)
    asked = ["很好用", "never again, a waste of money " * 3, "x"]
    for old, new in zip(weights.outputs(asked), graph.outputs(asked), strict=True):
        assert numpy.abs(numpy.asarray(old) - numpy.asarray(new)).max() < 1e-5
    assert graph.replay().flips == 0


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_broken_is_one_sentence(name, bundles, tmp_path):
    from jishi.core import bundle, manifest

    shutil.copytree(bundles[1], tmp_path / "graph")
    (tmp_path / "graph" / "model.onnx").write_bytes(b"no graph")
    manifest.seal(tmp_path / "graph")
    with pytest.raises(ModelError) as caught:
        registry.get(Runtime, name)().open(bundle.read(tmp_path / "graph"))
    assert caught.value.code == "models.graph-broken"


def test_the_quickest_that_reads_the_bundle_is_taken(bundles, monkeypatch):
    for quick in GRAPHS:
        monkeypatch.setattr(predictors, "_pace", lambda one, quick=quick: 1.0 if one.runtime == quick else 2.0)
        assert Predictor.load(bundles[1]).runtime == quick
    assert Predictor.load(bundles[0]).runtime == "torch"


@pytest.mark.parametrize(
    "error", [MissingExtra("a-library", "export"), ModelError("models.graph-broken", path="x", reason="y")]
)
def test_one_that_can_not_is_passed_over_and_told_where_it_was_asked_for(error, bundles, monkeypatch):
    first, second = GRAPHS

    def fails(self, read, shared=None):
        raise error

    monkeypatch.setattr(registry.get(Runtime, first), "open", fails)
    assert Predictor.load(bundles[1]).runtime == second
    with pytest.raises(type(error)):
        Predictor.load(bundles[1], runtime=first)


def test_a_runtime_that_is_none_or_reads_other_files_is_refused(bundles):
    with pytest.raises(UnknownName) as unknown:
        Predictor.load(bundles[1], runtime="onnxruntim")
    assert "onnxruntime" in str(unknown.value)
    for path, name in ((bundles[0], "openvino"), (bundles[1], "torch")):
        with pytest.raises(UsageError) as caught:
            Predictor.load(path, runtime=name)
        assert caught.value.code == "predictor.not-for-runtime"


ALONE = """
import json, sys
from jishi.lifecycle import search
from jishi.predictor import Predictor
predictor = Predictor.load(sys.argv[1], runtime=sys.argv[2])
predictor.replay()
answers = predictor.predict(json.loads(sys.argv[3]))
print(json.dumps([answers, [name for name in ("torch", "transformers") if name in sys.modules]]))
"""


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("kind", ["bundles", "vectors"])
def test_a_graph_answers_without_torch_and_transformers(kind, name, request):
    weights, graph = request.getfixturevalue(kind)
    asked = ["很好用", "never again, a waste of money " * 3, "x"]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(graph), name, json.dumps(asked)], capture_output=True, text=True, check=True,
        env=os.environ,
    )  # fmt: skip
    answers, loaded = json.loads(done.stdout)
    assert not loaded
    for old, new in zip(Predictor.load(weights, runtime="torch").predict(asked), answers, strict=True):
        assert predictors.decision(old) == predictors.decision(new) or "embedding" in old
        assert list(predictors.numbers(new)) == pytest.approx(list(predictors.numbers(old)), abs=1e-5)


FURTHER = ("token-classification", "crf", "intent-slots", "question-answering", "multiple-choice")
EACH = """
import json, sys
from jishi.predictor import Predictor
told = {}
for folder, rows in json.loads(sys.argv[1]).items():
    predictor = Predictor.load(folder, runtime="onnxruntime")
    predictor.replay()
    answers = predictor.predict(rows)
    told[folder] = [answers, [name for name in ("torch", "transformers") if name in sys.modules]]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Of each further task, what its model answers, what its graph answers in a process of its own, and what was loaded there."""
    from graphs import bundled

    root, expected, asked = tmp_path_factory.mktemp("told"), {}, {}
    for name in FURTHER:
        task, options = ("token-classification", {"decoding": "crf"}) if name == "crf" else (name, {})
        rows = ROWS[task]
        weights = bundled(root / name, task, rows, DESIGNS["text"], max_length=32, **options)
        longer = [{**rows[0], column: rows[0][column] * 4} for column in ("text", "context") if column in rows[0]]
        asked[str(root / name)] = [{key: row[key] for key in weights.task.columns} for row in [*rows, *longer]]
        expected[name] = weights.predict(asked[str(root / name)])
    done = subprocess.run([sys.executable, "-c", EACH, json.dumps(asked)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    return {name: (expected[name], *said[str(root / name)]) for name in FURTHER}


@pytest.mark.parametrize("name", FURTHER)
def test_further_tasks_answer_by_a_graph_without_torch_and_transformers(name, told):
    expected, answers, loaded = told[name]
    assert loaded == []
    assert [predictors.decision(one) for one in answers] == [predictors.decision(one) for one in expected]
    for old, new in zip(expected, answers, strict=True):
        assert list(predictors.numbers(new)) == pytest.approx(list(predictors.numbers(old)), abs=1e-5)


def test_a_graph_that_is_made_of_a_graph_has_its_words(bundles, tmp_path):
    weights, graph = bundles
    jishi.compress(weights, method=["onnx", "int8"], out=tmp_path / "small", tolerance=1.0)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "small" / name).read_bytes() == (graph / name).read_bytes()
    assert Predictor.load(tmp_path / "small").replay().flips == 0


def test_texts_are_searched_by_a_graph_as_by_the_model(vectors):
    old, new = (search.embed(Predictor.load(path), ["很好用", "good value"]) for path in vectors)
    assert old.shape == new.shape and numpy.abs(old - new).max() < 1e-5


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has loaded is read off /proc")
def test_the_command_that_serves_a_graph_does_not_load_torch(bundles):
    loaded = {}
    for path, runtime in zip(bundles, ("torch", "onnxruntime"), strict=True):
        command = [
            sys.executable,
            "-m",
            "jishi",
            "serve",
            f"bundle={path}",
            "port=0",
            "isolate=true",
            f"runtime={runtime}",
            "--lang",
            "en",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
                assert (
                    httpx.post(f"{url}/api/v1/predict", json={"inputs": ["很好用 😀"]}, trust_env=False).status_code
                    == 200
                )
                (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                maps = [Path(f"/proc/{number}/maps").read_text() for number in (process.pid, child)]
                loaded[runtime] = ["libtorch" in one for one in maps]
            finally:
                process.terminate()
    assert loaded == {"torch": [False, True], "onnxruntime": [False, False]}
