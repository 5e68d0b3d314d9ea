"""Keys and values that are joined, cut and chosen from stay those of their rows and places."""

import numpy
import pytest
import torch
from transformers.cache_utils import DynamicCache

from jishi.models import memory


def numbered(rows, places, first=0):
    """(rows, 1 head, places, width 1), counted from a number."""
    return torch.arange(first, first + rows * places, dtype=torch.float32).reshape(rows, 1, places, 1)


def held(kind, *pair):
    return memory.Memory([value.numpy() for value in pair]) if kind == "graph" else DynamicCache([pair])


def values(cache):
    found = (
        cache.values
        if isinstance(cache, memory.Memory)
        else [one for layer in cache.layers for one in (layer.keys, layer.values)]
    )
    return [numpy.asarray(value)[:, 0, :, 0].tolist() for value in found]


def test_layers_are_told_in_their_order_however_a_runtime_names_them():
    names = [f"past.{place}" for place in range(11)]
    shapes = {name: [None, 1, None, 1] for name in sorted(names)} | {memory.PLACES: [None]}  # past.10 before past.2
    values = [numbered(1, 2, 100 * place).numpy() for place in range(11)]
    said = {f"present.{place}": values[place] for place in (10, *range(10))}
    _, kept = memory.told(said)
    ids = {"input_ids": torch.zeros(1, 1, dtype=torch.long), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    asked = memory.asked(shapes, {**ids, "past_key_values": kept})
    assert all((asked[f"past.{place}"] == values[place]).all() for place in range(11))


@pytest.mark.parametrize("kind", ["graph", "model"])
def test_joined_and_cut(kind):
    one = held(kind, numbered(1, 3, 1), numbered(1, 3, 11))
    other = held(kind, numbered(2, 1, 21), numbered(2, 1, 31))
    assert memory.is_plain(one)
    both = memory.joined(one, other, [0, 2])
    assert values(both) == [[[1, 2, 3], [0, 0, 21], [0, 0, 22]], [[11, 12, 13], [0, 0, 31], [0, 0, 32]]]
    both.batch_select_indices(torch.tensor([2, 1]))
    memory.cut(both, 2)
    assert values(both) == [[[22], [21]], [[32], [31]]]


def test_what_was_read_stays_beside_what_is_written_row_by_row():
    """A text is read once: the same keys and values of it go into each step, those of the rows that are gone on with."""
    text = memory.read({"read.1": numbered(3, 2, 50).numpy(), "read.0": numbered(3, 2, 1).numpy()})
    assert not memory.is_plain(text) and text.length == 0
    _, kept = memory.told({"present.0": numbered(3, 1, 80).numpy(), "logits": numpy.zeros(1)}, text)
    kept.batch_select_indices(torch.tensor([2, 0, 0]))
    shapes = {
        "decoder_input_ids": [None, None],
        "past.0": [None, 1, None, 1],
        "read.0": [],
        "read.1": [],
    }
    ids, mask = torch.zeros(3, 1, dtype=torch.long), torch.ones(3, 2, dtype=torch.long)
    asked = memory.asked(shapes, {"decoder_input_ids": ids, "attention_mask": mask, "past_key_values": kept})
    assert asked["past.0"][:, 0, :, 0].tolist() == [[82], [80], [80]]
    assert asked["read.0"][:, 0, :, 0].tolist() == [[5, 6], [1, 2], [1, 2]]
    assert asked["read.1"][:, 0, :, 0].tolist() == [[54, 55], [50, 51], [50, 51]]
