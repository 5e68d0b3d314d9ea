"""How far two answers to the same rows lie apart."""

from typing import Any

import torch
from torch.nn import functional

from jishi.core.errors import TrainingError


def between(one: Any, other: Any, labels: torch.Tensor) -> torch.Tensor:
    """The symmetric Kullback-Leibler divergence of two outputs (…, K), the mean over the targets that are labels; where targets
    are numbers (B,) or a number for each of K labels, the mean squared distance.

    Raises TrainingError where the outputs are of different sizes, so that none can be held against another.
    """
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)) or one.shape != other.shape:
        raise TrainingError("training.no-outputs-to-compare")
    one, other = one.float(), other.float()
    if labels.is_floating_point():
        return functional.mse_loss(one, other)
    if one.shape[:-1] != labels.shape:  # the outputs are no scores of labels
        raise TrainingError("training.no-outputs-to-compare")
    kept = labels >= 0
    left, right = (functional.log_softmax(value[kept], -1) for value in (one, other))
    apart = ((left.exp() - right.exp()) * (left - right)).sum(-1) / 2
    return apart.sum() / kept.sum().clamp(min=1)
