"""What a model would lose by each attention head, each unit of its feed-forward layers and each block, on rows of its task."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from jishi.core.contracts import Row
from jishi.core.errors import ModelError
from jishi.models import heads
from jishi.models.inference import to
from jishi.models.sublayers import Sublayer, sublayers

AT_ONCE = 16  # rows
GIVEN = "hidden_states"


@dataclass(frozen=True)
class Importance:
    """For each of L blocks: of its G groups of heads that share keys and values (L, G), of its F units (L, F), of itself (L,)."""

    heads: torch.Tensor
    units: torch.Tensor
    blocks: torch.Tensor


def measured(predictor: Any, rows: Sequence[Row]) -> Importance:
    """By first order, how far the loss would move without a head (arXiv:1905.10650) or a unit (arXiv:1906.10771), each row by
    itself; of a block, one minus the cosine of what goes in and what comes out (arXiv:2403.03853), the mean over tokens.

    Raises ModelError where the model is not built of blocks of one attention and one feed-forward layer.
    """
    model, task = copy.deepcopy(predictor.model).eval().requires_grad_(True), predictor.task
    attentions, layers = parts(model)
    lasts = [part.last for part in (*attentions, *layers)]
    found: list[torch.Tensor] = [torch.zeros(())] * len(lasts)
    turned, tokens, groups = torch.zeros(len(layers)), 0, key_groups(heads.backbone(model).config)
    for start in range(0, len(rows), AT_ONCE):
        features = [task.encode(row, predictor.processor) for row in rows[start : start + AT_ONCE]]
        batch = to(task.collate(features, predictor.processor), model.device)
        with _given(lasts) as given, _turns(heads.layers(model), batch.get("attention_mask")) as turns:
            loss = task.loss(model, batch).value
        slopes = torch.autograd.grad(loss * len(features), given)
        for place, (value, slope) in enumerate(zip(given, slopes, strict=True)):
            effect = (value * slope).detach().flatten(1, -2).sum(1)  # (B, F)
            if place < len(attentions):
                effect = effect.unflatten(1, (groups, -1)).sum(2)
            found[place] = found[place] + effect.abs().sum(0).cpu()
        if turns:  # what has one block has no stack of them, of which one could go
            turned, tokens = turned + torch.stack([turn.sum() for turn in turns]), tokens + len(turns[0])
    count = len(attentions)
    return Importance(torch.stack(found[:count]), torch.stack(found[count:]), turned / max(tokens, 1))


def parts(model: nn.Module) -> tuple[list[Sublayer], list[Sublayer]]:
    """The attention and the feed-forward layer of each block. Raises ModelError where blocks have others."""
    found, blocks = sublayers(model), heads.layers(model)
    attentions = [part for part in found if part.attention is not None]
    layers = [part for part in found if part.attention is None]
    if not len(attentions) == len(layers) == max(len(blocks), 1) or not all(map(_plain, layers)):
        raise ModelError("compress.no-parts", given=type(heads.backbone(model)).__name__)
    return attentions, layers


def _plain(part: Sublayer) -> bool:
    """Whether all layers but the last of a feed-forward layer give it its input, or two halves of it."""
    width = sizes(part.last)[0]
    return len(part.layers) > 1 and all(sizes(layer)[1] in (width, 2 * width) for layer in part.layers[:-1])


def sizes(layer: nn.Module) -> tuple[int, int]:
    """How many values a linear layer reads, and how many it gives; GPT-2's keep their weights turned."""
    rows, columns = layer.weight.shape
    return (columns, rows) if isinstance(layer, nn.Linear) else (rows, columns)


def key_groups(config: Any) -> int:
    """How many groups of heads share keys and values."""
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


@contextmanager
def _given(layers: Sequence[nn.Module]) -> Iterator[list[torch.Tensor]]:
    """While this holds, what each layer is given is noted, in their order."""
    seen: list[torch.Tensor] = [torch.empty(0)] * len(layers)

    def noting(place: int) -> Callable[..., None]:
        def note(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            seen[place] = given[0]

        return note

    hooks = [layer.register_forward_pre_hook(noting(place)) for place, layer in enumerate(layers)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _turns(blocks: Sequence[nn.Module], mask: torch.Tensor | None) -> Iterator[list[torch.Tensor]]:
    """While this holds, how far each block turns the state of each real token (N,) is noted."""
    seen: list[torch.Tensor] = []

    def note(_: Any, given: tuple[Any, ...], named: dict[str, Any], said: Any) -> None:
        before, after = (given or (named[GIVEN],))[0], said[0] if isinstance(said, tuple) else said
        turn = 1 - torch.cosine_similarity(before.detach().float(), after.detach().float(), dim=-1)
        seen.append((turn[mask.bool()] if mask is not None and turn.shape == mask.shape else turn.flatten()).cpu())

    hooks = [block.register_forward_hook(note, with_kwargs=True) for block in blocks]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
