"""Let rare classes weigh more, by the effective number of their rows (arXiv:1901.05555).

It replaces the loss of a classification or tagging task: better on rare classes (macro F1), a little worse on frequent ones.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy
import torch
from annotated_types import Ge, Lt

from jishi.core.contracts import Batch, Features, Loss, Regularization, option
from jishi.core.errors import TrainingError
from jishi.regularization import _likelihood
from jishi.regularization._shift import Ask


@dataclass(frozen=True)
class ClassBalanced(Regularization):
    """The loss of each label times (1 − beta) / (1 − beta^n), where n is how often it is there, scaled to a mean of one."""

    replaces = True

    beta: Annotated[float, Ge(0), Lt(1)] = option(
        0.999,
        "Near 1 a class weighs as its frequency's inverse; 0: all alike.",
        "接近 1 时与类别频率成反比；0 则各类相同。",
    )
    weights: tuple[float, ...] = option((), "Filled in: the weight of each class.", "各类别的权重（自动填写）。")

    def initialize(self, features: Sequence[Features]) -> Self:
        parts = (part for row in features for part in row.get("windows", [row]))
        counts = Counter(label for part in parts for label in _labels(part.get("labels")) if label >= 0)
        if not counts:
            raise TrainingError("training.no-label-scores")
        found = [
            (1 - self.beta) / (1 - self.beta ** counts[label]) if counts[label] else 0.0
            for label in range(max(counts) + 1)
        ]
        whole = sum(found[label] * count for label, count in counts.items())
        return replace(self, weights=tuple(one * sum(counts.values()) / whole for one in found))

    def loss(self, model: Any, batch: Batch, ask: Ask) -> Loss:  # noqa: ARG002
        found = ask(batch)
        labels, likely = _likelihood.of_labels(found, batch)
        return _likelihood.mean(found, -likely, torch.tensor(self.weights, device=likely.device)[labels])


def _labels(value: Any) -> Iterable[int]:
    """A row's label, or those of its tokens; none where they are numbers of another kind."""
    found = numpy.asarray([] if value is None else value)
    return found.reshape(-1).tolist() if numpy.issubdtype(found.dtype, numpy.integer) else ()
