"""Learn from pairs which answer people prefer, held to the model as it was: the same model with its adapter off.

DPO (arXiv:2305.18290) asks that the chosen answer gains on the rejected one; IPO (arXiv:2310.12036) that it gains a set
amount and no more, which resists over-fitting where preferences are sure.
"""

from typing import Any

import torch
from torch.nn import functional

from jishi.core.contracts import Batch, Loss
from jishi.core.errors import ModelError
from jishi.models import tokens
from jishi.models.cross_entropy import logits_at


def loss(model: Any, batch: Batch, *, method: str, beta: float) -> Loss:
    """The mean over the B pairs of a batch of 2 B rows, the chosen answers first.

    Parts: "preferred", the share of pairs in which the chosen answer gained more; "gain", by how much, times beta.
    """
    now = chances(model, batch)
    with torch.no_grad(), model.disable_adapter():
        before = chances(model, batch)
    chosen, rejected = (now - before).chunk(2)
    gain = chosen - rejected  # (B,) log-ratio
    each = -functional.logsigmoid(beta * gain) if method == "dpo" else (gain - 1 / (2 * beta)) ** 2
    parts = {"preferred": float((gain.detach() > 0).float().mean()), "gain": float(beta * gain.detach().mean())}
    return Loss(each.mean(), now, parts, len(gain))


def applies(model: Any) -> bool:
    """Whether the model can be asked as it was. Raises ModelError where it is trained without an adapter."""
    if hasattr(model, "disable_adapter"):
        return True
    if model.training:
        raise ModelError("tasks.preference-needs-adapter")
    return False


@torch.no_grad()
def likelier(model: Any, batch: Batch) -> float:
    """The share of pairs whose chosen answer is likelier, token for token (arXiv:2405.14734), than the rejected one."""
    answers = (batch["labels"][:, 1:] != tokens.IGNORED).sum(1).clamp(min=1)
    chosen, rejected = (chances(model, batch) / answers).chunk(2)
    return float((chosen > rejected).float().mean())


def chances(model: Any, batch: Batch) -> torch.Tensor:
    """The log-probability of each row's answer, (rows,)."""
    targets = batch["labels"][:, 1:]
    follows = targets != tokens.IGNORED
    places = functional.pad(follows, (0, 1))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    logits = logits_at(model, {**inputs, "use_cache": False}, places).float()
    found = logits.log_softmax(1).gather(1, targets[follows][:, None])[:, 0]
    rows = follows.nonzero()[:, 0]
    return found.new_zeros(len(targets)).index_add(0, rows, found)
