"""A model as a graph says what the model says, for rows of any number and length."""

import pytest
import torch

from eight import DESIGNS, ROWS
from jishi.core import registry
from jishi.core.contracts import Task
from jishi.core.errors import ModelError
from jishi.models import graph, inference, load
from jishi.models.spec import ModelSpec

onnxruntime = pytest.importorskip("onnxruntime")

TRIED = {
    "text-classification": "text",
    "token-classification": "text",
    "question-answering": "text",
    "sentence-similarity": "text",
    "image-classification": "image",
}


def made(name, rows, spec, **options):
    task = registry.get(Task, name)(**options)
    rows = [task.parse(row) for row in rows]
    base = load.base(spec)
    processor = load.processor(spec, rows)
    task = task.initialize(rows, base)
    torch.manual_seed(0)
    return task, rows, load.model(spec, task.head(), base, processor), processor


def opened(content, config):
    session = onnxruntime.InferenceSession(content)
    inputs, outputs = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))
    return graph.Graph(config, inputs, outputs, lambda given: session.run(outputs, dict(given)))


@pytest.mark.parametrize("name", TRIED)
def test_a_graph_says_what_the_model_says_of_one_row_and_of_many(name):
    task, rows, model, processor = made(name, ROWS[name], DESIGNS[TRIED[name]])
    built = opened(graph.content(task, model, processor, rows), model.config)
    features = [task.encode(row, processor) for row in rows]
    for some in (features, features[:1], features[3:5]):
        pairs = zip(
            inference.outputs(task, model, some, processor),
            inference.outputs(task, built, some, processor),
            strict=True,
        )
        assert max(float((old - new).abs().max()) for old, new in pairs) < 1e-5


@pytest.mark.parametrize(
    "texts", [["a", "b", "a", "b"], ["good " * 90, "fine " * 90, "baad " * 90, "poor " * 90]], ids=["short", "cut off"]
)
def test_rows_of_one_length_leave_the_length_free(texts):
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]
    task, rows, model, processor = made("text-classification", rows, DESIGNS["text"], max_length=32)
    assert len({task.encode(row, processor)["length"] for row in rows}) == 1
    built = opened(graph.content(task, model, processor, rows), model.config)
    other = [task.encode({"text": f"{texts[0][:5]} {texts[1][:5]} b"}, processor)]
    (old,), (new,) = (inference.outputs(task, one, other, processor) for one in (model, built))
    assert torch.allclose(old, new, atol=1e-5)


def test_tasks_that_write_are_refused():
    task, rows, model, processor = made("text-generation", ROWS["text-generation"], DESIGNS["text-generation"])
    with pytest.raises(ModelError) as caught:
        graph.content(task, model, processor, rows)
    assert caught.value.code == "models.graph-writes"


def test_a_model_that_has_no_graph_is_refused_with_the_reason():
    task, rows, model, processor = made(
        "text-classification", ROWS["text-classification"], ModelSpec("bilstm", size="nano")
    )
    with pytest.raises(ModelError) as caught:
        graph.content(task, model, processor, rows)
    assert caught.value.code == "models.graph-fails" and caught.value.values["reason"]
