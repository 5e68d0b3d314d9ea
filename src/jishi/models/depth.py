"""A backbone of fewer blocks, those that are kept unchanged (arXiv:1909.11556): where distillation starts (arXiv:1910.01108)."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from jishi.core.errors import ModelError
from jishi.models import heads
from jishi.models.heads import PooledConfig


def cut(model: PreTrainedModel, wanted: int | Sequence[int], name: str) -> None:
    """Keep so many blocks, evenly spaced from the first to the last, or those of these numbers, from 0; in place.

    Raises ModelError where the blocks can't be told, or are not as many.
    """
    blocks, backbone = heads.stack(model), heads.backbone(model)
    count = len(blocks) if blocks is not None else 0
    said = getattr(backbone.config, "num_hidden_layers", None)  # under whatever name of its own
    if blocks is None or said != count or backbone.config.is_encoder_decoder:
        raise ModelError("models.no-blocks", name=name, given=type(backbone).__name__)
    kept = spaced(count, wanted) if isinstance(wanted, int) else list(wanted)
    if kept != sorted({number for number in kept if number < count}) or not kept:
        raise ModelError("models.bad-layers", name=name, given=wanted, count=count, last=count - 1)
    for number in reversed(range(count)):
        if number not in kept:
            del blocks[number]
    _renumber(blocks)
    _shorten(backbone.config, kept, count)
    if isinstance(model.config, PooledConfig):
        model.config.backbone = backbone.config.to_dict()


def spaced(count: int, kept: int) -> list[int]:
    """The numbers of so many of `count` blocks; more than there are where that is asked."""
    return [round(place * (count - 1) / max(kept - 1, 1)) for place in range(kept)] if kept <= count else [count]


def _renumber(blocks: nn.ModuleList) -> None:
    """A decoder's block finds its keys and values by its number."""
    for number, block in enumerate(blocks):
        for module in block.modules():
            if isinstance(getattr(module, "layer_idx", None), int):
                module.layer_idx = number


def _shorten(config: PreTrainedConfig, kept: Sequence[int], count: int) -> None:
    """The configuration of as many blocks; what it says of each is kept for those that are."""
    for key, value in config.to_dict().items():
        if "layer" in key and isinstance(value, list | tuple) and len(value) == count:
            setattr(config, key, [value[number] for number in kept])
    config.num_hidden_layers = len(kept)
