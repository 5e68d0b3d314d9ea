"""Let what is known already weigh less (focal loss, arXiv:1708.02002): for classes of which one is far the most frequent.

It replaces the loss of a classification or tagging task; confidences come out too low and are mended by the fitted temperature.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.regularization import _likelihood
from jishi.regularization._shift import Ask


@dataclass(frozen=True)
class Focal(Regularization):
    """The loss of each label times (1 − its probability) to the power of `gamma`."""

    replaces = True

    gamma: Annotated[float, Ge(0)] = option(
        2.0,
        "How much less a label weighs that is likely already; 0: all alike.",
        "已有把握的样本权重降低的程度；0 表示不降低。",
    )

    def loss(self, model: Any, batch: Batch, ask: Ask) -> Loss:  # noqa: ARG002
        found = ask(batch)
        _, likely = _likelihood.of_labels(found, batch)
        return _likelihood.mean(found, -((1 - likely.exp()) ** self.gamma) * likely)
