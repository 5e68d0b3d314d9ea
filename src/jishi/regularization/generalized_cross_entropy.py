"""A loss that a wrong label can't raise without bound (GCE, arXiv:1805.07836): for labels of which some are wrong.

It replaces the loss of a classification or tagging task; slower to learn where labels are right.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt, Le

from jishi.core.contracts import Batch, Loss, Regularization, option
from jishi.regularization import _likelihood
from jishi.regularization._shift import Ask


@dataclass(frozen=True)
class GeneralizedCrossEntropy(Regularization):
    """(1 − p^q) / q in the place of −ln p, where p is the probability of the label."""

    replaces = True

    q: Annotated[float, Gt(0), Le(1)] = option(
        0.7,
        "Near 0 it is cross-entropy, at 1 the share of probability missed, which no label can dominate.",
        "接近 0 时即交叉熵；为 1 时是缺失的概率，任何标签都无法主导。",
    )

    def loss(self, model: Any, batch: Batch, ask: Ask) -> Loss:  # noqa: ARG002
        found = ask(batch)
        _, likely = _likelihood.of_labels(found, batch)
        return _likelihood.mean(found, (1 - (self.q * likely).exp()) / self.q)
