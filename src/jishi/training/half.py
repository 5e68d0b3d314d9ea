"""Linear layers in bf16 on a CPU, computing what autocast computes without what it wastes.

Autocast rounds every weight anew in each forward pass and hands back gradients in an order of memory that costs more to add up
than the product itself. Here a layer keeps its rounded weights until a step changes them, and gradients come as the weights lie.
The weights themselves, what is added up and what the optimizer holds stay fp32 (mixed precision: arXiv:1710.03740).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

HALF = torch.bfloat16


class Product(torch.autograd.Function):
    """x (…, I) times weights (O, I), plus bias (O) or none: (…, O) in bf16. `half` holds the weights rounded."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: torch.Tensor, _: torch.Tensor, bias: torch.Tensor | None, half: torch.Tensor
    ) -> torch.Tensor:
        rounded = x.to(HALF)
        # What needs no gradient need not be kept.
        ctx.save_for_backward(rounded if ctx.needs_input_grad[1] else None, half if ctx.needs_input_grad[0] else None)
        return nn.functional.linear(rounded, half, None if bias is None else bias.to(HALF))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        rounded, half = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        return (
            None if half is None else gradient @ half,
            None if rounded is None else rows.t() @ rounded.flatten(0, -2),
            rows.sum(0) if ctx.needs_input_grad[2] else None,
            None,
        )


@contextmanager
def fast(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """While this holds, the model's linear layers on the CPU compute this way wherever autocast asks for bf16."""
    rounded: dict[nn.Linear, torch.Tensor] = {}
    layers = [module for module in model.modules() if type(module) is nn.Linear]
    for layer in layers:
        layer.forward = _forward(layer, rounded)  # type: ignore[method-assign]
    learning = {layer for layer in layers if layer.weight.requires_grad}

    def changed(*_: Any) -> None:
        for layer in learning:
            rounded.pop(layer, None)

    hook = optimizer.register_step_post_hook(changed)
    try:
        yield
    finally:
        hook.remove()
        for layer in layers:
            del layer.forward


def _forward(layer: nn.Linear, rounded: dict[nn.Linear, torch.Tensor]) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return nn.functional.linear(x, layer.weight, layer.bias)
        if layer not in rounded:
            rounded[layer] = layer.weight.detach().to(HALF)
        return Product.apply(x, layer.weight, layer.bias, rounded[layer])  # type: ignore[no-any-return]

    return forward
