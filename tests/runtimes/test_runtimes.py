"""Every runtime that reads a graph answers as torch did; which one answers is a choice, measured or asked for."""

import pytest

import jishi
from eight import ROWS
from jishi import predictor as predictors
from jishi.core import registry
from jishi.core.contracts import Runtime
from jishi.core.errors import MissingExtra, ModelError, UnknownName, UsageError
from jishi.predictor import Predictor

pytest.importorskip("onnxruntime")
GRAPHS = [name for name in registry.names(Runtime) if registry.get(Runtime, name).reads.endswith(".onnx")]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A bundle of weights, and the graph made of it."""
    folder = tmp_path_factory.mktemp("runtimes")
    rows = [{**row, "text": f"{row['text']} {i}"} for i in range(6) for row in ROWS["text-classification"]]
    import json

    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    jishi.finetune(
        data=folder / "rows.jsonl", out=folder / "run", task="text-classification",
        model={"name": "text-cnn", "size": "nano"}, train={"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "threads": 1},
    )  # fmt: skip
    jishi.compress(folder / "run" / "bundle", method=["onnx"], out=folder / "graph")
    return folder / "run" / "bundle", folder / "graph"


@pytest.mark.parametrize("name", GRAPHS)
def test_a_runtime_answers_as_torch_did(name, bundles):
    weights, graph = (Predictor.load(path, runtime=one) for path, one in zip(bundles, ("torch", name), strict=True))
    assert (weights.runtime, graph.runtime) == ("torch", name)
    asked = ["很好用", "never again, a waste of money " * 3, "x"]
    for old, new in zip(weights.outputs(asked), graph.outputs(asked), strict=True):
        assert float((old - new).abs().max()) < 1e-5
    assert graph.replay().flips == 0


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_broken_is_one_sentence(name, bundles, tmp_path):
    import shutil

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
