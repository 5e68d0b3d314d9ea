"""Supervised contrast (arXiv:2004.11362): vectors of one class are drawn together and others apart, whatever the head says.

With few labels a pair says more than a row: n rows a class are n² pairs (arXiv:2209.11055).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from jishi.core.contracts import Loss
from jishi.tasks._single import IGNORED

TEMPERATURE = 0.1


@contextmanager
def watched(model: Any, outputs: int) -> Iterator[list[torch.Tensor]]:
    """While this holds, what the head read is noted: the vectors (B, D) given to the last linear layer of so many outputs."""
    seen: list[torch.Tensor] = []
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer.out_features == outputs]
    hooks = [layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def mixed(loss: Loss, vectors: torch.Tensor, targets: torch.Tensor, share: float) -> Loss:
    """The loss of the head and that of the vectors, the latter weighing `share`."""
    known = targets != IGNORED
    apart = contrast(vectors[known], targets[known])
    return Loss((1 - share) * loss.value + share * apart, loss.outputs, {"contrast": float(apart.detach())}, loss.count)


def contrast(vectors: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """How much likelier a row of another class is to be taken for a partner; the mean over rows (B, D) that have a partner."""
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    same = (targets[:, None] == targets) & (targets != IGNORED) & ~itself
    anchors = same.any(1)
    if not anchors.any():
        return vectors.sum() * 0
    unit = nn.functional.normalize(vectors.float(), dim=-1)
    with torch.autocast(vectors.device.type, enabled=False):  # cosines close to 1 need more digits than bf16 has
        close = unit @ unit.T
    likely = (close / TEMPERATURE).masked_fill(itself, float("-inf")).log_softmax(1)
    return -(likely.masked_fill(~same, 0).sum(1)[anchors] / same.sum(1)[anchors]).mean()
