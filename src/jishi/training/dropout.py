"""Dropout (arXiv:1207.0580) whose masks take a CPU a fifth of the time: sixteen random bits a value instead of a number."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

STEPS = 2**16  # a rate is met to one part in so many


class Dropped(torch.autograd.Function):
    """x times a mask that is 0 with probability `rate` and 1 / (1 - rate) elsewhere."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rate: float) -> torch.Tensor:  # type: ignore[override]
        mask = masks(x, [x.numel()], rate)[0].view(x.shape)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (mask,) = ctx.saved_tensors
        return gradient * mask, None


def masks(like: torch.Tensor, sizes: Sequence[int], rate: float) -> tuple[torch.Tensor, ...]:
    """Masks of so many values each, drawn at once, in the number format of a tensor."""
    words = torch.empty((sum(sizes) + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[: sum(sizes)] >= round(rate * STEPS) - STEPS // 2
    return kept.to(like.dtype).mul_(1 / (1 - rate)).split(list(sizes))


@contextmanager
def fast(model: nn.Module) -> Iterator[None]:
    """While this holds, the model's dropout layers on the CPU draw their masks this way."""
    layers = [module for module in model.modules() if type(module) is nn.Dropout and 0 < module.p < 1]
    for layer in layers:
        layer.forward = _forward(layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: nn.Dropout) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        if layer.training and x.device.type == "cpu":
            return Dropped.apply(x, layer.p)  # type: ignore[no-any-return]
        return nn.functional.dropout(x, layer.p, layer.training)

    return forward
