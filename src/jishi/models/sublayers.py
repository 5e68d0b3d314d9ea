"""The attentions and feed-forward layers of a backbone's blocks, found by their build, in whichever family they stand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from jishi.models import heads

QUERIES = {"q", "query", "q_proj", "q_lin"}


@dataclass(frozen=True)
class Sublayer:
    """One attention, or one feed-forward layer: the full names of its linear layers as the model defines them, the module
    that is the attention (None for a feed-forward layer)."""

    names: Sequence[str]
    layers: Sequence[nn.Module]
    attention: nn.Module | None

    @property
    def first(self) -> nn.Module:
        """What reads the states."""
        return self.layers[0]

    @property
    def last(self) -> nn.Module:
        """What gives the states that are added to those read."""
        return self.layers[-1]


def sublayers(model: nn.Module) -> list[Sublayer]:
    """Those of all stacks of the backbone, from bottom to top; empty where it is not made of such."""
    named = {module: name for name, module in model.named_modules()}
    return [
        Sublayer([named[layer] for layer in layers], layers, attention)
        for block in _blocks(heads.backbone(model))
        for attention, layers in _grouped(block)
    ]


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The members of the outermost lists of modules."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)


def _grouped(block: nn.Module) -> Iterator[tuple[Any, list[nn.Module]]]:
    """The linear layers of a block, those of each attention together; the rest are its feed-forward layer.

    A block without attention has no such parts.
    """
    groups: dict[Any, list[nn.Module]] = {}
    _walk(block, None, groups)
    if any(groups):
        yield from groups.items()


def _walk(module: nn.Module, attention: nn.Module | None, groups: dict[Any, list[nn.Module]]) -> None:
    for child in module.children():
        within = attention or (child if "Attention" in type(child).__name__ else None)
        if isinstance(child, nn.Linear | Conv1D):
            groups.setdefault(within, []).append(child)
        else:
            _walk(child, within, groups)
