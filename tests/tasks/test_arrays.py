"""Of a model that answers in arrays a task says what it says of the same model in tensors."""

from types import SimpleNamespace

import numpy
import pytest
import torch

from eight import DESIGNS, ROWS
from jishi.core import registry
from jishi.core.contracts import Task
from jishi.models import load
from jishi.predictor import decision

TASKS = [name for name in registry.names(Task) if registry.get(Task, name).arrays is not Task.arrays]
LONG = "我在路上遇见 Anna 了。the screen broke at once, never again! " * 4


class Model:
    """Random logits, the same for a row whether it is asked in tensors or in arrays; of every token, or of a row."""

    def __init__(self, task):
        head = task.head()
        self.each = head.architecture in ("", "ForTokenClassification", "ForQuestionAnswering")
        columns, rng = head.config.get("num_labels", 8), numpy.random.default_rng(0)
        self.table = rng.normal(0, 3, (5000, columns)).astype("float32")
        chain = rng.normal(0, 3, (columns + 1, columns)).astype("float32")
        self.chain = chain if head.config.get("transitions") else None

    def __call__(self, **given):
        plain = {isinstance(value, numpy.ndarray) for value in given.values()}
        assert len(plain) == 1
        wrap = numpy.asarray if plain.pop() else torch.as_tensor
        values = {name: numpy.asarray(value) for name, value in given.items()}
        logits = self.seen(values["pixel_values"]) if "pixel_values" in values else self.read(**values)
        said = {
            "logits": logits,
            "last_hidden_state": logits,
            "start_logits": logits[..., 0],
            "end_logits": logits[..., -1],
        }
        said |= {} if self.chain is None else {"transitions": self.chain}
        return SimpleNamespace(**{name: wrap(value) for name, value in said.items()})

    def seen(self, pictures):
        return pictures.mean((2, 3)) @ self.table[:3]

    def read(self, input_ids, attention_mask, token_type_ids=0):
        logits = self.table[(input_ids * 31 + numpy.arange(input_ids.shape[1]) + 7 * token_type_ids) % 5000]
        return logits if self.each else (logits * attention_mask[..., None].astype("float32")).sum(1)


def ready(name, options):
    """A task that has seen its eight rows, rows of which some are longer than a window, and what reads them."""
    rows = [registry.get(Task, name)(**options).parse(row) for row in ROWS[name]]
    spec = DESIGNS["image" if name.startswith("image") else "text"]
    limits = {"max_length": 24} if hasattr(registry.get(Task, name), "max_length") else {}
    task = registry.get(Task, name)(**options, **limits).initialize(rows, load.base(spec))
    processor = load.processor(spec, rows)
    long = [column for column in ("text", "context") if column in rows[0]]
    return task, [*rows, *({**row, column: row[column] + LONG} for row in rows[:2] for column in long)], processor


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in TASKS), ("token-classification", {"decoding": "crf"})]
)
def test_arrays_and_tensors_say_the_same(name, options):
    task, rows, processor = ready(name, options)
    features = [task.encode(row, processor) for row in rows]
    tensors, arrays = task.collate(features, processor), task.arrays(features, processor)
    assert tensors.keys() == arrays.keys() and "labels" in arrays
    for key, value in arrays.items():
        assert not isinstance(value, torch.Tensor)
        numpy.testing.assert_equal(
            numpy.asarray(tensors[key]) if isinstance(value, numpy.ndarray) else tensors[key], value
        )
    assert "own" not in arrays or max(len(row.get("windows", ())) for row in features) > 1
    model = Model(task)
    old, new = (list(task.forward(model, batch)) for batch in (tensors, arrays))
    assert len(old) == len(new) == len(rows)
    for one, other in zip(old, new, strict=True):
        assert isinstance(one, torch.Tensor) and isinstance(other, numpy.ndarray) and other.dtype == numpy.float32
        numpy.testing.assert_allclose(other, one.numpy(), atol=1e-6, rtol=1e-6)
    predictions = [task.decode(said, features, processor) for said in (old, new)]
    assert [decision(one) for one in predictions[0]] == [decision(one) for one in predictions[1]]
