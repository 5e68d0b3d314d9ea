"""A 1×1 convolution beside every larger one, and the normalisations (residual adapters, arXiv:1803.10082); folded in at the end.

For convolutional models: a ninth of the weights of a 3×3 layer, which is left as it is.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from jishi.core.contracts import Adaptation, Objective
from jishi.core.errors import ModelError
from jishi.models import heads

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


class AtCentre(nn.Module):
    """The weight (out, in, k, k) of a convolution with a weight (out, in) added at its centre, which is a 1×1 one beside it."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.change = nn.Parameter(weight.new_zeros(weight.shape[:2]))
        self.centre = tuple(size // 2 for size in weight.shape[2:])

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        high, wide = ((place, size - 1 - place) for place, size in zip(self.centre, weight.shape[2:], strict=True))
        return weight + nn.functional.pad(self.change[..., None, None], (*wide, *high))


@dataclass(frozen=True)
class ResidualAdapter(Adaptation):
    """The head learns in full, and of the backbone the normalisations and a 1×1 convolution beside each larger one."""

    learning_rate = 1e-3

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        inner = list(heads.backbone(model).modules())
        layers = [one for one in inner if isinstance(one, nn.Conv2d) and max(one.kernel_size) > 1]
        if not layers:
            raise ModelError("adaptation.no-convolution", given=type(model).__name__)
        heads.freeze(model)
        for module in inner:
            if isinstance(module, NORMS):
                module.requires_grad_(True)
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", AtCentre(layer.weight))
        return model

    def merge(self, model: Any) -> Any:
        for module in list(model.modules()):
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return model
