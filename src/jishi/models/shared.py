"""Weights that several models hold together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from torch import nn


class Shared:
    """The weights of bases that are in memory: each is held once, for as long as a model that was given it lives."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, str], nn.Parameter] = WeakValueDictionary()

    def give(self, base: str, names: Mapping[int, str], model: nn.Module) -> None:
        """Put what is known of a base into the place of the very same that the model brought; what learns is its own."""
        import torch

        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is None or weight.requires_grad or id(weight) not in names:
                    continue
                known = self._known.setdefault((base, names[id(weight)]), weight)
                if known is not weight and torch.equal(known, weight):
                    module._parameters[name] = known
