"""Draw the answers to an input and to its worst small change together (VAT, arXiv:1704.03976; SMART, arXiv:1911.03437).

Unlike `fgm` it does not ask what is right, but that the answer stays; a step costs about four plain ones.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.regularization import _divergence, _shift

PROBE = 1e-2  # how far the input is pushed to feel where the answer changes, in lengths of a word


@dataclass(frozen=True)
class VAT(Regularization):
    """Adds how far the answer moves where the input is pushed by `radius` to where it moves most."""

    radius: Annotated[float, Gt(0)] = option(
        0.5,
        "How far a row is pushed: lengths of a word's embedding, or tenths of a picture's contrast.",
        "扰动的大小：以词嵌入的长度（图片则以自身对比度的十分之一）为单位。",
        aliases=("epsilon",),
    )
    weight: Annotated[float, Gt(0)] = option(1.0, "What that distance is multiplied by.", "该距离的权重。")

    def loss(self, model: Any, batch: Batch, ask: _shift.Ask) -> Loss:
        clean = ask(batch)
        fixed, far = _fixed(clean.outputs), _shift.unit(model, batch)
        nudge = torch.randn_like(_shift.still(model, batch))
        nudge = (PROBE * far * nudge / _shift.length(nudge)).requires_grad_()
        moved = _shift.asked(model, batch, ask, lambda given: given + nudge)
        felt = Loss(_divergence.between(moved.outputs, fixed, batch["labels"]))
        shift = self.radius * far * _shift.uphill(felt, nudge)
        pushed = _shift.asked(model, batch, ask, lambda given: given + shift)
        apart = _divergence.between(pushed.outputs, clean.outputs, batch["labels"])
        return _shift.plus(clean, apart, self.weight, "apart")


def _fixed(outputs: Any) -> Any:
    return outputs.detach() if isinstance(outputs, torch.Tensor) else outputs
