"""How likely the model holds what is right."""

import torch

from jishi.core.contracts import Batch, Loss
from jishi.core.errors import TrainingError


def of_labels(found: Loss, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The labels (N,) of a batch that are known, and the logarithm of the probability of each (N,).

    Raises TrainingError where the outputs are no scores of labels.
    """
    outputs, labels = found.outputs, batch.get("labels")
    scores = isinstance(outputs, torch.Tensor) and labels is not None and not labels.is_floating_point()
    if not scores or outputs.shape[:-1] != labels.shape:
        raise TrainingError("training.no-label-scores")
    kept = labels >= 0
    right = labels[kept]
    return right, outputs[kept].float().log_softmax(-1).gather(1, right[:, None])[:, 0]


def mean(found: Loss, losses: torch.Tensor, weights: torch.Tensor | None = None) -> Loss:
    """The weighted mean of the labels' losses (N,), so that batches add up to what all of them together would be."""
    weights = torch.ones_like(losses) if weights is None else weights
    whole = weights.sum()
    return Loss((weights * losses).sum() / whole.clamp(min=1e-12), found.outputs, found.parts, float(whole))
