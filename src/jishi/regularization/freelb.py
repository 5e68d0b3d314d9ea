"""Learn from every step on the way uphill, not from its end alone (FreeLB, arXiv:1909.11764).

What is minimised is the mean loss over `steps` shifts, the first of them random; a step costs about `steps` and a half plain
ones, and as much memory.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.regularization import _shift


@dataclass(frozen=True)
class FreeLB(Regularization):
    """The mean loss over the inputs as they are pushed uphill."""

    radius: Annotated[float, Gt(0)] = option(
        0.5,
        "How far a row may be pushed: lengths of a word's embedding, or tenths of a picture's contrast.",
        "扰动的上限：以词嵌入的长度（图片则以自身对比度的十分之一）为单位。",
        aliases=("epsilon",),
    )
    steps: Annotated[int, Ge(1)] = option(2, "Shifts of which the loss is the mean.", "参与平均的扰动步数。")
    stride: Annotated[float, Gt(0)] = option(0.5, "Length of a step, as a share of the radius.", "每步长度与上限之比。")

    def loss(self, model: Any, batch: Batch, ask: _shift.Ask) -> Loss:
        shift = torch.randn_like(_shift.still(model, batch))
        far = self.radius * _shift.unit(model, batch)
        shift = (self.stride * far * shift / _shift.length(shift)).requires_grad_()
        losses = []
        for step in range(self.steps):
            found = _shift.asked(model, batch, ask, lambda given, shift=shift: given + shift)
            losses.append(found)
            if step + 1 < self.steps:
                moved = shift.detach() + self.stride * far * _shift.uphill(found, shift, keep=True)
                shift = (moved * (far / _shift.length(moved)).clamp(max=1)).requires_grad_()
        mean = sum(one.value for one in losses) / len(losses)
        return Loss(mean, losses[0].outputs, losses[0].parts, losses[0].count)
