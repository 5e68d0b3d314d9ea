"""Fit the head once more when the rest has learnt: a convex problem, solved to its end with a ridge penalty.

Few rows leave a head that gradient steps overfit or stop short of; logistic regression on the final states does neither (the
last step of SetFit, arXiv:2209.11055; deep features with linear probes: arXiv:2202.10054).
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from jishi.core.contracts import Batch, Features, Objective
from jishi.core.errors import TrainingError
from jishi.models.inference import to

ROWS = 32
STEPS = 200
STILL = 1e-3  # a state that varies less than this share of the median says nothing: what it shows is rounding


def refit(
    model: Any, objective: Objective, processor: Any, features: Sequence[Features], head: Sequence[str], strength: float
) -> dict[str, float]:
    """Replace the head's weights by those of least loss plus penalty; `loss_before` and `loss_after` are the means.

    `strength` weighs the loss of one row against half the squared norm of the head on standardised states (scikit-learn's C).
    Raises TrainingError where the head is more than one linear layer.
    """
    linear = _linear(model, head)
    batches = list(_states(model, linear, objective, processor, features))
    kept = torch.cat([batch["states"].flatten(0, -2) for batch in batches])
    mean, deviation = kept.mean(0), kept.std(0, correction=0)
    scale = torch.where(deviation > STILL * deviation.median(), 1 / deviation, 0.0)
    new = nn.Linear(linear.in_features, linear.out_features)
    nn.init.zeros_(new.weight)
    nn.init.zeros_(new.bias)
    with torch.no_grad():
        before = float(_loss(objective, _Head(linear, torch.zeros_like(mean), torch.ones_like(scale)), batches))
    after = _solve(objective, _Head(new, mean, scale), batches, strength * len(features))
    with torch.no_grad():
        linear.weight.copy_(new.weight * scale)
        linear.bias.copy_(new.bias - (new.weight * scale) @ mean)
    return {"loss_before": before, "loss_after": after}


class _Head(nn.Module):
    """The head alone, on standardised states, answering as a whole model does."""

    def __init__(self, linear: nn.Linear, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.linear, self.mean, self.scale = linear, mean, scale

    def forward(self, states: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.linear((states - self.mean) * self.scale))


def _linear(model: Any, head: Sequence[str]) -> nn.Linear:
    """The one linear layer that is the head, also where an adaptation has wrapped it."""
    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(f".{part}." in f".{name}." for part in head)
        and any(parameter.requires_grad for parameter in module.parameters())
    ]  # fmt: skip
    if len(found) != 1:
        raise TrainingError("training.no-linear-head", given=", ".join(head) or type(model).__name__)
    return found[0]


def _states(model: Any, linear: nn.Linear, objective: Objective, processor: Any, features: Sequence[Features]) -> Any:
    """Batches of what the head reads, {"states": (B, …, D), "labels"}, each computed once."""
    seen: list[torch.Tensor] = []
    hook = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().float().cpu()))
    training = model.training
    model.eval()
    try:
        order = sorted(range(len(features)), key=lambda index: features[index]["length"])
        for start in range(0, len(order), ROWS):
            batch = objective.collate([features[index] for index in order[start : start + ROWS]], processor)
            with torch.inference_mode():
                objective.loss(model, to(batch, model.device))
            yield {"states": seen.pop().clone(), "labels": batch["labels"]}
    finally:
        hook.remove()
        model.train(training)


def _loss(objective: Objective, head: _Head, batches: Sequence[Batch]) -> Any:
    """The mean loss over all rows."""
    sizes = [len(batch["states"]) for batch in batches]
    losses = [objective.loss(head, batch).value * size for batch, size in zip(batches, sizes, strict=True)]
    return sum(losses) / sum(sizes)


def _solve(objective: Objective, head: _Head, batches: Sequence[Batch], weight: float) -> float:
    """Minimise loss and penalty (L-BFGS); the final mean loss."""
    solver = torch.optim.LBFGS(head.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def cost() -> torch.Tensor:
        solver.zero_grad()
        value = _loss(objective, head, batches) + head.linear.weight.square().sum() / (2 * weight)
        value.backward()
        return value

    solver.step(cost)
    with torch.no_grad():
        return float(_loss(objective, head, batches))
