"""Normalisation over a batch that keeps its statistics while the rest learns.

A layer normalises by its batch while it learns, and by what it has seen when it answers. So a head that was fitted to a backbone
as it answers would meet other states in the first step, and a part that is frozen would move all the same.
"""

from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def hold(model: Any, *, known: bool) -> None:
    """From now on, layers whose weights don't learn answer as they would when asked; `known`: also all that have seen rows."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.train = partial(_train, module, known and _seen(module))  # type: ignore[method-assign]
            module.train(module.training)


def _train(module: nn.Module, known: bool, mode: bool = True) -> nn.Module:
    """In the place of a layer's own `train`; what learns may change on the way."""
    return type(module).train(module, mode and not (known or _frozen(module)))


def _frozen(module: nn.Module) -> bool:
    weights = list(module.parameters(recurse=False))
    return bool(weights) and not any(weight.requires_grad for weight in weights)


def _seen(module: Any) -> bool:
    """Whether its statistics are of rows, not those it begins with."""
    return bool((module.running_var != 1).any()) or bool(module.running_mean.any())
