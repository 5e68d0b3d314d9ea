"""Ask each batch twice under different dropout, and draw the two answers together (R-Drop, arXiv:2106.14448).

For classification; twice the work a step. A model without dropout is refused: both answers would be the same.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.core.errors import TrainingError
from jishi.regularization import _divergence
from jishi.regularization._shift import Ask, plus


@dataclass(frozen=True)
class RDrop(Regularization):
    """The mean loss of both, and how far they lie apart."""

    weight: Annotated[float, Gt(0)] = option(
        1.0, "What the divergence is multiplied by.", "散度项的权重。", aliases=("alpha",)
    )

    def loss(self, model: Any, batch: Batch, ask: Ask) -> Loss:
        one, other = ask(batch), ask(batch)
        if model.training and isinstance(one.outputs, torch.Tensor) and torch.equal(one.outputs, other.outputs):
            raise TrainingError("training.no-dropout")
        mean = Loss((one.value + other.value) / 2, one.outputs, one.parts, one.count)
        return plus(mean, _divergence.between(one.outputs, other.outputs, batch["labels"]), self.weight, "apart")
