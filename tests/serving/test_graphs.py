"""What was exported answers over HTTP as the model did before, from the first request, beside models that were not."""

import asyncio

import pytest

from asking import ask, asking, run
from jishi.compression.int8 import Int8
from jishi.compression.onnx import Onnx
from jishi.core import bundle
from jishi.predictor import Predictor
from jishi.serving.entries import held
from jishi.serving.limits import Limits
from jishi.serving.models import Models

pytest.importorskip("onnxruntime")
TEXTS = ["good movie", "bad", "not very good", "the movie broke after one day", "slow 好 坏"]


def made(way, path, out):
    """A bundle of what a way makes of another, its probes recorded anew."""
    first = Predictor.load(path)
    model, processor = way.apply(first, [first.from_json(probe["row"]) for probe in first.probes])
    with bundle.publishing(out) as folder:
        bundle.fill(folder, model, processor)
        bundle.describe(folder, first.record, [], "# A model")
        probes = Predictor.load(folder, runtime="onnxruntime").probe([{"text": text} for text in TEXTS], count=4)
        bundle.describe(folder, first.record, probes, "# A model")
    return out


def test_graphs_answer_over_http_as_they_do_alone_whoever_asks_with_them(bundle_path, tmp_path):
    graph, small = made(Onnx(), bundle_path, tmp_path / "graph"), made(Int8(), bundle_path, tmp_path / "small")
    alone = {name: Predictor.load(path, runtime="onnxruntime") for name, path in (("graph", graph), ("small", small))}
    weights = Predictor.load(bundle_path).predict(TEXTS)
    models = Models.of([f"graph={graph}", f"small={small}", f"weights={bundle_path}"], Limits(), None)
    assert held(models.entries[:1]) == (graph / "model.onnx").stat().st_size

    async def scene():
        async with asking(models) as client:
            answers = await asyncio.gather(*(ask(client, text, name) for name in ("graph", "small") for text in TEXTS))
            return [answer.json()["predictions"][0] for answer in answers]

    answers = run(scene())
    for text, graphs, smalls, own in zip(TEXTS, answers[: len(TEXTS)], answers[len(TEXTS) :], weights, strict=True):
        assert graphs["scores"] == pytest.approx(own["scores"], abs=1e-5)
        assert smalls["scores"] == pytest.approx(alone["small"].predict([text])[0]["scores"], abs=1e-6)
        assert smalls["label"] == own["label"]
