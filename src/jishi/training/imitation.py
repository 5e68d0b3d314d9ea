"""A small model taught by the one it was made of, on the rows of their task: its outputs and the states of its blocks.

Outputs are held together by their squared distance (arXiv:2105.08919), which serves classes, numbers, tags and vectors alike;
states by that of paired blocks (arXiv:1909.10351), as a share of the teacher's own size, which serves every family.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from jishi.core.contracts import Batch, Loss, Regularization, Task
from jishi.core.errors import TrainingError
from jishi.core.values import Teaching
from jishi.models.watched import watched
from jishi.training.packing import is_packed, packed


@dataclass(frozen=True)
class Imitation(Regularization):
    """The task's own loss, `share` of it given over to the teacher's outputs, and `states` times how far the blocks are apart."""

    teacher: Any
    task: Task
    teaching: Teaching

    def loss(self, model: Any, batch: Batch, ask: Callable[[Batch], Loss]) -> Loss:
        with watched(model) as found:
            own = ask(batch)
        teacher = self.teacher.to(own.value.device).eval()
        with torch.no_grad(), packed(teacher, batch) if is_packed(model) else nullcontext(), watched(teacher) as wanted:
            known = self.task.loss(teacher, batch).outputs
        share, parts = self.teaching.share, dict(own.parts)
        value = (1 - share) * own.value
        if share:
            soft = _distance(own.outputs, known, batch.get("attention_mask"))
            value, parts["outputs"] = value + share * soft, float(soft.detach())
        if self.teaching.states and self.teaching.pairs:
            pairs = [(found[ours], wanted[theirs]) for ours, theirs in self.teaching.pairs]
            apart = torch.stack([_apart(*pair, batch.get("attention_mask")) for pair in pairs]).mean()
            value, parts["states"] = value + self.teaching.states * apart, float(apart.detach())
        return Loss(value, own.outputs, parts, own.count)


def _distance(found: Any, wanted: Any, mask: torch.Tensor | None) -> torch.Tensor:
    """The mean squared difference of outputs, one tensor or one a row, where they are finite. Raises TrainingError for others."""
    pairs = list(zip(_tensors(found, mask), _tensors(wanted, mask), strict=True))
    if not pairs or any(ours.shape != theirs.shape for ours, theirs in pairs):
        raise TrainingError("training.no-outputs-to-compare")
    ours, theirs = (torch.cat([one.flatten() for one in side]).float() for side in zip(*pairs, strict=True))
    real = torch.isfinite(theirs)
    return (ours[real] - theirs[real]).square().mean()


def _tensors(outputs: Any, mask: torch.Tensor | None) -> list[torch.Tensor]:
    """Outputs (B, K), those of the real tokens among (B, T, K), or one tensor a row."""
    if isinstance(outputs, torch.Tensor):
        return [outputs[mask.bool()] if mask is not None and outputs.shape[:2] == mask.shape else outputs]
    return list(outputs) if isinstance(outputs, Iterable) else []


def _apart(found: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The mean squared difference of states (B, T, D), or (1, N, D) without padding, over the mean square of the teacher's."""
    found, wanted = _real(found, mask).float(), _real(wanted, mask).float()
    return (found - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)


def _real(states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(N, D), those of real tokens."""
    if mask is None:
        return states.flatten(0, 1)
    return states[mask.bool()] if states.shape[:2] == mask.shape else states[0, : int(mask.sum())]
