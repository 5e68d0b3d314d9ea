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
