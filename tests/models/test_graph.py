"""A model as a graph says what the model says, for rows of any number and length."""

from dataclasses import replace

import numpy
import pytest
import torch

from eight import DESIGNS, ROWS
from jishi.core import registry
from jishi.core.contracts import Task
from jishi.core.errors import ModelError
from jishi.models import graph, graph_model, inference, load, together
from jishi.models.decoding import Decoding
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


def opened(content, config, folder):
    for name, made in content.items():
        (folder / name).write_bytes(made)

    def file(path):
        session = onnxruntime.InferenceSession(path)
        inputs = {
            one.name: [size if isinstance(size, int) else None for size in one.shape] for one in session.get_inputs()
        }
        outputs = [value.name for value in session.get_outputs()]
        return inputs, outputs, lambda given: session.run(outputs, dict(given))

    built = graph_model.opened(folder, file)
    built.config = config
    return built


@pytest.mark.parametrize("name", TRIED)
def test_a_graph_says_what_the_model_says_of_one_row_and_of_many(name, tmp_path):
    task, rows, model, processor = made(name, ROWS[name], DESIGNS[TRIED[name]])
    built = opened(graph.content(task, model, processor, rows), model.config, tmp_path)
    features = [task.encode(row, processor) for row in rows]
    for some in (features, features[:1], features[3:5]):
        pairs = zip(
            inference.outputs(task, model, some, processor),
            inference.outputs(task, built, some, processor),
            strict=True,
        )
        assert max(float(numpy.abs(numpy.asarray(old) - numpy.asarray(new)).max()) for old, new in pairs) < 1e-5


@pytest.mark.parametrize(
    "texts", [["a", "b", "a", "b"], ["good " * 90, "fine " * 90, "baad " * 90, "poor " * 90]], ids=["short", "cut off"]
)
def test_rows_of_one_length_leave_the_length_free(texts, tmp_path):
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]
    task, rows, model, processor = made("text-classification", rows, DESIGNS["text"], max_length=32)
    assert len({task.encode(row, processor)["length"] for row in rows}) == 1
    built = opened(graph.content(task, model, processor, rows), model.config, tmp_path)
    other = [task.encode({"text": f"{texts[0][:5]} {texts[1][:5]} b"}, processor)]
    (old,), (new,) = (inference.outputs(task, one, other, processor) for one in (model, built))
    assert numpy.allclose(old, new, atol=1e-5)


WRITERS = {
    "gpt2": "text-generation",
    "transformer-decoder": "text-generation",
    "t5": "translation",
    "bart": "translation",
}
WAYS = {
    "greedy": {},
    "sampling": {"method": "sampling", "top_p": 0.9, "seed": 3},
    "beam": {"method": "beam", "beams": 3},
}


@pytest.fixture(scope="module", params=WRITERS)
def writer(request, tmp_path_factory):
    """A model that writes, and the graph of its step; of an encoder-decoder also that which reads."""
    name = WRITERS[request.param]
    task, rows, model, processor = made(name, ROWS[name], ModelSpec(request.param, size="nano"), max_length=48)
    content = graph.content(task, model, processor, rows)
    return task, rows, model, opened(content, model.config, tmp_path_factory.mktemp("graphs")), processor


@pytest.fixture
def decoder(writer):
    if writer[2].config.is_encoder_decoder:
        pytest.skip("nothing of an encoder-decoder is shared")
    return writer


@pytest.mark.parametrize("way", WAYS)
def test_a_model_writes_as_a_graph_what_it_writes_as_itself(way, writer):
    task, rows, model, built, processor = writer
    task = replace(task, decoding=Decoding(max_new_tokens=12, **WAYS[way]))
    features = [task.encode(row, processor) for row in rows]
    assert len({row["length"] for row in features}) > 1  # so there is padding
    for some in (features, features[:1]):
        for old, new in zip(
            inference.outputs(task, model, some, processor),
            inference.outputs(task, built, some, processor),
            strict=True,
        ):
            assert old[:, 0].tolist() == new[:, 0].tolist()
            assert torch.allclose(old[:, 1], new[:, 1], atol=1e-5)


def test_streams_of_a_graph_share_its_steps(decoder):
    task, rows, model, built, processor = decoder
    task = replace(task, decoding=Decoding(max_new_tokens=12))
    features = [task.encode(row, processor) for row in rows]
    running = [task.stream(built, row, processor) for row in features]
    said = [[next(stream)] for stream in running]
    (group,) = together._of[built].groups
    assert len(group.rows) > 1
    for pieces, stream in zip(said, running, strict=True):
        pieces.extend(stream)
    assert said == [list(task.stream(model, row, processor)) for row in features]


def test_whole_answers_of_a_graph_are_those_of_its_model(decoder):
    task, rows, model, built, processor = decoder
    task = replace(task, decoding=Decoding(max_new_tokens=12))
    features = [task.encode(row, processor) for row in rows]
    first, *rest = task.begin(built, task.collate(features, processor))
    late = task.begin(built, task.collate(features[:1], processor))  # joins those that are being written
    assert len(together._of[built].groups) == 1
    said = []
    for steps in [first, *rest, *late]:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                said.append(end.value[:, 0].tolist())
                break
    own = [output[:, 0].tolist() for output in inference.outputs(task, model, features, processor)]
    assert said == [*own, own[0]]


def test_a_graph_streams_what_its_model_streams(writer):
    task, rows, model, built, processor = writer
    task = replace(task, decoding=Decoding(max_new_tokens=12))
    features = [task.encode(row, processor) for row in rows]
    running = [
        task.stream(built, row, processor) for row in features
    ]  # one a step in turn: none reads what another has read
    said = [[] for _ in running]
    for pieces, piece in (
        (pieces, next(stream, "")) for _ in range(20) for pieces, stream in zip(said, running, strict=True)
    ):
        pieces.append(piece)
    assert ["".join(one) for one in said] == ["".join(task.stream(model, row, processor)) for row in features]


def test_a_graph_foresees_a_text_as_its_model_does(writer):
    task, rows, model, built, processor = writer
    batch = task.collate([task.encode(row, processor) for row in rows], processor)
    with torch.no_grad():
        old, new = (task.loss(one, batch) for one in (model, built))
    assert old.count == new.count > len(rows) and float(old.value) == pytest.approx(float(new.value), abs=1e-5)


@pytest.mark.parametrize(
    "spec", [ModelSpec("pointer-generator", size="nano"), ModelSpec("lstm", size="nano")], ids=lambda one: one.name
)
def test_a_model_that_keeps_more_than_keys_and_values_is_refused(spec):
    name = "translation" if spec.name == "pointer-generator" else "text-generation"
    task, rows, model, processor = made(name, ROWS[name], spec)
    with pytest.raises(ModelError) as caught:
        graph.content(task, model, processor, rows)
    assert caught.value.code == "models.graph-writes" and caught.value.values["kind"]


def test_a_model_that_has_no_graph_is_refused_with_the_reason():
    task, rows, model, processor = made(
        "text-classification", ROWS["text-classification"], ModelSpec("bilstm", size="nano")
    )
    with pytest.raises(ModelError) as caught:
        graph.content(task, model, processor, rows)
    assert caught.value.code == "models.graph-fails" and caught.value.values["reason"]
