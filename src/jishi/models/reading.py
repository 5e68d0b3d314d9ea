"""A model that reads with an encoder and writes, as two graphs: one reads the text, once; one is a step, as in `memory`.

What the first tells is what all layers of the decoder attend to: the text's keys and values, each (B, heads, S, D). They go into
every step beside those of the tokens written, and only the latter come out again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from jishi.models import memory
from jishi.models.cross_entropy import whole

WRITTEN = "decoder_input_ids"


class Reader(nn.Module):
    """From a text and what of it is no padding, (B, S) both, to keys and values of the layers in turn."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *text: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ids, mask = text
        start = torch.zeros_like(ids[:, :1])  # any token: nothing that is told hangs on it
        said = self.model(input_ids=ids, attention_mask=mask, decoder_input_ids=start, use_cache=True)
        return tuple(memory.flat(said.past_key_values.cross_attention_cache))


class Step(memory.Step):
    """The decoder, told what was read in the place of an encoder."""

    def cache(self, named: dict[str, torch.Tensor]) -> Any:
        from transformers.cache_utils import EncoderDecoderCache

        read = memory.pairs(named, memory.READ)
        both = EncoderDecoderCache(super().cache(named), read)
        both.is_updated = dict.fromkeys(range(len(read)), True)
        mask = named["attention_mask"]
        states = mask[..., None].expand(*mask.shape, whole(self.model).config.hidden_size).float()
        named["encoder_outputs"] = (states,)  # type: ignore[assignment]  # must be there; keys and values are known
        return both


def kept(model: Any, read: Mapping[str, torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]] | None:
    """Keys and values of what was written and of what was read; None where the model keeps, or looks at, anything else."""
    from transformers.cache_utils import EncoderDecoderCache

    if getattr(whole(model), "reads_rows", False):
        return None
    cache = model(**read, use_cache=True).past_key_values
    if type(cache) is not EncoderDecoderCache:
        return None
    both = cache.self_attention_cache, cache.cross_attention_cache
    return (list(memory.flat(both[0])), list(memory.flat(both[1]))) if all(map(memory.is_plain, both)) else None


def begun(heard: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What the model was called with for the first token, as if it had been for several: one would be taken for fixed."""
    return {**heard, WRITTEN: heard[WRITTEN].expand(-1, memory.NEW).clone()}


def step(
    read: Mapping[str, torch.Tensor], past: Sequence[torch.Tensor], heard: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """A step to try the model on: the same tokens once more."""
    given = {name: read[name] for name in (WRITTEN, "attention_mask")}
    kept = memory.numbered(memory.PAST, past) | memory.numbered(memory.READ, heard)
    return {**given, memory.PLACES: torch.arange(memory.NEW), **kept}


@contextmanager
def written_out(model: Any) -> Iterator[None]:
    """While this holds, attention is computed in single steps: T5's as one can't be taken apart with sizes that are free."""
    inner = whole(model)
    before = inner.config._attn_implementation
    inner.set_attn_implementation("eager")
    try:
        yield
    finally:
        inner.set_attn_implementation(before)
