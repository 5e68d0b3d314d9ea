"""A model with fewer blocks, heads and units, rebuilt from a configuration that says so: a plain folder of transformers again."""

import copy
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from jishi.compression._importance import Importance, parts, sizes
from jishi.core.errors import ModelError
from jishi.models import depth, heads
from jishi.models.heads import PooledConfig
from jishi.models.sublayers import Sublayer

WIDTHS = ("intermediate_size", "hidden_dim", "n_inner")  # what families call the units of a feed-forward layer
FUSED = 2  # layers of an attention that works queries, keys and values out at once: they can't be told apart by size
State = MutableMapping[str, torch.Tensor]


@dataclass(frozen=True)
class Size:
    """How many blocks, groups of heads a block (those that share keys and values), and units of a feed-forward layer."""

    blocks: int
    groups: int
    units: int


def size_of(found: Importance) -> Size:
    """That of the model which was measured."""
    return Size(len(found.blocks), found.heads.shape[1], found.units.shape[1])


def narrowed(model: Any, found: Importance, size: Size) -> tuple[Any, list[int]]:
    """A copy of that size, of the most important of each kind; and which blocks those are.

    Raises ModelError where the family's configuration has no words for what would come of it.
    """
    small, before = copy.deepcopy(model), size_of(found)
    kept = best(found.blocks, size.blocks)
    if size.blocks < before.blocks:
        depth.cut(small, kept, type(heads.backbone(model)).__name__)
    config, state = heads.backbone(small).config, dict(small.state_dict())
    attentions, layers = parts(small)
    if size.groups < before.groups:
        for part, block in zip(attentions, kept, strict=True):
            _cut_heads(state, part, best(found.heads[block], size.groups), before.groups)
        _say_heads(config, before.groups, size.groups)
    if size.units < before.units:
        for part, block in zip(layers, kept, strict=True):
            _cut_units(state, part, best(found.units[block], size.units), before.units)
        setattr(config, next(name for name in WIDTHS if hasattr(config, name)), size.units)
    return _rebuilt(small, config, state), kept


def best(scores: torch.Tensor, count: int) -> list[int]:
    """The places of the highest scores, ascending; of equals the first."""
    return sorted(scores.argsort(descending=True, stable=True)[:count].tolist())


def _cut_heads(state: State, part: Sublayer, kept: Sequence[int], groups: int) -> None:
    if len(part.layers) <= FUSED:
        raise ModelError("compress.heads-stay", given=type(part.attention).__name__)
    for name, layer in zip(part.names, part.layers, strict=True):
        given, said = sizes(layer)
        if layer is part.last:
            _pick(state, name, layer, _values(kept, given // groups), reads=True)
        else:
            _pick(state, name, layer, _values(kept, said // groups), reads=False)


def _cut_units(state: State, part: Sublayer, kept: Sequence[int], width: int) -> None:
    for name, layer in zip(part.names, part.layers, strict=True):
        halves = range(0, sizes(layer)[1], width)  # a gate and what it lets through, where one layer gives both
        places = kept if layer is part.last else [start + place for start in halves for place in kept]
        _pick(state, name, layer, places, reads=layer is part.last)


def _values(kept: Sequence[int], each: int) -> list[int]:
    """The places of the values of groups that hold so many each."""
    return [group * each + place for group in kept for place in range(each)]


def _pick(state: State, name: str, layer: nn.Module, places: Sequence[int], *, reads: bool) -> None:
    """Keep these of the values that a linear layer reads, or of those that it gives."""
    axis = int(reads) if isinstance(layer, nn.Linear) else 1 - int(reads)
    chosen = torch.tensor(places)
    state[f"{name}.weight"] = state[f"{name}.weight"].index_select(axis, chosen)
    if f"{name}.bias" in state and not reads:
        state[f"{name}.bias"] = state[f"{name}.bias"][chosen]


def _say_heads(config: Any, before: int, after: int) -> None:
    """So many heads of the size they had."""
    config.head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    config.num_attention_heads = config.num_attention_heads // before * after
    if getattr(config, "num_key_value_heads", None):
        config.num_key_value_heads = after


def _rebuilt(small: Any, config: Any, state: State) -> Any:
    """The model that the configuration alone makes, with the weights. Raises ModelError where they don't fit it."""
    if isinstance(small.config, PooledConfig):
        small.config.backbone = config.to_dict()
    try:
        made = type(small)(small.config)
    except ValueError as error:  # a width that heads don't divide
        raise ModelError("compress.heads-stay", given=type(heads.backbone(small)).__name__) from error
    wanted = {name: value.shape for name, value in made.state_dict().items()}
    if wanted != {name: value.shape for name, value in state.items()}:
        raise ModelError("compress.heads-stay", given=type(heads.backbone(small)).__name__)
    made.load_state_dict(state)
    if getattr(small, "generation_config", None) is not None:
        made.generation_config = small.generation_config
    return made.eval()
