"""What a model that writes keeps of what it has read, where it is a graph: keys and values go in with each step and come out.

The graph is one step of a decoder: the tokens that are new (B, T), which of all so far are no padding (B, P + T), their
positions, the keys and values of the P before, and the places among the T whose logits are asked for. Where another graph has
read a text for it (`reading`), the padding is that text's, and its keys and values are inputs as well.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import nn
from torch.nn import functional

from jishi.models.graph_model import PLACES

PAST, PRESENT, READ = "past.", "present.", "read."  # and a number: keys and values of the layers in turn
NEW = 2  # tokens of the step that is tried: with one, its number would be taken for fixed

Arrays = Mapping[str, numpy.ndarray]


@dataclass
class Memory:
    """Keys and values of all layers in turn, each (B, heads, P, D), and those of a text that was read once, (B, heads, S, D)."""

    values: Sequence[numpy.ndarray]
    read: Sequence[numpy.ndarray] = ()

    @property
    def length(self) -> int:
        """P, padding counted."""
        return int(self.values[0].shape[2]) if self.values else 0

    def batch_select_indices(self, rows: torch.Tensor) -> None:
        """Go on with these rows, as transformers' caches do."""
        self.values = [value[rows.numpy()] for value in self.values]
        self.read = [value[rows.numpy()] for value in self.read]


def is_plain(cache: Any) -> bool:
    """Whether keys and values of every token, and nothing else, are kept: they may be joined and cut."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if isinstance(cache, Memory):
        return not cache.read
    return type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers)


def empty(config: Any) -> Any:
    """What a model of transformers keeps before it has read."""
    from transformers.cache_utils import DynamicCache

    return DynamicCache(config=config)


def joined(first: Any, second: Any, unread: Sequence[int]) -> Any:
    """Two plain memories as one, with so many places that nobody reads before those of each."""
    pairs = [
        (functional.pad(one, (0, 0, unread[0], 0)), functional.pad(other, (0, 0, unread[1], 0)))
        for one, other in zip(_each(first), _each(second), strict=True)
    ]
    both = iter([torch.cat(pair) for pair in pairs])
    _change(first, lambda _: next(both))
    return first


def cut(cache: Any, places: int) -> None:
    """Without the first places of a plain memory."""
    _change(cache, lambda value: value[:, :, places:])


def _each(cache: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(value) for value in cache.values] if isinstance(cache, Memory) else list(flat(cache))


def _change(cache: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    if isinstance(cache, Memory):
        cache.values = [change(torch.from_numpy(value)).numpy() for value in cache.values]
        return
    for layer in cache.layers:
        layer.keys, layer.values = change(layer.keys), change(layer.values)


def asked(shapes: Mapping[str, Sequence[int | None]], given: Mapping[str, Any]) -> dict[str, numpy.ndarray]:
    """What a step is to be given where the model would have been called so; `shapes` are its inputs."""
    written = "decoder_input_ids" if "decoder_input_ids" in shapes else "input_ids"
    ids: torch.Tensor = given[written]
    rows, new = ids.shape
    before: Memory | None = given.get("past_key_values")
    start = before.length if before else 0
    keep = given.get("logits_to_keep", 0)
    found = {
        written: ids.numpy(), "attention_mask": given["attention_mask"].numpy(),
        PLACES: numpy.arange(max(new - keep, 0) if keep else 0, new),
    }  # fmt: skip
    if "position_ids" in shapes:
        positions = given.get("position_ids")
        found["position_ids"] = (
            torch.arange(start, start + new).expand(rows, new).numpy() if positions is None else positions.numpy()
        )
    past, text = _named(shapes, PAST), _named(shapes, READ)
    empty = [numpy.zeros((rows, shapes[name][1] or 0, 0, shapes[name][3] or 0), numpy.float32) for name in past]
    found |= dict(zip(past, before.values if before and before.values else empty, strict=True))
    return found | dict(zip(text, before.read if before else (), strict=True))


def told(said: Arrays, before: Memory | None = None) -> tuple[Arrays, Memory]:
    """What a step said, and what is to be kept of it, beside what was read before."""
    kept = [said[name] for name in _named(said, PRESENT)]
    rest = {name: value for name, value in said.items() if not name.startswith(PRESENT)}
    return rest, Memory(kept, before.read if before else ())


def read(said: Arrays) -> Memory:
    """What is to be kept of a text, of which a graph said this, before anything is written."""
    return Memory((), [said[name] for name in _named(said, READ)])


def _named(names: Iterable[str], mark: str) -> list[str]:
    """Those of one kind by their numbers: runtimes tell inputs and outputs in an order of their own."""
    return sorted((name for name in names if name.startswith(mark)), key=lambda name: int(name.removeprefix(mark)))


def numbered(mark: str, values: Sequence[Any]) -> dict[str, Any]:
    """Values by the names that they have in a graph."""
    return {f"{mark}{place}": value for place, value in enumerate(values)}


def kept(model: Any, read: Mapping[str, torch.Tensor]) -> list[torch.Tensor] | None:
    """Keys and values of a prompt that was read; None where the model keeps anything else (a window, a state)."""
    cache = model(**read, use_cache=True).past_key_values
    return list(flat(cache)) if is_plain(cache) else None


def step(read: Mapping[str, torch.Tensor], past: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """A step to try the model on: the last tokens of a prompt, once more."""
    ids, mask = read["input_ids"], read["attention_mask"]
    found = {"input_ids": ids[:, -NEW:], "attention_mask": torch.cat([mask, mask.new_ones(len(ids), NEW)], 1)}
    if "position_ids" in read:
        found["position_ids"] = read["position_ids"][:, -1:] + torch.arange(1, NEW + 1)
    return {**found, PLACES: torch.arange(NEW), **numbered(PAST, past)}


def free(name: str) -> dict[int, Any]:
    """The sizes of an input that hang on what is asked."""
    axes = (0,) if name == PLACES else (0, 2) if name.startswith((PAST, READ)) else (0, 1)
    return dict.fromkeys(axes, torch.export.Dim.DYNAMIC)


class Step(nn.Module):
    """A decoder from tensors to tensors: logits (B, places, V), then keys and values."""

    def __init__(self, model: nn.Module, names: Sequence[str], takes_places: bool) -> None:
        super().__init__()
        self.model, self.names, self.takes_places = model, names, takes_places

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        named = dict(zip(self.names, values, strict=True))
        places = named.pop(PLACES)
        if self.takes_places:
            named["logits_to_keep"] = places
        cache = self.cache(named)
        said = self.model(**named, past_key_values=cache, use_cache=True)
        logits = said.logits if self.takes_places else said.logits[:, places]
        return logits, *flat(said.past_key_values)

    def cache(self, named: dict[str, torch.Tensor]) -> Any:
        """What was kept, taken out of the inputs."""
        return pairs(named, PAST)


def pairs(named: dict[str, torch.Tensor], mark: str) -> Any:
    """Keys and values of one kind as transformers keeps them, taken out of the inputs."""
    from transformers.cache_utils import DynamicCache

    values = [named.pop(name) for name in _named(list(named), mark)]
    return DynamicCache(list(zip(values[::2], values[1::2], strict=True)))


def flat(cache: Any) -> Iterator[torch.Tensor]:
    """Keys and values of the layers in turn; where a text was read as well, those of what was written."""
    for layer in getattr(cache, "self_attention_cache", cache).layers:
        yield layer.keys
        yield layer.values
