"""Fit the head alone, on the states of a backbone that holds still: a convex problem, solved to its end with a ridge penalty.

Before the rest learns it spares the backbone a fresh head's large wrong gradients (linear probing, then fine-tuning:
arXiv:2202.10054); after it, it puts right what gradient steps overfit or stopped short of (the last step of SetFit,
arXiv:2209.11055); and alone, without any gradient step, it is a linear probe.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from jishi.core.contracts import Batch, Features, Objective
from jishi.core.errors import TrainingError
from jishi.models.inference import to
from jishi.training.states import Quick

ROWS = 32
EXACT = {"max_iter": 200, "tolerance_change": 1e-7}
STILL = 1e-3  # a state that varies less than this share of the median says nothing: what it shows is rounding
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
FOLDS = 5
# Enough to compare strengths; each solution starts where that of the strength before ended.
ROUGH = {"max_iter": 50, "tolerance_change": 1e-5}
CROSS_ROWS = 2000  # rows the strength is chosen on: what a row weighs hardly depends on how many there are


def fit_head(
    model: Any,
    objective: Objective,
    processor: Any,
    features: Sequence[Features],
    head: Sequence[str],
    quick: Quick = lambda _: nullcontext(),
    *,
    strength: float | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Replace the head's weights by those of least loss plus penalty; `loss_before` and `loss_after` are the means.

    `strength` weighs the loss of one row against half the squared norm of the head on standardised states (scikit-learn's C);
    without it, cross-validation chooses. `quick` is what a batch is asked in. Raises TrainingError where the head is more
    than one linear layer.
    """
    layer = linear(model, head)
    return fit(layer, objective, list(states(model, layer, objective, processor, features, quick)), strength, seed)


def fit(
    linear: nn.Linear, objective: Objective, read: Sequence[Batch], strength: float | None = None, seed: int = 0
) -> dict[str, float]:
    """The same for a head and the `states` of the rows, which stay as they are."""
    mean, scale = _standard(read)
    with torch.no_grad():
        before = float(_loss(objective, Head(linear), read))
    batches = [{**batch, "states": (batch["states"] - mean) * scale} for batch in read]
    if batches[0]["states"].dim() == 2:  # one vector a row: no padding keeps the batches apart
        batches = [{name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}]
    strength = strength or choose_strength(objective, linear, batches, seed)
    new = _zeros(linear)
    after = _solve(objective, new, batches, strength, EXACT)
    with torch.no_grad():
        linear.weight.copy_(new.weight * scale)
        linear.bias.copy_(new.bias - (new.weight * scale) @ mean)
    return {"strength": strength, "loss_before": before, "loss_after": after}


def _standard(read: Sequence[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
    """What is taken from the states, and what they are then multiplied by (D,)."""
    kept = torch.cat([batch["states"].flatten(0, -2) for batch in read])
    mean, deviation = kept.mean(0), kept.std(0, correction=0)
    return mean, torch.where(deviation > STILL * deviation.median(), 1 / deviation, 0.0)


def choose_strength(objective: Objective, linear: nn.Linear, batches: Sequence[Batch], seed: int) -> float:
    """The strongest penalty whose held-out loss is within one standard error of the least (Breiman et al. 1984)."""
    count = min(FOLDS, sum(len(batch["states"]) for batch in batches))
    folds = _folds(batches, count, seed)
    losses = torch.zeros(count, len(STRENGTHS))
    for fold in range(count):
        learnt = pick(batches, [(ids >= 0) & (ids != fold) for ids in folds])
        held_out = pick(batches, [ids == fold for ids in folds])
        head = _zeros(linear)
        for place, strength in enumerate(STRENGTHS):
            _solve(objective, head, learnt, strength, ROUGH)
            with torch.no_grad():
                losses[fold, place] = _loss(objective, Head(head), held_out)
    mean = losses.mean(0)
    best = int(mean.argmin())
    error = losses[:, best].std() / count**0.5
    return STRENGTHS[int((mean <= mean[best] + error).nonzero()[0])]


class Head(nn.Module):
    """The head alone, answering as a whole model does."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, states: torch.Tensor, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=self.linear(states))


def linear(model: Any, head: Sequence[str]) -> nn.Linear:
    """The one linear layer that is the head, also where an adaptation has wrapped it. Raises TrainingError."""
    found = _layers(model, head)
    if len(found) != 1:
        raise TrainingError("training.no-linear-head", given=", ".join(head) or type(model).__name__)
    return found[0]


def is_linear(model: Any, head: Sequence[str]) -> bool:
    """Whether the head is one linear layer."""
    return len(_layers(model, head)) == 1


def _layers(model: Any, head: Sequence[str]) -> list[nn.Linear]:
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(f".{part}." in f".{name}." for part in head)
        and any(parameter.requires_grad for parameter in module.parameters())
    ]  # fmt: skip


def _zeros(linear: nn.Linear) -> nn.Linear:
    new = nn.Linear(linear.in_features, linear.out_features)
    nn.init.zeros_(new.weight)
    nn.init.zeros_(new.bias)
    return new


def states(
    model: Any,
    linear: nn.Linear,
    objective: Objective,
    processor: Any,
    features: Sequence[Features],
    quick: Quick = lambda _: nullcontext(),
) -> Iterator[Batch]:
    """Batches of what the head reads, {"states": (B, …, D), "labels", "rows": (B,)} and the mask of tokens, computed once."""
    seen: list[torch.Tensor] = []
    hook = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().float().cpu()))
    training = model.training
    model.eval()
    try:
        order = sorted(range(len(features)), key=lambda index: features[index]["length"])
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            batch = objective.collate([features[index] for index in rows], processor)
            asked = to(batch, model.device)
            with torch.inference_mode(), quick(asked):
                objective.loss(model, asked)
            found = seen.pop().clone()
            if len(found) != len(batch["labels"]):
                raise TrainingError("training.head-per-row", rows=len(batch["labels"]), states=len(found))
            kept = ("labels", "attention_mask") if found.dim() > 2 else ("labels",)
            own = {"rows": torch.tensor(rows)} if len(found) == len(rows) else {}  # not of windows
            yield {"states": found, **own, **{name: batch[name] for name in kept if name in batch}}
    finally:
        hook.remove()
        model.train(training)


def _folds(batches: Sequence[Batch], count: int, seed: int) -> list[torch.Tensor]:
    """For each row of each batch its fold, −1 for rows beyond CROSS_ROWS; folds are alike in their labels."""
    sizes = [len(batch["states"]) for batch in batches]
    order = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(seed))[:CROSS_ROWS]
    labels = [batch["labels"] for batch in batches]
    if labels[0].dim() == 1:
        order = order[torch.cat(labels)[order].argsort(stable=True)]
    folds = torch.full((sum(sizes),), -1)
    folds[order] = torch.arange(len(order)) % count
    return list(folds.split(sizes))


def pick(batches: Sequence[Batch], masks: Sequence[torch.Tensor]) -> list[Batch]:
    """The rows of the masks, one mask a batch; batches that have none are left out."""
    return [
        {name: value[mask] for name, value in batch.items()}
        for batch, mask in zip(batches, masks, strict=True)
        if mask.any()
    ]


def _loss(objective: Objective, head: Head, batches: Sequence[Batch]) -> Any:
    """The mean loss over all targets."""
    losses = [objective.loss(head, batch) for batch in batches]
    weights = [loss.weight(len(batch["states"])) for loss, batch in zip(losses, batches, strict=True)]
    total = sum(loss.value * weight for loss, weight in zip(losses, weights, strict=True))
    return total / max(sum(weights), 1)


def _solve(
    objective: Objective, linear: nn.Linear, batches: Sequence[Batch], strength: float, effort: Mapping[str, Any]
) -> float:
    """Minimise loss and penalty (L-BFGS) from where the layer stands; the final mean loss."""
    head, weight = Head(linear), strength * sum(len(batch["states"]) for batch in batches)
    solver = torch.optim.LBFGS(head.parameters(), line_search_fn="strong_wolfe", **effort)

    def cost() -> torch.Tensor:
        solver.zero_grad()
        value = _loss(objective, head, batches) + linear.weight.square().sum() / (2 * weight)
        value.backward()
        return value

    solver.step(cost)
    with torch.no_grad():
        return float(_loss(objective, head, batches))
