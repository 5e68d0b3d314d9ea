"""Batches without padding: the blocks of a backbone see the real tokens of all rows as one, and attention keeps the rows apart.

Where a batch is padded from T to the longest row, most of a block's work is done on padding when rows differ in length. Here the
tokens are gathered before the first block, (B, T, D) to (1, N, D), attention runs over rows of the same length together, which
need no mask, and the states are put back after the last block, so that embeddings, pooling and head see what they always saw.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from jishi.core.contracts import Batch, Objective
from jishi.models import heads
from jishi.training.attention import LONGEST, Attention, Blocks

NAME = "jishi-packed"
CLOSE = 3e-5  # of the largest output: a difference that is rounding only
ROTARY = "position_embeddings"  # what transformers' decoders hand their blocks: cosines and sines
COUNTS = 16  # counts of tokens in each power of two


def filled(tokens: int) -> int:
    """The next of `COUNTS` counts in each power of two: 6 % more at most, 2 % in the mean."""
    step = max(1, 2 ** (tokens.bit_length() - 1) // COUNTS)
    return -(-tokens // step) * step


class Layout:
    """Where the real tokens of a right-padded batch are. Rows are taken shortest first, so that like lengths stand together.

    They are filled up to one of few counts, as what computes a product is prepared anew for every shape it has not met.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.shape = (int(mask.shape[0]), int(mask.shape[1]))  # B, T
        self.lengths, order = mask.sum(1).sort(stable=True)
        kept = torch.arange(self.shape[1], device=mask.device) < self.lengths[:, None]
        places = order[:, None] * self.shape[1] + torch.arange(self.shape[1], device=mask.device)
        real = places[kept]
        self.count, self.longest = len(real), int(self.lengths[-1])
        # (N,) of each token in the padded batch; those that fill up are the first one again, and their states are let go
        self.places = torch.cat([real, real[:1].expand(filled(self.count) - self.count)])
        values, counts = self.lengths.unique_consecutive(return_counts=True)
        self.rows: list[int] = counts.tolist()  # of one length, as they lie
        self.sizes: list[int] = (values * counts).tolist()  # their tokens
        self._blocks: dict[int, Blocks] = {}

    def blocks(self, heads: int) -> Blocks:
        """How its tokens lie for attention with so many heads."""
        if heads not in self._blocks:
            self._blocks[heads] = Blocks.of(self.lengths, heads)
        return self._blocks[heads]

    def gather(self, value: Any) -> Any:
        """A tensor (B or 1, T, …) as (1, N, …); a mask over pairs of tokens is not needed any more; all else as it is."""
        if isinstance(value, tuple):
            return tuple(self.gather(one) for one in value)
        if not isinstance(value, torch.Tensor):
            return value
        if value.dim() == 4 and value.shape[-1] == self.shape[1]:
            return None
        if value.dim() > 1 and value.shape[1] == self.shape[1] and value.shape[0] in (1, self.shape[0]):
            whole = value.expand(self.shape[0], *value.shape[1:])
            return whole.reshape(-1, *value.shape[2:])[self.places][None]
        return value

    def scatter(self, states: torch.Tensor) -> torch.Tensor:
        """States (1, N, D) as (B, T, D), zero where there is padding; padded ones as they are."""
        if states.shape[:2] == self.shape:
            return states
        padded = states.new_zeros(self.shape[0] * self.shape[1], states.shape[-1])
        real = slice(self.count)
        return padded.index_copy(0, self.places[real], states[0, real]).view(*self.shape, -1)


@contextmanager
def packed(model: nn.Module, batch: Batch) -> Iterator[Layout | None]:
    """While this holds, forward and backward of the model over this batch do no work on padding, and attention is that for it."""
    mask = batch.get("attention_mask")
    if mask is None:
        yield None
        return
    blocks, layout = heads.layers(model), Layout(mask)
    config = _backbone(model).config
    implementation = config._attn_implementation
    with ExitStack() as hooks:
        for block in blocks:
            hooks.callback(block.register_forward_pre_hook(_gathering(layout), with_kwargs=True).remove)
        hooks.callback(blocks[-1].register_forward_hook(_scattering(layout)).remove)
        config._attn_implementation = NAME
        try:
            yield layout
        finally:
            config._attn_implementation = implementation


def is_packed(model: nn.Module) -> bool:
    """Whether this is while `packed` holds for the model."""
    return getattr(getattr(_backbone(model), "config", None), "_attn_implementation", None) == NAME


def packable(model: nn.Module, objective: Objective, batch: Batch) -> bool:
    """Whether the model's outputs on a padded batch are the same when packed: it is tried, in evaluation mode."""
    config, mask = getattr(_backbone(model), "config", None), batch.get("attention_mask")
    ready = getattr(config, "_attn_implementation", None) == "sdpa" and heads.layers(model)
    if not ready or mask is None or getattr(config, "is_encoder_decoder", False):  # its second stack reads both texts
        return False
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            plain = _real(objective.loss(model, batch).outputs, mask)
            with packed(model, batch):
                found = _real(objective.loss(model, batch).outputs, mask)
    except (
        RuntimeError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
    ):  # the blocks are no plain stack over tokens
        return False
    finally:
        model.train(training)
    largest = plain.abs().max() if plain.numel() else 0.0  # of two short rows no token may be hidden
    return bool(largest > 0 and (found - plain).abs().max() <= CLOSE * largest)  # a head of zeros would prove nothing


def _real(outputs: Any, mask: torch.Tensor) -> torch.Tensor:
    """Outputs (B, K), those of the real tokens among (B, T, K), or those of rows of different sizes one after the other."""
    if isinstance(outputs, list):
        return torch.cat([output.flatten() for output in outputs])
    return outputs[mask.bool()] if outputs.shape[:2] == mask.shape else outputs


def attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _: Any, *,
    layout: Layout, dropout: float = 0.0, scaling: float | None = None, **kwargs: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention (1, H, N, D) within each row of the layout; the answer is (1, N, H, D)."""
    causal = kwargs.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal  # as transformers reads it
    if query.shape[1] == key.shape[1] and layout.longest <= LONGEST:
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        states = [_narrow(tensor)[0].transpose(0, 1) for tensor in (query, key, value)]  # (N, H, D)
        answer = Attention.apply(*states, layout.blocks(query.shape[1]), scaling, causal, dropout)
        return answer[None], None
    parts = [tensor[:, :, : layout.count].split(layout.sizes, 2) for tensor in (query, key, value)]
    found = []
    for rows, *given in zip(layout.rows, *parts, strict=True):
        apart = (tensor[0].unflatten(1, (rows, -1)).transpose(0, 1) for tensor in given)  # (rows, H, L, D)
        answer, _ = sdpa_attention_forward(module, *apart, None, dropout=dropout, scaling=scaling, **kwargs)
        found.append(answer.flatten(0, 1))
    found.append(found[0].new_zeros(query.shape[2] - layout.count, *found[0].shape[1:]))
    return torch.cat(found)[None], None


def _narrow(tensor: torch.Tensor) -> torch.Tensor:
    """In the number format of products, as autocast would have it."""
    device = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else tensor


def _gathering(layout: Layout) -> Any:
    def gather(_: nn.Module, given: Sequence[Any], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        named = {name: layout.gather(value) for name, value in named.items()}
        if ROTARY in named:  # made in fp32 outside of autocast, and would take queries and keys with them
            named[ROTARY] = tuple(map(_narrow, named[ROTARY]))
        return layout.gather(tuple(given)), {**named, "layout": layout}

    return gather


def _scattering(layout: Layout) -> Any:
    def scatter(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (layout.scatter(output[0]), *output[1:])
        return layout.scatter(output)

    return scatter


def _backbone(model: nn.Module) -> Any:
    return getattr(model, getattr(model, "base_model_prefix", ""), model)


AttentionInterface.register(NAME, attend)
