"""Learn each batch a second time, its inputs pushed by several small steps uphill within a ball (PGD, arXiv:1706.06083).

As `fgm`, looking harder for the worst noise: a step costs about as much as `steps` plus two plain ones.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.regularization import _shift


@dataclass(frozen=True)
class PGD(Regularization):
    """Adds the loss of the inputs pushed uphill in `steps`, never further than `radius`."""

    radius: Annotated[float, Gt(0)] = option(
        0.5,
        "How far a row may be pushed: lengths of a word's embedding, or tenths of a picture's contrast.",
        "扰动的上限：以词嵌入的长度（图片则以自身对比度的十分之一）为单位。",
        aliases=("epsilon",),
    )
    steps: Annotated[int, Ge(1)] = option(3, "Steps uphill.", "上升的步数。")
    stride: Annotated[float, Gt(0)] = option(0.5, "Length of a step, as a share of the radius.", "每步长度与上限之比。")
    weight: Annotated[float, Gt(0)] = option(1.0, "What that loss is multiplied by.", "该损失的权重。")

    def loss(self, model: Any, batch: Batch, ask: _shift.Ask) -> Loss:
        shift = _shift.still(model, batch)
        far = self.radius * _shift.unit(model, batch)
        for _ in range(self.steps):
            found = _shift.asked(model, batch, ask, lambda given, shift=shift: given + shift)
            moved = shift.detach() + self.stride * far * _shift.uphill(found, shift)
            shift = (moved * (far / _shift.length(moved)).clamp(max=1)).requires_grad_()
        pushed = _shift.asked(model, batch, ask, lambda given: given + shift.detach())
        return _shift.plus(ask(batch), pushed.value, self.weight, "pushed")
